"""No spelling of the auth request reaches upstream except through the decision service."""

import json
import random
import subprocess
from pathlib import Path

from support.client import ask, request
from support.gateway import STUB, Gateway
from support.pki import Pki
from support.targets import as_any_server_might_read
from support.upstream import Upstream

PLAIN = "/api/devices/v1/authentication/auth_requests"
DECIDED = [
    PLAIN,
    PLAIN + "?x=1",
    PLAIN + "/",
    PLAIN + "//",
    PLAIN + "/.",
    PLAIN + ";x=1",
    PLAIN + "%20",
    PLAIN.replace("auth_requests", "AUTH_requests"),
    PLAIN.replace("_", "%5F"),
    PLAIN.replace("_", "%5f"),
    PLAIN.replace("auth_r", "%61uth_r"),
    PLAIN.replace("authentication", "Authentication"),
    PLAIN.replace("authentication", "authentication;v=1"),
    PLAIN.replace("authentication", "%61uthentication"),
    PLAIN.replace("authentication", "./authentication"),
    PLAIN.replace("authentication", "x/../authentication"),
    PLAIN.replace("authentication", "x/%2e%2e/authentication"),
    PLAIN.replace("authentication", "x/..;/authentication"),
    PLAIN.replace("authentication", "/authentication"),
    PLAIN.replace("v1", "v2"),
    PLAIN.replace("api", "API"),
    PLAIN.replace("devices", "DEVICES"),
    PLAIN.replace("v1", "v1;a=b"),
    PLAIN.replace("v1", "%76%31"),
    "http://gateway" + PLAIN,
]
REFUSED = [
    PLAIN.replace("authentication", "authentication%2f"),
    PLAIN.replace("/auth_requests", "%2fauth_requests"),
    PLAIN.replace("/auth_requests", "%5Cauth_requests"),
    PLAIN.replace("authentication", "%20authentication"),
    PLAIN.replace("authentication", "%09authentication"),
    PLAIN.replace("authentication", "%2561uthentication"),
    PLAIN.replace("authentication", "%C1%A1uthentication"),
    PLAIN.replace("authentication", "x/%252e%252e/authentication"),
    PLAIN.replace("authentication", "inventory/%252e./authentication"),
    PLAIN.replace("/api", "/x;/api"),
    PLAIN + "#x",
    PLAIN + "%00x",
]
ROUNDS = 400


def misspelt(dice: random.Random) -> str:
    """The path with some characters escaped, turned to upper case or doubled, and detours put in."""
    parts = []
    for part in PLAIN.split("/")[1:]:
        letters = [
            f"%{ord(letter):02x}" if (roll := dice.random()) < 0.1 else letter.upper() if roll < 0.13 else letter
            for letter in part
        ]
        detours = ["", "./", "x/../", "/", "x/%2e%2e/", "y/.%2E/", "%2e/", "x/..;/", "z\\..\\", "%2f", "%252e%252e/"]
        parts.append((dice.choice(detours) if dice.random() < 0.2 else "") + "".join(letters))
    return "/" + "/".join(parts) + dice.choice(["", "", "/", "?a=b", ";x", "%20", "/.", "/x/.."])


async def test_every_spelling_is_decided_or_refused(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    device = pki.device()
    context = pki.client_context(device)
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
    ):
        for path in DECIDED:
            answer = await ask(gateway.port, context, request(path, method="POST", body=b"{}"))
            assert "decision" in answer.json, path
        for path in REFUSED:
            answer = await ask(gateway.port, context, request(path, method="POST", body=b"{}"))
            assert answer.status in {400, 404}, path
        dice = random.Random(20)  # noqa: S311 - reproducible, not secret
        for _ in range(ROUNDS):
            path = misspelt(dice)
            await ask(gateway.port, context, request(path, method="POST", body=b"{}"))
        passed = [each.target for each in upstream.requests]
        assert not [target for target in passed if "authentication" in as_any_server_might_read(target)], passed


async def test_over_http2_too(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    device = pki.device()
    curl = ["curl", "-s", "--http2", "--path-as-is", "--cacert", str(pki.ca_file), "-w", "\n%{http_version}"]
    curl += ["--cert", str(device.certificate), "--key", str(device.key)]
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
    ):
        for path in (*DECIDED, *REFUSED):
            if path.startswith("http"):
                continue
            done = subprocess.run([*curl, gateway.url + path], capture_output=True, text=True, check=True)  # noqa: ASYNC221
            body, _, version = done.stdout.rpartition("\n")
            assert version == "2"
            assert "decision" in body or set(json.loads(body)) == {"error", "request_id"}, path
        assert upstream.requests == []
