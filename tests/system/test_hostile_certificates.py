"""Every kind of bad chain is refused in the handshake with its cause in the ledger; what is only odd gets in and does
no harm: the auth request made with it is decided, and every line of the log is one line of JSON.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from mtls_ambassador.pki.issue import make_key, public_key_pem
from mtls_ambassador.sandbox.device_wire import AUTH_PATH, ClientStyle, auth_body, sign
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from support import bad_chains as bad
from support.bad_chains import UNKNOWN, Chain, Roots, below, curve, name, named, usage
from support.client import PATIENCE, request
from support.gateway import Gateway
from support.ledger import rows, until
from support.pki import Files, Pki, validity

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore:Attribute's length"),
]
IN = "in"
REFUSED_AT_AUTH = "certificate-unreadable"
AUTH_KEY = make_key()
MANY = 20
"""Good devices that come at the same time."""


def middle(root: Roots) -> Chain:
    between = bad.ca(root.plain, "between")
    return below(between, between)


TABLE: dict[str, tuple[str, Callable[[Roots], Chain]]] = {
    **{f"good {number}": (IN, lambda r: below(r.plain)) for number in range(MANY)},
    "good, with an intermediate": (IN, middle),
    "no key usage named": (IN, lambda r: below(r.plain, usage=None)),
    "usage of a server": ("wrong-usage", lambda r: below(r.plain, **usage(ExtendedKeyUsageOID.SERVER_AUTH))),
    "any usage": ("wrong-usage", lambda r: below(r.plain, **usage(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE))),
    "issued by a device": ("unknown-ca", bad.under_device),
    "issued by a CA that may not sign": ("unknown-ca", bad.under_bare),
    "path length exceeded": ("wrong-usage", bad.too_deep),
    "names outside the constraint": (
        "wrong-usage",
        lambda r: below(r.narrow, **named(x509.DNSName("evil.example"))),
    ),
    "no names under a constraint": ("wrong-usage", lambda r: below(r.narrow, subject=name("evil.example"))),
    "names within the constraint": (IN, lambda r: below(r.narrow, **named(x509.DNSName("a.good.example")))),
    "unknown critical extension": ("wrong-usage", lambda r: below(r.plain, more=((UNKNOWN, True),))),
    "unknown extension": (IN, lambda r: below(r.plain, more=((UNKNOWN, False),))),
    "expired intermediate": ("expired", bad.under_expired),
    "valid in 20 years": ("not-yet-valid", lambda r: below(r.plain, dates=validity(7300, 7400))),
    "issued by itself": ("unknown-ca", lambda _: (bad.ca(None, "device"),)),
    "loop of CAs of one name": ("unknown-ca", lambda _: bad.loop()),
    "CA of the same name, other key": ("bad-signature", lambda _: bad.namesake()),
    "the CA's own certificate": ("wrong-usage", lambda r: (r.plain,)),
    "chain of 20": (IN, lambda r: bad.long_chain(r.plain, 20)),
    "chain of 100": (IN, lambda r: bad.long_chain(r.plain, 100)),
    "chain of 110": ("unknown-ca", lambda r: bad.long_chain(r.plain, 110)),
    "NUL in the subject": (IN, lambda r: below(r.plain, subject=name("a\0b"))),
    "line ends in the subject": (IN, lambda r: below(r.plain, subject=name('a\r\n{"event":"forged"}\x1b[31m"\\'))),
    "bidi in the subject": (IN, lambda r: below(r.plain, subject=name("a\u202eb\u2066c"))),
    "subject of 64 kB": (IN, lambda r: below(r.plain, subject=name("x" * 65_536))),
    "subject of 90 kB, odd": (IN, lambda r: below(r.plain, subject=name("\u202e" * 30_000))),
    "subject of 120 kB": ("other", lambda r: below(r.plain, subject=name("x" * 120_000))),
    "no subject": (IN, lambda r: below(r.plain, subject=x509.Name([]))),
    "a thousand names": (IN, lambda r: below(r.plain, subject=x509.Name(list(name("x")) * 1000))),
    "a thousand alternative names": (
        IN,
        lambda r: below(r.plain, **named(*(x509.DNSName(f"a{number}") for number in range(1000)))),
    ),
    "refused, with a subject of 90 kB": (
        "not-yet-valid",
        lambda r: below(r.plain, subject=name("\n\u202e" * 22_000), dates=validity(1, 2)),
    ),
    "P-224": ("no-common-algorithm", lambda r: below(r.plain, **curve(ec.SECP224R1))),
    "secp256k1": ("no-common-algorithm", lambda r: below(r.plain, **curve(ec.SECP256K1))),
    "Brainpool": ("no-common-algorithm", lambda r: below(r.plain, **curve(ec.BrainpoolP256R1))),
    "RSA, exponent 3": (IN, lambda r: below(r.plain, key=rsa.generate_private_key(3, 2048))),
}
OLD = {"sha256-1024": IN, "sha1-2048": IN, "md5-2048": "bad-signature", "sha256-512": REFUSED_AT_AUTH}
"""Made by OpenSSL: digest of the signature and bits of the RSA key."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of all chains, each shown once from an address of its own, all at the same time."""

    gateway: Gateway
    statuses: dict[str, int]
    """Of the auth request; 0 when there was no answer."""
    causes: dict[str, list[str]]
    """In the ledger."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seen(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seen]:
    pki = Pki(tmp_path_factory.mktemp("pki"))
    roots = Roots.make(pki.ca)
    root = Files.write(pki.folder, "root", roots.old)
    pki.ca_file.write_bytes(roots.pem)
    shown = {case: written(pki.folder, make(roots)) for case, (_, make) in TABLE.items()}
    shown |= {case: bad.made_by_openssl(root, *case.split("-")) for case in OLD}
    async with (
        SandboxServer.running(SandboxConfig(password="password")) as sandbox,
        Gateway.running(pki, sandbox.url) as gateway,
    ):
        work = [show(gateway.port, lax(pki, files), number) for number, files in enumerate(shown.values())]
        statuses = dict(zip(shown, await asyncio.gather(*work), strict=True))
        refused = [case for case, status in statuses.items() if status == 0]
        await until(gateway, "refusal", lambda row: row["cause"] == REFUSED_AT_AUTH)
        await until(gateway, "refusal", lambda row: row["kind"] == "handshake", len(refused))
        found = rows(gateway, "refusal")
        by_address = {case: address(number) for number, case in enumerate(shown)}
        causes = {case: [row["cause"] for row in found if row["address"] == by_address[case]] for case in shown}
        yield Seen(gateway, statuses, causes)


def outcome(case: str) -> str:
    return OLD.get(case) or TABLE[case][0]


def address(number: int) -> str:
    return f"127.0.2.{number + 1}"


def written(folder: Path, chain: Chain) -> Files:
    return Files.write(folder, f"{chain[0].certificate.serial_number:x}", chain[0], chain[1:])


def lax(pki: Pki, files: Files) -> ssl.SSLContext:
    """A client that itself minds nothing. TLS 1.2: in 1.3 OpenSSL keeps a certificate back whose curve is not in it."""
    context = ssl.create_default_context(cafile=str(pki.ca_file))
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(files.certificate, files.key)
    return context


async def show(port: int, context: ssl.SSLContext, number: int) -> int:
    """A handshake and an auth request; its status, or 0."""
    body = auth_body({"n": number}, public_key_pem(AUTH_KEY), tenant_token="", style=ClientStyle.GO)
    call = request(
        AUTH_PATH,
        "Content-Type: application/json",
        f"X-MEN-Signature: {sign(body, AUTH_KEY)}",
        method="POST",
        body=body,
    )
    with suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=context, server_hostname="localhost", local_addr=(address(number), 0)
            )
            writer.write(call)
            head = await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()
            return int(head.split()[1])
    return 0


@pytest.mark.parametrize("case", [*TABLE, *OLD])
async def test_as_promised(seen: Seen, case: str) -> None:
    wanted = outcome(case)
    if wanted == REFUSED_AT_AUTH:
        assert (seen.statuses[case], seen.causes[case]) == (401, [wanted])
    elif wanted == IN:
        assert (seen.statuses[case], seen.causes[case]) == (200, [])
    else:
        assert (seen.statuses[case], seen.causes[case]) == (0, [wanted])


async def test_every_line_of_the_log_is_one_of_json(seen: Seen) -> None:
    assert all(json.loads(line)["event"] for line in seen.gateway.lines)
    assert seen.gateway.events("forged") == seen.gateway.events("envoy says") == []
    assert max(map(len, seen.gateway.lines)) < 4096


async def test_no_line_for_the_ledger_was_lost(seen: Seen) -> None:
    url = f"http://127.0.0.1:{seen.gateway.admin_port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert "mtls_ambassador_observations_lost_total 0.0" in await answer.text()
