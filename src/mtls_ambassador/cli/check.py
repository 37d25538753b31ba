"""`mtls-ambassador check`: every setting, file and the Mender server, one line each."""

import asyncio
import datetime as dt
import json
import os
from pathlib import Path

import click

from mtls_ambassador.flows.check_setup import check_setup
from mtls_ambassador.model.finding import Finding, Level

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


@click.command(help="Check every setting, file and the upstream server, one line each; exit 1 when one fails.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Mender Gateway's JSON configuration file  [default: /etc/mender/mender-gateway.conf if it exists]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def command(config: Path | None, *, as_json: bool) -> int:
    """Run the checks; returns the exit code."""
    findings = asyncio.run(_run(config, quiet=as_json))
    good = all(finding.level is not Level.FAIL for finding in findings)
    if as_json:
        checks = [
            {"level": item.level.lower(), "name": item.name, "seen": item.seen, "right": item.right}
            for item in findings
        ]
        click.echo(json.dumps({"ok": good, "checks": checks}, indent=2))
    return 0 if good else 1


async def _run(config: Path | None, *, quiet: bool) -> list[Finding]:
    findings = []
    async for finding in check_setup(os.environ, config, dt.datetime.now(dt.UTC)):
        findings.append(finding)
        if not quiet:
            level, rest = str(finding)[:4], str(finding)[4:]
            click.echo(click.style(level, fg=_COLOURS[finding.level]) + rest)
    return findings
