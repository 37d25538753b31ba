"""`mtls-ambassador admin token`: tokens of the management API."""

import datetime as dt
import json
from typing import Any

import click

from mtls_ambassador.cli.device_records import opened
from mtls_ambassador.cli.pki_store import json_option, now, who
from mtls_ambassador.cli.terminal import printable
from mtls_ambassador.flows import api_tokens
from mtls_ambassador.model.errors import UsageError
from mtls_ambassador.model.operator import Scope
from mtls_ambassador.store import tokens

LONGEST_NAME = 64
LONGEST_LIFE = 3650
BY = "Who does it, for the audit.  [default: the user running the command]"


@click.group("token")
def command() -> None:
    """Tokens of the management API, for programs; the gateway need not run, and takes them at once."""


@command.command(
    "create", epilog="\b\nExample:\n  mtls-ambassador admin token create grafana --scope read --days 90 > token\n"
)
@click.argument("name")
@click.option("--scope", type=click.Choice(["read", "write"]), default="read", show_default=True, help="May do what.")
@click.option("--days", type=click.IntRange(1, LONGEST_LIFE), default=365, show_default=True, help="How long it lasts.")
@click.option("--by", help=BY)
@json_option
def create(*, name: str, scope: str, days: int, by: str | None, as_json: bool) -> None:
    """Make a token and print it; it is shown only now."""
    if not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
        raise UsageError(f"NAME: must be printable, at most {LONGEST_NAME} characters")
    at = now()
    end = at + dt.timedelta(days=days)
    with opened() as records, records.database.transaction() as connection:
        made = api_tokens.create(connection, name, Scope(scope), who(by), at, end)
    if as_json:
        click.echo(json.dumps({"name": name, "scope": scope, "expires_at": end.isoformat(), "token": made}))
    else:
        click.echo(made)
        click.echo(f"{scope} until {end:%Y-%m-%d}; it is not shown again. Use: Authorization: Bearer TOKEN", err=True)


@command.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """All tokens, the newest first, without their secrets."""
    with opened() as records, records.database.snapshot() as connection:
        found = tokens.every(connection)
    if as_json:
        click.echo(json.dumps([_as_json(item) for item in found]))
        return
    for item in found:
        state = "revoked" if item.revoked_at else "good" if item.is_good(now()) else "over"
        used = f"last used {item.last_used_at:%Y-%m-%d %H:%M}Z" if item.last_used_at else "never used"
        end = f"until {item.expires_at:%Y-%m-%d}" if item.expires_at else "without end"
        click.echo(printable(f"{item.name}: {state}, {item.scope.value}, {end}, {used}, made by {item.made_by}"))


@command.command("revoke", epilog="\b\nExample:\n  mtls-ambassador admin token revoke grafana\n")
@click.argument("name")
@click.option("--by", help=BY)
def revoke(*, name: str, by: str | None) -> int:
    """The token NAME lets nobody in any more, at once."""
    at = now()
    with opened() as records, records.database.transaction() as connection:
        done = api_tokens.revoke(connection, name, who(by), at)
    click.echo(printable(f"{name}: revoked" if done else f"{name}: was revoked before"))
    return 0


def _as_json(item: tokens.Token) -> dict[str, Any]:
    times = ("made_at", "expires_at", "last_used_at", "revoked_at")
    known = {name: getattr(item, name) for name in times}
    return {
        "name": item.name,
        "scope": item.scope.value,
        "good": item.is_good(now()),
        "made_by": item.made_by,
        **{name: at.isoformat() if at else None for name, at in known.items()},
    }
