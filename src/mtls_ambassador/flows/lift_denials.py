"""An operator lets devices in again, and is told what still keeps them out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from mtls_ambassador.decide.who_is_denied import DenialIndex
from mtls_ambassador.flows.denial_entry import entry
from mtls_ambassador.flows.denial_journal import DenialJournal, lost
from mtls_ambassador.flows.denial_targets import Selection, Target, find_targets
from mtls_ambassador.flows.deny import Order
from mtls_ambassador.model.certificate import Named
from mtls_ambassador.model.denial import Denial, DenialKind
from mtls_ambassador.model.errors import FaultsError
from mtls_ambassador.store import denial_reach, denial_search, denials
from mtls_ambassador.store.audit import append_all
from mtls_ambassador.store.chain import hold_head
from mtls_ambassador.store.database import Database


@dataclass(frozen=True, slots=True)
class Lifted:
    """What came of it."""

    lifted: tuple[Denial, ...]
    recorded: tuple[Denial, ...]
    """Serials that nothing here denied: a file that once listed them keeps them out no longer."""
    idle: tuple[Denial, ...]
    """What was named, and no denial names just that."""
    still: tuple[Denial, ...]
    """Other denials in force that hit the same certificates or devices."""
    revoked: tuple[int, ...]
    """Serials of theirs that a CA has revoked (`pki revoke`), for the gateway enforces that too."""


def lift(
    database: Database,
    journal: DenialJournal,
    numbers: Sequence[int],
    wanted: Selection,
    order: Order,
    authorities: Mapping[str, bytes],
) -> Lifted:
    """Lift the denials with these numbers and those that name exactly what is wanted; of the order, who and when count.

    What only the journal still has is lifted as well. Raises FaultsError naming what was not found; then nothing is
    changed. Fails closed: a crash before the end of it leaves the journal with the denial.
    """
    with database.transaction() as connection:
        hold_head(connection)  # one such command at a time, on PostgreSQL too
        targets = find_targets(connection, wanted, order.denial)
        named = [target.denial for target in targets]
        contents = {item.content for item in named}
        by_number = denial_search.numbered(connection, numbers)
        _require_numbers(numbers, by_number)
        standing, past = denial_search.naming_the_same(connection, named)
        missing = [item for item in lost(connection, journal, order.at) if item.content in contents]
        known = {item.content for item in (*standing, *missing)}
        recorded, idle = _divide(targets, known, {item.content for item in past})
        before = denial_search.last_number(connection)
        denials.add(connection, [*missing, *recorded])
        added = denial_search.since(connection, before)
        chosen = list({item.number: item for item in (*by_number, *standing, *added)}.values())
        denials.lift(connection, (item.number for item in chosen), order.by, order.at)
        identities = {target.denial.content: target.identity for target in targets}
        append_all(
            connection,
            (entry("restore", item, order.at, "", identities.get(item.content), order.denial) for item in chosen),
        )
    journal.lifted(chosen, order.at)
    with database.snapshot() as connection:  # devices need not wait for it
        still, revoked = _what_is_left(connection, targets, chosen, order, authorities)
    new = {item.content for item in recorded}
    lifted = tuple(item for item in chosen if item.content not in new)
    return Lifted(lifted, tuple(recorded), tuple(idle), tuple(still), tuple(revoked))


def _require_numbers(numbers: Iterable[int], standing: Iterable[Denial]) -> None:
    known = {item.number for item in standing}
    faults = [
        f"NUMBER: no standing denial has the number {number}; `device denials` lists them"
        for number in numbers
        if number not in known
    ]
    if faults:
        raise FaultsError([*faults, "nothing was changed"])


def _divide(
    targets: Iterable[Target], known: set[tuple[object, ...]], lifted: set[tuple[object, ...]]
) -> tuple[list[Denial], list[Denial]]:
    """Of what no denial names: serials to record as let in again, and the rest."""
    recorded, idle = [], []
    for target in targets:
        item = target.denial
        if item.content in known:
            continue
        if item.kind is DenialKind.SERIAL and item.content not in lifted:
            recorded.append(item)
        else:
            idle.append(item)
    return recorded, idle


def _what_is_left(
    connection: sa.Connection,
    targets: Sequence[Target],
    lifted: Sequence[Denial],
    order: Order,
    authorities: Mapping[str, bytes],
) -> tuple[list[Denial], list[int]]:
    named = [*(target.denial for target in targets), *lifted]
    shown = denial_reach.shown(connection, named)
    devices = {item.identity_sha256 for item in shown} | {item.identity.sha256 for item in targets if item.identity}
    certificates = {
        *(target.certificate for target in targets if target.certificate),
        *(
            Named(item.issuer, item.serial, item.spki_sha256)
            for item in named
            if item.serial is not None or item.spki_sha256
        ),
        *(item.named for item in denial_reach.shown_by(connection, devices)),
        *(item.named for item in denial_reach.made(connection, named, authorities)),
    }
    others = [item for item in denial_search.that_may_hit(connection, certificates) if item.is_in_force(order.at)]
    batches = {
        item.batch_id: [int.from_bytes(raw) for _, raw in denials.serials_of_batch(connection, item.batch_id)]
        for item in others
        if item.batch_id is not None
    }
    index = DenialIndex(others, batches)
    hits = {hit.number: hit for certificate in certificates for hit in index.that_hit(certificate)}
    serials = {item.serial for item in certificates if item.serial is not None}
    return [hits[number] for number in sorted(hits)], denial_reach.revoked(connection, sorted(serials))
