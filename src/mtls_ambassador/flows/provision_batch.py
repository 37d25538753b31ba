"""A batch: as many device certificates as were ordered, none twice, whatever happens meanwhile.

Order of work, each step on disk before the next: all serials are reserved in one transaction; certificates are made in
memory; they are recorded; files are written; one barrier makes the files durable; the records are marked done. So a
certificate that left memory has a record, and a run that was killed is finished by the next one: what it recorded and
did not write out is void and revoked, and made again under a new serial.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import Encoding

from mtls_ambassador.flows.batch_files import Found
from mtls_ambassador.flows.batch_maker import Recipe, example
from mtls_ambassador.flows.batch_manifest import write_manifest
from mtls_ambassador.flows.batch_records import BatchRecords
from mtls_ambassador.flows.batch_run import Outcome, Run, Work
from mtls_ambassador.flows.batch_workers import Made
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.authority import Authority


@dataclass(frozen=True, slots=True)
class Ordered:
    """What to make, and how."""

    name: str
    """The batch's name."""
    recipe: Recipe
    work: Work


def provision(records: BatchRecords, authority: Authority, ordered: Ordered, lint: Callable[[bytes], None]) -> Outcome:
    """Make what of the order is not made yet. `lint` raises when a certificate may not leave.

    Raises AmbassadorError when something failed; the same call again goes on from there.
    """
    checked = example(authority, ordered.recipe, next(ordered.work.order.rows()).name)
    lint(checked.public_bytes(Encoding.DER))
    digest = digest_of(ordered)
    with records.lock(digest):
        if not records.is_known(ordered.name, digest):
            ordered.work.outlet.refuse_strangers()
        is_new = records.open(ordered.name, ordered.work.order, digest)
        outcome = Outcome(records.batch.name, records.batch.id, records.batch.quantity)
        if not is_new:
            _recover(records, ordered, outcome)
        outcome.done_before = outcome.quantity - records.count_open() - outcome.adopted
        if not outcome.is_finished:
            check = _Check(lint)
            Run(ordered.work, records, outcome, lambda made: check.record(records, made, ordered.recipe)).go()
        if outcome.is_finished:
            _hand_over(records, authority, ordered)
        return outcome


def digest_of(ordered: Ordered) -> bytes:
    """What makes two orders the same one: the devices, and what their certificates say; not how long it takes."""
    recipe = ordered.recipe
    said = {
        "order": ordered.work.order.digest.hex(),
        "subject": recipe.profile.subject,
        "san_uri": recipe.profile.san_uri,
        "days": recipe.profile.days,
        "key": recipe.kind.value,
        **ordered.work.outlet.facts,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()


def _hand_over(records: BatchRecords, authority: Authority, ordered: Ordered) -> None:
    """Write the manifest, unless an earlier run did and it is still there."""
    path = ordered.work.manifest
    is_told = records.batch.finished_at is not None
    if path is not None and not (is_told and path.exists()):
        written = write_manifest(records, ordered.work.order, path, authority.key, ordered.work.note)
        records.finish(written, ordered.work.clock())
    elif not is_told:
        records.finish(None, ordered.work.clock())


def _recover(records: BatchRecords, ordered: Ordered, outcome: Outcome) -> None:
    """Settle what a run that was killed has recorded and not marked done."""
    whole: dict[int, bytes | None] = {}
    lost = []
    for record in records.issued():
        found, image = ordered.work.outlet.look(record.name, record.fingerprint or b"", record.spki_sha256 or b"")
        if found is Found.WHOLE:
            whole[record.serial] = image
        elif found is Found.OTHER:
            raise AmbassadorError(f"{record.name}: holds a certificate or key that is not of this batch")
        else:
            lost.append(record)
    # Before they are void: a kill between must leave nothing in the way of the device made anew.
    for record in lost:
        ordered.work.outlet.remove_part(record.name)
    ordered.work.outlet.sync()
    records.void(lost, ordered.work.clock())
    records.mark_done(whole, ordered.work.clock())
    outcome.adopted, outcome.voided = len(whole), len(lost)


class _Check:
    """Lets each shape of certificate be looked at once, and records what may leave."""

    def __init__(self, lint: Callable[[bytes], None]) -> None:
        self._lint = lint
        self._shapes: set[str] = set()

    def record(self, records: BatchRecords, devices: list[Made], recipe: Recipe) -> None:
        """Before anything of them leaves a worker's memory."""
        for device in devices:
            if device.shape not in self._shapes:
                self._lint(device.der)
                self._shapes.add(device.shape)
        records.mark_issued(devices, recipe.validity)
