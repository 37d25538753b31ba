"""Images of devices whose keys and certificates were made before: no CA and no records of one are needed here.

What is done stands in a journal in the folder of the images: one line a device, on the disk before its key may be
removed; a line without an image takes back the one before it. A run that was killed is finished by the next one; once
all is done the journal's lines are the manifest's.
"""

import datetime as dt
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography import x509

from mtls_ambassador.flows.batch_manifest import write_lines
from mtls_ambassador.flows.batch_run import Outcome, Run, Work
from mtls_ambassador.flows.batch_workers import Made
from mtls_ambassador.flows.device_folders import shred_keys
from mtls_ambassador.flows.made_before import MadeBefore
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.manifest import Line
from mtls_ambassador.pki.order import OrderRow

JOURNAL = ".provisioned.jsonl"


@dataclass(slots=True)
class DeviceRecords:
    """What is to be done and what is done, in memory and in the journal."""

    work: Work
    file: int
    """The journal, open and locked."""
    shred: Path | None
    """The folder of the keys, when each is to be removed once its image is on the disk."""
    done: dict[str, Line] = field(default_factory=dict)
    rows: list[OrderRow] = field(default_factory=list)
    """By the numbers that name them in this run."""
    made: dict[int, Made] = field(default_factory=dict)
    owners: dict[bytes, str] = field(default_factory=dict)
    """Names of devices by the hashes of their public keys."""

    def count_open(self) -> int:
        """How many are not done."""
        return self.work.order.quantity - len(self.done)

    def reserved(self, rows: Sequence[OrderRow]) -> list[tuple[OrderRow, int]]:
        """Those of the rows that are to be done; what a run that was killed left of one is taken away."""
        todo = [row for row in rows if row.name not in self.done]
        for row in todo:
            self.work.outlet.remove_part(row.name)
        first = len(self.rows)
        self.rows += todo
        return [(row, first + number) for number, row in enumerate(todo)]

    def take(self, devices: list[Made]) -> None:
        """Devices were read. Raises AmbassadorError when two have the same key: they would be one device to Mender."""
        for device in devices:
            owner = self.owners.setdefault(device.spki_sha256, device.name)
            if owner != device.name:
                raise AmbassadorError(f"{device.name}: has the same key as {owner}; each device needs its own")
            self.made[device.serial] = device

    def mark_done(self, images: Mapping[int, bytes | None], now: dt.datetime) -> None:
        """Note in the journal what is on the disk; remove keys after that."""
        lines = [self._line(number, image, now) for number, image in images.items()]
        _append(self.file, "".join(line.to_json() for line in lines))
        self.done |= {line.name: line for line in lines}
        if self.shred is not None:
            shred_keys(self.shred, [line.name for line in lines])

    def _line(self, number: int, image: bytes | None, now: dt.datetime) -> Line:
        made, row = self.made.pop(number), self.rows[number]
        certificate = x509.load_der_x509_certificate(made.der)
        dates = certificate.not_valid_before_utc, certificate.not_valid_after_utc, now
        hashes, note = (made.fingerprint, made.spki_sha256), self.work.note(made.name, image)
        return Line(made.name, certificate.serial_number, *hashes, *dates, row.identity, row.device_type, note)


def provision_devices(work: Work, folder: Path, out: Path, *, shred: bool) -> Outcome:
    """Make what is not made yet of the images of devices that have keys and certificates in `folder`.

    With `shred` each key is removed once its image is on the disk. Raises AmbassadorError when something failed; the
    same call again goes on from there.
    """
    with _journal(out) as file:
        records = DeviceRecords(work, file, folder if shred else None)
        _recall(records, MadeBefore(folder, out, work.outlet, is_shredding=shred))
        if shred:  # what a run that was killed, or one without it, left
            shred_keys(folder, list(records.done))
        outcome = Outcome(out.name, 0, work.order.quantity, done_before=len(records.done))
        if not outcome.is_finished:
            Run(work, records, outcome, records.take).go()
        if outcome.is_finished and work.manifest is not None:
            write_lines((records.done[row.name] for row in work.order.rows()), work.manifest, None)
        return outcome


def _recall(records: DeviceRecords, made_before: MadeBefore) -> None:
    """Read the journal, or begin it. Raises AmbassadorError when it is of other images, or these were changed."""
    out, path = made_before.out, made_before.out / JOURNAL
    facts = dict(sorted(records.work.outlet.facts.items()))
    whole, newline, _ = path.read_bytes().rpartition(b"\n")
    if not newline:
        if any(item.name != JOURNAL for item in out.iterdir()):
            raise AmbassadorError(f"{out}: is not empty; images of a new order go into a folder of their own")
        os.ftruncate(records.file, 0)
        _append(records.file, json.dumps(facts) + "\n")
        return
    os.ftruncate(records.file, len(whole) + 1)
    head, *lines = whole.split(b"\n")
    try:
        is_same = json.loads(head) == facts
        known = [Line.from_json(line) for line in lines]
    except ValueError as error:
        raise AmbassadorError(f"{path}: cannot be read: {error}") from error
    if not is_same:
        raise AmbassadorError(
            f"{out}: was begun with another golden image (or ending of its name), template, address, CA or format;"
            " use another --out for these"
        )
    wanted = {row.name for row in records.work.order.rows()}
    last = {line.name: line for line in known if line.name in wanted}
    there = {name: line for name, line in last.items() if line.image is not None}
    gone = {line.name: line for line in made_before.gone(there.values())}
    if gone:  # taken back first: what a run killed after this leaves has another hash than these lines say
        _append(records.file, "".join(replace(line, image=None).to_json() for line in gone.values()))
    records.done = {name: line for name, line in there.items() if name not in gone}
    records.owners = {line.public_key_sha256: line.name for line in known}


@contextmanager
def _journal(out: Path) -> Iterator[int]:
    """The journal for one process at a time."""
    file = os.open(out / JOURNAL, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file
    except BlockingIOError:
        raise AmbassadorError(f"{out}: another process is at work on these images; wait for it") from None
    finally:
        os.close(file)


def _append(file: int, text: str) -> None:
    data = text.encode()
    try:
        if os.write(file, data) != len(data):
            raise AmbassadorError(f"{JOURNAL}: not written whole; is the disk full?")
        os.fsync(file)
    except OSError as error:
        raise AmbassadorError(f"{JOURNAL}: cannot be written: {error.strerror}") from error
