"""PostgreSQL as the store: two gateways share what they know, and a lost database is told and recovered from."""

from pathlib import Path

import psycopg
import pytest

from mtls_ambassador.sandbox.device import DeviceError, SimulatedDevice
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from support.gateway import Gateway
from support.mender import World
from support.pki import Pki
from support.postgres import Postgres


async def test_two_gateways_on_one_database(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    with Postgres.running() as postgres:
        url = postgres.database()
        environ = {"MTLS_DATABASE_URL": url}
        async with (
            SandboxServer.running(SandboxConfig(password="password")) as sandbox,
            Gateway.running(pki, sandbox.url, environ=environ) as one,
            Gateway.running(pki, sandbox.url, environ=environ) as other,
        ):
            here, there = World(pki, sandbox, one), World(pki, sandbox, other)
            pair, thief = here.pair("device"), here.pair("thief")
            async with SimulatedDevice(here.device(pair, "a")) as device:
                await device.authorize()
            sandbox.journal.clear()
            async with SimulatedDevice(there.device(thief, "a")) as device:
                with pytest.raises(DeviceError, match="identity-taken"):
                    await device.authorize()
            async with SimulatedDevice(there.device(pair, "a")) as device:
                await device.authorize()
                assert len(sandbox.journal.find("/api/")) == 1
                with psycopg.connect(url) as connection:
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                    rows = connection.execute("SELECT reason FROM audit ORDER BY id").fetchall()
                assert rows == [("enrolled",), ("identity-taken",), ("known",)]
                await device.authorize()
