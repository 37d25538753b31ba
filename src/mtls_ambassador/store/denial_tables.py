"""The tables of the denylist, and of the certificates that devices have shown."""

import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from mtls_ambassador.store.pki_tables import SerialNumber
from mtls_ambassador.store.tables import UtcTime, metadata

_ID = BigInteger().with_variant(Integer, "sqlite")
_SHA256 = String(64)

denial = Table(
    "denial",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("kind", String(8), nullable=False),
    Column("issuer", Text, nullable=False),
    Column("serial", SerialNumber, nullable=True),
    Column("spki_sha256", _SHA256, nullable=False),
    Column("batch_id", _ID, nullable=True),
    Column("begins", UtcTime, nullable=True),
    Column("ends", UtcTime, nullable=True),
    Column("reason", String(24), nullable=False),
    Column("by", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("until", UtcTime, nullable=True),
    Column("lifted_at", UtcTime, nullable=True),
    Column("lifted_by", Text, nullable=False),
    Index("ix_denial_serial", "serial"),
    Index("ix_denial_spki_sha256", "spki_sha256"),
    Index("ix_denial_kind", "kind"),
)

denylist_head = Table(
    "denylist_head",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    Column("closings", BigInteger, nullable=False),
)
"""One row: a number that grows with every change, so that gateways notice it by one cheap question; another that grows
when they shall close the connections that are open.
"""

# Certificates with which a device was accepted. Those made here have their batch; `fingerprint_sha256` is empty in rows
# from before it was kept.
seen = Table(
    "seen",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("serial", SerialNumber, primary_key=True),
    Column("spki_sha256", _SHA256, nullable=False),
    Column("subject", Text, nullable=False),
    Column("not_before", UtcTime, nullable=False),
    Column("identity_sha256", _SHA256, nullable=False),
    Column("first_at", UtcTime, nullable=False),
    Column("fingerprint_sha256", _SHA256, nullable=False, server_default=sa.text("''")),
    Column("batch_id", _ID, nullable=True),
    Index("ix_seen_spki_sha256", "spki_sha256"),
    Index("ix_seen_identity_sha256", "identity_sha256"),
)
_OF_BATCH = seen.c.batch_id.is_not(None)
Index("ix_seen_batch_id", seen.c.batch_id, sqlite_where=_OF_BATCH, postgresql_where=_OF_BATCH)

DENIAL_TABLES = (denial, denylist_head, seen)


def begin(connection: sa.Connection) -> None:
    """The one row of `denylist_head`, in a database that is made."""
    connection.execute(sa.insert(denylist_head).values(one=1, version=0, closings=0))
