"""The CAs whose certificates the records can be asked for."""

from pathlib import Path

from cryptography import x509

from mtls_ambassador.pki import folder
from mtls_ambassador.pki.authority import issuer_sha256


def known_authorities(pki_dir: Path, *more: x509.Certificate) -> dict[str, bytes]:
    """SHA-256 of the SPKI of the CAs that are kept here, and of more, by the text of their subject."""
    known = [folder.read_public(pki_dir / name).certificate for name in folder.names(pki_dir)]
    return {item.subject.rfc4514_string(): issuer_sha256(item) for item in (*known, *more)}
