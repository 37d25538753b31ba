"""What `device revoke --in-mender` does beside the denial."""

import asyncio
import os
from collections.abc import Iterable

from mtls_ambassador.flows.tell_mender import InMender, KnownDevice, Told, devices_of, tell_mender
from mtls_ambassador.mender.client import MenderClient
from mtls_ambassador.settings import Settings
from mtls_ambassador.settings.load import load
from mtls_ambassador.store.database import Database


def mender_settings() -> Settings:
    """The gateway's. Raises FaultsError; to be asked before anything is changed."""
    return load(os.environ).settings


def told_mender(settings: Settings, database: Database, identities: Iterable[str], wanted: str) -> list[Told]:
    """Reject or decommission the devices with these identities (SHA-256)."""
    with database.transaction() as connection:
        found = devices_of(connection, sorted(identities))
    return asyncio.run(_tell(settings, found, InMender(wanted))) if found else []


async def _tell(settings: Settings, devices: list[KnownDevice], wanted: InMender) -> list[Told]:
    async with MenderClient.open(settings) as mender:
        return await tell_mender(mender, devices, wanted)
