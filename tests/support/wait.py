"""Waiting for what other programs do: until it is so, or with a clear failure much later."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")
PATIENCE = 90.0


async def until(found: Callable[[], Value | None], what: str, explain: Callable[[], str] = str) -> Value:
    """Wait until `found` returns something true, and return that; `explain` adds to the failure, such as a log."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not (value := found()):  # noqa: ASYNC110 - other programs have no event to wait for
                await asyncio.sleep(0.05)
            return value
    except TimeoutError:
        raise AssertionError(f"in vain waited for {what}\n{explain()[-6000:]}") from None
