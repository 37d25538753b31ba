"""Approving needs records that a gateway made, on either database."""

from pathlib import Path

import pytest

from mtls_ambassador.flows.approve_move import require_store
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.settings import Secret, StoreSettings
from mtls_ambassador.store.database import open_database
from support.postgres import Postgres


def test_an_empty_postgresql_is_refused_and_stays_empty(tmp_path: Path) -> None:
    with Postgres.running() as server:
        store = StoreSettings(tmp_path, Secret(server.database()), tmp_path / "pki")
        for _ in range(2):
            with pytest.raises(
                AmbassadorError, match=r"^MTLS_DATABASE_URL: the database holds no records of a gateway"
            ):
                require_store(store)
        with open_database(store):
            require_store(store)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ambassador.db").touch()
    with pytest.raises(AmbassadorError, match=r"^MTLS_STATE_DIR: there are no records"):
        require_store(StoreSettings(tmp_path, None, tmp_path / "pki"))
    with open_database(StoreSettings(tmp_path, None, tmp_path / "pki")):
        pass
    require_store(StoreSettings(tmp_path, None, tmp_path / "pki"))
