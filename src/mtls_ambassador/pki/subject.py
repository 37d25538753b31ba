"""Names of certificates: subject fields by the short names openssl uses, with places for what differs by device."""

import re
from collections.abc import Iterable

from cryptography import x509
from cryptography.x509.oid import NameOID

from mtls_ambassador.model.errors import UsageError

Fields = tuple[tuple[str, str], ...]
"""Short name and value, in the order they stand in the name."""

OIDS = {
    "CN": NameOID.COMMON_NAME,
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "emailAddress": NameOID.EMAIL_ADDRESS,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "street": NameOID.STREET_ADDRESS,
    "title": NameOID.TITLE,
    "UID": NameOID.USER_ID,
    "DC": NameOID.DOMAIN_COMPONENT,
    "dnQualifier": NameOID.DN_QUALIFIER,
}
_PLACE = re.compile(r"\{name\}")


def parse_subject(text: str) -> Fields:
    r"""Fields of `CN={name},O=My Organization`; a comma inside a value is written `\,`. Raises UsageError."""
    fields = []
    for part in re.split(r"(?<!\\),", text):
        short, equals, value = part.strip().partition("=")
        if not equals or short not in OIDS or not value:
            known = ", ".join(OIDS)
            raise UsageError(f"{part.strip()!r} of a subject must be FIELD=VALUE with one of {known}")
        fields.append((short, value.replace("\\,", ",")))
    return tuple(fields)


def fill(template: Fields, name: str, extra: Iterable[tuple[str, str]] = ()) -> Fields:
    """The template with `{name}` put in; a field of `extra` takes the place of the template's, or comes after it."""
    given = dict(extra)
    filled = [(short, given.pop(short, "") or _PLACE.sub(lambda _: name, value)) for short, value in template]
    return (*filled, *given.items())


def make_name(fields: Fields) -> x509.Name:
    """The name of these fields, one RDN each. Raises UsageError for a field or value X.509 does not allow."""
    attributes = []
    for short, value in fields:
        if short not in OIDS:
            raise UsageError(f"{short} is no field of a subject; these are: {', '.join(OIDS)}")
        if not value or any(not char.isprintable() for char in value):
            raise UsageError(f"{short}={value!r}: must be printable text and not empty")
        try:
            attributes.append(x509.NameAttribute(OIDS[short], value))
        except ValueError as error:
            raise UsageError(f"{short}={value!r}: {error}") from error
    return x509.Name(attributes)


def text_of(name: x509.Name) -> str:
    """A name as a person reads it: RFC 4514, with openssl's short names."""
    return name.rfc4514_string({oid: short for short, oid in OIDS.items()})
