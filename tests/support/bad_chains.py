"""Chains that a device should not get in with, or must do no harm with, after the kinds of x509-limbo."""

import subprocess
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mtls_ambassador.pki.issue import KeyKind, Pair, PrivateKey, Validity, make_key
from support.pki import Files, validity

Extension = tuple[x509.ExtensionType, bool]
CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")


def name(text: str) -> x509.Name:
    """One common name, however long and whatever is in it."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text, _validate=False)])


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be different from a good certificate."""

    subject: x509.Name = field(default_factory=lambda: name("device"))
    key: PrivateKey | None = None
    is_ca: bool = False
    path_length: int | None = None
    usage: x509.ExtendedKeyUsage | None = CLIENT
    more: tuple[Extension, ...] = ()
    dates: Validity = field(default_factory=validity)


def issue(issuer: Pair | None, wish: Wish) -> Pair:
    """A certificate as wished, by `issuer` or of itself."""
    key = wish.key or make_key()
    builder = x509.CertificateBuilder(
        subject_name=wish.subject,
        issuer_name=issuer.certificate.subject if issuer else wish.subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=wish.dates.not_before,
        not_valid_after=wish.dates.not_after,
    )
    builder = builder.add_extension(x509.BasicConstraints(wish.is_ca, wish.path_length), critical=True)
    if wish.usage is not None:
        builder = builder.add_extension(wish.usage, critical=False)
    for extension, critical in wish.more:
        builder = builder.add_extension(extension, critical=critical)
    return Pair(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def ca(issuer: Pair | None, text: str, **more: object) -> Pair:
    wish = {"usage": None, "is_ca": True} | more
    return issue(issuer, Wish(name(text), **wish))  # type: ignore[arg-type]  # a shorthand


def leaf(issuer: Pair, **wish: object) -> Pair:
    return issue(issuer, Wish(**wish))  # type: ignore[arg-type]  # a shorthand


@dataclass(frozen=True, slots=True)
class Roots:
    """What the gateway trusts."""

    plain: Pair
    narrow: Pair
    """Constrained to DNS names below `good.example`."""
    old: Pair
    """With an RSA key, which old digests can be signed with."""

    @classmethod
    def make(cls, plain: Pair) -> "Roots":
        permitted = x509.NameConstraints([x509.DNSName("good.example")], None)
        return cls(
            plain,
            ca(None, "Narrow CA", more=((permitted, True),)),
            ca(None, "Old CA", key=make_key(KeyKind.RSA)),
        )

    @property
    def pem(self) -> bytes:
        return b"".join(each.certificate_pem for each in (self.plain, self.narrow, self.old))


Chain = tuple[Pair, ...]
"""The device's pair first, then what it sends along."""


def long_chain(root: Pair, length: int) -> Chain:
    chain = [ca(root, "level 0")]
    for number in range(1, length):
        chain.append(ca(chain[-1], f"level {number}"))
    return (leaf(chain[-1]), *reversed(chain))


def loop() -> Chain:
    """Two CAs of one name, each signed by the other's key."""
    one = ca(None, "loop")
    other = ca(one, "loop")
    again = Pair(issue(other, Wish(name("loop"), one.key, is_ca=True, usage=None)).certificate, one.key)
    return leaf(again), again, other, again, other


def below(issuer: Pair, *cas: Pair, **wish: object) -> Chain:
    return leaf(issuer, **wish), *cas


def under_expired(roots: Roots) -> Chain:
    middle = ca(roots.plain, "old", dates=validity(-9, -1))
    return below(middle, middle)


def under_device(roots: Roots) -> Chain:
    device = leaf(roots.plain)
    return below(device, device)


def under_bare(roots: Roots) -> Chain:
    """Its issuer says CA, but its key usage has no signing of certificates."""
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    middle = ca(roots.plain, "no signer", more=((usage, True),))
    return below(middle, middle)


def namesake() -> Chain:
    """Of a CA that only has the name of the trusted one."""
    other = ca(None, "Test CA")
    return below(other, other)


def too_deep(roots: Roots) -> Chain:
    """A CA below one that lets none be below it."""
    short = ca(roots.plain, "lets none", path_length=0)
    middle = ca(short, "one too many")
    return below(middle, middle, short)


def named(*names: x509.GeneralName) -> dict[str, object]:
    return {"more": ((x509.SubjectAlternativeName(names), False),)}


def usage(*oids: x509.ObjectIdentifier) -> dict[str, object]:
    return {"usage": x509.ExtendedKeyUsage(oids)}


def curve(kind: type[ec.EllipticCurve]) -> dict[str, object]:
    return {"key": ec.generate_private_key(kind())}


def made_by_openssl(root: Files, digest: str, bits: str) -> Files:
    """What `cryptography` would not make: a signature of an old digest, or a very short RSA key."""
    folder = root.key.parent
    made = Files(folder / f"{digest}-{bits}.crt", folder / f"{digest}-{bits}.key")
    asked = f"req -new -newkey rsa:{bits} -nodes -keyout {made.key} -subj /CN=device -out {made.key}.csr"
    signed = f"x509 -req -in {made.key}.csr -CA {root.certificate} -CAkey {root.key} -{digest} -out {made.certificate}"
    for command in (asked, f"{signed} -CAcreateserial -days 9"):
        subprocess.run(["openssl", *command.split()], check=True, capture_output=True)
    return made
