"""Would the gateway run with these settings? Settings, files, machine and Mender server, one finding per check."""

import datetime as dt
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from mtls_ambassador.flows.check_database import check_database
from mtls_ambassador.flows.check_machine import ENVOY, check_envoy_configuration, check_machine
from mtls_ambassador.flows.check_upstream import check_upstream
from mtls_ambassador.model.finding import Finding, Level, fail, ok, warn
from mtls_ambassador.pki.inspect import inspect_ca_bundle, inspect_server
from mtls_ambassador.settings.files import file_fault
from mtls_ambassador.settings.load import Reading, read


async def check_setup(environ: Mapping[str, str], config_file: Path | None, now: dt.datetime) -> AsyncIterator[Finding]:
    """Every check that can be made; `now` is an aware time. Faults of the settings do not hide those behind them."""
    reading = read(environ, config_file=config_file)
    for finding in setting_findings(reading):
        yield finding
    for finding in file_findings(reading, now):
        yield finding
    if reading.settings is None:
        yield warn("machine and Mender server", "not checked", "mend the settings above first")
        return
    machine = await check_machine(reading.settings)
    for finding in machine:
        yield finding
    if not reading.faults and not any(item.name == ENVOY and item.level is Level.FAIL for item in machine):
        yield await check_envoy_configuration(reading.settings)
    for finding in await check_database(reading.settings):
        yield finding
    async for finding in check_upstream(reading.settings, now):
        yield finding


def setting_findings(reading: Reading) -> list[Finding]:
    """Faults and warnings of the settings; one good line when there are none."""
    found = [fail("settings", text) for text in reading.faults] + [warn("settings", text) for text in reading.warnings]
    given = sum(origin != "default" for origin in reading.origins.values())
    return found or [ok("settings", f"{given} given, {len(reading.origins) - given} by default")]


def file_findings(reading: Reading, now: dt.datetime) -> list[Finding]:
    """Certificates and keys; a file that is not there has had its finding among the settings."""
    certificate, key, bundle = (_content(reading, name) for name in ("server_certificate", "server_key", "tenant_ca"))
    found: list[Finding] = []
    if certificate is not None:
        found += inspect_server(certificate, key, now)
    if bundle is not None:
        found += inspect_ca_bundle(bundle, now)
    return found


def _content(reading: Reading, name: str) -> bytes | None:
    path = reading.values.get(name)
    if not isinstance(path, Path) or file_fault(path) is not None:
        return None
    return path.read_bytes()
