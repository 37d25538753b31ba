"""Files swapped for garbage under the gateway, and put back: what was in force stays in force."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from pathlib import Path

import aiohttp

from mtls_ambassador.web.access.users import hash_password
from support.revocation import swap
from torture.scenario import ALL_GOES_ON, scenario
from torture.world import Place, Setting, World

GARBAGE = b"\x00\xff\x80garbage\n" * 300
REST = 1.5
"""Seconds within which a file that has changed was looked at."""


def _with_users(place: Place) -> Mapping[str, str]:
    _users(place).write_text(f"ann:write:{hash_password('only for torture')}\n")
    return {"MTLS_ADMIN_USERS": str(_users(place))}


def _users(place: Place) -> Path:
    return place.folder / "users"


def _garbled(name: str, what: str, find: Callable[[World], Path]) -> None:
    async def fault(world: World) -> AsyncIterator[None]:
        path = find(world)
        before = path.read_bytes()
        swap(path, GARBAGE)
        yield
        swap(path, before)

    fault.__name__ = f"{name}_garbled"
    scenario(f"{what} becomes garbage", lasts=2.5, promise=ALL_GOES_ON)(fault)


_garbled("server_certificate", "The server certificate", lambda world: world.pki.server.certificate)
_garbled("server_key", "The server's key", lambda world: world.pki.server.key)
_garbled("ca_bundle", "The bundle of device CAs", lambda world: world.pki.ca_file)
_garbled("crl", "The revocation list", lambda world: world.crl)
_garbled("denylist", "The denylist file", lambda world: world.blacklist)
_garbled("upstream_ca", "The CA of upstream", lambda world: world.place.folder / "upstream-ca.pem")


@scenario(lasts=2.5, promise=ALL_GOES_ON)
async def all_files_garbled(world: World) -> AsyncIterator[None]:
    """All files at once become garbage."""
    server = world.pki.server
    paths = (server.certificate, server.key, world.pki.ca_file, world.crl, world.blacklist)
    before = {path: path.read_bytes() for path in paths}
    for path in paths:
        swap(path, GARBAGE)
    yield
    for path, content in before.items():
        swap(path, content)


@scenario(lasts=2.5, promise=ALL_GOES_ON)
async def all_files_gone(world: World) -> AsyncIterator[None]:
    """All files at once are removed."""
    server = world.pki.server
    paths = (server.certificate, server.key, world.pki.ca_file, world.crl, world.blacklist)
    before = {path: path.read_bytes() for path in paths}
    for path in paths:
        path.unlink()
    yield
    for path, content in before.items():
        swap(path, content)


@scenario(lasts=REST, promise=ALL_GOES_ON, setting=Setting(environ=_with_users))
async def users_garbled_and_gone(world: World) -> AsyncIterator[None]:
    """The file of those who may use page and API becomes garbage, then is removed; nobody gets in without a login."""
    path = _users(world.place)
    before = path.read_bytes()
    swap(path, GARBAGE)
    yield
    await _require_login(world, "garbage")
    path.unlink()
    await asyncio.sleep(REST)
    await _require_login(world, "gone")
    swap(path, before)


async def _require_login(world: World, how: str) -> None:
    url = f"http://127.0.0.1:{world.place.admin_port}/api/v1/devices"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        if answer.status != HTTPStatus.UNAUTHORIZED:
            world.faults.append(f"with its users file {how}, the management API answered {answer.status}")
