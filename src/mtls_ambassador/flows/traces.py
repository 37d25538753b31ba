"""Traces for the life of the decision service, when the settings ask for them; the library is loaded only then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mtls_ambassador.flows.machine import trust_store
from mtls_ambassador.model.traces import NO_TRACES, Traces
from mtls_ambassador.settings import Settings


@asynccontextmanager
async def tracing(settings: Settings) -> AsyncIterator[Traces]:
    """Where spans go until the end of the block; what waits then is sent, within a few seconds or not at all."""
    if settings.traces is None:
        yield NO_TRACES
        return
    from mtls_ambassador.flows.otlp import Exported  # noqa: PLC0415 - an extra, and slow to import

    exported = await asyncio.to_thread(Exported, settings.traces, trust_store())
    try:
        yield exported
    finally:
        await asyncio.to_thread(exported.close)
