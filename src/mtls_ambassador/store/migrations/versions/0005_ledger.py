"""Refusals, contacts, counts over time, API tokens; where a pruned audit begins."""

import sqlalchemy as sa
from alembic import op

from mtls_ambassador.store.tables import UtcTime

revision = "0005"
down_revision = "0004"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
SHA256 = sa.String(64)


def upgrade() -> None:
    """Add the tables and columns."""
    _refusals()
    op.create_table(
        "contact",
        sa.Column("fingerprint_sha256", SHA256, primary_key=True),
        sa.Column("serial", sa.String(64), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("first_at", UtcTime, nullable=False),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("tls_version", sa.String(8), nullable=False),
        sa.Column("connections", sa.BigInteger, nullable=False),
    )
    for column in ("at", "serial", "address"):
        op.create_index(f"ix_contact_{column}", "contact", [column])
    op.create_table(
        "tally",
        sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", UtcTime, primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "api_token",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("scope", sa.String(8), nullable=False),
        sa.Column("secret_sha256", SHA256, nullable=False),
        sa.Column("made_at", UtcTime, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("expires_at", UtcTime, nullable=True),
        sa.Column("last_used_at", UtcTime, nullable=True),
        sa.Column("revoked_at", UtcTime, nullable=True),
        sa.Column("revoked_by", sa.Text, nullable=False),
    )
    for column in ("name", "secret_sha256"):
        op.create_index(f"uq_api_token_{column}", "api_token", [column], unique=True)
    op.add_column("seen", sa.Column("fingerprint_sha256", SHA256, nullable=False, server_default=""))
    op.add_column("audit_head", sa.Column("pruned_id", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("audit_head", sa.Column("pruned_hash", sa.LargeBinary(32), nullable=True))


def _refusals() -> None:
    op.create_table(
        "refusal",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("first_at", UtcTime, nullable=False),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("cause", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("server_name", sa.String(255), nullable=False),
        sa.Column("tls_version", sa.String(8), nullable=False),
        sa.Column("serial", sa.String(64), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("spki_sha256", SHA256, nullable=False),
        sa.Column("fingerprint_sha256", SHA256, nullable=False),
        sa.Column("identity_sha256", SHA256, nullable=False),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
    )
    op.create_index("ix_refusal_at", "refusal", ["at"])
    for column in ("cause", "address", "serial", "spki_sha256", "identity_sha256"):
        op.create_index(f"ix_refusal_{column}", "refusal", [column, "id"])
