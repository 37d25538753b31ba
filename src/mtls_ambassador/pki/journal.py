"""The journal beside the CAs: every revocation and every CRL's number, so that a restored database cannot step back.

One JSON object a line, only ever appended, and on the disk before anything relies on it.
"""

import datetime as dt
import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.revocation import Revocation, RevocationReason, serial_hex
from mtls_ambassador.pki.files import sync_folder

FILE_NAME = "journal.jsonl"
_REASONS = frozenset(RevocationReason)


@dataclass(frozen=True, slots=True)
class CrlNote:
    """A CRL that was signed."""

    issuer_sha256: bytes
    number: int
    this_update: dt.datetime
    audit_id: int
    """Where the audit ended then, with its hash: an anchor outside the database."""
    audit_hash: bytes


@dataclass(slots=True)
class JournalState:
    """What all lines together say."""

    lines: dict[tuple[bytes, int], dict[str, Any]] = field(default_factory=dict)
    """Of revocations in force, by issuer and serial."""
    last_crl: dict[bytes, CrlNote] = field(default_factory=dict)
    """By issuer, the one with the highest number."""
    anchors: dict[int, bytes] = field(default_factory=dict)
    """Numbers of audit rows and their hashes."""

    def revocation(self, key: tuple[bytes, int]) -> Revocation:
        """One of the revocations in force."""
        return _revocation(key[0], self.lines[key])


class Journal:
    """The file in a PKI folder; made when the first line is written, mode 0600."""

    def __init__(self, pki_dir: Path) -> None:
        self.path = pki_dir / FILE_NAME

    def revoked(self, revocations: Iterable[Revocation]) -> None:
        """Note revocations. Call before the database commits: a crash between leaves them in force."""
        self._append({"event": "revoked", **_revocation_line(item)} for item in revocations)

    def lifted(self, revocations: Iterable[Revocation], at: dt.datetime) -> None:
        """Note holds lifted. Call after the database has committed: a crash between leaves them on hold."""
        self._append(
            {"event": "lifted", "ca": item.issuer_sha256.hex(), "serial": serial_hex(item.serial), "at": at.isoformat()}
            for item in revocations
        )

    def crl_signed(self, note: CrlNote) -> None:
        """Note a CRL's number. Call before the CRL can be seen by anybody."""
        line = {
            "event": "crl",
            "ca": note.issuer_sha256.hex(),
            "number": note.number,
            "this_update": note.this_update.isoformat(),
            "audit_id": note.audit_id,
            "audit_hash": note.audit_hash.hex(),
        }
        self._append([line])

    def read(self) -> JournalState:
        """What the lines say together; nothing when there is no file.

        A last line without its end was never acknowledged and does not count. Fails closed: raises AmbassadorError
        naming the line when another one cannot be read.
        """
        try:
            whole, newline, _ = self.path.read_text(encoding="utf-8").rpartition("\n")
        except FileNotFoundError:
            return JournalState()
        except (OSError, UnicodeDecodeError) as error:
            raise AmbassadorError(f"{self.path}: cannot be read: {error}") from error
        lines = whole.split("\n") if newline else []
        try:
            return _together(json.loads(f"[{','.join(lines)}]"))  # several times as fast as line by line
        except (ValueError, KeyError, TypeError, AttributeError):
            return self._read_slowly(lines)

    def _read_slowly(self, lines: list[str]) -> JournalState:
        """As `read`, to find the line that is wrong."""
        state = JournalState()
        for number, line in enumerate(lines, 1):
            try:
                _apply(state, json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise AmbassadorError(
                    f"{self.path}: line {number} is not a line of a journal ({error}); put the file back from a backup"
                ) from error
        return state

    def _append(self, lines: Iterable[dict[str, object]]) -> None:
        data = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
        if not data:
            return
        try:
            with _opened(self.path) as descriptor:
                end = _end_of_whole_lines(descriptor)
                os.ftruncate(descriptor, end)
                try:
                    _write(descriptor, data)
                    os.fsync(descriptor)
                except OSError:
                    os.ftruncate(descriptor, end)
                    raise
            sync_folder(self.path.parent)
        except OSError as error:
            raise AmbassadorError(f"{self.path}: cannot be written: {error.strerror}") from error


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """The file for one writer at a time."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _end_of_whole_lines(descriptor: int) -> int:
    """Where the last whole line ends; what a crash left after it was never acknowledged."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        begin = max(0, end - 4096)
        found = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _revocation_line(item: Revocation) -> dict[str, object]:
    return {
        "ca": item.issuer_sha256.hex(),
        "serial": serial_hex(item.serial),
        "reason": item.reason.value,
        "at": item.at.isoformat(),
        "by": item.by,
        "note": item.note,
        "not_after": item.not_after.isoformat() if item.not_after else None,
    }


def _together(lines: Iterable[dict[str, Any]]) -> JournalState:
    state = JournalState()
    for line in lines:
        _apply(state, line)
    return state


def _apply(state: JournalState, line: dict[str, Any]) -> None:
    issuer = bytes.fromhex(line["ca"])
    event = line["event"]
    if event == "revoked":
        if line["reason"] not in _REASONS:
            raise ValueError(f"reason {line['reason']!r}")
        state.lines[issuer, int(line["serial"], 16)] = line
    elif event == "lifted":
        state.lines.pop((issuer, int(line["serial"], 16)), None)
    elif event == "crl":
        audit_hash = bytes.fromhex(line["audit_hash"])
        note = CrlNote(issuer, int(line["number"]), _time(line["this_update"]), int(line["audit_id"]), audit_hash)
        if issuer not in state.last_crl or note.number > state.last_crl[issuer].number:
            state.last_crl[issuer] = note
        state.anchors[note.audit_id] = note.audit_hash
    else:
        raise ValueError(f"event {event!r}")


def _revocation(issuer: bytes, line: dict[str, Any]) -> Revocation:
    return Revocation(
        issuer,
        int(line["serial"], 16),
        RevocationReason(line["reason"]),
        _time(line["at"]),
        str(line["by"]),
        str(line["note"]),
        _time(line["not_after"]) if line["not_after"] else None,
    )


def _time(text: str) -> dt.datetime:
    time = dt.datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without a zone")
    return time
