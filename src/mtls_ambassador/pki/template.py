"""Certificates alike but for name, key and serial, made by filling a template instead of building each anew.

One certificate is made by the builder; its TBSCertificate (RFC 5280 section 4.1) is cut into parts, and for each other
device the parts that differ are put in: serial, subject, public key, subject key identifier, subject alternative name.
All else is the builder's, byte for byte; a test holds the two ways to one result.
"""

import hashlib
from dataclasses import dataclass

from cryptography import x509

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
        self._extensions = [_Extension.of(extension) for extension in parts(inner(inner(extensions)))]

    def fill(self, filling: Filling) -> bytes:
        """The TBSCertificate in DER, ready to be signed."""
        own = {
            x509.SubjectKeyIdentifier.oid.dotted_string: tlv(_OCTETS, _key_identifier(filling.public_key)),
            x509.SubjectAlternativeName.oid.dotted_string: filling.alternative_name,
        }
        extensions = b"".join(
            extension.with_value(own[extension.name]) if extension.name in own else extension.whole
            for extension in self._extensions
        )
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


@dataclass(frozen=True, slots=True)
class _Extension:
    name: str
    before_value: bytes
    """OID and, where it is TRUE, `critical`."""
    whole: bytes

    @classmethod
    def of(cls, extension: bytes) -> "_Extension":
        *before, _ = values = parts(inner(extension))
        return cls(_dotted(inner(values[0])), b"".join(before), extension)

    def with_value(self, value: bytes) -> bytes:
        return tlv(_SEQUENCE, self.before_value + tlv(_OCTETS, value))


def _dotted(oid: bytes) -> str:
    """An OID's text, for those of RFC 5280: below 2.5 every arc is one octet; others are never asked for."""
    return ".".join(str(arc) for arc in (oid[0] // 40, oid[0] % 40, *oid[1:]))


def _key_identifier(public_key: bytes) -> bytes:
    """SHA-1 of the key's bits without the octet that counts unused ones: RFC 5280 section 4.2.1.2, method 1."""
    bits = inner(parts(inner(public_key))[1])
    return hashlib.sha1(bits[1:], usedforsecurity=False).digest()
