"""A gateway that cannot start says why in one line, exits 1 and leaves nothing behind."""

import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.gateway import STUB, Gateway
from support.pki import Pki


async def failure(pki: Pki, environ: Mapping[str, str]) -> str:
    async with Gateway.running(pki, "http://127.0.0.1:9", command=STUB, environ=environ, wait=False) as gateway:
        assert await gateway.exit_code() == 1
        assert not list(gateway.folder.glob("mtls-ambassador-*"))
    return "\n".join(gateway.lines)


async def test_port_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = await failure(Pki(tmp_path), {"MTLS_LISTEN": f"127.0.0.1:{port}"})
    assert f"cannot bind '127.0.0.1:{port}': Address already in use" in text.splitlines()[-1]


async def test_key_of_another_certificate(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    other = pki.device("other")
    text = await failure(pki, {"MTLS_SERVER_KEY": str(other.key)})
    assert str(other.key) in text
    assert "does not belong to the server certificate" in text


async def test_ca_bundle_without_a_certificate(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    text = await failure(pki, {"MTLS_TENANT_CA_PEM": str(pki.server.key)})
    assert str(pki.server.key) in text


async def test_an_envoy_that_is_none(tmp_path: Path) -> None:
    wrong = tmp_path / "envoy"
    wrong.write_text("#!/bin/sh\necho not me >&2; exit 3\n")
    text = await failure(Pki(tmp_path), {"MTLS_ENVOY_PATH": str(wrong)})
    assert f"{wrong}: cannot run Envoy: Permission denied" in text
    wrong.chmod(0o755)
    assert "not me" in await failure(Pki(tmp_path), {"MTLS_ENVOY_PATH": str(wrong)})


@pytest.mark.parametrize("depth", [80])
async def test_runtime_folder_too_deep(tmp_path: Path, depth: int) -> None:
    deep = tmp_path / ("x" * depth)
    deep.mkdir()
    text = await failure(Pki(tmp_path), {"RUNTIME_DIRECTORY": str(deep)})
    assert "set RUNTIME_DIRECTORY or TMPDIR to a shorter one" in text
    assert "RUNTIME_DIRECTORY" in text
