"""Without a host in the listen address, devices connect by IPv4 and IPv6, and upstream is told the true address."""

import socket
from pathlib import Path

from support.client import ask, request
from support.gateway import STUB, Gateway
from support.pki import Pki
from support.ports import free_port
from support.upstream import Upstream


def loopbacks() -> list[str]:
    """The loopback addresses this machine has."""
    found = ["127.0.0.1"]
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            found.append("::1")
    except OSError:
        pass
    return found


async def test_ipv4_and_ipv6(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = pki.client_context(pki.device())
    port = free_port()
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB, environ={"MTLS_LISTEN": f":{port}"}),
    ):
        for host in loopbacks():
            assert (await ask(port, context, request("/api/devices/v1/x"), host=host)).status == 200
            assert upstream.requests[-1].values("x-forwarded-for") == [host]
