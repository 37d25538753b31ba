"""What takes long is asked once for many, is kept in proportion to what it took, and a fault is not kept."""

import asyncio
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from mtls_ambassador.model.reason import RefusedError
from mtls_ambassador.web import costly
from support.admin import admin_context


async def test_many_who_ask_at_once_are_one_question(tmp_path: Path) -> None:
    asked: list[int] = []

    def work(connection: sa.Connection) -> int:
        del connection
        asked.append(1)
        time.sleep(0.1)  # what makes the answer costly: kept for 5 s
        return len(asked)

    async with admin_context(tmp_path) as context:
        found = await asyncio.gather(*(context.costly.read("key", work) for _ in range(20)))
        assert found == [1] * 20
        assert await context.costly.read("another key", work) == 2
        assert await context.costly.read("key", work) == 1


async def test_a_cheap_answer_is_soon_asked_for_anew(tmp_path: Path) -> None:
    asked: list[int] = []

    def work(connection: sa.Connection) -> int:
        del connection
        asked.append(1)
        return len(asked)

    async with admin_context(tmp_path) as context, asyncio.timeout(20):
        await context.costly.read("key", work)
        while await context.costly.read("key", work) < 3:  # noqa: ASYNC110 - only time brings it
            await asyncio.sleep(0.01)


async def test_a_fault_is_raised_and_not_kept(tmp_path: Path) -> None:
    async with admin_context(tmp_path) as context:
        with pytest.raises(RefusedError):
            await context.costly.read("key", lambda connection: connection.exec_driver_sql("SELECT 1 FROM nowhere"))
        assert await context.costly.read("key", lambda connection: connection.scalar(sa.text("SELECT 1"))) == 1


async def test_no_more_answers_are_kept_than_it_says(tmp_path: Path) -> None:
    async with admin_context(tmp_path) as context:
        for key in range(3 * costly.MOST):
            await context.costly.read(key, lambda _: 0)
        assert len(context.costly._kept) <= costly.MOST  # noqa: SLF001 - memory is what is promised
        assert len(context.costly._locks) <= costly.MOST + 1  # noqa: SLF001
