"""The folder of the CAs: one folder in it for each, and `trust.pem` for the gateway."""

import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.pki.authority import Authority, issuer_sha256, spki_sha256
from mtls_ambassador.pki.files import PRIVATE, make_folder, read_file, replace, sync_folder, write_new
from mtls_ambassador.pki.issue import PrivateKey
from mtls_ambassador.pki.keys import encrypted_pem, is_encrypted, load_key

CERTIFICATE = "ca-cert.pem"
KEY = "ca-private.key"
KEY_URI = "key.uri"
CHAIN = "chain.pem"
CRL = "crl.pem"
TRUST = "trust.pem"
JOURNAL = "journal.jsonl"
ROOT = "root"
ISSUING = "issuing"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Secrets:
    """Where the secrets of CA keys come from; asked only for a key that needs one. Each may raise AmbassadorError."""

    passphrase: Callable[[Path], bytes]
    """For the encrypted key in this file."""
    pin: Callable[[str], str]
    """For the token of this PKCS#11 URI."""


@dataclass(frozen=True, slots=True)
class AuthorityHandle:
    """All that is needed to open a CA once more, in another process; may be pickled, must not be shown or stored."""

    folder: Path
    """The CA's own folder."""
    passphrase: bytes | None = field(default=None, repr=False)
    pin: str | None = field(default=None, repr=False)

    def open(self) -> Authority:
        """The CA with its key. Raises AmbassadorError with what is wrong, such as a wrong passphrase."""
        known = read_public(self.folder)
        authority = Authority(known.name, known.certificate, known.chain, self._key())
        if issuer_sha256(known.certificate) != spki_sha256(authority.key.public_key()):
            raise AmbassadorError(f"{self.folder}: the key is not that of {CERTIFICATE}")
        return authority

    def _key(self) -> PrivateKey:
        path = self.folder / KEY
        if path.exists():
            return load_key(read_file(path, "the CA's key"), self.passphrase, path)
        from mtls_ambassador.pki.token import open_key  # noqa: PLC0415 - the library is optional

        return open_key(read_uri(self.folder), self.pin or "")


@dataclass(frozen=True, slots=True)
class PublicAuthority:
    """What of a CA may be known without its key."""

    name: str
    folder: Path
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key_place: str
    """File or PKCS#11 URI the key is in, or `elsewhere`."""


def names(folder: Path) -> list[str]:
    """The CAs in the folder of the CAs, in alphabetic order."""
    try:
        return sorted(item.parent.name for item in folder.glob(f"[!.]*/{CERTIFICATE}"))
    except OSError as error:
        raise AmbassadorError(f"{folder} cannot be read: {error.strerror}") from error


def choose(folder: Path, name: str | None) -> Path:
    """The folder of the CA `name`; of `issuing`, or of the only one there is, when no name is given."""
    known = names(folder)
    if not known:
        raise AmbassadorError(
            f"{folder} has no CA; make one with `mtls-ambassador pki init`, or name another --pki DIR"
        )
    if name is None:
        if ISSUING not in known and len(known) > 1:
            raise UsageError(f"say which CA by --ca: {', '.join(known)}")
        return folder / (ISSUING if ISSUING in known else known[0])
    if name not in known:
        raise UsageError(f"--ca {name}: {folder} has no such CA; it has {', '.join(known)}")
    return folder / name


def make_handle(folder: Path, name: str | None, asked: Secrets) -> AuthorityHandle:
    """What opens the CA `name` (None: see `choose`); asks for the one secret its key needs."""
    own = choose(folder, name)
    path = own / KEY
    if path.exists():
        encrypted = is_encrypted(read_file(path, "the CA's key"))
        return AuthorityHandle(own, passphrase=asked.passphrase(path) if encrypted else None)
    if not (own / KEY_URI).exists():
        raise AmbassadorError(f"{own}: the CA's key is not here; if it was put away, give that folder by --pki")
    return AuthorityHandle(own, pin=asked.pin(read_uri(own)))


def open_authority(folder: Path, name: str | None, asked: Secrets) -> Authority:
    """The CA `name` (None: see `choose`) with its key. Raises AmbassadorError with what is wrong."""
    return make_handle(folder, name, asked).open()


def read_public(own: Path) -> PublicAuthority:
    """The CA in this folder, without its key."""
    certificate = _certificates(own / CERTIFICATE)[0]
    chain = _certificates(own / CHAIN) if (own / CHAIN).exists() else ()
    place = "elsewhere"
    if (own / KEY).exists():
        place = str(own / KEY)
    elif (own / KEY_URI).exists():
        place = read_uri(own)
    return PublicAuthority(own.name, own, certificate, chain, place)


def read_uri(own: Path) -> str:
    """The PKCS#11 URI of the CA's key."""
    return read_file(own / KEY_URI, "the URI of the CA's key").decode().strip()


def _certificates(path: Path) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(read_file(path, "the CA's certificate")))
    except ValueError as error:
        raise AmbassadorError(f"{path}: holds no readable certificate") from error


@dataclass(frozen=True, slots=True)
class NewAuthority:
    """A CA to be put into a folder."""

    name: str
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()
    key: PrivateKey | None = field(default=None, repr=False)
    """None: the key is in a token, or elsewhere."""
    passphrase: bytes | None = field(default=None, repr=False)
    key_uri: str = ""


def check_free(folder: Path, name: str) -> None:
    """Raise an error unless a CA of this name may be made here."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r}: a CA's name is a folder: letters, digits, dot, dash and underscore")
    if (folder / name).exists():
        raise AmbassadorError(f"{folder / name} is there already and is never overwritten")


def add(folder: Path, new: NewAuthority) -> None:
    """Put a CA into the folder of the CAs: all of it or, after a crash, nothing of it. Never overwrites."""
    check_free(folder, new.name)
    make_folder(folder, 0o755)
    staged = folder / f".{new.name}.{secrets.token_hex(4)}"
    make_folder(staged, 0o755)
    try:
        write_new(staged / CERTIFICATE, new.certificate.public_bytes(Encoding.PEM))
        if new.chain:
            write_new(staged / CHAIN, pem_of(new.chain))
        if new.key is not None:
            write_new(staged / KEY, encrypted_pem(new.key, new.passphrase), PRIVATE)
        if new.key_uri:
            write_new(staged / KEY_URI, f"{new.key_uri}\n".encode())
        staged.rename(folder / new.name)
    except OSError as error:
        raise AmbassadorError(f"{folder / new.name} cannot be made: {error.strerror}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    sync_folder(folder)
    write_trust(folder)


def write_trust(folder: Path) -> None:
    """`trust.pem`: every CA's certificate and those above it; what the gateway's MTLS_TENANT_CA_PEM should be."""
    found: dict[bytes, x509.Certificate] = {}
    for name in names(folder):
        known = read_public(folder / name)
        for item in (known.certificate, *known.chain):
            found[item.public_bytes(Encoding.DER)] = item
    replace(folder / TRUST, pem_of(tuple(found.values())))


def pem_of(certificates: tuple[x509.Certificate, ...]) -> bytes:
    """Certificates as PEM, one after the other."""
    return b"".join(item.public_bytes(Encoding.PEM) for item in certificates)
