"""What an operator waits for at a million devices: list, search, device page, certificates, overview, over HTTP.

The real application of the admin listener over a real store, asked one call at a time; times are of the server, from
the request's first byte to the answer's last, on a connection that is open.
"""

import argparse
import asyncio
import datetime as dt
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from measure.fleet_rows import fill
from measure.report import Report
from mtls_ambassador.decide.denylist import Denied, pack
from mtls_ambassador.envoy.place import RuntimePaths
from mtls_ambassador.flows.denied_certificates import DeniedCertificates
from mtls_ambassador.flows.live import Live
from mtls_ambassador.mender.client import MenderClient
from mtls_ambassador.model.operator import Operator, Scope
from mtls_ambassador.settings import Listen, Secret, Settings, StoreSettings, Upstream
from mtls_ambassador.settings.load import Loaded
from mtls_ambassador.store.database import Database, open_database
from mtls_ambassador.web.access import OPERATOR
from mtls_ambassador.web.api import add_api
from mtls_ambassador.web.context import CONTEXT, Context, Readiness
from mtls_ambassador.web.costly import Costly
from mtls_ambassador.web.metrics import Metrics
from mtls_ambassador.web.service import serving
from mtls_ambassador.web.streams import STREAMS

GOAL_MILLISECONDS = 100.0
ROUNDS = 15
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Measured:
    """One kind of call."""

    name: str
    items: int
    median_ms: float
    worst_ms: float


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, default=1_000_000)
    parser.add_argument("--refusals", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--folder", type=Path, help="keep the store there, and use it again")
    parser.add_argument("--postgresql", metavar="URL", help="an empty database to use instead of SQLite")
    parser.add_argument("--json", type=Path, help="write the numbers there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="operator-") as folder:
        measured = asyncio.run(run(args, args.folder or Path(folder)))
    if args.json:
        slow = [item.name for item in measured if item.worst_ms > GOAL_MILLISECONDS]
        worst = max(measured, key=lambda item: item.worst_ms)
        report = Report({"calls": [asdict(item) for item in measured]})
        name = f"operator's slowest of {len(measured)} calls at {args.devices} devices: {worst.name}"
        report.row(name, f"{worst.worst_ms:.0f} ms", f"<= {GOAL_MILLISECONDS:g} ms", good=not slow)
        report.save(args.json)
    return 0 if all(item.worst_ms <= GOAL_MILLISECONDS for item in measured) else 1


async def run(args: argparse.Namespace, folder: Path) -> list[Measured]:
    url = Secret(args.postgresql) if args.postgresql else None
    settings = Settings(
        listen=Listen("127.0.0.1", 0),
        server_certificate=folder,
        server_key=folder,
        tenant_ca=folder,
        upstream=Upstream("http", "127.0.0.1", 1),
        mender_user="nobody",
        mender_password=Secret("none"),
        state_dir=folder,
        database_url=url,
    )
    with open_database(settings.store) as database:
        fill_once(database, settings.store, args.devices, args.refusals)
        async with serving_api(settings, database, folder) as base, aiohttp.ClientSession(base) as session:
            calls = await calls_of(session, args.devices)
            return [await measure(session, name, path, args.rounds) for name, path in calls.items()]


def fill_once(database: Database, store: StoreSettings, devices: int, refusals: int) -> None:
    with database.transaction() as connection:
        if connection.exec_driver_sql("SELECT count(*) FROM batch").scalar_one():
            return
        started = time.perf_counter()
        fill(connection, devices, refusals, NOW)
    if database.engine.dialect.name == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
    else:
        size = sum(path.stat().st_size for path in store.state_dir.glob("*.db")) / devices
        print(f"{'bytes a device, with all that is kept of it':<44} {size:9.0f}")
    print(f"{'filled, s':<44} {time.perf_counter() - started:9.0f}", flush=True)


@asynccontextmanager
async def serving_api(settings: Settings, database: Database, folder: Path) -> AsyncIterator[str]:
    paths = RuntimePaths(folder)
    paths.denied.write_bytes(pack(Denied(), ["CN=CA"]).to_bytes())
    async with MenderClient.open(settings) as mender:
        denied = DeniedCertificates(paths.denied)
        loaded = Loaded(settings, (), {})
        app = web.Application(middlewares=[everybody])
        app[STREAMS] = set()
        now, costly = (lambda: dt.datetime.now(dt.UTC)), Costly(database)
        app[CONTEXT] = Context(loaded, paths, database, mender, denied, Live(), Metrics(), well, list, now, costly)
        add_api(app)
        async with serving(app) as runner:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"


async def well() -> Readiness:
    return Readiness({"store": "ok"})


@web.middleware
async def everybody(request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401 - as aiohttp has it
    request[OPERATOR] = Operator("benchmark", Scope.WRITE, "loopback")
    answer: web.StreamResponse = await handler(request)
    return answer


async def calls_of(session: aiohttp.ClientSession, devices: int) -> Mapping[str, str]:
    """What is asked for, by name."""
    middle = f"dev-{devices // 2:07}"
    row = (await get(session, f"/api/v1/devices?text={middle}"))["items"][0]
    deep = ""
    for _ in range(20):
        deep = (await get(session, f"/api/v1/devices?limit=500&after={deep}"))["next"]
    week = (NOW - dt.timedelta(days=7)).strftime("%Y-%m-%dT%H:%M:%SZ")
    month = (NOW + dt.timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    serial, device_id = row["certificate_serial"], row["device_id"]
    return {
        "list": "/api/v1/devices",
        "list, 10 000 devices further": f"/api/v1/devices?after={deep}",
        "list, withdrawn": "/api/v1/devices?standing=withdrawn",
        "list, silent for a week (1 in 100)": f"/api/v1/devices?silent_since={week}",
        "search, one device by name": f"/api/v1/devices?text={middle}",
        "search, one device by serial": f"/api/v1/devices?text={serial}",
        "search, by the middle of a serial": f"/api/v1/devices?text={serial[9:20]}",
        "search, by Mender's id": f"/api/v1/devices?text={device_id}",
        "search, what all have": "/api/v1/devices?text=Manufacturing",
        "search, all pieces common, never together": "/api/v1/devices?text=Manufacturing%20GmbH,C=DE%22",
        "search, pieces of digits, some hundred": f"/api/v1/devices?text={devices // 3:07}"[:-2],
        "search, 3 letters": "/api/v1/devices?text=f3a",
        "search, 2 letters": "/api/v1/devices?text=f3",
        "search, 2 letters nobody has": "/api/v1/devices?text=zz",
        "search, nothing found": "/api/v1/devices?text=no-such-device",
        "search among the silent": f"/api/v1/devices?text=dev-00&silent_since={week}",
        "device": f"/api/v1/devices/{row['identity_sha256']}",
        "certificates": "/api/v1/certificates",
        "certificates by name": "/api/v1/certificates?name=dev-05",
        "certificates that end within 30 days": f"/api/v1/certificates?expires_before={month}",
        "refusals of a cause": "/api/v1/refusals?cause=expired",
        "events of a kind": "/api/v1/events?event=auth-request",
        "batches": "/api/v1/batches",
        "overview": "/api/v1/overview",
    }


async def measure(session: aiohttp.ClientSession, name: str, path: str, rounds: int) -> Measured:
    times, found = [], {}
    for _ in range(rounds):
        started = time.perf_counter()
        found = await get(session, path)
        times.append((time.perf_counter() - started) * 1000)
    done = Measured(name, len(found.get("items", ())), statistics.median(times), max(times))
    verdict = "ok" if done.worst_ms <= GOAL_MILLISECONDS else "MISSED"
    print(f"{name:<44} {done.items:5} {done.median_ms:9.1f} {done.worst_ms:9.1f}  {verdict}", flush=True)
    return done


async def get(session: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    async with session.get(path) as answer:
        found: dict[str, Any] = await answer.json()
        if answer.status != 200:
            sys.exit(f"{path}: {answer.status} {found}")
        return found


if __name__ == "__main__":
    raise SystemExit(main())
