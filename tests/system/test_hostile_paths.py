"""No target, host or header of a device reaches anything upstream but what is below `/api/devices/`."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext

from support.client import ask
from support.gateway import STUB, Gateway
from support.pki import Pki
from support.raw_upstream import Plain, RawUpstream
from support.targets import as_any_server_might_read

BASE, OUTSIDE = "/api/devices/v1/x/y", "management/v2/devauth/devices"
UP = [
    "..",
    "..;",
    "..;a=b",
    "..%3b",
    "%2e%2e;",
    ".%2e",
    "..%00",
    ".%00.",
    "..%09",
    "..%20",
    "%20..",
    "..%0d%0a",
    "%c0%ae%c0%ae",
    "%e0%80%ae%e0%80%ae",
    "%f0%80%80%ae.",
    "%u002e%u002e",
    "%252e%252e",
    "%25252e%25252e",
    "%25%32%65%25%32%65",
    "%%32%65%%32%65",
    "%2e%2e%00",
    "\xc0\xae\xc0\xae",
    "..\t",
    ".. ",
    "..\0",
]
SLASHES = ["/", "//", "\\", "%2f", "%5c", "%252f", "%25252F", "%c0%af", "%c1%9c", "%u002f", "/./", "/;/", "/%20/"]
ODD = [
    f"{BASE}#/../../../../{OUTSIDE}",
    f"{BASE}\0/../../../../{OUTSIDE}",
    f"http://gateway/api/{OUTSIDE}",
    f"http://gateway/api/devices/../{OUTSIDE}",
    f"http://mender/api/devices/v1/..;/..;/{OUTSIDE}",
    f"http:/api/{OUTSIDE}",
    f"file:///api/{OUTSIDE}",
    f"//mender/api/{OUTSIDE}",
    f"///api/{OUTSIDE}",
    f"/api/{OUTSIDE}",
    f"/api//{OUTSIDE}",
    f"/API/{OUTSIDE}",
    f"/%61pi/{OUTSIDE}",
    f"/api/devices/v1/../../../api/{OUTSIDE}",
    f"api/{OUTSIDE}",
    f"mender/api/{OUTSIDE}",
    f";/api/{OUTSIDE}",
    f"?/api/{OUTSIDE}",
    "*",
    "/",
    "/api/internal/v1/devauth/tenants",
]
SAME_CALL = "/api/devices/v1/inventory/device/attributes"
ROUNDS = 300


@dataclass(frozen=True, slots=True)
class Scene:
    port: int
    upstream: RawUpstream
    context: SSLContext

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator["Scene"]:
        pki = Pki(folder)
        async with (
            RawUpstream.running() as upstream,
            Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
        ):
            yield cls(gateway.port, upstream, pki.client_context(pki.device()))

    async def say(self, line: str, *headers: str) -> list[Plain]:
        """One request, byte for byte; what arrived upstream since the last one."""
        before = len(self.upstream.requests)
        text = "\r\n".join([line, *headers, "Connection: close", "", ""])
        assert (await ask(self.port, self.context, text.encode("latin1"))).status < 500
        return self.upstream.requests[before:]


def detours() -> list[str]:
    """Every way up with a plain slash, every slash with a plain way up, and a random lot of both mixed."""
    dice = random.Random(7)  # noqa: S311 - reproducible, not secret
    found = [f"{BASE}/" + f"{up}/" * count + OUTSIDE for up in UP for count in (2, 4, 6)]
    found += [BASE + f"{slash}.." * count + f"/{OUTSIDE}" for slash in SLASHES for count in (4, 6)]
    for _ in range(ROUNDS):
        steps = "".join(dice.choice(SLASHES) + dice.choice(UP) for _ in range(dice.randint(3, 6)))
        found.append(BASE + steps + dice.choice(SLASHES) + OUTSIDE)
    return found


async def test_no_target_leads_outside(tmp_path: Path) -> None:
    async with Scene.running(tmp_path) as scene:
        limit = asyncio.Semaphore(50)

        async def go(target: str) -> None:
            async with limit:
                await scene.say(f"GET {target} HTTP/1.1", "Host: gateway")

        await asyncio.gather(*(go(target) for target in [*detours(), *ODD]))
        assert scene.upstream.faults == []
        read = {each.target: as_any_server_might_read(each.target) for each in scene.upstream.requests}
        assert [target for target, meant in read.items() if not meant.startswith("api/devices/")] == []
        assert (await scene.say(f"GET {BASE}/a%20b?/../..;/%2e%2e HTTP/1.1", "Host: gateway"))[0].target == (
            f"{BASE}/a%20b?/../..;/%2e%2e"
        ), "what has one meaning passes as it is"


LINES = [
    "CONNECT mender:443 HTTP/1.1",
    f"CONNECT {SAME_CALL} HTTP/1.1",
    f"GET {SAME_CALL} HTTP/1.1 HTTP/1.1",
    f"GET  {SAME_CALL} HTTP/1.1",
    f"GET\t{SAME_CALL} HTTP/1.1",
    f"GET {SAME_CALL}",
    f"GET/ {SAME_CALL} HTTP/1.1",
    f" {SAME_CALL} HTTP/1.1",
]


async def test_odd_request_lines_lead_nowhere_else(tmp_path: Path) -> None:
    async with Scene.running(tmp_path) as scene:
        for line in LINES:
            arrived = await scene.say(line, "Host: gateway")
            assert [each.target for each in arrived] in ([], [SAME_CALL]), line
        assert scene.upstream.faults == []


HEADERS = [
    "Host: mender/api/management/",
    "Host: evil@mender",
    "Host: 127.0.0.1:1",
    "X-Forwarded-Host: evil",
    "X-Forwarded-Prefix: /api/management",
    "X-Forwarded-Uri: /api/management/v2/devauth/devices",
    "X-Forwarded-Path: /api/management",
    "X-Forwarded-Client-Cert: Hash=0;Subject=evil",
    "X-Envoy-Original-Path: /api/management",
    "X-Envoy-Original-Host: evil",
    "X-Envoy-Upstream-Rq-Timeout-Ms: 1",
    "X-Envoy-Max-Retries: 99",
    "X-Envoy-Decorator-Operation: evil",
    "X-Original-URL: /api/management",
    "X-Rewrite-URL: /api/management",
    "X_Rewrite_URL: /api/management",
    "Forwarded: host=evil",
    "X-MTLS-Peer-Certificate: evil",
    "x-mtls-peer-certificate : evil",
]


async def test_no_header_leads_elsewhere(tmp_path: Path) -> None:
    async with Scene.running(tmp_path) as scene:
        for header in HEADERS:
            host = [] if header.startswith("Host") else ["Host: gateway"]
            for each in await scene.say(f"GET {SAME_CALL} HTTP/1.1", *host, header):
                assert each.target == SAME_CALL
                assert each.values("host") == [f"127.0.0.1:{scene.upstream.port}"]
                told = " ".join(f"{name}: {value}" for name, value in each.headers if name != "x-forwarded-host")
                assert "evil" not in told, header
                assert "management" not in told, header
        assert scene.upstream.faults == []
