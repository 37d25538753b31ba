"""What reads bytes of strangers, each with the one kind of error it may raise, and something good to begin from.

Used by `tests/unit/test_fuzz_targets.py`, a few hundred inputs each, and by `fuzz/run.py`, for as long as one likes.
"""

import base64
import contextlib
import datetime as dt
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote, quote_from_bytes

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from mtls_ambassador.flows.envoy_lines import EnvoyLog, RefusalLog
from mtls_ambassador.flows.ledger import Ledger
from mtls_ambassador.flows.observations import observe
from mtls_ambassador.image.partition_table import read_table
from mtls_ambassador.mender.messages import read_auth_request
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.reason import RefusedError
from mtls_ambassador.pki.crl_file import parse_crls
from mtls_ambassador.pki.csr import read_csr
from mtls_ambassador.pki.inspect import inspect_ca_bundle, inspect_server
from mtls_ambassador.pki.issue import make_ca, make_device, make_key, public_key_pem
from mtls_ambassador.pki.order_csv import read_order
from mtls_ambassador.pki.parse import device_certificate_from_header
from mtls_ambassador.pki.pem import trust_fault
from mtls_ambassador.pki.serial_file import parse_serials
from mtls_ambassador.sandbox.device_wire import ClientStyle, auth_body, sign
from mtls_ambassador.settings.load import read
from support.bad_chains import name
from support.pki import validity
from support.revocation import crl
from support.tables import Gpt, Memory, disk, entry, mbr

KEY = make_key()
CA = make_ca("CA", validity())
DEVICE = make_device(CA, "device", validity(), key=KEY)
NOW = dt.datetime.now(dt.UTC)
BODY = auth_body({"mac": "52:54", "n": 1.5}, public_key_pem(KEY), tenant_token="t", style=ClientStyle.GO)
SIGNATURE = sign(BODY, KEY)
LINE = {
    "refused_handshake": "certificate_has_expired",
    "certificate": quote(DEVICE.certificate_pem),
    "address": "192.0.2.1:5",
    "serial": "0a",
    "subject": "CN=device",
    "issuer": "CN=CA",
    "fingerprint": "ab" * 32,
    "tls": "TLSv1.3",
}
CSR = x509.CertificateSigningRequestBuilder().subject_name(name("device")).sign(KEY, hashes.SHA256())
CRL = crl(CA, [1, 2, 3])


@dataclass(frozen=True, slots=True)
class Target:
    """One reader; `run` lets nothing but the declared error escape, so that whatever is raised is a finding."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def target(read_it: Callable[[bytes], object], *errors: type[Exception], seeds: tuple[bytes, ...]) -> Target:
    def run(data: bytes) -> None:
        with warnings.catch_warnings(action="ignore"), contextlib.suppress(*errors):
            read_it(data)

    return Target(run, seeds)


def _certificate(der: bytes) -> None:
    """As Envoy would hand it over, whatever is in it."""
    device_certificate_from_header.__wrapped__(quote_from_bytes(_pem(der)))


def _pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


def _header(data: bytes) -> None:
    device_certificate_from_header.__wrapped__(data.decode("latin1"))


def _lines(data: bytes) -> None:
    with structlog.testing.capture_logs():
        RefusalLog(lambda _seconds, _call: None, lambda _line: None).read(data)
        EnvoyLog().read(data)


def _order(data: bytes) -> None:
    list(read_order(data, "order.csv").rows())


def _trust(data: bytes) -> None:
    trust_fault(data)
    inspect_ca_bundle(data, NOW)
    inspect_server(data, data, NOW)


def _config(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.conf"
        path.write_bytes(data)
        read({}, config_file=path)


def _environment(data: bytes) -> None:
    pairs = (line.partition("=") for line in data.decode(errors="replace").replace("\0", "").splitlines())
    read({key: value for key, _, value in pairs})


TARGETS: dict[str, Target] = {
    "auth request": target(lambda data: read_auth_request(data, SIGNATURE), RefusedError, seeds=(BODY,)),
    "auth signature": target(
        lambda data: read_auth_request(BODY, data.decode("latin1")), RefusedError, seeds=(SIGNATURE.encode(),)
    ),
    "identity": target(
        lambda data: Identity.parse(data.decode()),
        ValueError,
        seeds=(b'{"mac":"52:54","a":[1,2.5e3,null,{"b":true}]}',),
    ),
    "certificate": target(_certificate, ValueError, seeds=(DEVICE.certificate.public_bytes(Encoding.DER),)),
    "certificate header": target(_header, ValueError, seeds=(quote(DEVICE.certificate_pem).encode(),)),
    "lines of Envoy": target(
        _lines, seeds=(json.dumps(LINE).encode(), b"info\tmain\tall well", b'{"denied_call":"serial"}')
    ),
    "lines for the ledger": target(
        lambda data: observe(Ledger(lambda: NOW), data),
        seeds=(json.dumps(LINE).encode(), b'{"connection":"","fingerprint":"a"}', b'{"lost":1}'),
    ),
    "order": target(_order, AmbassadorError, seeds=(b"name,O,identity.mac\na,Acme,52:54\n",)),
    "partition table": target(
        lambda data: read_table(Memory(data)),
        AmbassadorError,
        seeds=(disk(64, (0, mbr(entry(0x83, 1, 2)))).data, Gpt([(34, 35, "a"), (36, 40, "b")]).disk(64).data),
    ),
    "CA and server files": target(
        _trust, seeds=(CA.certificate_pem, DEVICE.certificate_pem + DEVICE.key_pem, DEVICE.certificate_pem * 2)
    ),
    "CA of a file": target(
        lambda data: _trust(_pem(data)),
        seeds=(CA.certificate.public_bytes(Encoding.DER), DEVICE.certificate.public_bytes(Encoding.DER)),
    ),
    "CRL file": target(
        lambda data: parse_crls(data, [CA.certificate], NOW),
        AmbassadorError,
        seeds=(CRL, x509.load_pem_x509_crl(CRL).public_bytes(Encoding.DER)),
    ),
    "serials": target(parse_serials, AmbassadorError, seeds=(b"0a:0B # one\nserial=0x1f\r\n",)),
    "CSR": target(
        lambda data: read_csr(data, Path("device.csr")),
        AmbassadorError,
        seeds=(CSR.public_bytes(Encoding.PEM), CSR.public_bytes(Encoding.DER)),
    ),
    "configuration file": target(
        _config, AmbassadorError, seeds=(b'{"HTTPS":{"Enabled":true,"Listen":":8080"},"Features":{"mTLS":{}}}',)
    ),
    "environment": target(
        _environment, AmbassadorError, seeds=(b"MTLS_LISTEN=:8080\nMTLS_MENDER_BACKEND=https://x:1\nMTLS_CRL_GRACE=2h",)
    ),
}
