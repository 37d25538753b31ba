"""Certificate revocation lists (RFC 5280 section 5): version 2, complete, direct.

Written as DER by hand: the library's builder copies its list for every entry, too slow for 100 000 of them.
"""

import datetime as dt
from binascii import b2a_base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.revocation import CrlEntry, RevocationReason
from mtls_ambassador.pki.authority import Authority
from mtls_ambassador.pki.signature import algorithm_of, sign
from mtls_ambassador.pki.template import inner, parts, tlv

_INTEGER, _BITS, _OCTETS, _OID, _ENUMERATED, _SEQUENCE = 0x02, 0x03, 0x04, 0x06, 0x0A, 0x30
_UTC_TIME, _GENERALIZED_TIME, _CRL_EXTENSIONS = 0x17, 0x18, 0xA0
_FIRST_GENERALIZED = 2050
"""RFC 5280 section 5.1.2.4: UTCTime up to 2049."""


@dataclass(frozen=True, slots=True)
class CrlHead:
    """All of a CRL but its entries; times in whole seconds."""

    number: int
    this_update: dt.datetime
    next_update: dt.datetime


@dataclass(frozen=True, slots=True)
class Crl:
    """A signed CRL in DER."""

    der: bytes
    sample: bytes
    """It with one entry of each shape instead of all, to be linted and never handed out.

    Entries of one shape have the same reason, length of serial and form of time, so what a linter says of one is true
    of all. Its signature is that of the whole, and so is wrong.
    """


def make_crl(authority: Authority, head: CrlHead, entries: Sequence[CrlEntry]) -> Crl:
    """Sign a CRL. Raises AmbassadorError when the CA's certificate does not let it sign one."""
    refuse_without_right(authority.certificate)
    tbs = _tbs(authority, head, _entries(entries))
    end = algorithm_of(authority.key) + tlv(_BITS, b"\0" + sign(authority.key, tbs))
    shapes = {(item.reason, item.serial.bit_length() // 8, _is_late(item.at)): item for item in entries}
    sample = _tbs(authority, head, _entries(shapes.values()))
    return Crl(tlv(_SEQUENCE, tbs + end), tlv(_SEQUENCE, sample + end))


def refuse_without_right(issuer: x509.Certificate) -> None:
    """RFC 5280 section 4.2.1.3: a CA whose certificate names key usages must have cRLSign among them."""
    try:
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.crl_sign:
        raise AmbassadorError("the CA's certificate has key usages without cRLSign, so no CRL of it would be taken")


def number_of(crl_pem: bytes) -> tuple[int, dt.datetime]:
    """Number and thisUpdate of a CRL; 0 for a version 1 CRL. Raises ValueError when it is none."""
    crl = x509.load_pem_x509_crl(crl_pem)
    try:
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        number = 0
    return number, crl.last_update_utc


def crl_pem(crl: bytes) -> bytes:
    """The CRL as PEM (RFC 7468 section 6)."""
    text = b2a_base64(crl, newline=False)
    lines = (text[at : at + 64] for at in range(0, len(text), 64))
    return b"\n".join((b"-----BEGIN X509 CRL-----", *lines, b"-----END X509 CRL-----\n"))


def _tbs(authority: Authority, head: CrlHead, entries: bytes) -> bytes:
    extensions = _extension(authority.key_identifier) + _extension(x509.CRLNumber(head.number))
    return tlv(
        _SEQUENCE,
        _integer(1)
        + algorithm_of(authority.key)
        + _subject(authority.certificate)
        + _time(head.this_update)
        + _time(head.next_update)
        + (tlv(_SEQUENCE, entries) if entries else b"")
        + tlv(_CRL_EXTENSIONS, tlv(_SEQUENCE, extensions)),
    )


def _subject(issuer: x509.Certificate) -> bytes:
    """The CA's name byte for byte as in its certificate, because names are compared as bytes here and there."""
    values = parts(inner(issuer.tbs_certificate_bytes))
    has_version = values[0][0] == 0xA0  # noqa: PLR2004 - the tag; a version 1 certificate has none
    return values[5 if has_version else 4]


def _extension(value: x509.ExtensionType) -> bytes:
    return tlv(_SEQUENCE, _oid(value.oid) + tlv(_OCTETS, value.public_bytes()))


def _oid(name: x509.ObjectIdentifier) -> bytes:
    """Of an extension of RFC 5280, all of whose arcs are below 128."""
    first, second, *rest = (int(arc) for arc in name.dotted_string.split("."))
    return tlv(_OID, bytes((40 * first + second, *rest)))


def _entries(revocations: Iterable[CrlEntry]) -> bytes:
    reasons = {reason: _reason(reason) for reason in RevocationReason}
    return b"".join(
        tlv(_SEQUENCE, _integer(item.serial) + _time(item.at) + reasons[item.reason]) for item in revocations
    )


def _reason(reason: RevocationReason) -> bytes:
    """RFC 5280 section 5.3.1: left out when unspecified."""
    if reason is RevocationReason.UNSPECIFIED:
        return b""
    value = tlv(_OCTETS, tlv(_ENUMERATED, bytes((reason.code,))))
    return tlv(_SEQUENCE, tlv(_SEQUENCE, _oid(x509.CRLReason.oid) + value))


def _integer(value: int) -> bytes:
    return tlv(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


@lru_cache(1024)
def _time(value: dt.datetime) -> bytes:
    utc = value.astimezone(dt.UTC)
    if _is_late(utc):
        return tlv(_GENERALIZED_TIME, f"{utc:%Y%m%d%H%M%SZ}".encode())
    return tlv(_UTC_TIME, f"{utc:%y%m%d%H%M%SZ}".encode())


def _is_late(value: dt.datetime) -> bool:
    return value.year >= _FIRST_GENERALIZED
