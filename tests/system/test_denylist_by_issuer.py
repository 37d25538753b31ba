"""What the store denies of one CA hits no other CA's device of the same serial, whatever the CA is called."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from mtls_ambassador.model.store_denials import StoreDenials
from support.gateway import STUB, Gateway
from support.pki import Files, Pki, validity
from support.revocation import becomes, call, swap
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
            (StoreDenials(6, issuers=(text,)), (401, 200)),
            (StoreDenials(7), (200, 200)),
        ):
            swap(path, denied.to_json().encode())
            await becomes(both, wanted)
