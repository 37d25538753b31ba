"""What the store denies of one CA hits no other CA's device of the same serial, whatever the CA is called."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from mtls_ambassador.model.store_denials import StoreDenials
from mtls_ambassador.pki.issue import Pair, make_ca
from support.gateway import STUB, Gateway
from support.pki import Files, Pki, validity
from support.revocation import Line, becomes, call, serial_of, swap
from support.upstream import Upstream

SERIAL = 0x1001
NAMES = {
    "plain": [(NameOID.COMMON_NAME, "Plain CA")],
    "several parts": [(NameOID.COUNTRY_NAME, "NO"), (NameOID.ORGANIZATION_NAME, "A, B"), (NameOID.COMMON_NAME, "CA")],
    "not ASCII": [(NameOID.COMMON_NAME, "Geräte-CA"), (NameOID.ORGANIZATION_NAME, 'Müller "&" Söhne')],
}
KEY = ec.generate_private_key(ec.SECP256R1())


def signed(folder: Path, name: x509.Name, issuer: x509.Name, serial: int, *, is_ca: bool) -> Files:
    dates = validity()
    builder = x509.CertificateBuilder(issuer, name, KEY.public_key(), serial, dates.not_before, dates.not_after)
    builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    stem = f"{'ca' if is_ca else 'device'}-{hash(issuer)}"
    files = Files(folder / f"{stem}.crt", folder / f"{stem}.key")
    files.certificate.write_bytes(builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM))
    files.key.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


@pytest.mark.parametrize("case", NAMES)
async def test_one_issuers_serial(tmp_path: Path, case: str) -> None:
    pki = Pki(tmp_path)
    one = x509.Name([x509.NameAttribute(oid, value) for oid, value in NAMES[case]])
    other = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Another CA")])
    device = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "device")])
    authorities = [signed(tmp_path, name, name, 1, is_ca=True) for name in (one, other)]
    pki.ca_file.write_bytes(pki.ca.certificate_pem + b"".join(files.certificate.read_bytes() for files in authorities))
    of_one, of_other = (
        pki.client_context(signed(tmp_path, device, name, SERIAL, is_ca=False)) for name in (one, other)
    )
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
    ):
        path = gateway.runtime / "store-denials.json"

        async def both() -> tuple[object, object]:
            return await call(gateway, of_one), await call(gateway, of_other)

        assert await both() == (200, 200)
        text = one.rfc4514_string()
        now = dt.datetime.now(dt.UTC).timestamp()
        for denied, wanted in (
            (StoreDenials(1, of_issuers={text: (f"{SERIAL:040x}",)}), (401, 200)),
            (StoreDenials(2), (200, 200)),
            (StoreDenials(3, spans=((text, int(now) - 10 * 86_400, int(now)),)), (401, 200)),
            (StoreDenials(4, spans=(("", int(now) - 10 * 86_400, int(now)),)), (401, 401)),
            (StoreDenials(5, spans=(("", int(now), int(now) + 86_400),)), (200, 200)),
            (StoreDenials(6, issuers=(text,)), ("refused", 200)),
            (StoreDenials(7), (200, 200)),
        ):
            swap(path, denied.to_json().encode())
            await becomes(both, wanted)


async def test_whoever_has_the_key_of_a_denied_ca_gets_nowhere(tmp_path: Path) -> None:
    """Neither with a CA of their own below it, nor with the issuer's name in other letters, which still matches."""
    pki = Pki(tmp_path)
    other = make_ca("Another CA", validity())
    pki.ca_file.write_bytes(pki.ca.certificate_pem + other.certificate_pem)
    below = make_ca("Below", validity(), issuer=pki.ca)
    odd = replace(pki.ca, certificate=renamed(pki.ca, "test  ca"))
    forged = [
        pki.client_context(pki.device("plain")),
        pki.client_context(pki.device("below", ca=below, chain=(below,))),
        pki.client_context(pki.device("odd", ca=odd)),
    ]
    good = pki.client_context(pki.device("good", ca=other))
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
        Line.to(gateway, forged[1]) as line,
    ):
        assert [await call(gateway, context) for context in (*forged, good)] == [200] * 4
        assert await line.call() == 200
        denied = StoreDenials(
            1, issuers=(x509.load_pem_x509_certificate(pki.ca.certificate_pem).subject.rfc4514_string(),)
        )
        swap(gateway.runtime / "store-denials.json", denied.to_json().encode())
        await becomes(line.call, 401)
        await gateway.event("taken")
        assert [await call(gateway, context) in {401, "refused"} for context in forged] == [True] * 3
        assert await call(gateway, good) == 200


async def test_what_is_denied_of_a_ca_that_only_devices_show_is_refused(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    below = make_ca("Below", validity(), issuer=pki.ca)
    bad, good = (pki.device(name, ca=below, chain=(below,)) for name in ("bad", "good"))
    async with (
        Upstream.running() as upstream,
        Gateway.running(pki, f"http://127.0.0.1:{upstream.port}", command=STUB) as gateway,
    ):
        for version, denied in enumerate(
            (
                StoreDenials(of_issuers={"CN=Below": (f"{serial_of(bad):040x}",)}),
                StoreDenials(of_authorities={"00" * 32: (f"{serial_of(bad):040x}",)}),
            )
        ):
            swap(gateway.runtime / "store-denials.json", replace(denied, version=version).to_json().encode())
            await becomes(lambda: call(gateway, pki.client_context(bad)), 401)
            assert await call(gateway, pki.client_context(good)) == 200
            swap(gateway.runtime / "store-denials.json", StoreDenials(9).to_json().encode())
            await becomes(lambda: call(gateway, pki.client_context(bad)), 200)


def renamed(ca: Pair, name: str) -> x509.Certificate:
    """The CA's certificate as another program could write it: the same key, the name in other letters."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    dates = validity()
    key = ca.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, dates.not_before, dates.not_after)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256())
