"""The journal beside the CAs: every revocation and every CRL's number, so that a restored database cannot step back.

One JSON object a line, only ever appended, and on the disk before anything relies on it.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mtls_ambassador.model.revocation import Revocation, RevocationReason, serial_hex
from mtls_ambassador.pki import line_file
from mtls_ambassador.pki.line_file import Line, read_time

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

    lines: dict[tuple[bytes, int], Line] = field(default_factory=dict)
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
        line_file.append(self.path, ({"event": "revoked", **_revocation_line(item)} for item in revocations))

    def lifted(self, revocations: Iterable[Revocation], at: dt.datetime) -> None:
        """Note holds lifted. Call after the database has committed: a crash between leaves them on hold."""
        line_file.append(self.path, (_lifted_line(item, at) for item in revocations))

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
        line_file.append(self.path, [line])

    def read(self) -> JournalState:
        """What the lines say together; nothing when there is no file.

        A last line without its end was never acknowledged and does not count. Fails closed: raises AmbassadorError
        naming the line when another one cannot be read.
        """
        return line_file.read(self.path, JournalState, _apply)


def _revocation_line(item: Revocation) -> Line:
    return {
        "ca": item.issuer_sha256.hex(),
        "serial": serial_hex(item.serial),
        "reason": item.reason.value,
        "at": item.at.isoformat(),
        "by": item.by,
        "note": item.note,
        "not_after": item.not_after.isoformat() if item.not_after else None,
    }


def _lifted_line(item: Revocation, at: dt.datetime) -> Line:
    ca, serial = item.issuer_sha256.hex(), serial_hex(item.serial)
    return {"event": "lifted", "ca": ca, "serial": serial, "at": at.isoformat()}


def _apply(state: JournalState, line: Line) -> None:
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
        note = CrlNote(issuer, int(line["number"]), read_time(line["this_update"]), int(line["audit_id"]), audit_hash)
        if issuer not in state.last_crl or note.number > state.last_crl[issuer].number:
            state.last_crl[issuer] = note
        state.anchors[note.audit_id] = note.audit_hash
    else:
        raise ValueError(f"event {event!r}")


def _revocation(issuer: bytes, line: Line) -> Revocation:
    return Revocation(
        issuer,
        int(line["serial"], 16),
        RevocationReason(line["reason"]),
        read_time(line["at"]),
        str(line["by"]),
        str(line["note"]),
        read_time(line["not_after"]) if line["not_after"] else None,
    )
