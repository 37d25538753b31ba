"""How many requests a sandbox had at once, so that a test can hold a gateway to what it was told."""

import asyncio

import aiohttp

from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer


async def test_the_most_requests_at_once_are_counted() -> None:
    async with SandboxServer.running(SandboxConfig()) as sandbox, aiohttp.ClientSession() as session:
        sandbox.faults.latency(0.2)

        async def ask() -> int:
            async with session.get(f"{sandbox.url}/api/management/v2/devauth/devices") as answer:
                return answer.status

        assert await ask() == 401
        assert (sandbox.journal.at_once, sandbox.journal.most_at_once) == (0, 1)
        await asyncio.gather(*(ask() for _ in range(5)))
        assert (sandbox.journal.at_once, sandbox.journal.most_at_once) == (0, 5)
