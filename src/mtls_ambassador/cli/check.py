"""`mtls-ambassador check`: every setting, file and the Mender server, one line each."""

import asyncio
import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import click

from mtls_ambassador.cli.terminal import printable
from mtls_ambassador.flows.check_setup import check_setup
from mtls_ambassador.model.errors import UsageError
from mtls_ambassador.model.finding import Finding, Level

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


EPILOG = """\b
Examples:
  mtls-ambassador check
  mtls-ambassador check --as-device --url https://gateway.example.com --cert cert.pem --key key.pem
  mtls-ambassador check --as-device --url https://gateway.example.com --cert cert.pem --key key.pem \\
      --identity '{"mac":"52:54:00:12:34:56"}'      a real auth request, which may enrol the device
"""


@click.command(
    epilog=EPILOG,
    help="Check every setting, file and the upstream server, one line each; exit 1 when one fails. With --as-device,"
    " make a real handshake, and with --identity a real auth request, as a device does; no settings are needed then.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Mender Gateway's JSON configuration file  [default: /etc/mender/mender-gateway.conf if it exists]",
)
@click.option("--as-device", "is_device", is_flag=True, help="Be a device: what does it meet at the gateway?")
@click.option("--url", default="", help="With --as-device: the gateway, as ServerURL in mender.conf.")
@click.option("--cert", type=click.Path(path_type=Path), help="The device's certificate; left out, it shows none.")
@click.option("--key", type=click.Path(path_type=Path), help="Its key.")
@click.option("--ca", type=click.Path(path_type=Path), help="What the gateway's certificate must chain to.")
@click.option("--identity", default="", help="JSON: make an auth request for it, which may enrol the device.")
@click.option("--auth-key", type=click.Path(path_type=Path), help="Signs the auth request in place of the key.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def command(config: Path | None, *, is_device: bool, as_json: bool, **guise: Any) -> int:  # noqa: ANN401 - of Click
    """Run the checks; returns the exit code."""
    findings = _as_device(guise, quiet=as_json) if is_device else asyncio.run(_run(config, quiet=as_json))
    good = all(finding.level is not Level.FAIL for finding in findings)
    if as_json:
        checks = [
            {"level": item.level.lower(), "name": item.name, "seen": item.seen, "right": item.right}
            for item in findings
        ]
        click.echo(json.dumps({"ok": good, "checks": checks}, indent=2))
    return 0 if good else 1


def _as_device(guise: dict[str, Any], *, quiet: bool) -> list[Finding]:
    from mtls_ambassador.sandbox.as_device import Guise, check_as_device  # noqa: PLC0415 - slow to load

    if guise["key"] is not None and guise["cert"] is None:
        raise UsageError("--key: goes with --cert")
    chosen = Guise(guise["url"], guise["cert"], guise["key"], guise["ca"], guise["identity"], guise["auth_key"])
    findings = []
    for finding in check_as_device(chosen):
        findings.append(finding)
        if not quiet:
            _show(finding)
    return findings


async def _run(config: Path | None, *, quiet: bool) -> list[Finding]:
    findings = []
    async for finding in check_setup(os.environ, config, dt.datetime.now(dt.UTC)):
        findings.append(finding)
        if not quiet:
            _show(finding)
    return findings


def _show(finding: Finding) -> None:
    text = printable(str(finding))
    click.echo(click.style(text[:4], fg=_COLOURS[finding.level]) + text[4:])
