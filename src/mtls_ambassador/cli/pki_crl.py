"""`mtls-ambassador pki crl`: the CA's list of what it has taken back."""

import gc
import json
from pathlib import Path

import click

from mtls_ambassador.cli.pki_secrets import known_secrets, passphrase_option, signing_ca_option
from mtls_ambassador.cli.pki_store import json_option, now, opened, parse_span, pki_option, who
from mtls_ambassador.model.errors import UsageError

EPILOG = """\b
Examples:
  mtls-ambassador pki crl                                   # <pki folder>/issuing/crl.pem
  mtls-ambassador pki crl --ca root --offline-root /media/stick --days 365
  mtls-ambassador pki crl --out /srv/www/devices.crl.pem
"""


@click.command("crl", epilog=EPILOG)
@signing_ca_option
@click.option("--offline-root", type=click.Path(path_type=Path), help="Folder the root's key was put away in.")
@click.option("--out", type=click.Path(path_type=Path), help="Write it there, too.")
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=30,
    show_default=True,
    help="How long it is good: who checks it refuses every device after that, so write the next one well before.",
)
@click.option("--keep-expired", is_flag=True, help="Keep certificates on it that have ended by themselves.")
@click.option("--by", help="Who does it, for the audit.  [default: the user running the command]")
@passphrase_option
@json_option
@pki_option
def command(  # noqa: PLR0913 - the options of a command
    *,
    ca: str | None,
    offline_root: Path | None,
    out: Path | None,
    days: int,
    keep_expired: bool,
    by: str | None,
    passphrase_file: Path | None,
    pki_dir: Path | None,
    as_json: bool,
) -> None:
    """Write the CA's certificate revocation list (RFC 5280): every certificate it has taken back.

    It replaces the one before it in the CA's folder. Its number always grows, whatever backup was restored: the
    database, the journal and the file itself are asked. It is linted before it is let out.
    """
    from mtls_ambassador.flows.write_crl import CrlOrder, write_crl  # noqa: PLC0415 - slow to load
    from mtls_ambassador.pki import files, folder  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.authority import issuer_sha256  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.journal import Journal  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.lint import check_crl  # noqa: PLC0415 - see above

    gc.disable()  # a third of the time, with a hundred thousand entries; nothing here goes in circles
    with opened(pki_dir) as place:
        pki = place.settings.pki_dir
        known = folder.read_public(folder.choose(pki, ca))
        authority = folder.open_authority(offline_root or pki, known.name, known_secrets(passphrase_file))
        if authority.issuer_sha256 != issuer_sha256(known.certificate):
            raise UsageError(f"--offline-root {offline_root}: its {known.name} is another CA than that of {pki}")
        path = known.folder / folder.CRL
        order = CrlOrder(now(), parse_span(f"{days}d"), who(by), path, keep_expired)
        written = write_crl(place.database, Journal(pki), authority, order, check_crl)
    if out is not None:
        files.replace(out, files.read_file(path, "the CRL"))
    if as_json:
        facts = {
            "ca": authority.name,
            "path": str(path),
            "number": written.number,
            "this_update": written.this_update.isoformat(),
            "next_update": written.next_update.isoformat(),
            "entries": written.entries,
            "left_out": written.left_out,
            "restored": written.restored,
        }
        click.echo(json.dumps(facts))
        return
    click.echo(f"{path}: number {written.number}, {written.entries} revoked, next by {written.next_update:%Y-%m-%d}")
    if written.left_out:
        click.echo(f"  {written.left_out} left out: they expired, and a CRL after that had them (RFC 5280 section 3.3)")
    if written.restored:
        click.echo(f"  {written.restored} were missing in the database and are back from the journal")
