"""`mtls-ambassador pki revoke`: take certificates back, or lift a hold."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mtls_ambassador.cli.certificate_files import first_certificate, key_sha256, read_bytes
from mtls_ambassador.cli.pki_store import Place, json_option, now, opened, parse_serial, pki_option, who
from mtls_ambassador.cli.terminal import printable
from mtls_ambassador.model.errors import FaultsError, UsageError
from mtls_ambassador.model.revocation import RevocationReason, serial_hex

if TYPE_CHECKING:
    from cryptography import x509

    from mtls_ambassador.flows.revocation_targets import Authorities
    from mtls_ambassador.flows.revoke import Revoked

SHOWN = 20
EPILOG = """\b
Examples:
  mtls-ambassador pki revoke --name device-0042 --reason keyCompromise
  mtls-ambassador pki revoke 4F1C...9A 4F1D...03 --reason superseded
  mtls-ambassador pki revoke --batch 2026-11-lot-3 --reason cessationOfOperation --dry-run
  mtls-ambassador pki revoke --serials stolen.txt --reason keyCompromise --note 'lorry, order 4711' --yes
  mtls-ambassador pki revoke --cert device.crt --reason certificateHold
  mtls-ambassador pki revoke --cert device.crt --reason removeFromCRL     # lifts the hold
"""


@click.command("revoke", epilog=EPILOG)
@click.argument("serials", nargs=-1, metavar="[SERIAL]...")
@click.option("--name", "names", multiple=True, help="Every certificate of this name.")
@click.option("--batch", "batches", multiple=True, help="Every certificate of this batch (name or number).")
@click.option(
    "--key", "keys", multiple=True, help="Every certificate with this key: a PEM file, or SHA-256 of the SPKI."
)
@click.option(
    "--cert", "files", multiple=True, type=click.Path(path_type=Path), help="The first certificate of a PEM file."
)
@click.option("--serials", "lists", multiple=True, type=click.Path(path_type=Path), help="A file: one serial a line.")
@click.option(
    "--reason",
    type=click.Choice([item.value for item in RevocationReason]),
    required=True,
    help="Of RFC 5280 section 5.3.1. Only certificateHold can be lifted, by removeFromCRL.",
)
@click.option("--note", default="", help="Why, for the records.")
@click.option("--by", help="Who does it, for the audit.  [default: the user running the command]")
@click.option("--ca", metavar="NAME", help="Only of this CA.  [default: any]")
@click.option("--unknown", is_flag=True, help="With --ca: take serials that were not made here as well.")
@click.option("--dry-run", is_flag=True, help="Show what it would hit, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask when it hits more than one certificate.")
@json_option
@pki_option
def command(  # noqa: PLR0913 - the options of a command
    *,
    serials: tuple[str, ...],
    names: tuple[str, ...],
    batches: tuple[str, ...],
    keys: tuple[str, ...],
    files: tuple[Path, ...],
    lists: tuple[Path, ...],
    reason: str,
    note: str,
    by: str | None,
    ca: str | None,
    pki_dir: Path | None,
    unknown: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Take certificates back. Serials are hexadecimal, as openssl prints them.

    All of them or none: what is not found stops the command. `pki crl` puts it on the CA's revocation list.
    """
    from mtls_ambassador.flows.revocation_targets import Wanted, find_targets  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.revoke import Order, revoke  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.journal import Journal  # noqa: PLC0415 - see above

    if unknown and ca is None:
        raise UsageError("--unknown needs --ca: nothing else says whose serials they are")
    wanted = Wanted(_serials(serials, lists), names, batches, tuple(map(key_sha256, keys)), _certificates(files))
    if wanted == Wanted():
        raise UsageError("say what to revoke: SERIAL, --name, --batch, --key, --cert or --serials")
    with opened(pki_dir) as place:
        order = Order(RevocationReason(reason), who(by), now(), note)
        with place.database.transaction() as connection:
            targets = find_targets(connection, wanted, _authorities(place, ca, allow_unknown=unknown))
        journal = Journal(place.settings.pki_dir)
        would = revoke(place.database, journal, targets, order, dry_run=True)
        if not dry_run:
            if len(would.changed) > 1 and not yes and sys.stdin.isatty():
                click.confirm(f"{reason}: {len(would.changed)} certificates. Go on?", abort=True, err=True)
            would = revoke(place.database, journal, targets, order, dry_run=False)
        _show(would, reason, place.names(), dry_run=dry_run, as_json=as_json)


def _authorities(place: Place, ca: str | None, *, allow_unknown: bool) -> "Authorities":
    from mtls_ambassador.flows.revocation_targets import Authorities, known_authorities  # noqa: PLC0415 - slow to load
    from mtls_ambassador.pki import folder  # noqa: PLC0415 - see above

    pki = place.settings.pki_dir
    here = known_authorities(folder.read_public(pki / name).certificate for name in folder.names(pki))
    return Authorities(here, place.issuer(ca), allow_unknown)


def _serials(given: Iterable[str], lists: Iterable[Path]) -> tuple[int, ...]:
    found, faults = [], []
    lines = [("SERIAL", text) for text in given]
    for path in lists:
        rows = read_bytes(path).decode(errors="replace").splitlines()
        lines += [(f"{path}: line {number}", text) for number, text in enumerate(rows, 1)]
    for place, text in lines:
        bare = text.partition("#")[0].strip()
        if not bare:
            continue
        try:
            found.append(parse_serial(bare))
        except ValueError as error:
            faults.append(f"{place}: {error}")
    if faults:
        raise FaultsError(faults)
    return tuple(found)


def _certificates(paths: Iterable[Path]) -> "tuple[x509.Certificate, ...]":
    # Only the first: those after it are its CAs, which nobody means to revoke with a device.
    return tuple(map(first_certificate, paths))


def _show(done: "Revoked", reason: str, names: dict[bytes, str], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        changed = [_as_json(item.issuer_sha256, item.serial, item.name, names) for item in done.changed]
        already = [
            _as_json(item.issuer_sha256, item.serial, item.name, names)
            | {"reason": known.reason.value, "at": known.at.isoformat(), "by": known.by}
            for item, known in done.already
        ]
        click.echo(json.dumps({"dry_run": dry_run, "reason": reason, "changed": changed, "already": already}))
        return
    for target in done.changed[:SHOWN]:
        click.echo(f"  {serial_hex(target.serial)}  {printable(target.name or target.subject)}")
    if len(done.changed) > SHOWN:
        click.echo(f"  … and {len(done.changed) - SHOWN} more")
    for target, known in done.already:
        text = f"revoked already, {known.at:%Y-%m-%d %H:%M}Z by {known.by}: {known.reason}; that stays"
        click.echo(f"  {serial_hex(target.serial)}  {printable(target.name or target.subject)}  {text}")
    lifted = reason == RevocationReason.REMOVE_FROM_CRL.value
    verb = ("would be " if dry_run else "") + ("lifted" if lifted else "revoked")
    click.echo(f"{len(done.changed)} {verb} ({reason}), {len(done.already)} were already")
    if done.changed and not dry_run:
        click.echo("Now run `mtls-ambassador pki crl`: until then the CA's revocation list is the old one.")


def _as_json(issuer: bytes, serial: int, name: str, names: dict[bytes, str]) -> dict[str, str]:
    return {"ca": names.get(issuer, issuer.hex()), "serial": serial_hex(serial), "name": name}
