"""What a Mender server does on a bad day, and the way to it."""

import asyncio
from collections.abc import AsyncIterator

from mtls_ambassador.pki.issue import make_ca, make_server
from mtls_ambassador.sandbox.faults import Fault
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from support.pki import validity
from torture.scenario import ALL_GOES_ON, scenario
from torture.world import World

LOGIN = "/api/management/v1/useradm/auth/login"


@scenario(promise=ALL_GOES_ON)
async def nothing(_: World) -> AsyncIterator[None]:
    """Nothing: traffic alone."""
    yield


@scenario()
async def upstream_down(world: World) -> AsyncIterator[None]:
    """Upstream's port is closed."""
    await world.link.down()
    yield
    await world.link.up()


@scenario(lasts=8)
async def upstream_black_hole(world: World) -> AsyncIterator[None]:
    """Upstream accepts connections and answers nothing."""
    async with world.link.black_hole():
        yield


@scenario(lasts=8)
async def upstream_deaf(world: World) -> AsyncIterator[None]:
    """Upstream's socket is there and does not accept."""
    async with world.link.deaf():
        yield


@scenario()
async def upstream_slow(world: World) -> AsyncIterator[None]:
    """Every answer of upstream comes a second late."""
    world.link.delay = 1.0
    yield
    world.link.delay = 0.0


@scenario()
async def upstream_resets(world: World) -> AsyncIterator[None]:
    """Every connection to upstream is reset in the middle."""
    async with world.link.resetting():
        yield


@scenario()
async def upstream_answers_lost(world: World) -> AsyncIterator[None]:
    """Upstream does the work, and its answer is lost."""
    fault = world.sandbox.faults.drop(after=True)
    yield
    world.sandbox.faults.remove(fault)


def _answering(status: int, retry_after: str | None = None) -> None:
    told = f" with Retry-After: {retry_after}" if retry_after else ""

    async def fault(world: World) -> AsyncIterator[None]:
        found = world.sandbox.faults.error(status, retry_after=retry_after)
        yield
        world.sandbox.faults.remove(found)

    fault.__name__ = f"upstream_{status}"
    scenario(f"Upstream answers {status}{told}")(fault)


for _status, _wait in ((500, None), (502, None), (503, "2"), (429, "2")):
    _answering(_status, _wait)


@scenario()
async def upstream_wrong_certificate(world: World) -> AsyncIterator[None]:
    """Another server with a certificate of another CA stands in upstream's place."""
    pair = make_server(make_ca("Upstream CA", validity()), ["127.0.0.1", "localhost"], validity())
    async with (
        SandboxServer.running(SandboxConfig(password="password", tls=pair)) as other,  # noqa: S106 - of a sandbox
        world.link.leading_to(other.port),
    ):
        yield
        if other.journal.total:
            world.faults.append(f"{other.journal.total} requests were sent to a server that is not upstream")


@scenario(lasts=0)
async def login_expired(world: World) -> AsyncIterator[None]:
    """The gateway's login is ended ten times."""
    for _ in range(10):
        world.sandbox.state.users.expire_logins()
        await asyncio.sleep(0.3)
    yield


@scenario()
async def login_refused(world: World) -> AsyncIterator[None]:
    """The gateway's login is ended, and a new one is refused."""
    world.sandbox.state.users.expire_logins()
    fault = world.sandbox.faults.add(Fault(path=LOGIN, status=401))
    yield
    world.sandbox.faults.remove(fault)
