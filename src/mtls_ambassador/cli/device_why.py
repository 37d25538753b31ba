"""`mtls-ambassador device why`: why a device does not show up, in one verdict."""

import asyncio
import json
import os
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mtls_ambassador.cli.pki_store import json_option, now
from mtls_ambassador.cli.terminal import printable
from mtls_ambassador.model.errors import AmbassadorError

if TYPE_CHECKING:
    from mtls_ambassador.model.explanation import Explanation

MARKS = {"ok": "ok  ", "failed": "FAIL", "unknown": "?   "}
COLOURS = {"ok": "green", "failed": "red", "unknown": None}
LARGEST = 64 * 1024
EPILOG = """\b
Examples:
  mtls-ambassador device why '{"mac":"52:54:00:12:34:56"}'
  mtls-ambassador device why 4F:1C:9A            a serial
  mtls-ambassador device why 12:34:56            part of an identity, a name
  mtls-ambassador device why mender-cert.pem     a certificate that never came in
  mtls-ambassador device why 192.0.2.7           where a device calls from that shows no certificate
"""


@click.command("why", epilog=EPILOG)
@click.argument("which", metavar="NAME|SERIAL|IDENTITY|CERT.pem|ADDRESS")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Settings file, as for `run`.")
@json_option
def command(*, which: str, config_file: Path | None, as_json: bool) -> int:
    """Say why a device is not in, walking from its clock to its last connection; exit 0 when it is in, 1 when not.

    Mender is asked live, and nothing is changed. Run it with the gateway's settings; the gateway need not run.
    """
    found = asyncio.run(_explain(_text(which), config_file))
    if as_json:
        click.echo(json.dumps(to_json(found)))
    else:
        _show(found)
    return 0 if found.is_in else 1


def _text(which: str) -> str:
    path = Path(which)
    if which.startswith("{") or not path.is_file():
        return which
    try:
        if path.stat().st_size > LARGEST:
            raise AmbassadorError(f"{path}: is no certificate; it is larger than {LARGEST} bytes")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AmbassadorError(
            f"{path}: cannot be read as PEM; one in DER: openssl x509 -inform DER -in FILE"
        ) from error


async def _explain(asked: str, config_file: Path | None) -> "Explanation":
    from mtls_ambassador.flows.approve_move import require_store  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.explain_device import Sources, explain  # noqa: PLC0415 - see above
    from mtls_ambassador.flows.explain_lists import listed  # noqa: PLC0415 - see above
    from mtls_ambassador.mender.client import MenderClient  # noqa: PLC0415 - see above
    from mtls_ambassador.settings.load import load  # noqa: PLC0415 - see above
    from mtls_ambassador.store.database import open_database  # noqa: PLC0415 - see above

    settings = load(os.environ, config_file=config_file).settings
    require_store(settings.store)
    with open_database(settings.store) as database:
        async with MenderClient.open(settings) as mender:
            sources = Sources(settings, database, mender, lambda shown: listed(settings, shown, now()), now)
            return await explain(asked, sources)


def to_json(found: "Explanation") -> dict[str, Any]:
    """For scripts."""
    failed = found.failed
    return {
        "in": found.is_in,
        "about": found.about,
        "failed": failed.name if failed else None,
        "code": failed.code if failed else None,
        "cause": failed.cause if failed else None,
        "hint": failed.hint if failed else None,
        "steps": [
            {"name": step.name, "state": step.state.value, "seen": step.seen, "code": step.code, "next": step.command}
            for step in found.steps
        ],
    }


def _show(found: "Explanation") -> None:
    click.echo(printable(found.about or found.asked))
    for step in found.steps:
        mark = click.style(MARKS[step.state.value], fg=COLOURS[step.state.value])
        click.echo(f"  {mark} {step.name}: {printable(step.seen)}")
    failed = found.failed
    if failed is None:
        click.echo(
            "It is in." if found.is_in else "Nothing is known that keeps it out; it has not asked to come in yet."
        )
        return
    click.echo("")
    _say("Cause", f"{failed.cause} ({failed.code})")
    if failed.hint:
        _say("Do", failed.hint)
    click.echo(f"Next:   {printable(failed.command)}")


def _say(title: str, text: str) -> None:
    click.echo(textwrap.fill(printable(text), 80, initial_indent=f"{title}:".ljust(8), subsequent_indent=" " * 8))
