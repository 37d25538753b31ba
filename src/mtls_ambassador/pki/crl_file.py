"""CRLs as files give them: several, PEM or DER, checked against the CAs they must be of. Pure."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from mtls_ambassador.model.errors import FaultsError
from mtls_ambassador.pki.crl import crl_pem

_UNDERSTOOD = {ExtensionOID.CRL_NUMBER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER}
_MOST_BITS = 160
"""Of a serial (RFC 5280, 4.1.2.2); longer ones are refused by Envoy's filter without a list."""
_UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
_NEVER = dt.datetime.max.replace(tzinfo=dt.UTC)
_BEGIN, _END = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"


@dataclass(frozen=True, slots=True)
class Crls:
    """Lists of all CAs, each whole and signed by its CA."""

    pem: bytes = field(repr=False)
    serials: dict[str, frozenset[bytes]] = field(repr=False)
    """By the issuer's RFC 4514 text: 40 lower-case digits each."""
    this_update: dt.datetime
    """Of the newest."""
    next_update: dt.datetime
    """When the first of them is stale."""
    stale: str
    """The CA whose list that is."""

    @property
    def count(self) -> int:
        """Entries of all."""
        return sum(len(found) for found in self.serials.values())


def parse_crls(
    content: bytes, authorities: Sequence[x509.Certificate], now: dt.datetime, *, needs_expired: bool = False
) -> Crls:
    """Every CRL in the content. Raises FaultsError when one cannot be read, is of no CA of ours, or one is missing.

    With a CRL of one CA, OpenSSL and Envoy ask for one of every CA of a chain (RFC 5280 section 6.3): a CA without one
    would have all its devices refused, so that is a fault; of a CA that has expired only with `needs_expired`. Of two
    lists of a CA the newer counts.
    """
    blocks = _read(content)
    needed = [item for item in authorities if needs_expired or item.not_valid_after_utc > now]
    newest: dict[bytes, _Block] = {}
    faults = []
    for block in blocks:
        crl = block.crl
        name = crl.issuer.rfc4514_string()
        issuers = [item for item in authorities if item.subject == crl.issuer and _has_signed(item, crl)]
        if not issuers:
            faults.append(f"the CRL of {name} was signed by no CA of the bundle (MTLS_TENANT_CA_PEM)")
        for issuer in issuers:
            own = issuer.public_bytes(Encoding.DER)
            if own not in newest or newest[own].crl.last_update_utc < crl.last_update_utc:
                newest[own] = block
    faults += [
        f"there is no CRL of {item.subject.rfc4514_string()}, which is in the CA bundle: all its devices would be"
        " refused, for every CA of a chain needs one (RFC 5280 section 6.3); an empty one is enough"
        for item in needed
        if item.public_bytes(Encoding.DER) not in newest
    ]
    if faults:
        raise FaultsError(faults)
    return _together(list({id(block): block for block in newest.values()}.values()))


class _Block(NamedTuple):
    """A CRL, and its PEM as it was read: to write a long one anew takes long."""

    crl: x509.CertificateRevocationList
    pem: bytes


def _read(content: bytes) -> list[_Block]:
    if not content.strip():
        raise FaultsError(["holds no whole CRL"])
    try:
        if b"-----BEGIN" in content:
            found = [_Block(x509.load_pem_x509_crl(block), block + b"\n") for block in _blocks(content)]
        else:
            found = [_Block(x509.load_der_x509_crl(content), crl_pem(content))]
        for block in found:
            _refuse_part(block.crl)  # reads names and extensions, which the library does only when asked
    except _UNREADABLE as error:
        raise FaultsError([f"cannot be read as a CRL, PEM or DER: {str(error)[:100]}"]) from error
    if not found or content.count(_BEGIN) != content.count(_END):
        raise FaultsError(["holds no whole CRL"])
    if missing := [block.crl for block in found if block.crl.next_update_utc is None]:
        raise FaultsError([f"the CRL of {missing[0].issuer.rfc4514_string()} has no nextUpdate (RFC 5280, 5.1.2.5)"])
    return found


def _blocks(content: bytes) -> Iterator[bytes]:
    """The PEM blocks; what stands between them is a comment. A pattern would take four times as long."""
    end = 0
    while (begin := content.find(_BEGIN, end)) >= 0 and (end := content.find(_END, begin)) >= 0:
        end += len(_END)
        yield content[begin:end]


def _refuse_part(crl: x509.CertificateRevocationList) -> None:
    """Only whole lists of one CA's own certificates are taken (RFC 5280 sections 5.2.4, 5.2.5): others name fewer."""
    name = crl.issuer.rfc4514_string()
    for extension in crl.extensions:
        if extension.oid in {ExtensionOID.DELTA_CRL_INDICATOR, ExtensionOID.ISSUING_DISTRIBUTION_POINT}:
            raise FaultsError([f"a CRL of {name} is a part of one (delta or distribution point); give the whole list"])
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise FaultsError([f"a CRL of {name} has a critical extension {extension.oid.dotted_string}"])


def _has_signed(issuer: x509.Certificate, crl: x509.CertificateRevocationList) -> bool:
    try:
        return crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]  # other kinds raise TypeError
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False


def _together(blocks: Sequence[_Block]) -> Crls:
    serials: dict[str, frozenset[bytes]] = {}
    for crl, _ in blocks:
        name = crl.issuer.rfc4514_string()
        numbers = (entry.serial_number for entry in crl)
        own = frozenset(b"%040x" % number for number in numbers if number.bit_length() <= _MOST_BITS)
        serials[name] = serials.get(name, frozenset()) | own
    first = min((block.crl for block in blocks), key=lambda crl: crl.next_update_utc or _NEVER)
    assert first.next_update_utc is not None  # noqa: S101 - _read has looked
    return Crls(
        b"".join(block.pem for block in blocks),
        serials,
        max(block.crl.last_update_utc for block in blocks),
        first.next_update_utc,
        first.issuer.rfc4514_string(),
    )
