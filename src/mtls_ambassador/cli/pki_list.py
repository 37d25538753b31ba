"""`mtls-ambassador pki list`: certificates on record, filtered, as a table, CSV or JSON Lines."""

import csv
import datetime as dt
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mtls_ambassador.cli.pki_store import Place, ca_option, now, opened, parse_span, pki_option
from mtls_ambassador.cli.terminal import printable
from mtls_ambassador.model.errors import UsageError
from mtls_ambassador.model.revocation import serial_hex

if TYPE_CHECKING:
    import sqlalchemy as sa

    from mtls_ambassador.store.certificates import Filter, Record

NO_END = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
"""RFC 5280 section 4.1.2.5: no well-defined expiration date."""
STATES = ("reserved", "issued", "done", "void")
FIELDS = (
    "serial",
    "name",
    "ca",
    "profile",
    "batch",
    "status",
    "subject",
    "not_before",
    "not_after",
    "sha256",
    "key_sha256",
    "revoked_at",
    "reason",
)
EPILOG = """\b
Examples:
  mtls-ambassador pki list --expiring 90d
  mtls-ambassador pki list --batch 2026-11-lot-3 --csv > lot-3.csv
  mtls-ambassador pki list --name 'dev-00*' --revoked
  mtls-ambassador pki list --json | jq -r 'select(.profile == "server") | .not_after'
"""


@dataclass(frozen=True, slots=True)
class _Asked:
    """The options that choose certificates."""

    ca: str | None
    profile: str | None
    batch: str | None
    status: str | None
    expiring: str | None
    name: str | None
    revoked: bool | None


@click.command("list", epilog=EPILOG)
@ca_option
@click.option("--profile", help="Only of this profile: device, server.")
@click.option("--batch", help="Only of this batch (name or number).")
@click.option("--status", type=click.Choice(STATES), help="Only those that got this far.")
@click.option("--expiring", metavar="SPAN", help="Only those in force that end within a span such as 90d or 2y.")
@click.option("--name", help="Only names that match: * is any text, ? any character.")
@click.option("--revoked/--not-revoked", default=None, help="Only revoked ones, or only those that are not.")
@click.option("--json", "form", flag_value="json", help="Print JSON Lines, one certificate a line.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV with a header row.")
@pki_option
def command(  # noqa: PLR0913 - the options of a command
    *,
    ca: str | None,
    profile: str | None,
    batch: str | None,
    status: str | None,
    expiring: str | None,
    name: str | None,
    form: str | None,
    pki_dir: Path | None,
    revoked: bool | None,
) -> None:
    """List the certificates on record, as a table unless said otherwise, in the order they were made."""
    asked = _Asked(ca, profile, batch, status, expiring, name, revoked)
    with opened(pki_dir) as place, place.database.snapshot() as connection:
        _print(_rows(connection, place, asked), form)


def _rows(connection: "sa.Connection", place: Place, asked: _Asked) -> Iterator[dict[str, str]]:
    from mtls_ambassador.store import certificates, revocations  # noqa: PLC0415 - slow to load

    names = place.names()
    wanted = _filter(connection, place, asked)
    for record in certificates.select(connection, wanted):
        yield _row(record, names)
    if asked.revoked and not any((asked.profile, asked.batch, asked.status, asked.expiring, asked.name)):
        for item in revocations.without_record(connection):
            if wanted.issuer_sha256 in {None, item.issuer_sha256}:
                yield dict.fromkeys(FIELDS, "") | {
                    "serial": serial_hex(item.serial),
                    "ca": names.get(item.issuer_sha256, item.issuer_sha256.hex()),
                    "status": "unknown",
                    "not_after": _time(item.not_after),
                    "revoked_at": _time(item.at),
                    "reason": item.reason.value,
                }


def _filter(connection: "sa.Connection", place: Place, asked: _Asked) -> "Filter":
    from mtls_ambassador.store.certificates import Filter, Status  # noqa: PLC0415 - slow to load

    is_expiring = asked.expiring is not None
    return Filter(
        issuer_sha256=place.issuer(asked.ca),
        profile=asked.profile,
        batch_id=_batch(connection, asked.batch) if asked.batch else None,
        status=Status(asked.status) if asked.status else None,
        expires_after=now() if is_expiring else None,
        expires_before=now() + parse_span(asked.expiring) if asked.expiring else None,
        is_revoked=False if is_expiring and asked.revoked is None else asked.revoked,
        name_glob=asked.name,
    )


def _batch(connection: "sa.Connection", text: str) -> int:
    from mtls_ambassador.store import batches  # noqa: PLC0415 - slow to load

    named = batches.find_by_name(connection, text)
    if len(named) > 1:
        raise UsageError(f"--batch {text}: several have this name: {', '.join(str(item.id) for item in named)}")
    found = named[0] if named else None
    if found is None and text.isascii() and text.isdigit():
        found = batches.find_by_id(connection, int(text))
    if found is None:
        raise UsageError(f"--batch {text}: there is no such batch")
    return found.id


def _row(record: "Record", names: dict[bytes, str]) -> dict[str, str]:
    return {
        "serial": record.serial_hex,
        "name": record.name,
        "ca": names.get(record.issuer_sha256, record.issuer_sha256.hex()),
        "profile": record.profile,
        "batch": str(record.batch_id or ""),
        "status": record.status.value,
        "subject": record.subject or "",
        "not_before": _time(record.not_before),
        "not_after": _time(record.not_after),
        "sha256": record.fingerprint.hex() if record.fingerprint else "",
        "key_sha256": record.spki_sha256.hex() if record.spki_sha256 else "",
        "revoked_at": _time(record.revoked_at),
        "reason": record.revocation_reason or "",
    }


def _time(value: dt.datetime | None) -> str:
    return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if value else ""


def _print(rows: Iterable[dict[str, str]], form: str | None) -> None:
    if form == "json":
        for row in rows:
            click.echo(json.dumps(row))
    elif form == "csv":
        writer = csv.DictWriter(sys.stdout, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        for row in rows:
            click.echo(_line(row))


def _line(row: dict[str, str]) -> str:
    end = "no end    " if row["not_after"] == _time(NO_END) else (row["not_after"][:10] or "-").ljust(10)
    state = f"revoked {row['revoked_at'][:10]} {row['reason']}" if row["revoked_at"] else row["status"]
    return printable(
        f"{row['serial']:<40}  {end}  {row['ca']:<10} {row['profile']:<7} {state:<9} {row['name']}"
    ).rstrip()
