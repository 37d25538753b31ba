"""Envoy's command line and its admin interface."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from mtls_ambassador.envoy.place import RuntimePaths
from mtls_ambassador.envoy.process import Admin, _joined, arguments, binary
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.settings import Listen, Secret, Settings, Upstream

SETTINGS = Settings(
    listen=Listen("", 8080),
    server_certificate=Path("/server.crt"),
    server_key=Path("/server.key"),
    tenant_ca=Path("/ca.pem"),
    upstream=Upstream("https", "mender.example", 443),
    mender_password=Secret("hidden"),
    envoy_path=Path("/opt/envoy"),
)


def test_the_command_line_shows_no_setting() -> None:
    argv = arguments(SETTINGS, RuntimePaths(Path("/run/gateway")), 3)
    assert argv[:3] == ["/opt/envoy", "-c", "/run/gateway/envoy.json"]
    assert argv[argv.index("--concurrency") + 1] == "3"
    assert not [part for part in argv if "hidden" in part or "mender.example" in part]


def test_envoy_comes_with_the_package() -> None:
    assert binary(replace(SETTINGS, envoy_path=None)).is_file()


async def test_nobody_answers(tmp_path: Path) -> None:
    admin = Admin(tmp_path / "admin.sock")
    assert not await admin.is_ready()
    with pytest.raises(AmbassadorError, match="admin interface does not answer /healthcheck/fail"):
        await admin.drain()


@pytest.mark.parametrize("answer", [b"", b"rubbish", b"HTTP/1.1 503 Not ready\r\n\r\nPRE_INITIALIZING"])
async def test_what_is_no_yes_is_a_no(tmp_path: Path, answer: bytes) -> None:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_unix_server(reply, tmp_path / "admin.sock"):
        assert not await Admin(tmp_path / "admin.sock").is_ready()


async def test_connections_are_read_from_the_statistics(tmp_path: Path) -> None:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        assert b"/stats?filter=^http\\.devices\\.downstream_cx_active$ " in request
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhttp.devices.downstream_cx_active: 12\n")
        writer.close()

    async with await asyncio.start_unix_server(reply, tmp_path / "admin.sock"):
        assert await Admin(tmp_path / "admin.sock").device_connections("devices") == 12


@pytest.mark.parametrize(
    ("body", "whole"),
    [(b"0\r\n\r\n", b""), (b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"), (b"4\r\na\r\nb\r\n0\r\n\r\n", b"a\r\nb")],
)
def test_chunks_are_put_together(body: bytes, whole: bytes) -> None:
    assert _joined(body) == whole


@pytest.mark.parametrize("body", [b"", b"3\r\nabc", b"zz\r\n"])
def test_a_body_that_was_cut_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        _joined(body)
