"""The admin listener without a gateway: the real application, store and client, in this process."""

import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from mtls_ambassador.decide.denylist import Denied, pack
from mtls_ambassador.envoy.place import RuntimePaths
from mtls_ambassador.flows.denied_certificates import DeniedCertificates
from mtls_ambassador.flows.live import Live
from mtls_ambassador.mender.client import MenderClient
from mtls_ambassador.model.input_state import InputState
from mtls_ambassador.settings.load import Loaded
from mtls_ambassador.store.database import open_database
from mtls_ambassador.web.context import Context, Readiness
from mtls_ambassador.web.costly import Costly
from mtls_ambassador.web.metrics import Metrics
from support.enrolment import settings_for

NOWHERE = "http://127.0.0.1:1"
"""A Mender server that is not there."""


async def well() -> Readiness:
    """Every part is well."""
    return Readiness({"store": "ok", "envoy": "ok"})


@asynccontextmanager
async def admin_context(
    folder: Path,
    *,
    upstream: str = NOWHERE,
    readiness: Callable[[], Awaitable[Readiness]] = well,
    inputs: Callable[[], list[InputState]] = list,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    **changes: object,
) -> AsyncIterator[Context]:
    """A context over an empty store in `folder`; `changes` are settings."""
    settings = settings_for(upstream, folder / "state", **changes)
    paths = RuntimePaths(folder)
    paths.denied.write_bytes(pack(Denied(), ["CN=CA"]).to_bytes())
    with open_database(settings.store) as database:
        async with MenderClient.open(settings) as mender:
            yield Context(
                Loaded(settings, (), {}),
                paths,
                database,
                mender,
                DeniedCertificates(paths.denied),
                Live(),
                Metrics(),
                readiness,
                inputs,
                now,
                Costly(database),
            )
