"""Files swapped for garbage under the gateway, and put back: what was in force stays in force."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

from support.revocation import swap
from torture.scenario import ALL_GOES_ON, scenario
from torture.world import Setting, World

GARBAGE = b"\x00\xff\x80garbage\n" * 300
USERS = Setting(environ=lambda place: {"MTLS_ADMIN_USERS": str(_users(place.folder))})


def _users(folder: Path) -> Path:
    path = folder / "users"
    if not path.exists():
        path.write_text("")
    return path


def _garbled(name: str, what: str, find: Callable[[World], Path], setting: Setting | None = None) -> None:
    async def fault(world: World) -> AsyncIterator[None]:
        path = find(world)
        before = path.read_bytes()
        swap(path, GARBAGE)
        yield
        swap(path, before)

    fault.__name__ = f"{name}_garbled"
    scenario(f"{what} becomes garbage", lasts=2.5, promise=ALL_GOES_ON, setting=setting)(fault)


_garbled("server_certificate", "the server certificate", lambda world: world.pki.server.certificate)
_garbled("server_key", "the server's key", lambda world: world.pki.server.key)
_garbled("ca_bundle", "the bundle of device CAs", lambda world: world.pki.ca_file)
_garbled("crl", "the revocation list", lambda world: world.crl)
_garbled("denylist", "the denylist file", lambda world: world.blacklist)
_garbled("upstream_ca", "the CA of upstream", lambda world: world.place.folder / "upstream-ca.pem")


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
