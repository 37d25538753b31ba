"""The tables of what was refused, of last contacts, of counts over time, and of the management API's tokens."""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from mtls_ambassador.store.tables import UtcTime, metadata

_ID = BigInteger().with_variant(Integer, "sqlite")
_SHA256 = String(64)

refusal = Table(
    "refusal",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("first_at", UtcTime, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("kind", String(12), nullable=False),
    Column("cause", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("address", String(64), nullable=False),
    Column("server_name", String(255), nullable=False),
    Column("tls_version", String(8), nullable=False),
    Column("serial", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("spki_sha256", _SHA256, nullable=False),
    Column("fingerprint_sha256", _SHA256, nullable=False),
    Column("identity_sha256", _SHA256, nullable=False),
    Column("identity", Text, nullable=False),
    Column("request_id", String(64), nullable=False),
    Index("ix_refusal_at", "at"),
    Index("ix_refusal_cause", "cause", "id"),
    Index("ix_refusal_address", "address", "id"),
    Index("ix_refusal_serial", "serial", "id"),
    Index("ix_refusal_spki_sha256", "spki_sha256", "id"),
    Index("ix_refusal_identity_sha256", "identity_sha256", "id"),
)
"""Refusals alike within a minute are one row with their count."""

contact = Table(
    "contact",
    metadata,
    Column("fingerprint_sha256", _SHA256, primary_key=True),
    Column("serial", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("first_at", UtcTime, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("address", String(64), nullable=False),
    Column("tls_version", String(8), nullable=False),
    Column("connections", BigInteger, nullable=False),
    Index("ix_contact_at", "at"),
    Index("ix_contact_serial", "serial"),
    Index("ix_contact_address", "address"),
)
"""When each certificate last finished a handshake."""

tally = Table(
    "tally",
    metadata,
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcTime, primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("name", String(32), primary_key=True),
    Column("count", BigInteger, nullable=False),
)
"""How many there were in the step (60 or 3600 seconds) that began at that time."""

api_token = Table(
    "api_token",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("name", String(64), nullable=False),
    Column("scope", String(8), nullable=False),
    Column("secret_sha256", _SHA256, nullable=False),
    Column("made_at", UtcTime, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("expires_at", UtcTime, nullable=True),
    Column("last_used_at", UtcTime, nullable=True),
    Column("revoked_at", UtcTime, nullable=True),
    Column("revoked_by", Text, nullable=False),
    Index("uq_api_token_name", "name", unique=True),
    Index("uq_api_token_secret_sha256", "secret_sha256", unique=True),
)
"""Of a token only its hash is kept: it is 256 random bits, which need no slow one."""

LEDGER_TABLES = (refusal, contact, tally, api_token)
