"""`mtls-ambassador pki batch`: keys and certificates of a whole order."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mtls_ambassador.cli.pki_handover import configuration
from mtls_ambassador.cli.pki_issue import KINDS
from mtls_ambassador.cli.pki_secrets import known_secrets, passphrase_option, signing_ca_option
from mtls_ambassador.cli.pki_store import Place, json_option, now, opened, pki_option, who
from mtls_ambassador.model.errors import AmbassadorError, UsageError

if TYPE_CHECKING:
    from mtls_ambassador.flows.batch_maker import Recipe
    from mtls_ambassador.flows.batch_outlet import Outlet
    from mtls_ambassador.pki.authority import Authority
    from mtls_ambassador.pki.folder import AuthorityHandle

EPILOG = """\b
Examples:
  mtls-ambassador pki batch order-1.csv --out order-1
  mtls-ambassador pki batch --count 500 --name 'dev-{n:06}' --out lot-1
  mtls-ambassador pki batch order-1.csv --format tar --out - | ssh line-2 'tar -xf -'
  mtls-ambassador pki batch --verify order-1
  mtls-ambassador pki batch --shred order-1
\b
The order file's first row names its columns: `name`; fields of the subject such as O, OU, C, L, ST, serialNumber,
emailAddress; and `identity.…`, kept in the manifest only. Run it again after a crash, a full disk or Ctrl-C: it goes
on, and makes nothing twice. Without --out of folders, what a killed run had put out is revoked and made anew.
\b
openssl verifies the manifest as well:
  openssl x509 -in PKI/issuing/ca-cert.pem -noout -pubkey > ca.pub
  openssl dgst -sha256 -verify ca.pub -signature order-1/manifest.jsonl.sig order-1/manifest.jsonl
(with an Ed25519 CA: openssl pkeyutl -verify -pubin -inkey ca.pub -rawin -in … -sigfile …)
\b
--shred overwrites each private key and removes it. That reaches the old bytes only where a disk writes in place. On
flash (SSD, SD card, USB stick), journaling data, copy-on-write or network file systems, in snapshots and backups,
copies remain that no program can reach: make batches on an encrypted disk or on tmpfs, and throw that key away.
"""
FORMATS = ("folders", "tar", "pem")


@click.command("batch", epilog=EPILOG)
@click.argument("order", required=False, metavar="[ORDER.csv]", type=click.Path(path_type=Path))
@click.option("--count", type=click.IntRange(min=1), help="Make so many devices, without a file.")
@click.option("--name", "template", help="With --count: their names, such as 'dev-{n:06}'.")
@click.option("--first", type=click.IntRange(min=0), default=1, show_default=True, help="With --count: first number.")
@click.option("--batch", "batch", help="The batch's name.  [default: the file's, or the first and last device's]")
@click.option("--out", help="Folder for the devices' folders; with tar and pem a new file, or - for standard output.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="folders", show_default=True)
@click.option("--manifest", type=click.Path(path_type=Path), help="Where it goes.  [default: in --out, or beside it]")
@click.option("--jobs", type=click.IntRange(1, 256), help="Worker processes.  [default: one for each core]")
@click.option("--key-type", type=click.Choice(KINDS), default="p256", show_default=True, help="Of the devices' keys.")
@click.option("--subject", default="CN={name}", show_default=True, help="Of the certificates; the order adds to it.")
@click.option("--san-uri", help="Alternative name; empty for none.  [default: urn:x-mender-device:{name}]")
@click.option("--days", type=click.IntRange(min=1), help="Lifetime.  [default: 3650, or the CA's end]")
@click.option("--no-expiry", is_flag=True, help="No well-defined end (9999-12-31); the CA must have none too.")
@click.option("--backdate", type=click.IntRange(min=0), default=1, show_default=True, help="Days it is valid already.")
@click.option("--mender-conf", type=click.Path(path_type=Path), help="mender.conf for each, from this file if there.")
@click.option("--server-url", help="For --mender-conf: the gateway's address, such as https://my-server.com.")
@click.option("--device-dir", default="/data/mender", show_default=True, help="For --mender-conf: the files' folder.")
@click.option("--verify", type=click.Path(path_type=Path), metavar="DIR", help="Compare a batch with its manifest.")
@click.option("--shred", type=click.Path(path_type=Path), metavar="DIR", help="Remove a batch's private keys.")
@click.option("--yes", is_flag=True, help="With --shred: do not ask.")
@click.option("--by", help="Who does it, for the audit.  [default: the user running the command]")
@signing_ca_option
@passphrase_option
@json_option
@pki_option
def command(**options: Any) -> int:  # noqa: ANN401 - what click read
    """Make the keys and certificates of all devices of an order, each once.

    Serials are recorded first, all of them in one transaction; each certificate is recorded before it leaves the
    program; files are on the disk before they count as done. The manifest, signed by the CA, is written last.
    """
    orders = options["order"] or options["count"]
    if sum(item is not None for item in (orders, options["verify"], options["shred"])) > 1:
        raise UsageError("an order, --verify and --shred exclude each other")
    if options["verify"] is not None:
        return _verify(options)
    if options["shred"] is not None:
        return _shred(options)
    return _make(options)


def _make(options: dict[str, Any]) -> int:
    from mtls_ambassador.cli.pki_batch_view import Progress, tell  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.batch_files import Format  # noqa: PLC0415 - see above
    from mtls_ambassador.flows.batch_order import batch_name, find_order  # noqa: PLC0415 - see above
    from mtls_ambassador.flows.batch_output import opened_output  # noqa: PLC0415 - see above
    from mtls_ambassador.flows.batch_records import BatchRecords  # noqa: PLC0415 - see above
    from mtls_ambassador.flows.provision_batch import Ordered, provision  # noqa: PLC0415 - see above
    from mtls_ambassador.pki import folder  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.lint import LintGate  # noqa: PLC0415 - see above

    order = find_order(options["order"], options["count"], options["template"], options["first"])
    name = options["batch"] or batch_name(options["order"], order)
    if not options["out"]:
        raise UsageError("say --out DIR, or with --format tar or pem --out FILE or -")
    with opened(options["pki_dir"]) as place:
        handle = folder.make_handle(place.settings.pki_dir, options["ca"], known_secrets(options["passphrase_file"]))
        authority = handle.open()
        records = BatchRecords(
            place.database, place.settings.pki_dir, authority.issuer_sha256, who(options["by"]), now()
        )
        where = opened_output(options["out"], Format(options["form"]), options["manifest"], configuration(options))
        with where as output, Progress(order.quantity) as bar:
            ordered = Ordered(
                order,
                name,
                _recipe(options, handle, authority, output.outlet),
                output.outlet,
                options["jobs"] or os.cpu_count() or 1,
                manifest=output.manifest,
                on_progress=bar.show,
                is_stopped=bar.is_stopped,
            )
            outcome = provision(records, authority, ordered, LintGate().check)
    tell(outcome, options["out"], bar.seconds, as_json=options["as_json"])
    return 0 if outcome.is_finished else 130


def _recipe(options: dict[str, Any], handle: "AuthorityHandle", authority: "Authority", outlet: "Outlet") -> "Recipe":
    from mtls_ambassador.cli.pki_device import device_profile  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.batch_maker import Recipe  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.issue import KeyKind  # noqa: PLC0415 - see above

    profile = device_profile(options)
    validity = profile.validity(now())
    if not options["days"] and not options["no_expiry"]:
        validity = authority.capped(validity)
    return Recipe(handle, profile, validity, KeyKind(options["key_type"]), outlet.new_deliverer)


def _verify(options: dict[str, Any]) -> int:
    from mtls_ambassador.cli.pki_batch_view import tell_verdict  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.batch_manifest import verify  # noqa: PLC0415 - see above

    with opened(options["pki_dir"]) as place:
        verdict = verify(_folder(options["verify"]), _certificate(place, options["ca"]))
    tell_verdict(verdict, as_json=options["as_json"])
    return 1 if verdict.fault_count else 0


def _shred(options: dict[str, Any]) -> int:
    from mtls_ambassador.cli.pki_batch_view import tell_shredded  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.batch_manifest import shred  # noqa: PLC0415 - see above

    out = _folder(options["shred"])
    if not options["yes"]:
        if not sys.stdin.isatty():
            raise UsageError("--shred removes every private key of the batch for good: say --yes as well")
        click.confirm(f"Remove every private key in {out} for good?", abort=True, err=True)
    with opened(options["pki_dir"]) as place:
        tell_shredded(shred(out, _certificate(place, options["ca"])), as_json=options["as_json"])
    return 0


def _certificate(place: Place, ca: str | None) -> Any:  # noqa: ANN401 - the library loads late
    from mtls_ambassador.pki import folder  # noqa: PLC0415 - slow to load

    return folder.read_public(folder.choose(place.settings.pki_dir, ca)).certificate


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise AmbassadorError(f"{path}: is no folder")
    return path
