"""Certificates, batches, revocations, CRLs; the audit becomes a chain, its old rows included."""

import sqlalchemy as sa
from alembic import op

from mtls_ambassador.store.chain import chain_old_rows
from mtls_ambassador.store.pki_tables import SerialNumber
from mtls_ambassador.store.tables import UtcTime

revision = "0002"
down_revision = "0001"

HASH = sa.LargeBinary(32)
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add what the PKI records, and chain the audit."""
    _make_batch()
    _make_certificate()
    _make_revocation()
    op.add_column("audit", sa.Column("hash", HASH, nullable=True))
    op.create_table(
        "audit_head",
        sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("last_id", sa.BigInteger, nullable=False),
        sa.Column("hash", HASH, nullable=False),
    )
    chain_old_rows(op.get_bind())


def _make_batch() -> None:
    op.create_table(
        "batch",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("order_sha256", HASH, nullable=False),
        sa.Column("issuer_sha256", HASH, nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("finished_at", UtcTime, nullable=True),
        sa.Column("manifest_sha256", HASH, nullable=True),
    )
    op.create_index("uq_batch_order", "batch", ["issuer_sha256", "order_sha256"], unique=True)


def _make_certificate() -> None:
    op.create_table(
        "certificate",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("issuer_sha256", HASH, nullable=False),
        sa.Column("serial", SerialNumber, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("profile", sa.String(16), nullable=False),
        sa.Column("batch_id", ID, nullable=True),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("reserved_at", UtcTime, nullable=False),
        sa.Column("done_at", UtcTime, nullable=True),
        sa.Column("not_before", UtcTime, nullable=True),
        sa.Column("not_after", UtcTime, nullable=True),
        sa.Column("subject", sa.Text, nullable=True),
        sa.Column("spki_sha256", HASH, nullable=True),
        sa.Column("fingerprint", HASH, nullable=True),
        sa.Column("der", sa.LargeBinary, nullable=True),
    )
    op.create_index("uq_certificate_serial", "certificate", ["serial", "issuer_sha256"], unique=True)
    for column in ("name", "spki_sha256", "fingerprint", "not_after"):
        op.create_index(f"ix_certificate_{column}", "certificate", [column])
    lives = sa.text("batch_id IS NOT NULL AND status != 'void'")
    op.create_index(
        "uq_certificate_batch",
        "certificate",
        ["batch_id", "name"],
        unique=True,
        sqlite_where=lives,
        postgresql_where=lives,
    )


def _make_revocation() -> None:
    op.create_table(
        "revocation",
        sa.Column("issuer_sha256", HASH, primary_key=True),
        sa.Column("serial", SerialNumber, primary_key=True),
        sa.Column("reason", sa.String(24), nullable=False),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("not_after", UtcTime, nullable=True),
    )
    op.create_table(
        "crl",
        sa.Column("issuer_sha256", HASH, primary_key=True),
        sa.Column("number", SerialNumber, primary_key=True),
        sa.Column("this_update", UtcTime, nullable=False),
        sa.Column("next_update", UtcTime, nullable=False),
        sa.Column("entries", sa.Integer, nullable=False),
        sa.Column("sha256", HASH, nullable=False),
    )
