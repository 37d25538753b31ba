"""What page, API, health and metrics of the admin listener are made from."""

import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from mtls_ambassador.envoy.place import RuntimePaths
from mtls_ambassador.flows.denied_certificates import DeniedCertificates
from mtls_ambassador.flows.live import Live
from mtls_ambassador.mender.client import MenderClient
from mtls_ambassador.model.fleet_view import FleetCounts
from mtls_ambassador.model.input_state import InputState
from mtls_ambassador.settings.load import Loaded
from mtls_ambassador.store import fleet_counts
from mtls_ambassador.store.database import Database
from mtls_ambassador.web.costly import Costly
from mtls_ambassador.web.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the gateway takes devices, and by which part it does not."""

    parts: dict[str, str]
    """By part: "ok" or what is wrong."""

    @property
    def is_ready(self) -> bool:
        """Every part is well."""
        return all(state == "ok" for state in self.parts.values())


@dataclass(frozen=True, slots=True)
class Context:
    """One for the life of the service."""

    loaded: Loaded
    """The settings in force, and where each came from."""
    paths: RuntimePaths
    database: Database
    mender: MenderClient
    denied: DeniedCertificates
    live: Live
    metrics: Metrics
    readiness: Callable[[], Awaitable[Readiness]]
    inputs: Callable[[], list[InputState]]
    now: Callable[[], dt.datetime]
    costly: Costly

    async def fleet_counts(self) -> FleetCounts:
        """How many there are of what. Raises RefusedError when the store does not tell."""
        now = self.now()
        return await self.costly.read("counts", lambda connection: fleet_counts.count(connection, now))


CONTEXT = web.AppKey("context", Context)
