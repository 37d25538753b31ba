"""Alembic's migrations; `versions/` holds one file per step, each run in one transaction."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

_LOCK = 0x6D746C73
"""Key of the PostgreSQL advisory lock under which only one replica migrates."""


def upgrade(engine: sa.Engine) -> None:
    """Run every migration not run yet, all or nothing."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
