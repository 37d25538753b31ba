"""`MTLS_BLACKLIST_PATH`: in force on new and on open connections, for nobody else, and no bad file undoes it."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mtls_ambassador.model.store_denials import StoreDenials
from support.client import PATIENCE, until
from support.gateway import STUB, Gateway
from support.pki import Pki
from support.revocation import Line, Traffic, becomes, call, serial_of, swap
from support.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Scene:
    """A gateway with a list that names nobody."""

    gateway: Gateway
    upstream: Upstream
    pki: Pki
    listed: Path


@asynccontextmanager
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    pki, listed = Pki(tmp_path), tmp_path / "blacklist.txt"
    listed.touch()
    environ = {"MTLS_BLACKLIST_PATH": str(listed)}
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB, environ=environ) as gateway,
    ):
        yield Scene(gateway, upstream, pki, listed)


async def test_a_listed_device_is_refused_on_open_and_new_connections_and_comes_back(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        bad, good = at.pki.device("bad"), at.pki.device("good")
        context, other = at.pki.client_context(bad), at.pki.client_context(good)
        async with Line.to(at.gateway, context) as line:
            assert (await line.call(), await call(at.gateway, context)) == (200, 200)
            swap(at.listed, f"# stolen\n0x{serial_of(bad):X}\n".encode())
            await becomes(line.call, 401)
            answer = await line.answer()
            assert answer.json["error"] == "unauthorized (certificate-denied)"
            assert answer.json["request_id"] == answer.headers["x-men-requestid"]
            assert await call(at.gateway, context) == 401
            before = len(at.upstream.requests)
            assert await line.call() == 401
            assert len(at.upstream.requests) == before
            assert await call(at.gateway, other) == 200
            refused = await at.gateway.event("call refused")
            assert (refused["cause"], refused["subject"]) == ("its serial is denied", "CN=bad")


@pytest.mark.parametrize("content", ["no serial\n", "0f" * 21 + "\n"])
async def test_a_bad_list_changes_nothing_and_is_told(tmp_path: Path, content: str) -> None:
    async with scene(tmp_path) as at:
        bad = at.pki.device("bad")
        context = at.pki.client_context(bad)
        swap(at.listed, f"{serial_of(bad):x}\n".encode())
        await becomes(lambda: call(at.gateway, context), 401)
        swap(at.listed, content.encode())
        line = await at.gateway.event("not taken, the old one stays in force")
        assert f"MTLS_BLACKLIST_PATH: {at.listed}: line 1" in line["reason"]
        assert await call(at.gateway, context) == 401


async def test_a_list_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        bad = at.pki.device("bad")
        context = at.pki.client_context(bad)
        swap(at.listed, f"{serial_of(bad):x}\n".encode())
        await becomes(lambda: call(at.gateway, context), 401)
        at.listed.unlink()
        line = await at.gateway.event("not taken, the old one stays in force")
        assert "No such file" in line["reason"]
        assert await call(at.gateway, context) == 401


async def test_a_list_that_could_not_be_read_for_want_of_open_files_is_read_again(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        bad = at.pki.device("bad")
        pid, which = at.gateway.process.pid, resource.RLIMIT_NOFILE
        before = resource.prlimit(pid, which)
        resource.prlimit(pid, which, (3, before[1]))
        swap(at.listed, f"{serial_of(bad):x}\n".encode())
        line = await at.gateway.event("not taken, the old one stays in force")
        assert "Too many open files" in line["reason"]
        resource.prlimit(pid, which, before)
        await becomes(lambda: call(at.gateway, at.pki.client_context(bad)), 401)


async def test_a_list_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        bad = at.pki.device("bad")
        context = at.pki.client_context(bad)
        serial = f"{serial_of(bad):040x}"
        with at.listed.open("w") as file:
            for char in f"{serial}\n":
                file.write(char)
                file.flush()
                await asyncio.sleep(0.03)
        await at.gateway.event("taken")
        assert await call(at.gateway, context) == 401
        assert len(at.gateway.events("taken")) == 1, "no serial that is a part of another was ever in force"


async def test_a_link_that_leads_elsewhere_is_noticed(tmp_path: Path) -> None:
    """As Kubernetes swaps secrets: `..data` is a link to a folder, and is replaced by another link."""
    pki = Pki(tmp_path)
    volume = tmp_path / "volume"
    for name, content in (("..1", ""), ("..2", "")):
        (volume / name).mkdir(parents=True)
        (volume / name / "blacklist.txt").write_text(content)
    (volume / "..data").symlink_to("..1")
    (volume / "blacklist.txt").symlink_to("..data/blacklist.txt")
    bad = pki.device("bad")
    context = pki.client_context(bad)
    environ = {"MTLS_BLACKLIST_PATH": str(volume / "blacklist.txt")}
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB, environ=environ) as gateway,
    ):
        assert await call(gateway, context) == 200
        (volume / "..2" / "blacklist.txt").write_text(f"{serial_of(bad):x}\n")
        (volume / "..data_tmp").symlink_to("..2")
        (volume / "..data_tmp").replace(volume / "..data")
        await becomes(lambda: call(gateway, context), 401)


async def test_a_hundred_thousand_serials_are_in_force(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        bad = at.pki.device("bad")
        context = at.pki.client_context(bad)
        many = "".join(f"{number:x}\n" for number in range(1 << 80, (1 << 80) + 100_000))
        async with Traffic.of(at.gateway, [at.pki.client_context(at.pki.device("good"))]) as traffic:
            swap(at.listed, f"{many}{serial_of(bad):x}\n".encode())
            await becomes(lambda: call(at.gateway, context), 401)
        assert traffic.failed == []
        assert (await at.gateway.event("taken"))["entries"] == 100_001


async def test_fifty_lists_under_load_harm_no_good_device(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        bad = at.pki.device("bad")
        context = at.pki.client_context(bad)
        many = "".join(f"{number:040x}\n" for number in range(1 << 80, (1 << 80) + 1_000))
        goods = [at.pki.client_context(at.pki.device("good")) for _ in range(3)]
        async with Traffic.of(at.gateway, goods) as traffic:
            for turn in range(50):
                swap(at.listed, f"{many}{serial_of(bad):x}\n{turn:x}\n".encode())
                await until(lambda turn=turn: len(at.gateway.events("taken")) > turn)  # type: ignore[misc]  # bound now
            await becomes(lambda: call(at.gateway, context), 401)
        assert traffic.failed == []
        assert traffic.calls > 200


async def test_an_older_list_lets_nobody_in_until_an_operator_says_so(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        first, second, third = (at.pki.device(name) for name in ("first", "second", "third"))
        swap(at.listed, f"{serial_of(first):x}\n{serial_of(second):x}\n".encode())
        await becomes(lambda: call(at.gateway, at.pki.client_context(second)), 401)
        swap(at.listed, f"{serial_of(first):x}\n{serial_of(third):x}\n".encode())
        await becomes(lambda: call(at.gateway, at.pki.client_context(third)), 401)
        line = await at.gateway.event("taken, but")
        assert f"{at.listed} no longer lists {serial_of(second):x}: they stay denied" in line["reason"]
        assert f"device restore --serial {serial_of(second):x}" in line["reason"]
        assert await call(at.gateway, at.pki.client_context(second)) == 401
        store = StoreDenials(1, restored={f"{serial_of(second):040x}": 1.0})
        swap(at.gateway.runtime / "store-denials.json", store.to_json().encode())
        await becomes(lambda: call(at.gateway, at.pki.client_context(second)), 200)
        assert await call(at.gateway, at.pki.client_context(first)) == 401


async def test_what_was_listed_is_remembered_over_a_restart(tmp_path: Path) -> None:
    pki, listed, state = Pki(tmp_path), tmp_path / "blacklist.txt", tmp_path / "state"
    bad = pki.device("bad")
    for content, environ in (
        (f"{serial_of(bad):x}\n", {"MTLS_BLACKLIST_PATH": str(listed)}),
        ("", {"MTLS_BLACKLIST_PATH": str(listed)}),
        ("", {}),
    ):
        listed.write_text(content)
        environ["MTLS_STATE_DIR"] = str(state)
        async with Gateway.running(pki, "http://127.0.0.1:9", command=STUB, environ=environ) as gateway:
            assert await call(gateway, pki.client_context(bad)) == 401
            assert ("stay denied" in (gateway.runtime / "inputs.json").read_text()) == (content == "")


async def test_with_the_setting_a_denial_ends_what_is_open_and_good_devices_come_back(tmp_path: Path) -> None:
    pki, listed = Pki(tmp_path), tmp_path / "blacklist.txt"
    bad, good = pki.device("bad"), pki.device("good")
    listed.write_text("1\n2\n")
    environ = {"MTLS_BLACKLIST_PATH": str(listed), "MTLS_CLOSE_ON_DENIAL": "true", "MTLS_DRAIN_TIME": "1"}
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB, environ=environ) as gateway,
        Line.to(gateway, pki.client_context(bad)) as one,
        Line.to(gateway, pki.client_context(good)) as other,
    ):
        assert (await one.call(), await other.call()) == (200, 200)
        swap(listed, b"1\n2\n# the same\n")
        await gateway.event("taken")
        assert not gateway.events("open connections are closed")
        swap(listed, f"1\n2\n{serial_of(bad):x}\n".encode())
        async with asyncio.timeout(PATIENCE):
            assert (await one.reader.read(), await other.reader.read()) == (b"", b"")
        await gateway.event("open connections are closed")
        assert await call(gateway, pki.client_context(good)) == 200
        assert await call(gateway, pki.client_context(bad)) == 401
