"""Devices, pins and the audit."""

import sqlalchemy as sa
from alembic import op

from mtls_ambassador.store.tables import UtcTime

revision = "0001"
down_revision = None

SHA256 = sa.String(64)


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "device",
        sa.Column("identity_sha256", SHA256, primary_key=True),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("standing", sa.String(16), nullable=False),
        sa.Column("auth_key_sha256", SHA256, nullable=False),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("claimed_by", SHA256, nullable=False),
        sa.Column("certificate_serial", sa.String(64), nullable=False),
        sa.Column("certificate_subject", sa.Text, nullable=False),
        sa.Column("enrolled_at", UtcTime, nullable=True),
        sa.Column("updated_at", UtcTime, nullable=False),
    )
    op.create_table(
        "pin",
        sa.Column("spki_sha256", SHA256, primary_key=True),
        sa.Column("identity_sha256", SHA256, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("pinned_at", UtcTime, nullable=False),
    )
    op.create_index("ix_pin_identity_sha256", "pin", ["identity_sha256"])
    op.create_index("ix_pin_subject", "pin", ["subject"])
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("identity_sha256", SHA256, nullable=False),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("auth_key_sha256", SHA256, nullable=False),
        sa.Column("certificate_serial", sa.String(64), nullable=False),
        sa.Column("certificate_subject", sa.Text, nullable=False),
        sa.Column("certificate_issuer", sa.Text, nullable=False),
        sa.Column("certificate_spki_sha256", SHA256, nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
    )
    op.create_index("ix_audit_identity_sha256", "audit", ["identity_sha256"])
    op.create_index("ix_audit_certificate_serial", "audit", ["certificate_serial"])
    op.create_index("ix_audit_at", "audit", ["at"])
