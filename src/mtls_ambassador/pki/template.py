"""Certificates alike but for name, key and serial, made by filling a template instead of building each anew.

One certificate is made by the builder; its TBSCertificate (RFC 5280 section 4.1) is cut into parts, and for each other
device the parts that differ are put in: serial, subject, public key, subject key identifier, subject alternative name.
All else is the builder's, byte for byte; a test holds the two ways to one result.
"""

import hashlib
from dataclasses import dataclass

from cryptography import x509

_SKI, _SAN = bytes.fromhex("551d0e"), bytes.fromhex("551d11")
"""OIDs 2.5.29.14 and 2.5.29.17."""
_IDENTIFIER_OCTETS = 20
_INTEGER, _BITS, _OCTETS, _SEQUENCE, _EXTENSIONS = 0x02, 0x03, 0x04, 0x30, 0xA3


def tlv(tag: int, content: bytes) -> bytes:
    """One DER value (X.690 section 8.1): tag, length, content."""
    length = len(content)
    if length < 0x80:  # noqa: PLR2004 - the short form of X.690 section 8.1.3.4
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets + content


def parts(content: bytes) -> list[bytes]:
    """The DER values that stand one after another in `content`, each with its header."""
    found = []
    start = 0
    while start < len(content):
        end = _content_at(content, start)[1]
        found.append(content[start:end])
        start = end
    return found


def inner(value: bytes) -> bytes:
    """The content of one DER value."""
    start, end = _content_at(value, 0)
    return value[start:end]


def _content_at(data: bytes, start: int) -> tuple[int, int]:
    first = data[start + 1]
    if first < 0x80:  # noqa: PLR2004 - see tlv
        return start + 2, start + 2 + first
    begin = start + 2 + (first & 0x7F)
    return begin, begin + int.from_bytes(data[start + 2 : begin])


@dataclass(frozen=True, slots=True)
class Filling:
    """What one device's certificate has of its own, the last three in DER."""

    serial: int
    subject: bytes
    public_key: bytes
    """SubjectPublicKeyInfo."""
    alternative_name: bytes
    """Value of the subject alternative name extension."""


class Template:
    """Makes TBSCertificates alike to an example."""

    def __init__(self, example: x509.Certificate) -> None:
        values = parts(inner(example.tbs_certificate_bytes))
        version, _, algorithm, issuer, validity, _, _, extensions = values
        self._before_serial = version
        self._algorithm = algorithm
        self._issuer_and_validity = algorithm + issuer + validity
        self._extensions = [_Extension(extension) for extension in parts(inner(inner(extensions)))]

    def fill(self, filling: Filling) -> bytes:
        """The TBSCertificate in DER, ready to be signed."""
        extensions = b"".join(extension.filled(filling) for extension in self._extensions)
        return tlv(
            _SEQUENCE,
            self._before_serial
            + tlv(_INTEGER, filling.serial.to_bytes(filling.serial.bit_length() // 8 + 1))
            + self._issuer_and_validity
            + filling.subject
            + filling.public_key
            + tlv(_EXTENSIONS, tlv(_SEQUENCE, extensions)),
        )

    def certificate(self, tbs: bytes, signature: bytes) -> bytes:
        """The whole certificate in DER."""
        return tlv(_SEQUENCE, tbs + self._algorithm + tlv(_BITS, b"\0" + signature))


class _Extension:
    """One extension of the example, whole unless it is one that differs."""

    def __init__(self, extension: bytes) -> None:
        *before, _ = values = parts(inner(extension))
        oid = inner(values[0])
        self._whole = extension
        self._before_value = b"".join(before)
        self._is_name = oid == _SAN
        self._before_identifier = extension[:-_IDENTIFIER_OCTETS] if oid == _SKI else b""

    def filled(self, filling: Filling) -> bytes:
        """It with this device's value."""
        if self._is_name:
            return tlv(_SEQUENCE, self._before_value + tlv(_OCTETS, filling.alternative_name))
        if self._before_identifier:
            return self._before_identifier + _key_identifier(filling.public_key)
        return self._whole


def _key_identifier(public_key: bytes) -> bytes:
    """SHA-1 of the key's bits without the octet that counts unused ones: RFC 5280 section 4.2.1.2, method 1."""
    bits = inner(parts(inner(public_key))[1])
    return hashlib.sha1(bits[1:], usedforsecurity=False).digest()
