"""The image of a device: the hash of what was handed over of it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column; devices made before have no image."""
    op.add_column("certificate", sa.Column("image_sha256", sa.LargeBinary(32), nullable=True))
