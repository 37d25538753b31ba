"""`mtls-ambassador device restore`: let devices in again."""

import json
from typing import TYPE_CHECKING, Unpack

import click

from mtls_ambassador.cli.device_identity import parse_identity
from mtls_ambassador.cli.device_records import clean, opened
from mtls_ambassador.cli.device_selectors import Selectors, select, selectors
from mtls_ambassador.cli.device_view import as_json as denial_json
from mtls_ambassador.cli.device_view import line, some
from mtls_ambassador.cli.pki_store import json_option, now, who
from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.model.revocation import serial_hex

if TYPE_CHECKING:
    from mtls_ambassador.flows.lift_denials import Lifted

_DIGITS = 18
"""Of the highest number that a database can count to."""
EPILOG = """\b
Examples:
  mtls-ambassador device denials
  mtls-ambassador device restore 12 13 --note 'found again'
  mtls-ambassador device restore '{"mac":"52:54:00:12:34:56"}'
  mtls-ambassador device restore --serial 4F:1C:9A --ca ca.crt
"""


@click.command("restore", epilog=EPILOG)
@click.argument("which", nargs=-1, metavar="[NUMBER|IDENTITY]...")
@selectors
@click.option("--note", default="", help="Why, for the records.")
@click.option("--by", help="Who does it, for the audit.  [default: the user running the command]")
@json_option
def command(*, which: tuple[str, ...], note: str, by: str | None, as_json: bool, **given: Unpack[Selectors]) -> None:
    """Lift denials, by their NUMBER of `device denials`, or those that name exactly the same as the options.

    All of it or nothing. A denial that names more, such as a batch or a CA, stays, and is shown when it still keeps the
    same devices out. A serial that nothing here denies is noted as let in again, which counts where a serial was once
    in the file of MTLS_BLACKLIST_PATH and is there no longer.
    """
    from mtls_ambassador.flows.denial_targets import Selection  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.deny import Order  # noqa: PLC0415 - see above
    from mtls_ambassador.flows.lift_denials import lift  # noqa: PLC0415 - see above

    numbers = [int(text) for text in which if _is_number(text)]
    wanted, authority = select(given, [parse_identity(text) for text in which if not _is_number(text)])
    if not numbers and wanted == Selection():
        raise UsageError("say what to let in again: NUMBER, IDENTITY, or options as of `device revoke`")
    order = Order("unspecified", clean(who(by)), now(), clean(note))
    with opened() as records:
        known = records.authorities(*authority)
        done = lift(records.database, records.journal, numbers, wanted, order, known)
    if as_json:
        click.echo(json.dumps(_as_json(done)))
    else:
        _show(done)
    if not done.lifted and not done.recorded:
        raise AmbassadorError("nothing was lifted: no denial names just that; `device denials` lists them")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS


def _show(done: "Lifted") -> None:
    for text in some([f"lifted: {line(item)}" for item in done.lifted]):
        click.echo(text)
    for text in some([f"let in again: {item.what}, which nothing here denied" for item in done.recorded]):
        click.echo(text)
    for text in some([f"not denied by itself: {item.what}" for item in done.idle]):
        click.echo(text)
    for text in some([f"still denied by {line(item)}" for item in done.still]):
        click.echo(text)
    for text in some([f"still revoked by its CA (`pki revoke`): {serial_hex(serial)}" for serial in done.revoked]):
        click.echo(text)


def _as_json(done: "Lifted") -> dict[str, object]:
    return {
        "lifted": list(map(denial_json, done.lifted)),
        "recorded": list(map(denial_json, done.recorded)),
        "idle": list(map(denial_json, done.idle)),
        "still": list(map(denial_json, done.still)),
        "revoked": list(map(serial_hex, done.revoked)),
    }
