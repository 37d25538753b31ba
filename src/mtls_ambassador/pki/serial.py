"""Serial numbers of certificates."""

import secrets

OCTETS = 16
_TOP = 1 << (8 * OCTETS - 2)


def new_serial() -> int:
    """A serial nobody can foresee: 126 random bits, always 16 octets and positive (RFC 5280 section 4.1.2.2)."""
    return _TOP | secrets.randbits(8 * OCTETS - 2)
