"""One answer to Prometheus: what is counted all the time, what is looked up now, and Envoy's own."""

import asyncio
from collections.abc import Callable, Iterable

from prometheus_client import generate_latest

from mtls_ambassador.envoy.process import Admin
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.fleet_view import FleetCounts
from mtls_ambassador.model.input_state import InputState
from mtls_ambassador.model.reason import RefusedError
from mtls_ambassador.web.context import Context
from mtls_ambassador.web.ends import read_ends

WITHIN = 3.0
"""Seconds for each part: Prometheus itself gives all of it ten."""


async def scrape(context: Context, more_inputs: Callable[[], Iterable[InputState]]) -> bytes:
    """In Prometheus' text format. Never raises for what cannot be told now, and never waits long for it.

    A gauge then says so: `ready`, `fleet_known`, `envoy_answers`.
    """
    metrics, now = context.metrics, context.now().timestamp()
    is_ready, counts, own = await asyncio.gather(_is_ready(context), _counts(context), _envoys(context))
    metrics.ready.set(int(is_ready))
    metrics.show_fleet(counts)
    metrics.envoy.set(int(bool(own)))
    metrics.show_login(context.mender.login.state)
    metrics.show_ends(await read_ends(context.loaded.settings), now)
    metrics.store_waiting.set(context.database.waiting)
    metrics.store_bytes.set(context.database.size)
    metrics.show_inputs([*context.inputs(), *more_inputs()])
    return generate_latest(metrics.registry) + own


async def _is_ready(context: Context) -> bool:
    try:
        async with asyncio.timeout(WITHIN):
            return (await context.readiness()).is_ready
    except TimeoutError:
        return False


async def _counts(context: Context) -> FleetCounts | None:
    try:
        async with asyncio.timeout(WITHIN):
            return await context.fleet_counts()
    except (RefusedError, TimeoutError):
        return None


async def _envoys(context: Context) -> bytes:
    """Envoy's own; nothing when it does not answer: the counts of the service are worth as much without."""
    try:
        async with asyncio.timeout(WITHIN):
            return await Admin(context.paths.admin_socket).metrics()
    except (AmbassadorError, TimeoutError):
        return b""
