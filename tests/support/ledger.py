"""The ledger of a running gateway, read beside it."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

from support.gateway import PATIENCE, Gateway


def rows(gateway: Gateway, table: str) -> list[dict[str, Any]]:
    """All of a table of its store."""
    with closing(sqlite3.connect(f"file:{gateway.folder}/state/ambassador.db?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]  # noqa: S608 - the test's own word


async def refusal(gateway: Gateway, address: str) -> dict[str, Any]:
    """The first one of that address, once it is written."""
    return (await until(gateway, "refusal", lambda row: row["address"] == address))[0]


async def until(
    gateway: Gateway, table: str, fits: Callable[[dict[str, Any]], bool], count: int = 1
) -> list[dict[str, Any]]:
    """Those rows that fit, once there are so many."""
    async with asyncio.timeout(PATIENCE):
        while len(found := [row for row in rows(gateway, table) if fits(row)]) < count:  # noqa: ASYNC110 - a store sends no event
            await asyncio.sleep(0.1)
    return found
