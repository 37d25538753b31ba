"""`MTLS_INSECURE_SKIP_CLIENT_EXPIRE_AFTER`: a certificate's end does not matter, its begin and its CA still do."""

from pathlib import Path

from mtls_ambassador.pki.issue import make_ca
from support.gateway import STUB, Gateway
from support.pki import Pki, validity
from support.revocation import Line, call
from support.upstream import Upstream


async def test_the_expired_are_let_in_and_nobody_else(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    expired, early = pki.device("old", dates=validity(-9, -1)), pki.device("new", dates=validity(1, 9))
    environ = {"MTLS_INSECURE_SKIP_CLIENT_EXPIRE_AFTER": "true"}
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB, environ=environ) as gateway,
    ):
        assert await call(gateway, pki.client_context(expired)) == 200
        assert await call(gateway, pki.client_context(early)) in {401, "refused"}
        assert await call(gateway, pki.client_context(pki.stranger())) == "refused"


async def test_devices_of_a_ca_that_has_expired_are_let_in_too(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    old = make_ca("Old CA", validity(-9, -1))
    device = pki.client_context(pki.device("of-old", ca=old))
    pki.ca_file.write_bytes(pki.ca.certificate_pem + old.certificate_pem)
    for value, wanted in (("false", "refused"), ("true", 200)):
        environ = {"MTLS_INSECURE_SKIP_CLIENT_EXPIRE_AFTER": value}
        async with (
            Upstream.running() as upstream,
            Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB, environ=environ) as gateway,
        ):
            assert await call(gateway, device) == wanted


async def test_a_certificate_that_ends_while_connected_is_refused_from_then_on(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
    ):
        soon = pki.device("soon", dates=validity(-1, 4 / 86_400))
        async with Line.to(gateway, pki.client_context(soon)) as line:
            seen = {await line.call()}
            while 401 not in seen:
                seen.add(await line.call())
        assert seen == {200, 401}
        assert (await gateway.event("call refused"))["cause"] == "the device certificate has expired"
