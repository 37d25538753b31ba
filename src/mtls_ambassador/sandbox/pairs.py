"""Certificate and key files read into a pair, with errors that name the file and what would be right."""

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.issue import Pair, PrivateKey
from mtls_ambassador.pki.pem import read_pem


def read_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM file; raises AmbassadorError when there is none or one cannot be read."""
    pem = read_pem(_read(path))
    if pem.errors:
        raise AmbassadorError(f"{path}: {pem.errors[0]}")
    if not pem.certificates:
        seen = f"it holds {', '.join(pem.labels)}" if pem.labels else "it is not PEM"
        raise AmbassadorError(f"{path}: no certificate in it ({seen}); a PEM file with BEGIN CERTIFICATE is wanted")
    return pem.certificates


def read_pair(certificate: Path, key: Path, passphrase: Path | None = None) -> Pair:
    """The first certificate of a file and its key; raises AmbassadorError when they do not belong together."""
    first = read_certificates(certificate)[0]
    private = read_key(key, passphrase)
    own = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if own != first.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        subject = first.subject.rfc4514_string()
        raise AmbassadorError(f"{key}: is not the key of the certificate in {certificate} ({subject})")
    return Pair(first, private)


def read_key(path: Path, passphrase: Path | None = None) -> PrivateKey:
    """A private key in PEM; `passphrase` is a file whose first line opens it."""
    word = None if passphrase is None else _read(passphrase).partition(b"\n")[0].rstrip(b"\r")
    data = _read(path)
    try:
        key = load_pem_private_key(data, password=word)
    except TypeError as error:
        if word is None:
            raise AmbassadorError(f"{path}: is encrypted; name the file with its passphrase") from error
        key = load_pem_private_key(data, password=None)
    except (ValueError, UnsupportedAlgorithm) as error:
        wrong = "cannot be read with that passphrase" if word else "holds no readable private key in PEM form"
        raise AmbassadorError(f"{path}: {wrong}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
        raise AmbassadorError(f"{path}: is of a kind Mender does not use; RSA, EC or Ed25519 is wanted")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AmbassadorError(f"{path}: {error.strerror}") from error
