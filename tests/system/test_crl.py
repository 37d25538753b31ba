"""`MTLS_CRL_PATH`: who is revoked is refused in the handshake and on open connections; bad lists, stale lists."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mtls_ambassador.envoy.process import binary
from mtls_ambassador.pki.issue import make_ca
from mtls_ambassador.settings import Listen, Settings
from mtls_ambassador.settings import Upstream as Server
from support.client import until
from support.gateway import STUB, Gateway
from support.pki import Pki, validity
from support.revocation import Line, Traffic, becomes, call, crl, serial_of, swap
from support.upstream import Upstream

SETTINGS = Settings(Listen("", 1), Path("c"), Path("k"), Path("ca"), Server("http", "x", 80))
NOT_TAKEN = "not taken, the old one stays in force"


@asynccontextmanager
async def running(pki: Pki, path: Path, **environ: str) -> AsyncIterator[Gateway]:
    given = {"MTLS_CRL_PATH": str(path), **environ}
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB, environ=given) as gateway,
    ):
        yield gateway


@pytest.mark.parametrize("form", ["PEM", "DER"])
async def test_a_revoked_certificate_is_refused_in_the_handshake_and_on_open_connections(
    tmp_path: Path, form: str
) -> None:
    pki, path = Pki(tmp_path), tmp_path / "crl"
    swap(path, crl(pki.ca))
    bad, good = pki.device("bad"), pki.device("good")
    context, other = pki.client_context(bad), pki.client_context(good)
    async with running(pki, path) as gateway, Line.to(gateway, context) as line:
        assert (await line.call(), await call(gateway, context), await call(gateway, other)) == (200, 200, 200)
        new = crl(pki.ca, [serial_of(bad)], number=2)
        if form == "DER":
            new = x509.load_pem_x509_crl(new).public_bytes(Encoding.DER)
        swap(path, new)
        await becomes(line.call, 401)
        await becomes(lambda: call(gateway, context), "refused")
        assert "is in a CRL" in (await gateway.event("handshake refused"))["cause"]
        assert await call(gateway, other) == 200


async def test_a_ca_below_the_root_that_has_no_list_lets_nobody_in(tmp_path: Path) -> None:
    """With roots alone in the bundle only the device's own certificate is looked up: so none may be between them."""
    pki, path = Pki(tmp_path), tmp_path / "crl"
    swap(path, crl(pki.ca, [1]))
    below = make_ca("Below", validity(), issuer=pki.ca)
    namesake = make_ca("Test CA", validity(), issuer=pki.ca)  # whose devices OpenSSL takes for the root's
    async with running(pki, path) as gateway:
        trust = (gateway.runtime / "secret-devices.json").read_text()
        assert '"only_verify_leaf_cert_crl": true' in trust
        for ca in (below, namesake):
            device = pki.device("of-another", ca=ca, chain=(ca,))
            assert await call(gateway, pki.client_context(device)) == "refused"
        assert await call(gateway, pki.client_context(pki.device("good"))) == 200
        pki.ca_file.write_bytes(pki.ca.certificate_pem + below.certificate_pem)
        swap(path, crl(pki.ca, [1], number=2) + crl(below))
        of_below = pki.client_context(pki.device("of-below", ca=below))
        await becomes(lambda: call(gateway, of_below), 200)
        assert "only_verify_leaf_cert_crl" not in (gateway.runtime / "secret-devices.json").read_text()


async def test_bad_lists_change_nothing_and_say_what_would_be_right(tmp_path: Path) -> None:
    pki, path = Pki(tmp_path), tmp_path / "crl.pem"
    bad = pki.device("bad")
    swap(path, crl(pki.ca, [serial_of(bad)]))
    context = pki.client_context(bad)
    stranger = make_ca("Test CA", validity())
    async with running(pki, path) as gateway:
        for count, (content, words) in enumerate(
            (
                (b"", "holds no whole CRL"),
                (b"rubbish", "cannot be read as a CRL"),
                (crl(pki.ca, [serial_of(bad)])[:200], "holds no whole CRL"),
                (crl(stranger), "was signed by no CA of the bundle"),
            ),
            1,
        ):
            swap(path, content)
            line = await gateway.event(NOT_TAKEN, count)
            assert words in line["reason"]
            assert f"MTLS_CRL_PATH: {path}" in line["reason"]
            assert await call(gateway, context) == "refused"


async def test_every_ca_of_the_bundle_needs_one(tmp_path: Path) -> None:
    pki, path = Pki(tmp_path), tmp_path / "crl.pem"
    second = make_ca("Second CA", validity())
    pki.ca_file.write_bytes(pki.ca.certificate_pem + second.certificate_pem)
    swap(path, crl(pki.ca))
    async with Gateway.running(
        pki, "http://127.0.0.1:9", command=STUB, environ={"MTLS_CRL_PATH": str(path)}, wait=False
    ) as gateway:
        assert await gateway.exit_code() == 1
    assert "there is no CRL of CN=Second CA" in "\n".join(gateway.lines)
    swap(path, crl(pki.ca) + crl(second))
    async with running(pki, path) as gateway:
        assert await call(gateway, pki.client_context(pki.device(ca=second))) == 200


async def test_a_stale_list_still_counts_with_an_alarm_until_the_grace_is_over(tmp_path: Path) -> None:
    pki, path = Pki(tmp_path), tmp_path / "crl.pem"
    bad, good = pki.device("bad"), pki.device("good")
    below = make_ca("Below", validity(), issuer=pki.ca)  # which the list may have revoked
    of_below = pki.device("of-below", ca=below, chain=(below,))
    swap(path, crl(pki.ca, [serial_of(bad)], days=-0.1))
    async with running(pki, path) as gateway:
        assert await call(gateway, pki.client_context(good)) == 200
        assert await call(gateway, pki.client_context(bad)) == 401
        assert await call(gateway, pki.client_context(of_below)) == "refused"
        assert "stale since" in (gateway.runtime / "inputs.json").read_text()
        swap(path, crl(pki.ca, [serial_of(bad)], number=2))
        await becomes(lambda: call(gateway, pki.client_context(bad)), "refused")
        assert "stale since" not in (gateway.runtime / "inputs.json").read_text()
    swap(path, crl(pki.ca, [serial_of(bad)], days=-0.1))
    async with running(pki, path, MTLS_CRL_GRACE="1h") as gateway:
        assert await call(gateway, pki.client_context(good)) == "refused"


async def test_a_hundred_thousand_entries_are_taken_while_good_devices_call(tmp_path: Path) -> None:
    pki, path = Pki(tmp_path), tmp_path / "crl.pem"
    swap(path, crl(pki.ca))
    bad = pki.device("bad")
    context = pki.client_context(bad)
    many = crl(pki.ca, [*range(1 << 80, (1 << 80) + 100_000), serial_of(bad)], number=2)
    async with running(pki, path) as gateway:
        async with Traffic.of(gateway, [pki.client_context(pki.device("good"))]) as traffic:
            swap(path, many)
            await until(lambda: bool(gateway.events("taken")))
            await becomes(lambda: call(gateway, context), "refused")
        assert traffic.failed == []


async def test_a_list_that_becomes_stale_while_serving_shuts_nobody_out_even_when_its_file_is_bad(
    tmp_path: Path,
) -> None:
    pki, path = Pki(tmp_path), tmp_path / "crl.pem"
    bad, good = pki.client_context(device := pki.device("bad")), pki.client_context(pki.device("good"))
    swap(path, crl(pki.ca, [serial_of(device)], days=13 / 86_400))  # five of them are left out
    async with running(pki, path) as gateway:
        assert (await call(gateway, good), await call(gateway, bad)) == (200, "refused")
        swap(path, b"rubbish")
        await gateway.event(NOT_TAKEN)
        async with Traffic.of(gateway, [good]) as traffic:
            await becomes(lambda: call(gateway, bad), 401)
            await asyncio.sleep(6)  # past its end
        assert traffic.failed == []


async def test_bundle_and_list_are_taken_together_in_whichever_order_they_come(tmp_path: Path) -> None:
    pki, path = Pki(tmp_path), tmp_path / "crl.pem"
    swap(path, crl(pki.ca))
    second = make_ca("Second CA", validity())
    bad, new = pki.device("bad"), pki.device("new", ca=second)
    async with running(pki, path) as gateway:
        swap(pki.ca_file, pki.ca.certificate_pem + second.certificate_pem)
        line = await gateway.event(NOT_TAKEN)
        assert "there is no CRL of CN=Second CA" in line["reason"]
        swap(path, crl(pki.ca, [serial_of(bad)], number=2) + crl(second))
        await becomes(lambda: call(gateway, pki.client_context(new)), 200)
        assert await call(gateway, pki.client_context(bad)) == "refused"
        assert 'fault": ""' in (gateway.runtime / "inputs.json").read_text()


async def test_a_list_that_is_still_to_come_is_taken_when_its_time_has(tmp_path: Path) -> None:
    pki, path = Pki(tmp_path), tmp_path / "crl.pem"
    swap(path, crl(pki.ca))
    bad, good = pki.device("bad"), pki.device("good")
    async with running(pki, path) as gateway:
        swap(path, crl(pki.ca, [serial_of(bad)], age=-5 / 86_400, number=2))
        line = await gateway.event(NOT_TAKEN)
        assert "still to come; compare the clocks" in line["reason"]
        assert await call(gateway, pki.client_context(good)) == 200
        await becomes(lambda: call(gateway, pki.client_context(bad)), "refused")
        assert len(gateway.events(NOT_TAKEN)) == 1, "told once, however often it is tried"


async def test_a_revoked_ca_stays_out_when_its_list_is_stale(tmp_path: Path) -> None:
    """Then calls are held against it one by one: of a CA that is revoked all are refused."""
    pki, path = Pki(tmp_path), tmp_path / "crl.pem"
    below = make_ca("Below", validity(), issuer=pki.ca)
    device = pki.client_context(pki.device("below", ca=below))
    pki.ca_file.write_bytes(pki.ca.certificate_pem + below.certificate_pem)
    serial = x509.load_pem_x509_certificate(below.certificate_pem).serial_number
    swap(path, crl(pki.ca, [serial], days=-0.1) + crl(below))
    async with running(pki, path) as gateway:
        assert await call(gateway, device) in {401, "refused"}
        assert await call(gateway, pki.client_context(pki.device("good"))) == 200


async def test_a_check_that_fails_is_made_again(tmp_path: Path) -> None:
    """Lists in force are not lost over it, and a restart of Envoy finds them."""
    pki, path, broken = Pki(tmp_path), tmp_path / "crl.pem", tmp_path / "broken"
    swap(path, crl(pki.ca))
    bad, good = pki.device("bad"), pki.device("good")
    wrapper = tmp_path / "envoy"
    wrapper.write_text(
        f'#!/bin/sh\ncase "$*" in *validate*) [ -e {broken} ] && exit 1;; esac\nexec {binary(SETTINGS)} "$@"\n'
    )
    wrapper.chmod(0o755)
    async with running(pki, path, MTLS_ENVOY_PATH=str(wrapper)) as gateway:
        broken.touch()
        for number in (2, 3, 4):
            swap(path, crl(pki.ca, [serial_of(bad)], days=number, number=number))
            await asyncio.sleep(1)
        await gateway.event(NOT_TAKEN)
        assert await call(gateway, pki.client_context(bad)) == 200
        os.kill(gateway.child("envoy.json"), signal.SIGKILL)
        await becomes(lambda: call(gateway, pki.client_context(good)), 200)
        broken.unlink()
        await becomes(lambda: call(gateway, pki.client_context(bad)), "refused")
