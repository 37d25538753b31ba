"""`mtls-ambassador device denials`: what is denied."""

import datetime as dt
import json
from typing import TYPE_CHECKING

import click

from mtls_ambassador.cli.device_records import opened
from mtls_ambassador.cli.device_view import as_json as denial_json
from mtls_ambassador.cli.device_view import line
from mtls_ambassador.cli.pki_store import json_option, now
from mtls_ambassador.cli.terminal import printable
from mtls_ambassador.model.denial import Denial

if TYPE_CHECKING:
    from collections.abc import Iterable

Row = tuple[Denial, dt.datetime | None, str]


@click.command("denials")
@click.option("--all", "with_past", is_flag=True, help="Those that were lifted or are over as well.")
@click.option("--take-over", is_flag=True, help="First put back what the database has lost and the journal still has.")
@json_option
def command(*, with_past: bool, take_over: bool, as_json: bool) -> None:
    """List denials in force: number, what, how long, reason, who, when, note.

    Then the devices that a person has rejected or decommissioned in Mender, as far as they have asked again since.

    The journal `denials.jsonl` in MTLS_STATE_DIR has every denial too. When the database was restored from a backup and
    has lost some, the gateway does not start; --take-over puts them back.
    """
    from mtls_ambassador.flows.denial_journal import complaint  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.put_back_denials import all_lost, put_back_all  # noqa: PLC0415 - see above
    from mtls_ambassador.store import denials, devices  # noqa: PLC0415 - see above

    at = now()
    with opened() as records:
        put_back = put_back_all(records.database, records.journal, at) if take_over else []
        missing = all_lost(records.database, records.journal, at)
        with records.database.snapshot() as connection:
            rows = [row for row in denials.history(connection) if with_past or _counts(row, at)]
            withdrawn = devices.withdrawn(connection)
    for item in put_back:
        click.echo(f"put back: {line(item)}", err=True)
    if take_over and not put_back:
        click.echo("the database has lost nothing", err=True)
    if missing:
        click.echo(f"warning: {printable(complaint(records.journal, missing))}", err=True)
    if as_json:
        lost = list(map(denial_json, missing))
        away = [{"identity": identity, "since": since.isoformat()} for identity, since in withdrawn]
        click.echo(json.dumps({"denials": [_as_json(row, at) for row in rows], "lost": lost, "by_mender": away}))
    else:
        _show(rows, at)
        for identity, since in withdrawn:
            click.echo(printable(f"by a person in Mender, seen {since:%Y-%m-%d %H:%M}Z: {identity}"))


def _counts(row: Row, at: dt.datetime) -> bool:
    item, lifted_at, _ = row
    return lifted_at is None and item.is_in_force(at)


def _show(rows: "Iterable[Row]", at: dt.datetime) -> None:
    for item, lifted_at, lifted_by in rows:
        over = "" if item.is_in_force(at) else "; over"
        lifted = f"; lifted by {lifted_by} {lifted_at:%Y-%m-%d %H:%M}Z" if lifted_at else over
        click.echo(line(item) + printable(lifted))


def _as_json(row: Row, at: dt.datetime) -> dict[str, object]:
    item, lifted_at, lifted_by = row
    past = {"lifted_at": lifted_at.isoformat() if lifted_at else None, "lifted_by": lifted_by or None}
    return denial_json(item) | {"in_force": _counts(row, at)} | past
