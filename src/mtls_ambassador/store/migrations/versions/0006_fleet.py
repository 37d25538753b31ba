"""Devices are numbered and searched; events are found by their kind, and seen certificates by their batch."""

import sqlalchemy as sa
from alembic import op

from mtls_ambassador.store.search_index import make_number, make_search

revision = "0006"
down_revision = "0005"

NUMBER = """
UPDATE device SET number = ranked.number FROM (
    SELECT identity_sha256, row_number() OVER (ORDER BY coalesce(enrolled_at, updated_at), identity_sha256) AS number
    FROM device
) AS ranked WHERE ranked.identity_sha256 = device.identity_sha256
"""
BATCH = """
UPDATE seen SET batch_id = (
    SELECT max(certificate.batch_id) FROM certificate
    WHERE certificate.serial = seen.serial AND {key} = seen.spki_sha256
)
"""
KEY = {"sqlite": "lower(hex(certificate.spki_sha256))", "postgresql": "encode(certificate.spki_sha256, 'hex')"}
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Number the devices in the order in which they came, name the batch of what they showed, and make the indexes."""
    connection = op.get_bind()
    make_number(connection)
    op.add_column("device", sa.Column("number", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.execute(NUMBER)
    if connection.dialect.name == "postgresql":
        op.execute("SELECT setval('device_number', 1 + (SELECT count(*) FROM device))")
        op.execute("ALTER TABLE device ALTER COLUMN number SET DEFAULT nextval('device_number')")
    op.create_index("uq_device_number", "device", ["number"], unique=True)
    op.create_index("ix_device_standing", "device", ["standing", "number"])
    op.create_index("ix_audit_event_id", "audit", ["event", "id"])
    make_search(connection)
    op.add_column("seen", sa.Column("batch_id", ID, nullable=True))
    op.execute(BATCH.format(key=KEY[connection.dialect.name]))
    of_batch = sa.text("batch_id IS NOT NULL")
    op.create_index("ix_seen_batch_id", "seen", ["batch_id"], sqlite_where=of_batch, postgresql_where=of_batch)
