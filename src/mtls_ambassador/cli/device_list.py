"""`mtls-ambassador device list`: the devices a gateway knows."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from mtls_ambassador.cli.device_fleet_view import as_json as to_json
from mtls_ambassador.cli.device_fleet_view import row_line
from mtls_ambassador.cli.device_records import opened
from mtls_ambassador.cli.pki_store import json_option, now, parse_span
from mtls_ambassador.model.device import Standing

if TYPE_CHECKING:
    from mtls_ambassador.model.fleet_view import DeviceQuery, DeviceRow
    from mtls_ambassador.store.database import Database

LIMIT = 50
EPILOG = """\b
Examples:
  mtls-ambassador device list
  mtls-ambassador device list 52:54:00:12
  mtls-ambassador device list --standing withdrawn --silent 7d
  mtls-ambassador device list --all --json > devices.jsonl
"""


@click.command("list", epilog=EPILOG)
@click.argument("text", default="")
@click.option("--standing", type=click.Choice([item.value for item in Standing]), help="Only those that stand so.")
@click.option("--silent", metavar="SPAN", help="Only those without a connection for so long, such as 36h or 7d.")
@click.option("--limit", type=click.IntRange(1), default=LIMIT, show_default=True, help="So many at the most.")
@click.option("--all", "every", is_flag=True, help="All of them, however many.")
@json_option
def command(*, text: str, standing: str | None, silent: str | None, limit: int, every: bool, as_json: bool) -> None:
    """List devices, the newest first: those of which any part of identity, serial, subject or Mender's id is TEXT.

    Run it where the gateway's MTLS_STATE_DIR or MTLS_DATABASE_URL is set; the gateway need not run. With --json one
    device a line.
    """
    from mtls_ambassador.model.fleet_view import DeviceQuery  # noqa: PLC0415 - slow to load

    since = now() - parse_span(silent) if silent else None
    asked = DeviceQuery(text, Standing(standing) if standing else None, since, 500 if every else min(limit, 500))
    count = 0
    with opened() as records:
        for row in _rows(records.database, asked):
            if count == limit and not every:
                click.echo(f"there are more: --limit {limit * 10}, or --all", err=True)
                return
            click.echo(json.dumps(to_json(row)) if as_json else row_line(row))
            count += 1
    if not count:
        click.echo("no device is known that fits", err=True)


def _rows(database: "Database", asked: "DeviceQuery") -> Iterator["DeviceRow"]:
    """A page at a time, each in a transaction of its own: memory stays flat, and nobody waits."""
    from mtls_ambassador.store import fleet_devices  # noqa: PLC0415 - slow to load

    while True:
        with database.snapshot() as connection:
            page = fleet_devices.page(connection, asked)
        yield from page.items
        if not page.next:
            return
        asked = replace(asked, after=page.next)
