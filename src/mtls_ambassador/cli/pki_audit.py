"""`mtls-ambassador pki audit`: what was decided and done, and whether that record is whole."""

import datetime as dt
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mtls_ambassador.cli.pki_store import json_option, now, opened, parse_span, pki_option
from mtls_ambassador.cli.terminal import printable
from mtls_ambassador.model.errors import UsageError

if TYPE_CHECKING:
    from mtls_ambassador.store.audit import AuditEntry
    from mtls_ambassador.store.chain import Head

VERIFY_EPILOG = """\b
Examples:
  mtls-ambassador pki audit verify
  mtls-ambassador pki audit verify --anchor 1042:9f86d081884c7d65…    # as an earlier `verify` printed it
"""
LIST_EPILOG = """\b
Examples:
  mtls-ambassador pki audit list --since 7d
  mtls-ambassador pki audit list --json | jq 'select(.event == "revoke")'
"""


@click.group("audit")
def command() -> None:
    """What was decided and done, and whether that record is whole."""


@command.command("verify", epilog=VERIFY_EPILOG)
@click.option(
    "--anchor", "anchors", multiple=True, metavar="ROW:HASH", help="A head printed earlier and kept elsewhere."
)
@json_option
@pki_option
def verify(anchors: tuple[str, ...], pki_dir: Path | None, *, as_json: bool) -> int:
    """Go through the chain of hashes; exit 1 and the first broken row when it does not hold.

    The chain has no key: who may write to the database can make it anew from any row on. That shows against an anchor:
    the journal beside the CAs notes one with each CRL, and a head printed here may be kept anywhere else.
    """
    from mtls_ambassador.pki.journal import Journal  # noqa: PLC0415 - slow to load
    from mtls_ambassador.store import audit  # noqa: PLC0415 - see above
    from mtls_ambassador.store.chain import Head  # noqa: PLC0415 - see above

    given = [_anchor(text) for text in anchors]
    with opened(pki_dir) as place:
        noted = [Head(*item) for item in Journal(place.settings.pki_dir).read().anchors.items()]
        with place.database.snapshot() as connection:
            verdict = audit.verify(connection, [*noted, *given])
    if as_json:
        shown = {"ok": not verdict.fault, "rows": verdict.rows, "head": str(verdict.head), "fault": verdict.fault}
        click.echo(json.dumps(shown))
    elif verdict.fault:
        click.echo(f"BROKEN after {verdict.rows} whole rows: {verdict.fault}", err=True)
    else:
        click.echo(f"whole: {verdict.rows} rows, {len(noted) + len(given)} anchors; head {verdict.head}")
    return 1 if verdict.fault else 0


def _anchor(text: str) -> "Head":
    from mtls_ambassador.store.chain import Head  # noqa: PLC0415 - slow to load

    number, _, digest = text.partition(":")
    try:
        anchor = Head(int(number), bytes.fromhex(digest))
    except ValueError:
        anchor = None
    if anchor is None or len(anchor.hash) != 32:  # noqa: PLR2004 - octets of a SHA-256
        raise UsageError(f"--anchor {text[:80]!r}: write it as `pki audit verify` prints the head: ROW:HASH")
    return anchor


@command.command("list", epilog=LIST_EPILOG)
@click.option("--since", help="Only of the last span of time, such as 36h, 7d or 3m.")
@click.option("--event", "events", multiple=True, help="Only this event, such as revoke, crl or enrol.")
@json_option
@pki_option
def list_rows(since: str | None, events: tuple[str, ...], pki_dir: Path | None, *, as_json: bool) -> None:
    """Print the audit, oldest first; with --json one object a line."""
    from mtls_ambassador.store import audit  # noqa: PLC0415 - slow to load

    begin = now() - parse_span(since) if since else None
    with opened(pki_dir) as place, place.database.snapshot() as connection:
        for number, entry in audit.read(connection, begin):
            if not events or entry.event in events:
                click.echo(_json(number, entry) if as_json else _line(number, entry))


def _json(number: int, entry: "AuditEntry") -> str:
    return json.dumps({"row": number} | asdict(entry) | {"at": entry.at.astimezone(dt.UTC).isoformat()})


def _line(number: int, entry: "AuditEntry") -> str:
    about = entry.certificate_subject or entry.identity
    serial = f" serial {entry.certificate_serial}" if entry.certificate_serial else ""
    text = (
        f"{number:>8}  {entry.at:%Y-%m-%d %H:%M:%S}Z  {entry.event:<14} {entry.reason}  {about}{serial}  {entry.detail}"
    )
    return printable(text).rstrip()
