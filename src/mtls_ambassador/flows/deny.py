"""An operator keeps devices out: the journal, the database and the audit all say so, and every gateway takes it."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from mtls_ambassador.flows.denial_entry import entry, until_text
from mtls_ambassador.flows.denial_journal import DenialJournal
from mtls_ambassador.flows.denial_targets import Selection, Target, find_targets
from mtls_ambassador.flows.put_back_denials import put_back, serials_of
from mtls_ambassador.model.denial import Denial, DenialKind
from mtls_ambassador.store import denial_reach, denial_search, denials
from mtls_ambassador.store.audit import append_all
from mtls_ambassador.store.chain import hold_head
from mtls_ambassador.store.database import Database


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator wants done, who it is, and when."""

    reason: str
    by: str
    at: dt.datetime
    note: str = ""
    until: dt.datetime | None = None
    """In force before this time; None for good."""
    closes: bool = False
    """Whether the connections that are open shall end."""

    @property
    def denial(self) -> Denial:
        """A denial of nothing in particular."""
        return Denial(DenialKind.SERIAL, self.reason, self.by, self.at, note=self.note, until=self.until)


@dataclass(frozen=True, slots=True)
class Denied:
    """What came of it."""

    made: tuple[Denial, ...]
    already: tuple[Denial, ...]
    """What was asked for and stands already, for as long."""
    conflicts: tuple[Denial, ...]
    """Standing denials of the same things with another end, reason or author: they stay beside what was made."""
    put_back: tuple[Denial, ...]
    """What only the journal still had."""
    shown: tuple[denial_reach.Shown, ...]
    """Certificates of devices that it hits."""
    recorded: tuple[denial_reach.Made, ...]
    """Certificates of the records that it hits."""
    identities: frozenset[str] = field(default=frozenset())
    """SHA-256 of the devices that it hits."""


def deny(
    database: Database,
    journal: DenialJournal,
    wanted: Selection,
    order: Order,
    authorities: Mapping[str, bytes],
    *,
    dry_run: bool,
) -> Denied:
    """Deny all that is wanted, or nothing; what stands already is not made twice.

    `authorities` are the CAs that are known: SHA-256 of the SPKI by the subject's text. With `dry_run` nothing is
    changed. Raises FaultsError naming what was not found. Fails closed: what was to be denied when its end is lost in
    a crash is in the journal, and so is told.
    """
    with database.transaction() as connection:
        hold_head(connection)  # one such command at a time, on PostgreSQL too
        targets = find_targets(connection, wanted, order.denial)
        found = put_back(connection, journal, order.at, is_noted=not dry_run)
        named = [target.denial for target in targets]
        made, already, conflicts = _divide(targets, denial_search.naming_the_same(connection, named)[0], order)
        if dry_run:
            connection.rollback()  # what was taken over from the journal, too
            new = [target.denial for target in made]
        else:
            new = _record(connection, journal, made, order, authorities)
    with database.snapshot() as connection:  # devices need not wait for it
        shown = tuple(denial_reach.shown(connection, named))
        recorded = tuple(denial_reach.made(connection, named, authorities))
    identities = frozenset(item.identity_sha256 for item in shown)
    return Denied(tuple(new), tuple(already), tuple(conflicts), tuple(found), shown, recorded, identities)


def _divide(
    targets: Sequence[Target], standing: Sequence[Denial], order: Order
) -> tuple[list[Target], list[Denial], list[Denial]]:
    """What to make, what is there, and what of that says something else."""
    known: dict[object, list[Denial]] = {}
    for item in standing:
        if item.is_in_force(order.at):
            known.setdefault(item.content, []).append(item)
    made, already, conflicts = [], [], []
    for target in targets:
        same = known.get(target.denial.content, [])
        lasting = next((item for item in same if item.outlasts(order.until)), None)
        if lasting is None:
            made.append(target)
        else:
            already.append(lasting)
        conflicts += [item for item in same if differences(item, order)]
    return made, already, conflicts


def differences(item: Denial, order: Order) -> list[str]:
    """In what a standing denial is another one than was asked for."""
    pairs = (
        (until_text(item.until), until_text(order.until)),
        (f"reason {item.reason}", order.reason),
        (f"by {item.by}", order.by),
    )
    is_other = item.until != order.until, item.reason != order.reason, item.by != order.by
    return [f"{has}, not {asked}" for (has, asked), differs in zip(pairs, is_other, strict=True) if differs]


def _record(
    connection: sa.Connection,
    journal: DenialJournal,
    targets: Sequence[Target],
    order: Order,
    authorities: Mapping[str, bytes],
) -> list[Denial]:
    """Returns them with their numbers."""
    before = denial_search.last_number(connection)
    items = [target.denial for target in targets]
    journal.denied(items, serials_of(connection, items, authorities))
    denials.add(connection, items)
    if order.closes:
        denials.close_connections(connection)
    append_all(connection, (entry("deny", target.denial, order.at, "", target.identity) for target in targets))
    return denial_search.since(connection, before)


def names_of(items: Iterable[denial_reach.Shown]) -> list[str]:
    """Of the devices, each once."""
    return sorted({item.identity_sha256: item.name for item in items}.values())
