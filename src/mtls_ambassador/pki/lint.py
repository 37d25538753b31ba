"""Lint of certificates and CRLs by pkilint before they leave: a breach of RFC 5280 stops them.

pkilint takes milliseconds a certificate, so a gate lints one of each shape: certificates that differ in nothing but
serial, key bits, signature, and the letters and digits of their names (at the same lengths) count as one.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from mtls_ambassador.model.errors import AmbassadorError

_FALSE_ALARMS = {
    # A URN has no authority (RFC 5280 section 4.2.1.6), and is a URI all the same (RFC 8141 section 2).
    "pkix.invalid_uri_syntax": re.compile(
        r'"urn:[a-z0-9][a-z0-9-]{0,30}[a-z0-9]:(?:[A-Za-z0-9._~!$&\'()*+,;=:@/-]|%[0-9A-F]{2})+"'
    ),
    # RFC 1034 section 3.5: one label, such as localhost or a container's name, is a domain name.
    "pkix.invalid_domain_name_syntax": re.compile(r'"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"'),
}
"""What pkilint says against values that RFC 5280 allows."""
_BAD = {"FATAL", "ERROR"}


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One thing pkilint found."""

    severity: str
    """`FATAL`, `ERROR`, `WARNING` or `NOTICE`."""
    code: str
    place: str
    """Where, as a path through the certificate."""
    message: str = ""

    @property
    def stops(self) -> bool:
        """Whether what has it must not leave."""
        return self.severity in _BAD

    def __str__(self) -> str:
        return f"{self.severity} {self.code} at {self.place}" + (f" ({self.message})" if self.message else "")


def lint(der: bytes) -> list[LintFinding]:
    """What RFC 5280 says against a certificate in DER; what cannot be read at all is one FATAL finding."""
    from pkilint import loader  # type: ignore[import-untyped]  # noqa: PLC0415 - untyped; takes a second to load

    return _run(_certificate_linter(), loader.RFC5280CertificateDocumentLoader(), der)


def lint_crl(der: bytes) -> list[LintFinding]:
    """What RFC 5280 says against a CRL in DER."""
    from pkilint import loader  # noqa: PLC0415 - see above

    return _run(_crl_linter(), loader.RFC5280CertificateListDocumentLoader(), der)


def check_crl(der: bytes) -> None:
    """Raise AmbassadorError when the CRL must not leave."""
    _refuse("CRL", lint_crl(der))


@dataclass(slots=True)
class LintGate:
    """Lets certificates through: each shape is linted once."""

    _seen: set[bytes] = field(default_factory=set)
    linted: int = 0
    """How many were linted in full."""

    def check(self, der: bytes) -> None:
        """Raise AmbassadorError when the certificate must not leave. Fails closed: so does one that cannot be read."""
        own = shape(der)
        if own in self._seen:
            return
        self.linted += 1
        _refuse("certificate", lint(der))
        self._seen.add(own)


def _refuse(what: str, findings: list[LintFinding]) -> None:
    bad = [str(item) for item in findings if item.stops]
    if bad:
        raise AmbassadorError(f"the {what} breaks RFC 5280 and was not let out: {'; '.join(bad)}")


def _run(linter: Any, loader: Any, der: bytes) -> list[LintFinding]:  # noqa: ANN401 - pkilint has no types
    try:
        results = linter.validate(loader.load_der_document(der, "").root)
    except ValueError as error:
        return [LintFinding("FATAL", "unreadable", "", str(error))]
    findings = [
        LintFinding(str(found.finding.severity), found.finding.code, result.node.path, found.message or "")
        for result in results
        for found in result.finding_descriptions
    ]
    return [item for item in findings if not _is_false_alarm(item)]


def _is_false_alarm(item: LintFinding) -> bool:
    allowed = _FALSE_ALARMS.get(item.code)
    return allowed is not None and allowed.search(item.message) is not None


@cache
def _certificate_linter() -> Any:  # noqa: ANN401 - pkilint has no types
    from pkilint.pkix import certificate, extension, name  # type: ignore[import-untyped]  # noqa: PLC0415 - untyped; see above

    return certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )


@cache
def _crl_linter() -> Any:  # noqa: ANN401 - pkilint has no types
    from pkilint import pkix  # noqa: PLC0415 - see above
    from pkilint.pkix import crl, extension, name  # noqa: PLC0415 - see above

    return crl.create_pkix_crl_validator_container(
        [
            pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
            pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
        ],
        [
            crl.create_issuer_validator_container([]),
            crl.create_validity_validator_container([]),
            crl.create_extensions_validator_container([]),
        ],
    )


_SEQUENCE, _SET, _INTEGER, _BIT_STRING, _OCTET_STRING, _OID, _VERSION = 0x30, 0x31, 0x02, 0x03, 0x04, 0x06, 0xA0
_COUNTRY = bytes.fromhex("0603550406")
_SAN, _SKI = bytes.fromhex("0603551d11"), bytes.fromhex("0603551d0e")
_ALIKE = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", b"A" * 26 + b"a" * 26 + b"0" * 10
)


def shape(der: bytes) -> bytes:
    """SHA-256 of a certificate without what may differ between certificates that lint alike.

    Serial, key bits, SKI and signature keep only their lengths; in the subject's values and the SAN every letter and
    digit counts as any other of its kind. All else counts as it is: issuer, dates, algorithms, other extensions.
    """
    try:
        return hashlib.sha256(b"\0".join(_shape(der))).digest()
    except (IndexError, ValueError):  # no DER, or not of a certificate
        return hashlib.sha256(b"\0\0" + der).digest()


def _shape(der: bytes) -> Iterator[bytes]:
    (outer,) = _parts(der, 0, len(der))
    tbs, algorithm, signature = _parts(der, outer[1], outer[2])
    yield der[algorithm[0] : algorithm[2]]
    yield b"%d" % (signature[2] - signature[1])
    parts = list(_parts(der, tbs[1], tbs[2]))
    if der[parts[0][0]] == _VERSION:
        yield der[parts[0][0] : parts[0][2]]
        parts = parts[1:]
    serial, _, issuer, validity, subject, spki, *rest = parts
    yield b"%d %d" % (serial[2] - serial[1], der[serial[1]] & 0x80)
    yield der[issuer[0] : validity[2]]
    yield from _subject(der, subject)
    key_algorithm, bits = _parts(der, spki[1], spki[2])
    yield der[key_algorithm[0] : key_algorithm[2]]
    yield b"%d" % (bits[2] - bits[1])
    for item in rest:
        yield from _extensions(der, item)


def _subject(der: bytes, part: tuple[int, int, int]) -> Iterator[bytes]:
    for _, start, end in _parts(der, part[1], part[2]):
        value = der[start:end]
        yield value if _COUNTRY in value else _without_letters(der, start, end)


def _without_letters(der: bytes, start: int, end: int) -> bytes:
    """The attributes of an RDN: types as they are, values with letters and digits made alike."""
    found = b""
    for _, at, until in _parts(der, start, end):
        kind, value = _parts(der, at, until)
        found += der[kind[0] : value[1]] + der[value[1] : value[2]].translate(_ALIKE)
    return found


def _extensions(der: bytes, part: tuple[int, int, int]) -> Iterator[bytes]:
    if der[part[0]] != 0xA3:  # noqa: PLR2004 - the tag [3] of extensions
        yield der[part[0] : part[2]]
        return
    (inner,) = _parts(der, part[1], part[2])
    for whole, start, end in _parts(der, inner[1], inner[2]):
        text = der[whole:end]
        if der.startswith(_SKI, start):
            yield b"ski %d" % len(text)
        elif der.startswith(_SAN, start):
            yield text[:12] + text[12:].translate(_ALIKE)
        else:
            yield text


def _parts(der: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The TLVs between two offsets, each as offsets of its tag, its contents, and its end. DER, short tags."""
    at = start
    while at < end:
        length, body = der[at + 1], at + 2
        if length & 0x80:
            count = length & 0x7F
            length, body = int.from_bytes(der[body : body + count], "big"), body + count
        yield at, body, body + length
        at = body + length
