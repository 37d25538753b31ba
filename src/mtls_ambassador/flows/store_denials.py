"""What the store denies, as the supervisor takes it: the service writes it, for it alone talks to the database."""

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
import structlog

from mtls_ambassador.envoy.publish import replace_private
from mtls_ambassador.flows.denial_journal import DenialJournal, require_nothing_lost
from mtls_ambassador.model.denial import Denial, DenialKind
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.reason import RefusedError
from mtls_ambassador.model.store_denials import StoreDenials
from mtls_ambassador.store import denials
from mtls_ambassador.store.database import Database

POLL = 0.2
"""Seconds between two questions to the store."""


def collect(connection: sa.Connection, now: dt.datetime) -> StoreDenials:
    """What is in force now."""
    serials: list[str] = []
    of_issuers, of_authorities = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for name, serial in denials.serials_in_force(connection, now):
        (of_issuers[name] if name else serials).append(serial.hex())
    standing = [item for item in denials.standing_but_serials(connection) if item.is_in_force(now)]
    for item in standing:
        if item.kind is DenialKind.BATCH and item.batch_id is not None:
            for issuer, serial in denials.serials_of_batch(connection, item.batch_id):
                of_authorities[issuer.hex()].append(serial.hex())
        elif item.kind is DenialKind.KEY:
            shown, made = denials.serials_of_key(connection, item.spki_sha256)
            for name, serial in shown:
                of_issuers[name].append(serial.hex())
            for issuer, serial in made:
                of_authorities[issuer.hex()].append(serial.hex())
    for issuer, serial in denials.revoked_serials(connection):
        of_authorities[issuer.hex()].append(serial.hex())
    end = denials.next_end(connection, now)
    return StoreDenials(
        denials.version(connection),
        tuple(serials),
        {issuer: tuple(found) for issuer, found in of_issuers.items()},
        {issuer: tuple(found) for issuer, found in of_authorities.items()},
        tuple(_span(item) for item in standing if item.kind is DenialKind.DATES),
        tuple(item.issuer for item in standing if item.kind is DenialKind.CA),
        {serial.hex(): at.timestamp() for serial, at in denials.restored_serials(connection)},
        end.timestamp() if end else None,
        denials.closings(connection),
    )


def _span(item: Denial) -> tuple[str, int, int]:
    assert item.begins is not None  # noqa: S101 - of this kind all have both
    assert item.ends is not None  # noqa: S101 - see above
    return item.issuer, int(item.begins.timestamp()), int(item.ends.timestamp())


class StoreWatch:
    """Writes what the store denies to a file, and again whenever it changes."""

    def __init__(self, database: Database, journal: DenialJournal, path: Path, now: Callable[[], dt.datetime]) -> None:
        self._database, self._journal, self._path, self._now = database, journal, path, now
        self._written = StoreDenials()
        self._looked: tuple[int, tuple[int, int, int]] = (-1, (0, 0, 0))
        """The store's version and the journal's stamp when they were last read."""

    async def begin(self) -> None:
        """Write what is in force now.

        Raises RefusedError when the store fails, and AmbassadorError when it has lost what the journal has: then
        nothing is written, and nobody may be served.
        """
        self._looked = await self._database.run(denials.version), self._journal.stamp
        await self._write(await self._read())

    async def keep(self) -> None:
        """For ever. While the store fails or has lost denials, what was written stays in force, with the fault."""
        while True:
            await asyncio.sleep(POLL)
            try:
                await self.look()
            except (RefusedError, OSError) as error:
                structlog.get_logger().error("the denylist cannot be read from the store", reason=str(error))

    async def look(self) -> None:
        """Write what is in force if it may have changed. Raises RefusedError or OSError when that cannot be told."""
        looked = await self._database.run(denials.version), self._journal.stamp
        end = None if self._written.fault else self._written.next_end
        if looked == self._looked and (end is None or self._now().timestamp() < end):
            return
        try:
            current = await self._read()
        except AmbassadorError as error:
            current = replace(self._written, fault=str(error))
            structlog.get_logger().error("the denylist of the store is not taken", reason=str(error))
        await self._write(current)
        self._looked = looked

    async def _read(self) -> StoreDenials:
        now = self._now()

        def work(connection: sa.Connection) -> StoreDenials:
            require_nothing_lost(connection, self._journal, now)
            return collect(connection, now)

        return await self._database.run(work)

    async def _write(self, current: StoreDenials) -> None:
        if current == self._written:
            return
        await asyncio.to_thread(replace_private, self._path, current.to_json())
        self._written = current
