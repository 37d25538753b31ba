"""Every test of the store runs on both databases it is made for."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtls_ambassador.settings import Secret, StoreSettings
from mtls_ambassador.store.database import Database, open_database
from support.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres.running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> StoreSettings:
    """Settings that name an empty database."""
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres").database()
    return settings_of(tmp_path / "state", url)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    with open_database(settings_of(folder, "")):
        pass
    return folder


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    url = postgres.database()
    with open_database(settings_of(tmp_path_factory.mktemp("none"), url)):
        pass
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated(request: pytest.FixtureRequest, tmp_path: Path) -> StoreSettings:
    """Settings that name a database with tables and nothing in them; copied, because migrating takes its time."""
    if request.param == "sqlite":
        shutil.copytree(request.getfixturevalue("migrated_sqlite"), tmp_path / "state")
        return settings_of(tmp_path / "state", "")
    template = request.getfixturevalue("migrated_postgres")
    return settings_of(tmp_path / "state", request.getfixturevalue("postgres").database(template))


@pytest.fixture
def database(migrated: StoreSettings) -> Iterator[Database]:
    with open_database(migrated) as opened:
        yield opened


def settings_of(state: Path, url: str) -> StoreSettings:
    """All the store reads of the settings; an empty URL means SQLite."""
    return StoreSettings(state, Secret(url) if url else None, state / "pki")
