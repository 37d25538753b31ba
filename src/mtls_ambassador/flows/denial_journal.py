"""The journal of the denylist, beside the database: one that was restored from a backup must not let anybody in again.

Denials are noted before the database has them, liftings after: a crash between leaves devices out, and is told.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import sqlalchemy as sa

from mtls_ambassador.model.denial import Denial, DenialKind
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.revocation import serial_hex
from mtls_ambassador.pki import line_file
from mtls_ambassador.pki.line_file import Line, read_time
from mtls_ambassador.store import denial_search
from mtls_ambassador.store.chain import hold_head

FILE_NAME = "denials.jsonl"
NAMED = 5
"""Denials that a complaint names; the rest is counted."""
Stamp = tuple[int, int, int]
"""Another one when a file has changed: inode, time and size."""
Key = tuple[object, ...]
"""All that a line says of a denial."""
_TEXTS = ("reason", "by", "issuer", "spki_sha256", "note")
_TIMES = ("begins", "ends", "until")
_ALL = ("kind", "at", "serial", "batch", *_TEXTS, *_TIMES)
_NEEDED = {
    DenialKind.SERIAL.value: ("serial",),
    DenialKind.KEY.value: ("spki_sha256",),
    DenialKind.BATCH.value: ("batch",),
    DenialKind.DATES.value: ("begins", "ends"),
}


class DenialJournal:
    """The file in the state folder; made when the first line is written, mode 0600."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / FILE_NAME
        self._known: tuple[Stamp, dict[Key, Line]] = ((0, 0, 0), {})

    def denied(
        self, items: Iterable[Denial], serials: Mapping[Denial, Sequence[tuple[str, int]]] = MappingProxyType({})
    ) -> None:
        """Note denials. Call before the database commits.

        `serials` are the certificates known of a key or a batch, for a database that has lost them too.
        """
        line_file.append(
            self.path, ({"event": "denied", **_line(item), **_serials_line(serials.get(item, ()))} for item in items)
        )

    def lifted(self, items: Iterable[Denial], at: dt.datetime) -> None:
        """Note denials lifted. Call after the database has committed."""
        line_file.append(self.path, ({"event": "lifted", **_line(item), "lifted": at.isoformat()} for item in items))

    def read(self) -> list[Denial]:
        """All that were noted and not lifted, without their numbers. Raises AmbassadorError naming a line at fault."""
        return list(map(_denial, self.lines()))

    def lines(self) -> list[Line]:
        """The same as lines, which is cheaper where there are many."""
        stamp = self.stamp
        if stamp != self._known[0]:
            known: dict[Key, Line] = line_file.read(self.path, dict, _apply)
            self._known = stamp, known
        return list(self._known[1].values())

    def serials_of(self, item: Denial) -> list[tuple[str, int]]:
        """Issuer, empty for any, and serial of the certificates that were noted with a denial."""
        self.lines()
        line = self._known[1].get(_key(_line(item)), {})
        return [(str(issuer), int(serial, 16)) for issuer, serial in line.get("certificates", ())]

    @property
    def stamp(self) -> Stamp:
        """Another one when the file has changed."""
        try:
            status = self.path.stat()
        except OSError:
            return 0, 0, 0
        return status.st_ino, status.st_mtime_ns, status.st_size


def lost(connection: sa.Connection, journal: DenialJournal, now: dt.datetime) -> list[Denial]:
    """Denials that the journal has in force and the database does not know, such as after a restore from a backup.

    Raises AmbassadorError when the journal cannot be read.
    """
    if not _unknown(connection, journal, now):
        return []
    hold_head(connection)  # a command that is noting denials has committed them then
    return _unknown(connection, journal, now)


def _unknown(connection: sa.Connection, journal: DenialJournal, now: dt.datetime) -> list[Denial]:
    lines = journal.lines()
    # No row of a denial is ever removed, so that a time with as many rows as the journal has lines has lost none.
    there = denial_search.made_at(connection)
    fewer = {at for at, count in Counter(line["at"] for line in lines).items() if there[read_time(at)] < count}
    suspects = [item for line in lines if line["at"] in fewer and (item := _denial(line)).is_in_force(now)]
    known = {replace(item, number=0) for found in denial_search.naming_the_same(connection, suspects) for item in found}
    return [item for item in suspects if item not in known]


def complaint(journal: DenialJournal, missing: Sequence[Denial]) -> str:
    """What differs, and which command mends it, in one line."""
    named = ", ".join(f"{item.what} (by {item.by}, {item.at:%Y-%m-%d %H:%M}Z)" for item in missing[:NAMED])
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    return (
        f"{journal.path} has {len(missing)} denial{'s' if len(missing) > 1 else ''} that the database has lost, as one"
        f" restored from a backup has: {named}{more}; `mtls-ambassador device denials --take-over` puts back what was"
        " lost, `mtls-ambassador device restore` lifts it on purpose"
    )


def _line(item: Denial) -> Line:
    times = {name: value.isoformat() for name in _TIMES if (value := getattr(item, name)) is not None}
    texts = {name: value for name in _TEXTS if (value := getattr(item, name))}
    serial = {} if item.serial is None else {"serial": serial_hex(item.serial)}
    batch = {} if item.batch_id is None else {"batch": item.batch_id}
    return {"kind": item.kind.value, "at": item.at.isoformat(), **texts, **serial, **batch, **times}


def _serials_line(serials: Sequence[tuple[str, int]]) -> Line:
    return {"certificates": [[issuer, serial_hex(serial)] for issuer, serial in serials]} if serials else {}


def _key(line: Line) -> Key:
    return tuple(map(line.get, _ALL))


def _apply(known: dict[Key, Line], line: Line) -> None:
    kind, key = DenialKind(line["kind"]), _key(line)
    needed = _NEEDED.get(kind.value, ("issuer",))
    if not all(line.get(name) for name in needed):
        raise ValueError(f"a denial of kind {kind} without {' and '.join(needed)}")
    read_time(line["at"])
    int(line.get("serial", "0"), 16)
    if line["event"] == "denied":
        known[key] = line
    elif line["event"] == "lifted":
        known.pop(key, None)
    else:
        raise ValueError(f"event {line['event']!r}")


def _denial(line: Line) -> Denial:
    texts = {name: str(line.get(name, "")) for name in _TEXTS}
    times = {name: read_time(line[name]) if name in line else None for name in _TIMES}
    return Denial(
        DenialKind(line["kind"]),
        at=read_time(line["at"]),
        serial=int(line["serial"], 16) if "serial" in line else None,
        batch_id=int(line["batch"]) if "batch" in line else None,
        begins=times["begins"],
        ends=times["ends"],
        until=times["until"],
        reason=texts["reason"],
        by=texts["by"],
        issuer=texts["issuer"],
        spki_sha256=texts["spki_sha256"],
        note=texts["note"],
    )


def require_nothing_lost(connection: sa.Connection, journal: DenialJournal, now: dt.datetime) -> None:
    """Raise AmbassadorError that says what the database has lost, if anything."""
    missing = lost(connection, journal, now)
    if missing:
        raise AmbassadorError(complaint(journal, missing))
