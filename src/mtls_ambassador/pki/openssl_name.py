"""A name as OpenSSL prints it by RFC 2253, which is how Envoy names issuers. Pure."""

from cryptography import x509
from cryptography.x509.oid import NameOID

_SHORT = {
    NameOID.COMMON_NAME: "CN",
    NameOID.COUNTRY_NAME: "C",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.SERIAL_NUMBER: "serialNumber",
    NameOID.EMAIL_ADDRESS: "emailAddress",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.USER_ID: "UID",
}
"""OpenSSL's own short names, of what is seen in CAs."""
_SPECIAL = frozenset(',+"\\<>;')
_PRINTABLE = range(0x20, 0x7F)


def openssl_text(name: x509.Name) -> str | None:
    """The text; None for a name with anything in it of which it is not certain how OpenSSL prints it."""
    parts = []
    for relative in reversed(name.rdns):
        attributes = list(relative)
        if len(attributes) != 1 or attributes[0].oid not in _SHORT:
            return None
        value = attributes[0].value
        if not isinstance(value, str):
            return None
        parts.append(f"{_SHORT[attributes[0].oid]}={_escaped(value)}")
    return ",".join(parts) or None


def _escaped(value: str) -> str:
    """RFC 2253 section 2.4; every byte beyond ASCII, and every control character, in hexadecimal."""
    data = value.encode()
    out = []
    for at, byte in enumerate(data):
        char = chr(byte)
        is_outer_blank = char == " " and at in {0, len(data) - 1}
        if char in _SPECIAL or is_outer_blank or (char == "#" and at == 0):
            out.append(f"\\{char}")
        else:
            out.append(char if byte in _PRINTABLE else f"\\{byte:02X}")
    return "".join(out)
