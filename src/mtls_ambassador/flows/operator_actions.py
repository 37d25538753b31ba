"""What an operator does about devices from inside the service, by the same flows as the command line's."""

import asyncio
import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa

from mtls_ambassador.flows.approvable_move import presented, refused_certificate, warn_of_effect
from mtls_ambassador.flows.approve_move import Approved, approve_move
from mtls_ambassador.flows.denial_journal import DenialJournal
from mtls_ambassador.flows.denial_targets import Selection
from mtls_ambassador.flows.deny import Denied, Order, deny
from mtls_ambassador.flows.known_authorities import known_authorities
from mtls_ambassador.flows.lift_denials import Lifted, lift
from mtls_ambassador.flows.trust_files import read_authorities
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.operator import Operator
from mtls_ambassador.model.reason import Reason, RefusedError
from mtls_ambassador.model.storable import storable
from mtls_ambassador.pki.approvable import read_certificates
from mtls_ambassador.settings import Settings
from mtls_ambassador.store.database import Database, make_engine

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Moved:
    """An approval, and what to know of it."""

    approved: Approved
    warning: str


@dataclass(frozen=True, slots=True)
class Actions:
    """Of one operator; every audit row says who it was, and how they are known."""

    settings: Settings
    database: Database
    operator: Operator
    now: Callable[[], dt.datetime]

    @property
    def by(self) -> str:
        """As the audit has it."""
        name = self.operator.name.encode(errors="replace").decode()
        return f"{name} ({self.operator.how})"

    async def approve(self, identity: Identity, pem: bytes) -> Moved:
        """Let the first certificate of a PEM text speak for the identity. Raises AmbassadorError with what is wrong."""
        now = self.now()
        try:
            chain = await asyncio.to_thread(read_certificates, pem)
            bundle = (await asyncio.to_thread(read_authorities, self.settings))[1]
            certificate = presented(chain, tuple(bundle), now)
        except ValueError as error:
            raise AmbassadorError(f"certificate: {error}") from error
        warning = warn_of_effect(self.settings.identity_binding, identity, certificate)
        return Moved(await approve_move(self.database, identity, certificate, self.by, now), warning)

    async def approve_refused(self, identity: Identity, spki_sha256: str) -> Moved:
        """Let the certificate of this key, which was refused with `identity-taken`, speak for the identity.

        Fails closed: raises AmbassadorError when the audit knows of no such refusal.
        """
        certificate = await self.database.read(lambda c: refused_certificate(c, identity, spki_sha256))
        if certificate is None:
            raise AmbassadorError("key: no certificate of this key was refused for this identity; give the certificate")
        warning = warn_of_effect(self.settings.identity_binding, identity, None)
        return Moved(await approve_move(self.database, identity, certificate, self.by, self.now()), warning)

    async def revoke(
        self,
        wanted: Selection,
        reason: str,
        note: str = "",
        *,
        until: dt.datetime | None = None,
        closes: bool = False,
        dry_run: bool,
    ) -> Denied:
        """Keep devices out, all that is wanted or nothing.

        Raises FaultsError naming what was not found, RefusedError STORE_FAILED for a fault of the database.
        """
        order = Order(reason, self.by, self.now(), storable(note), until, closes)
        return await self._apart(
            lambda database, journal, known: deny(database, journal, wanted, order, known, dry_run=dry_run)
        )

    async def restore(self, numbers: Sequence[int], wanted: Selection, note: str = "") -> Lifted:
        """Let devices in again. Raises as `revoke` does."""
        order = Order("unspecified", self.by, self.now(), storable(note))
        return await self._apart(
            lambda database, journal, known: lift(database, journal, numbers, wanted, order, known)
        )

    async def _apart(self, work: Callable[[Database, DenialJournal, dict[str, bytes]], T]) -> T:
        """In a thread, on a connection of its own: devices' auth requests go on meanwhile."""
        return await asyncio.to_thread(self._run, work)

    def _run(self, work: Callable[[Database, DenialJournal, dict[str, bytes]], T]) -> T:
        store = self.settings.store
        database = Database(make_engine(store))
        try:
            return work(database, DenialJournal(store.state_dir), known_authorities(store.pki_dir))
        except AmbassadorError as error:
            if isinstance(error.__cause__, sa.exc.SQLAlchemyError):
                raise RefusedError(Reason.STORE_FAILED, str(error)[:200]) from error
            raise
        finally:
            database.close()
