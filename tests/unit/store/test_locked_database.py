"""A database that takes nothing at all is asked once for all that wait, not once for each."""

import asyncio
import sqlite3

import pytest
import sqlalchemy as sa

from mtls_ambassador.model.reason import Reason, RefusedError
from mtls_ambassador.store.database import Database


@pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)
async def test_all_that_wait_are_told_together(database: Database) -> None:
    await database.run(lambda c: c.exec_driver_sql("PRAGMA busy_timeout=20"))
    tried = 0

    def count(*_: object) -> None:
        nonlocal tried
        tried += 1

    sa.event.listen(database.engine, "checkout", count)
    other = sqlite3.connect(str(database.engine.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    asked = [database.run(lambda c: c.exec_driver_sql("SELECT 1").scalar_one()) for _ in range(50)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    other.close()
    assert [error.reason for error in results if isinstance(error, RefusedError)] == [Reason.STORE_FAILED] * 50
    assert 1 <= tried <= 2
    assert await database.run(lambda c: c.exec_driver_sql("SELECT 1").scalar_one()) == 1
