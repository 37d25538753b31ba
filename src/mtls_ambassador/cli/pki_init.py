"""`mtls-ambassador pki init`: make CAs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mtls_ambassador.cli.pki_secrets import (
    complete_uri,
    find_pin,
    known_secrets,
    new_passphrase,
    passphrase_option,
)
from mtls_ambassador.cli.pki_store import json_option, now, opened, pki_option
from mtls_ambassador.model.errors import UsageError

if TYPE_CHECKING:
    from mtls_ambassador.flows.make_ca import Setting, Wanted
    from mtls_ambassador.pki.authority import Authority

EPILOG = """\b
Examples:
  mtls-ambassador pki init --organization 'My Organization' --country NO
  mtls-ambassador pki init --single --common-name 'My CA' --no-passphrase      # one CA for all, as on Mender's page
  mtls-ambassador pki init --offline-root /media/stick                         # the root's key goes there only
  mtls-ambassador pki init --below root --offline-root /media/stick --name issuing-2
  mtls-ambassador pki init --key-uri 'pkcs11:token=factory;object=issuing?module-path=/usr/lib/softhsm/libsofthsm2.so'
"""
KINDS = ("p256", "p384", "p521", "rsa", "ed25519")
_FIELDS = {"country": "C", "state": "ST", "locality": "L", "organization": "O", "unit": "OU", "email": "emailAddress"}


@click.command("init", epilog=EPILOG)
@click.option("--single", is_flag=True, help="One CA that is root and issues, in place of two.")
@click.option("--below", metavar="NAME", help="Make only an issuing CA, below the CA of this name.")
@click.option("--name", help="Folder of the issuing CA.  [default: issuing]")
@click.option("--common-name", help="Of the root, or of the only CA.  [default: Device Root CA, or Device CA]")
@click.option("--issuing-common-name", default="Device Issuing CA", show_default=True)
@click.option("--organization", help="For the names of all CAs made, like the next ones.")
@click.option("--unit", help="Organizational unit.")
@click.option("--email", help="E-mail address; it goes into the alternative name too.")
@click.option("--country", help="Two letters.")
@click.option("--locality", help="Town.")
@click.option("--state", help="State or province.")
@click.option("--key-type", type=click.Choice(KINDS), default="p256", show_default=True)
@click.option("--days", type=click.IntRange(min=1), default=7305, show_default=True, help="Lifetime of the CAs.")
@click.option("--issuing-days", type=click.IntRange(min=1), help="Of the issuing CA.  [default: as long as the root]")
@click.option("--no-expiry", is_flag=True, help="No well-defined end (9999-12-31), for certificates without one.")
@click.option("--path-length", type=click.IntRange(min=0), default=0, show_default=True, help="CAs below the issuing.")
@click.option("--permit-dns", multiple=True, metavar="DOMAIN", help="Name constraint: only names in DOMAIN.")
@click.option("--exclude-dns", multiple=True, metavar="DOMAIN", help="Name constraint: no names in DOMAIN.")
@click.option("--offline-root", type=click.Path(path_type=Path), help="Folder the root's key goes to, or is in.")
@click.option("--key-uri", default="", help="Key of the issuing (or only) CA: a pkcs11: URI; made if not there.")
@click.option("--root-key-uri", default="", help="Key of the root: a pkcs11: URI; made if not there.")
@click.option("--no-passphrase", is_flag=True, help="Leave key files unencrypted.")
@passphrase_option
@json_option
@pki_option
def command(**options: Any) -> None:  # noqa: ANN401 - what click read
    """Make a CA: by default a root, and below it one that issues.

    The root's key is needed again only to make another issuing CA; put it away with --offline-root. Keys are encrypted
    with a passphrase, and are never overwritten.
    """
    from mtls_ambassador.flows.make_ca import Setting  # noqa: PLC0415 - slow to load

    _check(options)
    uris = [complete_uri(options["key_uri"]), complete_uri(options["root_key_uri"])]
    options["key_uri"], options["root_key_uri"] = uris
    with opened(options["pki_dir"]) as place:
        folder = place.settings.pki_dir
        _check_free(folder, options)
        passphrase = None
        if not all(uris[: 1 if options["single"] or options["below"] else 2]):
            passphrase = new_passphrase(options["passphrase_file"], no_passphrase=options["no_passphrase"])
        setting = Setting(place.database, folder, passphrase, find_pin, now())
        made = _make(setting, options)
    _tell(folder, made, options)


def _check(options: dict[str, Any]) -> None:
    if options["single"] and (options["below"] or options["offline_root"]):
        raise UsageError("--single makes one CA that is needed all the time: leave out --below and --offline-root")
    if options["offline_root"] and options["root_key_uri"]:
        raise UsageError("--offline-root and --root-key-uri exclude each other: the root's key is in one place")
    if options["no_expiry"] and options["issuing_days"]:
        raise UsageError("--no-expiry and --issuing-days exclude each other")


def _check_free(folder: Path, options: dict[str, Any]) -> None:
    from mtls_ambassador.flows.make_ca import check_free_for  # noqa: PLC0415 - slow to load

    issuing = options["name"] or "issuing"
    if options["below"]:
        check_free_for(folder, (issuing,), None)
    elif options["single"]:
        check_free_for(folder, (options["name"] or "root",), None)
    else:
        check_free_for(folder, ("root", issuing), options["offline_root"])


def _make(setting: "Setting", options: dict[str, Any]) -> list["Authority"]:
    from mtls_ambassador.flows.make_ca import make_issuing, make_root  # noqa: PLC0415 - slow to load
    from mtls_ambassador.pki.folder import open_authority  # noqa: PLC0415 - see above

    if options["single"]:
        return [make_root(setting, _wanted(setting, options, options["name"] or "root", is_root=True))]
    if options["below"]:
        place = options["offline_root"] or setting.folder
        root = open_authority(place, options["below"], known_secrets(options["passphrase_file"]))
        return [make_issuing(setting, _issuing(setting, options, root), root)]
    root = make_root(setting, _wanted(setting, options, "root", is_root=True), options["offline_root"])
    return [root, make_issuing(setting, _issuing(setting, options, root), root)]


def _issuing(setting: "Setting", options: dict[str, Any], root: "Authority") -> "Wanted":
    from dataclasses import replace  # noqa: PLC0415 - used here only

    wanted = _wanted(setting, options, options["name"] or "issuing", is_root=False)
    end = root.certificate.not_valid_after_utc
    if options["issuing_days"] is None and wanted.validity.not_after > end:
        wanted = replace(wanted, validity=replace(wanted.validity, not_after=end))
    return wanted


def _wanted(setting: "Setting", options: dict[str, Any], name: str, *, is_root: bool) -> "Wanted":
    from cryptography import x509  # noqa: PLC0415 - slow to load

    from mtls_ambassador.flows.make_ca import Wanted  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.issue import KeyKind  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.profiles import AuthorityProfile, make_validity  # noqa: PLC0415 - see above

    is_above = is_root and not options["single"]
    default = "Device Root CA" if is_above else "Device CA"
    common = (options["common_name"] or default) if is_root else options["issuing_common_name"]
    fields = tuple((short, options[item]) for item, short in _FIELDS.items() if options[item])
    profile = AuthorityProfile(
        (*fields, ("CN", common)),
        options["path_length"] + (1 if is_above else 0),
        () if is_above else tuple(x509.DNSName(item) for item in options["permit_dns"]),
        () if is_above else tuple(x509.DNSName(item) for item in options["exclude_dns"]),
    )
    days = options["days"] if is_root else (options["issuing_days"] or options["days"])
    validity = make_validity(setting.now, None if options["no_expiry"] else days)
    uri = options["root_key_uri"] if is_above else options["key_uri"]
    return Wanted(name, profile, validity, KeyKind(options["key_type"]), uri)


def _tell(folder: Path, made: list["Authority"], options: dict[str, Any]) -> None:
    from mtls_ambassador.cli.pki_show import authority_facts  # noqa: PLC0415 - slow to load
    from mtls_ambassador.pki.folder import TRUST, read_public  # noqa: PLC0415 - see above

    known = [read_public(folder / item.name) for item in made]
    if options["as_json"]:
        shown = {"trust": str(folder / TRUST), "cas": [authority_facts(item) for item in known]}
        click.echo(json.dumps(shown, indent=2))
        return
    for item in known:
        facts = authority_facts(item)
        click.echo(f"{item.name}: {facts['subject']}, {facts['key']}, until {facts['not_after'][:10]}")
        place = options["offline_root"] / item.name if item.key_place == "elsewhere" else item.key_place
        click.echo(f"  key: {place}")
    click.echo(f"for the gateway (MTLS_TENANT_CA_PEM): {folder / TRUST}")
    if options["no_passphrase"]:
        click.echo("the key files are not encrypted: whoever reads them is this CA", err=True)
