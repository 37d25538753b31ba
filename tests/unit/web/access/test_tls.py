"""TLS of the admin listener: which pair is in force, also after one of another kind of key; `status` speaks to it."""

import asyncio
import ssl
from pathlib import Path

import pytest
from aiohttp import web

from mtls_ambassador.cli import main
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.issue import KeyKind, make_ca, make_server
from mtls_ambassador.web.access.tls import AdminTls
from mtls_ambassador.web.admin import make_app
from mtls_ambassador.web.service import serving
from support.admin import admin_context
from support.pki import Files, validity

CA = make_ca("CA", validity())


def pair(folder: Path, kind: KeyKind) -> Files:
    return Files.write(folder, "admin", make_server(CA, ["localhost"], validity(), kind=kind))


@pytest.mark.parametrize(("first", "second"), [(KeyKind.P256, KeyKind.RSA), (KeyKind.RSA, KeyKind.P256)])
async def test_a_new_pair_is_the_only_one_whatever_its_kind(tmp_path: Path, first: KeyKind, second: KeyKind) -> None:
    files = pair(tmp_path, first)
    tls = AdminTls(files.certificate, files.key)
    async with admin_context(tmp_path) as context, serving(make_app(context)) as runner:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.context).start()
        address = ("127.0.0.1", runner.addresses[0][1])
        before = await asyncio.to_thread(ssl.get_server_certificate, address)
        assert before.strip() in files.certificate.read_text()
        pair(tmp_path, second)
        tls._take()  # noqa: SLF001 - what happens when the files have changed
        after = await asyncio.to_thread(ssl.get_server_certificate, address)
        assert after.strip() in files.certificate.read_text()
        assert after != before
        files.key.write_text("nothing")
        tls._take()  # noqa: SLF001 - see above
        assert await asyncio.to_thread(ssl.get_server_certificate, address) == after


def test_no_pair_is_told_with_both_settings(tmp_path: Path) -> None:
    files = pair(tmp_path, KeyKind.P256)
    files.key.write_text("nothing")
    with pytest.raises(AmbassadorError, match=r"MTLS_ADMIN_TLS_CERT .* and MTLS_ADMIN_TLS_KEY .*: must be"):
        AdminTls(files.certificate, files.key)


async def test_status_trusts_that_one_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = pair(tmp_path, KeyKind.P256)
    tls = AdminTls(files.certificate, files.key)
    async with admin_context(tmp_path) as context, serving(make_app(context)) as runner:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.context).start()
        address = f"127.0.0.1:{runner.addresses[0][1]}"
        monkeypatch.setenv("MTLS_ADMIN_TLS_CERT", str(files.certificate))
        assert await asyncio.to_thread(main, ["status", "--admin", address]) == 0
        other = tmp_path / "other.pem"
        other.write_bytes(make_ca("Other", validity()).certificate_pem)
        monkeypatch.setenv("MTLS_ADMIN_TLS_CERT", str(other))
        assert await asyncio.to_thread(main, ["status", "--admin", address]) == 1
    assert "its certificate is not MTLS_ADMIN_TLS_CERT" in capsys.readouterr().err
