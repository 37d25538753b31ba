"""`mtls-ambassador device revoke`: keep devices out."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Unpack

import click

from mtls_ambassador.cli.device_identity import parse_identity
from mtls_ambassador.cli.device_records import clean, opened, parse_until
from mtls_ambassador.cli.device_selectors import Selectors, select, selectors
from mtls_ambassador.cli.device_view import as_json as denial_json
from mtls_ambassador.cli.device_view import line, some
from mtls_ambassador.cli.pki_store import json_option, now, who
from mtls_ambassador.cli.terminal import printable
from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.model.revocation import RECORDED

if TYPE_CHECKING:
    from mtls_ambassador.flows.deny import Denied, Order

REASONS = [item.value for item in RECORDED]
EPILOG = """\b
Examples:
  mtls-ambassador device revoke '{"mac":"52:54:00:12:34:56"}' --reason keyCompromise --now
  mtls-ambassador device revoke --serial 4F:1C:9A --ca ca.crt
  mtls-ambassador device revoke --batch 2026-11-lot-3 --until 2w --note 'held at customs'
  mtls-ambassador device revoke --issued-from 2026-11-01 --issued-to 2026-11-14 --ca ca.crt --dry-run
"""


@click.command("revoke", epilog=EPILOG)
@click.argument("identity", required=False)
@selectors
@click.option(
    "--reason", type=click.Choice(REASONS), default="unspecified", show_default=True, help="Of RFC 5280 section 5.3.1."
)
@click.option("--note", default="", help="Why, for the records.")
@click.option("--by", help="Who does it, for the audit.  [default: the user running the command]")
@click.option("--until", metavar="DATE|SPAN", help="Only to the end of this date, or for a span such as 36h or 2w.")
@click.option(
    "--now", "closes", is_flag=True, help="End all open connections within MTLS_DRAIN_TIME; good devices come back."
)
@click.option(
    "--in-mender",
    type=click.Choice(["reject", "decommission"]),
    help="Do that with each device it hits in Mender too; needs the gateway's settings for the Mender server.",
)
@click.option("--dry-run", is_flag=True, help="Show whom it would hit, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask when it hits more than one device.")
@json_option
def command(  # noqa: PLR0913 - the options of a command
    *,
    identity: str | None,
    reason: str,
    note: str,
    by: str | None,
    until: str | None,
    closes: bool,
    in_mender: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **given: Unpack[Selectors],
) -> None:
    """Keep devices out: every key of IDENTITY (JSON), and what the options name; all of it or nothing.

    Run it where the gateway's MTLS_STATE_DIR or MTLS_DATABASE_URL is set. Every gateway of that database refuses within
    a second: auth requests, and all calls on open connections; --now ends WebSockets and downloads too.
    """
    from mtls_ambassador.cli.device_in_mender import mender_settings, told_mender  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.denial_targets import Selection  # noqa: PLC0415 - see above
    from mtls_ambassador.flows.deny import Order, deny  # noqa: PLC0415 - see above

    wanted, authority = select(given, () if identity is None else (parse_identity(identity),))
    if wanted == Selection():
        raise UsageError(
            "say what to deny: IDENTITY, --serial, --serials, --cert, --key, --batch, --issued-from with --issued-to,"
            " or --ca"
        )
    at = now()
    order = Order(reason, clean(who(by)), at, clean(note), parse_until(until, at) if until else None, closes)
    settings = mender_settings() if in_mender and not dry_run else None
    with opened() as records:
        known = records.authorities(*authority)
        if not (dry_run or yes) and sys.stdin.isatty():
            _ask(deny(records.database, records.journal, wanted, order, known, dry_run=True), reason)
        done = deny(records.database, records.journal, wanted, order, known, dry_run=dry_run)
        told = [] if settings is None else told_mender(settings, records.database, done.identities, in_mender or "")
    if as_json:
        click.echo(json.dumps(_as_json(done, dry_run=dry_run) | {"in_mender": list(map(asdict, told))}))
    else:
        _show(done, order, dry_run=dry_run)
        for item in told:
            click.echo(printable(f"in Mender: {item.identity}: {item.outcome}"))
    if not all(item.is_done for item in told):
        raise AmbassadorError("denied here, but not all was done in Mender; the same command again tries the rest")


def _ask(would: "Denied", reason: str) -> None:
    if max(len(would.identities), len(would.recorded)) > 1:
        click.echo("\n".join(_reach(would)), err=True)
        click.confirm(f"{reason}: {len(would.made)} denials. Go on?", abort=True, err=True)


def _reach(done: "Denied") -> list[str]:
    from mtls_ambassador.flows.deny import names_of  # noqa: PLC0415 - slow to load

    devices, recorded = names_of(done.shown), sorted({item.name for item in done.recorded})
    return [
        f"devices known to the gateway that it hits: {len(done.identities)}",
        *(f"  {printable(text)}" for text in some(devices)),
        f"recorded certificates that it hits: {len(done.recorded)}",
        *(f"  {printable(text)}" for text in some(recorded)),
    ]


def _show(done: "Denied", order: "Order", *, dry_run: bool) -> None:
    from mtls_ambassador.flows.deny import differences  # noqa: PLC0415 - slow to load

    for item in done.put_back:
        done_so = (
            "would be put back, for the database has lost it" if dry_run else "put back, for the database had lost it"
        )
        click.echo(f"warning: {done_so}: {line(item)}", err=True)
    for text in some([f"{'would be denied' if dry_run else 'denied'}: {line(item)}" for item in done.made]):
        click.echo(text)
    for text in some([f"denied already: {line(item)}" for item in done.already]):
        click.echo(text)
    for text in some([f"  {item.number} differs: {'; '.join(differences(item, order))}" for item in done.conflicts]):
        click.echo(printable(text))
    click.echo("\n".join(_reach(done)))
    click.echo(f"{len(done.made)} {'would be denied' if dry_run else 'denied'}, {len(done.already)} were already")


def _as_json(done: "Denied", *, dry_run: bool) -> dict[str, object]:
    from mtls_ambassador.flows.deny import names_of  # noqa: PLC0415 - slow to load

    return {
        "dry_run": dry_run,
        "denied": list(map(denial_json, done.made)),
        "already": list(map(denial_json, done.already)),
        "conflicts": list(map(denial_json, done.conflicts)),
        "put_back": list(map(denial_json, done.put_back)),
        "devices": len(done.identities),
        "certificates": len(done.recorded),
        "names": some(names_of(done.shown)),
    }
