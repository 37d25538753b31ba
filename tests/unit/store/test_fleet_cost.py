"""What a page costs does not grow with the store: counted in steps of SQLite's machine, not in time."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
import sqlalchemy as sa

from mtls_ambassador.model.device import Standing
from mtls_ambassador.model.fleet_view import DeviceQuery
from mtls_ambassador.settings import StoreSettings
from mtls_ambassador.store import (
    fleet_certificates,
    fleet_denials,
    fleet_detail,
    fleet_devices,
    fleet_events,
    fleet_refusals,
)
from mtls_ambassador.store.database import Database, open_database
from mtls_ambassador.store.fleet_certificates import CertificateQuery
from mtls_ambassador.store.fleet_events import EventQuery
from mtls_ambassador.store.fleet_refusals import RefusalQuery
from mtls_ambassador.store.tables import device

FILL = run_path(str(Path(__file__).parents[3] / "benchmarks" / "measure" / "fleet_rows.py"))["fill"]
NOW = dt.datetime(2026, 11, 28, 6, tzinfo=dt.UTC)
SMALL, LARGE = 2_000, 20_000
STEP = 10
"""Instructions of SQLite's machine that are counted as one."""
ROOM = 1.5
"""Of a tree that is a level deeper, and of texts that lie otherwise."""
Read = Callable[[sa.Connection], Any]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Database]]:
    folder = tmp_path_factory.mktemp("cost")
    small, large = (StoreSettings(folder / name, None, folder / name / "pki") for name in ("small", "large"))
    with open_database(small) as few, open_database(large) as many:
        for database, count in ((few, SMALL), (many, LARGE)):
            with database.transaction() as connection:
                FILL(connection, count, count // 5, NOW)
        yield few, many


def cost(database: Database, read: Read) -> int:
    """Steps that a reading takes, once statements are prepared."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    with database.snapshot() as connection:
        read(connection)
        own: Any = connection.connection.driver_connection
        own.set_progress_handler(count, STEP)
        try:
            read(connection)
        finally:
            own.set_progress_handler(None, STEP)
    return steps


def devices(**asked: Any) -> Read:  # noqa: ANN401 - fields of a query
    return lambda connection: fleet_devices.page(connection, DeviceQuery(**asked))


def one(connection: sa.Connection) -> object:
    whose = connection.execute(sa.select(device.c.identity_sha256).where(device.c.number == 777)).scalar_one()
    return fleet_detail.read(connection, whose, NOW)


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(devices(), id="list"),
        pytest.param(devices(standing=Standing.WITHDRAWN), id="withdrawn"),
        pytest.param(devices(text="dev-0000777"), id="search for one"),
        pytest.param(devices(text="Manufacturing"), id="search for what all have"),
        pytest.param(devices(text="f3a", limit=10), id="search for three letters"),
        pytest.param(devices(text="f3"), id="search for two letters"),
        pytest.param(devices(text="no such device"), id="search for nothing"),
        pytest.param(devices(silent_since=NOW - dt.timedelta(hours=1), limit=5), id="silent"),
        pytest.param(one, id="device"),
        pytest.param(lambda c: fleet_certificates.page(c, CertificateQuery()), id="certificates"),
        pytest.param(
            lambda c: fleet_certificates.page(c, CertificateQuery(name="dev-00007")), id="certificates by name"
        ),
        pytest.param(lambda c: fleet_certificates.page(c, CertificateQuery(batch_id=1)), id="certificates of a batch"),
        pytest.param(lambda c: fleet_events.page(c, EventQuery()), id="events"),
        pytest.param(lambda c: fleet_events.page(c, EventQuery(event="auth-request")), id="events of a kind"),
        pytest.param(lambda c: fleet_refusals.page(c, RefusalQuery(cause="expired")), id="refusals of a cause"),
        pytest.param(fleet_denials.page, id="denials"),
    ],
)
def test_it_does_not_grow_with_the_store(
    stores: tuple[Database, Database], read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_devices, "SLICES", (20, 400))
    monkeypatch.setattr(fleet_certificates, "LOOKED_AT", 500)
    monkeypatch.setattr(fleet_refusals, "LOOKED_AT", 50)
    few, many = (cost(database, read) for database in stores)
    assert many <= few * ROOM + 20, f"{few} steps at {SMALL} devices, {many} at {LARGE}"


def test_a_reading_that_grows_is_found(stores: tuple[Database, Database]) -> None:
    """The measure itself: what reads every row takes ten times as many steps."""
    few, many = (
        cost(database, lambda c: c.execute(sa.select(sa.func.sum(sa.func.length(device.c.identity)))).all())
        for database in stores
    )
    assert many > few * 5
