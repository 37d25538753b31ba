"""One answer to Prometheus: what is counted all the time, what is looked up now, and Envoy's own."""

from collections.abc import Callable, Iterable

from prometheus_client import generate_latest

from mtls_ambassador.envoy.process import Admin
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.input_state import InputState
from mtls_ambassador.model.reason import RefusedError
from mtls_ambassador.web.context import Context
from mtls_ambassador.web.ends import read_ends


async def scrape(context: Context, more_inputs: Callable[[], Iterable[InputState]]) -> bytes:
    """In Prometheus' text format. What cannot be told now is left out, and a gauge says so; never raises for it."""
    metrics, now = context.metrics, context.now().timestamp()
    metrics.ready.set(int((await context.readiness()).is_ready))
    metrics.show_inputs([*context.inputs(), *more_inputs()])
    metrics.show_login(context.mender.login.state)
    metrics.show_ends(await read_ends(context.loaded.settings), now)
    metrics.store_waiting.set(context.database.waiting)
    metrics.store_bytes.set(context.database.size)
    try:
        metrics.show_fleet(await context.fleet_counts())
    except RefusedError:
        metrics.show_fleet(None)
    try:
        own = await Admin(context.paths.admin_socket).metrics()
    except AmbassadorError:
        own = b""  # the counts of the service are worth as much without
    metrics.envoy.set(int(bool(own)))
    return generate_latest(metrics.registry) + own
