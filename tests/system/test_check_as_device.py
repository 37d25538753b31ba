"""`check --as-device` meets what a device meets, and says why, on a machine without any setting of the gateway."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from mtls_ambassador.pki.issue import Pair, make_ca
from support.gateway import clean_environ
from support.mender import World
from support.pki import Files, validity

MAC = "52:54:00:12:34:56"


async def run(*options: str) -> tuple[int, dict[str, str]]:
    """Exit code, and by the check what was seen with what would be right."""
    command = [sys.executable, "-m", "mtls_ambassador", "check", "--as-device", "--json", *options]
    done = await asyncio.to_thread(
        subprocess.run, command, env=clean_environ(), capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode == 2:
        return 2, {"": done.stderr}
    found = json.loads(done.stdout)["checks"]
    return done.returncode, {item["name"]: f"{item['level']}: {item['seen']}; {item['right']}" for item in found}


async def test_what_a_device_meets(tmp_path: Path) -> None:
    async with World.running(tmp_path) as world:
        where = ["--url", f"https://localhost:{world.gateway.port}"]
        known = [*where, "--ca", str(world.pki.ca_file)]
        numbers = iter(range(100))

        def shown(pair: Pair) -> list[str]:
            files = Files.write(tmp_path, f"shown-{next(numbers)}", pair)
            return ["--cert", str(files.certificate), "--key", str(files.key)]

        good = world.pair("good")
        code, said = await run(*known, *shown(good))
        assert (code, list(said)) == (0, ["connection", "handshake"])
        assert world.accepted(MAC) is None, "a handshake alone enrols nobody"
        identity = ["--identity", json.dumps({"mac": MAC})]
        code, said = await run(*known, *shown(good), *identity)
        assert code == 0
        assert "accepted" in said["auth request"]
        assert world.accepted(MAC)
        code, said = await run(*known, *shown(world.pair("other")), *identity)
        assert code == 1
        assert "(identity-taken)" in said["auth request"]
        assert "device approve" in said["auth request"]
        assert "(no-certificate)" in (await run(*known))[1]["handshake"]
        cases = {
            "unknown-ca": world.pki.stranger(),
            "expired": world.pki.device("old", dates=validity(-9, -1)),
        }
        for cause, files in cases.items():
            code, said = await run(*known, "--cert", str(files.certificate), "--key", str(files.key))
            assert code == 1
            assert f"({cause})" in said["handshake"]
        other = tmp_path / "other.pem"
        other.write_bytes(make_ca("Another", validity()).certificate_pem)
        assert "not trusted" in (await run(*where, "--ca", str(other)))[1]["handshake"]
        async with world.sandbox.outage():
            code, said = await run(*known, *shown(world.pair("late")), "--identity", '{"mac":"b"}')
            assert code == 0, "told to come again"
            assert "(upstream-unreachable)" in said["auth request"]


async def test_wrong_usage_is_told(tmp_path: Path) -> None:
    assert "--url" in (await run())[1][""]
    assert "--url" in (await run("--url", "http://localhost"))[1][""]
    key = tmp_path / "key.pem"
    assert "--cert" in (await run("--url", "https://localhost:1", "--key", str(key)))[1][""]
