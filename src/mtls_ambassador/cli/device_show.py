"""`mtls-ambassador device show`: all that a gateway knows of one device."""

import json
from typing import TYPE_CHECKING

import click

from mtls_ambassador.cli.device_fleet_view import as_json as to_json
from mtls_ambassador.cli.device_fleet_view import detail_lines
from mtls_ambassador.cli.device_identity import parse_identity
from mtls_ambassador.cli.device_records import opened
from mtls_ambassador.cli.pki_store import json_option, now, parse_serial
from mtls_ambassador.model.errors import AmbassadorError, UsageError

if TYPE_CHECKING:
    import sqlalchemy as sa

_HASH = 64
"""Hexadecimal digits of an identity's SHA-256; no serial has as many."""
EPILOG = """\b
Examples:
  mtls-ambassador device show '{"mac":"52:54:00:12:34:56"}'
  mtls-ambassador device show 4F:1C:9A
"""


@click.command("show", epilog=EPILOG)
@click.argument("which", metavar="IDENTITY|SERIAL")
@json_option
def command(*, which: str, as_json: bool) -> None:
    """Show what the gateway knows of a device: standing, keys, certificates, contacts, denials, events, refusals.

    It is named by its identity (JSON, or the SHA-256 of it) or by the serial of a certificate with which it was
    accepted. Run it where the gateway's MTLS_STATE_DIR or MTLS_DATABASE_URL is set; the gateway need not run.
    """
    from mtls_ambassador.store import fleet_detail  # noqa: PLC0415 - slow to load

    at = now()
    with opened() as records, records.database.snapshot() as connection:
        found = [fleet_detail.read(connection, one, at) for one in _identities(connection, which)]
    known = [item for item in found if item is not None]
    if not known:
        raise AmbassadorError("no device is known by that; `device list TEXT` finds it by any part of its texts")
    if as_json:
        click.echo(json.dumps([to_json(item) for item in known]))
        return
    for item in known:
        click.echo("\n".join(detail_lines(item)))


def _identities(connection: "sa.Connection", which: str) -> list[str]:
    """SHA-256 of the identities meant."""
    from mtls_ambassador.store import fleet_devices  # noqa: PLC0415 - slow to load

    if which.lstrip().startswith("{"):
        return [parse_identity(which).sha256]
    bare = which.strip().lower()
    if len(bare) == _HASH and all(digit in "0123456789abcdef" for digit in bare):
        return [bare]
    try:
        return fleet_devices.with_serial(connection, parse_serial(which))
    except ValueError as error:
        raise UsageError(f"IDENTITY|SERIAL: {error}; an identity is a JSON object") from error
