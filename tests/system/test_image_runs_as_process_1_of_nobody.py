import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from mtls_ambassador import __version__
from mtls_ambassador.sandbox.server import SandboxServer
from mtls_ambassador.sandbox.state import SandboxConfig
from support.client import ask, request
from support.pki import run_seed_commands
from support.ports import free_port
from unit.deploy.container import STATE, Container, build, stop
from unit.deploy.dockerfile import read_stages

NOBODY = 65534
BUILD, IMAGE = read_stages()


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the image has in /opt, built as the Dockerfile says; not left behind, for it is large."""
    folder = tmp_path_factory.mktemp("image")
    yield build(BUILD, folder)
    rmtree(folder)


@pytest.fixture
async def container(venv: Path, tmp_path: Path) -> AsyncIterator[Container]:
    """The seed's files at the seed's paths, its variables, and a Mender server to name in them."""
    run_seed_commands(tmp_path)
    # As docs/operator/containers.md tells: openssl made it for its owner's eyes only.
    os.chown(tmp_path / "server-private.key", NOBODY, NOBODY)
    volume = tmp_path / "volume"
    volume.mkdir(mode=0o700)
    os.chown(volume, NOBODY, NOBODY)
    config = SandboxConfig()
    async with SandboxServer.running(config) as mender:
        yield Container(
            venv,
            volume,
            mounts={
                "/etc/mtls/certs/server/server.crt": tmp_path / "server-cert.pem",
                "/etc/mtls/certs/server/server.key": tmp_path / "server-private.key",
                "/etc/mtls/certs/tenant-ca/tenant.ca.pem": tmp_path / "ca-cert.pem",
            },
            environ={
                "MTLS_MENDER_USER": config.user,
                "MTLS_MENDER_PASS": config.password,
                "MTLS_MENDER_BACKEND": mender.url,
                "MTLS_DEBUG_LOG": "true",
                # The tests' network is shared, so the default ports may be taken.
                "MTLS_LISTEN": f":{free_port()}",
                "MTLS_ADMIN_LISTEN": f"127.0.0.1:{free_port()}",
                "MTLS_ENVOY_WORKERS": "1",
            },
        )


def test_image_has_no_installer(venv: Path) -> None:
    assert (venv / "bin" / "mtls-ambassador").exists()
    assert not list(venv.glob("bin/pip*"))
    assert not list(venv.glob("lib/python*/site-packages/pip*"))
    assert not list(venv.glob("lib/python*/site-packages/hatchling*"))


async def test_the_stand_in_is_as_strict_as_a_container(container: Container, tmp_path: Path) -> None:
    look = (
        "import os\n"
        "def may(path):\n"
        "    try: open(path + '/new', 'w').close()\n"
        "    except OSError: return False\n"
        "    return True\n"
        "status = open('/proc/self/status').read()\n"
        "print(os.getpid(), os.getuid(), os.getgid(), os.getgroups())\n"
        "print([line.split()[1] for line in status.splitlines() if line.startswith(('Cap', 'NoNewPrivs'))])\n"
        f"print([path for path in ('/', '/etc', '/opt/mtls-ambassador', '/tmp', {STATE!r}) if may(path)])\n"
    )
    code, output = await container.run(folder(tmp_path), "python", "-c", look)
    ids, rights, writable = output.splitlines()
    assert code == 0
    assert ids == f"1 {NOBODY} {NOBODY} []"
    assert rights == str(["0" * 16] * 5 + ["1"])
    assert writable == f"['/tmp', {STATE!r}]"


async def test_version(container: Container, tmp_path: Path) -> None:
    code, output = await container.run(folder(tmp_path), *IMAGE.only("ENTRYPOINT").argv, "--version")
    assert (code, output.strip()) == (0, f"mtls-ambassador, version {__version__}")


async def test_check_is_content_with_the_seeds_files_and_variables(container: Container, tmp_path: Path) -> None:
    code, output = await container.run(folder(tmp_path), *IMAGE.only("ENTRYPOINT").argv, "check")
    assert code == 0, output
    assert f"{STATE} can be written" in output
    assert "may preauthorize devices" in output


async def test_a_key_nobody_may_not_read_is_said_so(container: Container, tmp_path: Path) -> None:
    os.chown(tmp_path / "server-private.key", 0, 0)
    code, output = await container.run(folder(tmp_path), *IMAGE.only("ENTRYPOINT").argv, "check")
    assert code == 1
    assert "/etc/mtls/certs/server/server.key cannot be read: Permission denied" in output


async def test_gateway_serves_as_process_1_gets_healthy_and_ends_by_sigterm(
    container: Container, tmp_path: Path
) -> None:
    argv = [*IMAGE.only("ENTRYPOINT").argv, *IMAGE.only("CMD").argv]
    async with asyncio.timeout(60), container.started(folder(tmp_path), *argv) as gateway:
        health = IMAGE.only("HEALTHCHECK").argv
        number = 0
        while (await container.run(folder(tmp_path, f"health-{number}"), *health))[0] != 0:
            assert gateway.returncode is None
            number += 1
            await asyncio.sleep(0.2)
        port = int(container.environ["MTLS_LISTEN"][1:])
        assert (await ask(port, seed_device(tmp_path), request("/status"))).json == {"status": "ok"}
        assert (container.volume / "ambassador.db").stat().st_uid == NOBODY
        stop(gateway)
        output, _ = await gateway.communicate()
        assert gateway.returncode == 0, output.decode()


def folder(above: Path, name: str = "root") -> Path:
    made = above / name
    made.mkdir()
    return made


def seed_device(made: Path) -> ssl.SSLContext:
    """The seed's device; its server certificate has no SAN, so Python cannot compare names."""
    context = ssl.create_default_context(cafile=str(made / "ca-cert.pem"))
    context.check_hostname = False
    context.load_cert_chain(made / "device-cert.pem", made / "device-private.key")
    return context
