from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.enrolment import Bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """The flow before a sandbox of its own, with default settings."""
    async with Bench.running(tmp_path) as running:
        yield running
