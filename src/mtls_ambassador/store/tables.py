"""The tables of the gateway. Keys are hex SHA-256 texts: one row reads alike here, in the log and in openssl's output.

Those of the PKI are in `pki_tables`.
"""

import datetime as dt

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement


class UtcTime(TypeDecorator[dt.datetime]):
    """An aware UTC time; SQLite would drop the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """To the database, refusing naive times."""
        del dialect
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without a zone must not reach the store")
        return value.astimezone(dt.UTC) if value is not None else None

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """From the database."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


class _NextNumber(ColumnElement[int]):
    """The number of a device that is new: higher than all there are."""

    inherit_cache = True


@compiles(_NextNumber, "sqlite")
def _after_the_highest(element: _NextNumber, compiler: SQLCompiler, **given: object) -> str:
    """There is one writer, so two devices never get the same."""
    del element, compiler, given
    return "(SELECT coalesce(max(number), 0) + 1 FROM device)"


@compiles(_NextNumber, "postgresql")
def _of_the_sequence(element: ColumnElement[int], compiler: SQLCompiler, **given: object) -> str:
    del element, compiler, given
    return "nextval('device_number')"


class _NumberOfOthers(ColumnElement[int]):
    """What the database itself numbers a device by: on PostgreSQL a gateway of an older version may run beside."""

    inherit_cache = True


@compiles(_NumberOfOthers, "sqlite")
def _none(element: _NumberOfOthers, compiler: SQLCompiler, **given: object) -> str:
    del element, compiler, given
    return "0"


compiles(_NumberOfOthers, "postgresql")(_of_the_sequence)

metadata = MetaData(
    naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_N_name)s"},
)
_SHA256 = String(64)

device = Table(
    "device",
    metadata,
    Column("identity_sha256", _SHA256, primary_key=True),
    Column("identity", Text, nullable=False),
    Column("standing", String(16), nullable=False),
    Column("auth_key_sha256", _SHA256, nullable=False, default=""),
    Column("device_id", String(64), nullable=False, default=""),
    Column("claimed_by", _SHA256, nullable=False, default=""),
    Column("certificate_serial", String(64), nullable=False, default=""),
    Column("certificate_subject", Text, nullable=False, default=""),
    Column("enrolled_at", UtcTime, nullable=True),
    Column("updated_at", UtcTime, nullable=False),
    Column("number", BigInteger, nullable=False, default=_NextNumber(), server_default=_NumberOfOthers()),
    Index("uq_device_number", "number", unique=True),
    Index("ix_device_standing", "standing", "number"),
)
"""`number` grows in the order in which devices came: lists are in it, and the search index names rows by it."""

pin = Table(
    "pin",
    metadata,
    Column("spki_sha256", _SHA256, primary_key=True),
    Column("identity_sha256", _SHA256, nullable=False),
    Column("state", String(16), nullable=False),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("pinned_at", UtcTime, nullable=False),
    Index(None, "identity_sha256"),
    Index(None, "subject"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False),
    Column("event", String(32), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("identity_sha256", _SHA256, nullable=False),
    Column("identity", Text, nullable=False),
    Column("auth_key_sha256", _SHA256, nullable=False),
    Column("certificate_serial", String(64), nullable=False),
    Column("certificate_subject", Text, nullable=False),
    Column("certificate_issuer", Text, nullable=False),
    Column("certificate_spki_sha256", _SHA256, nullable=False),
    Column("address", String(64), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("hash", LargeBinary(32), nullable=True),
    Index(None, "identity_sha256"),
    Index(None, "certificate_serial"),
    Index(None, "at"),
    Index(None, "event", "id"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("last_id", BigInteger, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("pruned_id", BigInteger, nullable=False, server_default="0"),
    Column("pruned_hash", LargeBinary(32), nullable=True),
)
"""One row: where the chain of the audit ends. Whoever appends holds it until the transaction is over.

The oldest rows may have been pruned: up to that number, the last of them with that hash, from which the chain goes on.
"""

TABLES = (device, pin, audit, audit_head)
