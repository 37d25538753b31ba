"""The tables of the PKI. Hashes and serials are bytes, because a factory makes a million rows of them."""

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    TypeDecorator,
    sql,
)

from mtls_ambassador.store.tables import UtcTime, metadata

SERIAL_OCTETS = 20
"""RFC 5280 section 4.1.2.2: a serial, and (5.2.3) a CRL's number, has no more."""


class SerialNumber(TypeDecorator[int]):
    """A number of up to 20 octets, kept big-endian at full length so that it sorts as it counts."""

    impl = LargeBinary(SERIAL_OCTETS)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> bytes | None:
        """To the database; OverflowError for one that is negative or too long."""
        del dialect
        return None if value is None else value.to_bytes(SERIAL_OCTETS, "big")

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> int | None:
        """From the database."""
        del dialect
        return None if value is None else int.from_bytes(value, "big")


_HASH = LargeBinary(32)
_ID = BigInteger().with_variant(Integer, "sqlite")

batch = Table(
    "batch",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False),
    Column("order_sha256", _HASH, nullable=False),
    Column("issuer_sha256", _HASH, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime, nullable=True),
    Column("manifest_sha256", _HASH, nullable=True),
    Index("uq_batch_order", "issuer_sha256", "order_sha256", unique=True),
)

certificate = Table(
    "certificate",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("issuer_sha256", _HASH, nullable=False),
    Column("serial", SerialNumber, nullable=False),
    Column("name", Text, nullable=False),
    Column("profile", String(16), nullable=False),
    Column("batch_id", _ID, nullable=True),
    Column("status", String(8), nullable=False),
    Column("reserved_at", UtcTime, nullable=False),
    Column("done_at", UtcTime, nullable=True),
    Column("not_before", UtcTime, nullable=True),
    Column("not_after", UtcTime, nullable=True),
    Column("subject", Text, nullable=True),
    Column("spki_sha256", _HASH, nullable=True),
    Column("fingerprint", _HASH, nullable=True),
    Column("der", LargeBinary, nullable=True),
    Column("image_sha256", _HASH, nullable=True),
    # By serial first: a person who looks for one seldom says which CA signed it.
    Index("uq_certificate_serial", "serial", "issuer_sha256", unique=True),
    Index("ix_certificate_name", "name"),
    Index("ix_certificate_spki_sha256", "spki_sha256"),
    Index("ix_certificate_fingerprint", "fingerprint"),
    Index("ix_certificate_not_after", "not_after"),
)
_LIVES_IN_BATCH = sql.and_(certificate.c.batch_id.is_not(None), certificate.c.status != "void")
Index(
    "uq_certificate_batch",
    certificate.c.batch_id,
    certificate.c.name,
    unique=True,
    sqlite_where=_LIVES_IN_BATCH,
    postgresql_where=_LIVES_IN_BATCH,
)

revocation = Table(
    "revocation",
    metadata,
    Column("issuer_sha256", _HASH, primary_key=True),
    Column("serial", SerialNumber, primary_key=True),
    Column("reason", String(24), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("by", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("not_after", UtcTime, nullable=True),
    # Each auth request asks by serial.
    Index("ix_revocation_serial", "serial"),
)

crl = Table(
    "crl",
    metadata,
    Column("issuer_sha256", _HASH, primary_key=True),
    Column("number", SerialNumber, primary_key=True),
    Column("this_update", UtcTime, nullable=False),
    Column("next_update", UtcTime, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("sha256", _HASH, nullable=False),
)

PKI_TABLES = (batch, certificate, revocation, crl)
