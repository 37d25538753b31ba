"""What the store denies, as the supervisor takes it: the service writes it, for it alone talks to the database."""

import asyncio
import datetime as dt
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
import structlog

from mtls_ambassador.envoy.publish import write_private
from mtls_ambassador.model.denial import Denial, DenialKind
from mtls_ambassador.model.reason import RefusedError
from mtls_ambassador.store import denials
from mtls_ambassador.store.database import Database

POLL = 0.2
"""Seconds between two questions to the store."""


@dataclass(frozen=True, slots=True)
class StoreDenials:
    """All that is in force at one moment; serials are 40 lower-case digits."""

    version: int = -1
    serials: tuple[str, ...] = ()
    """Of any issuer."""
    of_issuers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By the issuer's RFC 4514 text."""
    of_authorities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By the hex SHA-256 of the issuer's SPKI."""
    spans: tuple[tuple[str, int, int], ...] = ()
    """Issuer's text, empty for any; begin and end in seconds since 1970."""
    issuers: tuple[str, ...] = ()
    restored: tuple[str, ...] = ()
    """Serials that an operator has let in again: what a file no longer lists of them counts no more."""
    next_end: float | None = None
    """When the first of them ends by itself, in seconds since 1970."""
    closings: int = 0
    """Grows when the connections that are open shall be closed."""
    fault: str = ""
    """Why this is older than what the store says now; empty when it is not."""

    def to_json(self) -> str:
        """What `from_json` takes."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_json(cls, text: str) -> "StoreDenials":
        """Raises ValueError for anything else."""
        values = json.loads(text)
        if not isinstance(values, dict) or set(values) != set(cls.__slots__):
            raise ValueError("not what the decision service writes")
        values["spans"] = tuple(tuple(span) for span in values["spans"])
        return cls(**values)


def collect(connection: sa.Connection, now: dt.datetime) -> StoreDenials:
    """What is in force now."""
    serials: list[str] = []
    of_issuers, of_authorities = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    standing = [item for item in denials.standing(connection) if item.is_in_force(now)]
    for item in standing:
        if item.kind is DenialKind.SERIAL:
            (of_issuers[item.issuer] if item.issuer else serials).append(f"{item.serial:040x}")
        elif item.kind is DenialKind.BATCH and item.batch_id is not None:
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
    ends = [item.until.timestamp() for item in standing if item.until is not None]
    return StoreDenials(
        denials.version(connection),
        tuple(serials),
        {issuer: tuple(found) for issuer, found in of_issuers.items()},
        {issuer: tuple(found) for issuer, found in of_authorities.items()},
        tuple(_span(item) for item in standing if item.kind is DenialKind.DATES),
        tuple(item.issuer for item in standing if item.kind is DenialKind.CA),
        tuple(serial.hex() for serial in denials.restored_serials(connection)),
        min(ends, default=None),
        denials.closings(connection),
    )


def _span(item: Denial) -> tuple[str, int, int]:
    assert item.begins is not None  # noqa: S101 - of this kind all have both
    assert item.ends is not None  # noqa: S101 - see above
    return item.issuer, int(item.begins.timestamp()), int(item.ends.timestamp())


class StoreWatch:
    """Writes what the store denies to a file, and again whenever it changes."""

    def __init__(self, database: Database, path: Path, now: Callable[[], dt.datetime]) -> None:
        self._database, self._path, self._now = database, path, now
        self._written = StoreDenials()

    async def write(self) -> None:
        """Now. Raises RefusedError when the store fails."""
        now = self._now()
        self._written = await self._database.run(lambda connection: collect(connection, now))
        staged = self._path.with_name(f"{self._path.name}.new")
        await asyncio.to_thread(write_private, staged, self._written.to_json())
        staged.replace(self._path)

    async def keep(self) -> None:
        """For ever. While the store fails, what was written stays."""
        while True:
            await asyncio.sleep(POLL)
            try:
                version = await self._database.run(denials.version)
                end = self._written.next_end
                if version != self._written.version or (end is not None and end <= self._now().timestamp()):
                    await self.write()
            except (RefusedError, OSError) as error:
                structlog.get_logger().error("the denylist cannot be read from the store", reason=str(error))
