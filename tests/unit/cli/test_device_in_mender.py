"""`device revoke --in-mender`: what is denied here is rejected there too."""

import asyncio
from pathlib import Path

import pytest

from mtls_ambassador.cli import main
from mtls_ambassador.model.reason import Reason
from mtls_ambassador.sandbox.devauth import Status
from support.enrolment import PASSWORD, USER, Bench, identity_of
from support.pki import Pki

IDENTITY = identity_of("a").canonical


async def test_a_denied_device_is_rejected_in_mender_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Asked for before anything is changed: settings that are not good change nothing."""
    async with Bench.running(tmp_path) as bench:
        assert await bench.reason(bench.device("a"), "a") is Reason.ENROLLED
        monkeypatch.setenv("MTLS_STATE_DIR", str(tmp_path / "state"))
        words = ["device", "revoke", IDENTITY, "--in-mender", "reject"]
        assert await asyncio.to_thread(main, words) == 1
        assert "MTLS_MENDER_BACKEND" in capsys.readouterr().err
        pki = Pki(tmp_path)
        for name, value in {
            "MTLS_MENDER_BACKEND": bench.sandbox.url,
            "MTLS_MENDER_USER": USER,
            "MTLS_MENDER_PASS": PASSWORD,
            "MTLS_SERVER_CERT": str(pki.server.certificate),
            "MTLS_SERVER_KEY": str(pki.server.key),
            "MTLS_TENANT_CA_PEM": str(pki.ca_file),
        }.items():
            monkeypatch.setenv(name, value)
        assert await asyncio.to_thread(main, words) == 0
        assert f"in Mender: {IDENTITY}: rejected" in capsys.readouterr().out
        assert [item.status for item in bench.known("a").auth_sets.values()] == [Status.REJECTED]
