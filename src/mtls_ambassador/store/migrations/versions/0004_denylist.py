"""The denylist; certificates that devices have shown, those of accepted ones before from the audit."""

import sqlalchemy as sa
from alembic import op

from mtls_ambassador.store.denial_tables import begin
from mtls_ambassador.store.pki_tables import SerialNumber
from mtls_ambassador.store.tables import UtcTime

revision = "0004"
down_revision = "0003"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
SHA256 = sa.String(64)


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "denial",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("serial", SerialNumber, nullable=True),
        sa.Column("spki_sha256", SHA256, nullable=False),
        sa.Column("batch_id", ID, nullable=True),
        sa.Column("begins", UtcTime, nullable=True),
        sa.Column("ends", UtcTime, nullable=True),
        sa.Column("reason", sa.String(24), nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("until", UtcTime, nullable=True),
        sa.Column("lifted_at", UtcTime, nullable=True),
        sa.Column("lifted_by", sa.Text, nullable=False),
    )
    for column in ("serial", "spki_sha256", "kind"):
        op.create_index(f"ix_denial_{column}", "denial", [column])
    op.create_table(
        "denylist_head",
        sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("closings", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "seen",
        sa.Column("issuer", sa.Text, primary_key=True),
        sa.Column("serial", SerialNumber, primary_key=True),
        sa.Column("spki_sha256", SHA256, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("not_before", UtcTime, nullable=False),
        sa.Column("identity_sha256", SHA256, nullable=False),
        sa.Column("first_at", UtcTime, nullable=False),
    )
    for column in ("spki_sha256", "identity_sha256"):
        op.create_index(f"ix_seen_{column}", "seen", [column])
    op.create_index("ix_revocation_serial", "revocation", ["serial"])
    begin(op.get_bind())
    _fill_seen(op.get_bind())


def _fill_seen(connection: sa.Connection) -> None:
    """From the auth requests that were granted; the begin of those certificates' validity was not written down."""
    audit = sa.table(
        "audit",
        *map(sa.column, ("at", "event", "reason", "identity_sha256", "certificate_serial")),
        *map(sa.column, ("certificate_subject", "certificate_issuer", "certificate_spki_sha256")),
    )
    granted = ("known", "enrolled", "key-accepted", "accepted-upstream")
    chosen = (
        sa.select(
            audit.c.certificate_issuer,
            audit.c.certificate_serial,
            audit.c.certificate_spki_sha256,
            sa.func.max(audit.c.certificate_subject),
            sa.func.max(audit.c.identity_sha256),
            sa.type_coerce(sa.func.min(audit.c.at), UtcTime),
        )
        .where(audit.c.event == "auth-request", audit.c.reason.in_(granted))
        .group_by(audit.c.certificate_issuer, audit.c.certificate_serial, audit.c.certificate_spki_sha256)
    )
    rows = {(row[0], int(row[1], 16)): row for row in connection.execute(chosen) if row[1] and len(row[1]) <= 40}  # noqa: PLR2004 - digits of 20 octets
    seen = sa.table(
        "seen",
        sa.column("issuer"),
        sa.column("serial", SerialNumber()),
        sa.column("spki_sha256"),
        sa.column("subject"),
        sa.column("not_before", UtcTime()),
        sa.column("identity_sha256"),
        sa.column("first_at", UtcTime()),
    )
    values = [
        {
            "issuer": issuer,
            "serial": serial,
            "spki_sha256": row[2],
            "subject": row[3],
            "not_before": row[5],
            "identity_sha256": row[4],
            "first_at": row[5],
        }
        for (issuer, serial), row in rows.items()
    ]
    if values:
        connection.execute(sa.insert(seen), values)
