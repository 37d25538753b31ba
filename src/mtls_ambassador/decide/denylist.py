"""What is denied, packed so that a million serials are looked up in microseconds, in Envoy and here. Pure.

Text of two parts: a line of JSON with all that is few, then the records, sorted and of one width: 4 digits for the
issuer's number, 40 for the serial. Issuer 0 stands for any.
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

HEAD = 8
"""Digits of the length of the first part, before it."""
SERIAL = 40
WIDTH = 4 + SERIAL
ANY = b"0000"
_MOST_ISSUERS = 0xFFFF
_PARTS = {"issuers", "known", "spans", "denied_issuers"}


@dataclass(frozen=True, slots=True)
class Span:
    """Certificates whose validity begins within it, in seconds since 1970."""

    issuer: str
    """RFC 4514 text; empty for any."""
    begins: int
    ends: int
    """The first second that is not in it."""


@dataclass(frozen=True, slots=True)
class Denied:
    """All that is denied at one moment."""

    serials: frozenset[bytes] = frozenset()
    """Of any issuer: 40 lower-case digits each."""
    of_issuers: Mapping[str, frozenset[bytes]] = field(default_factory=dict)
    """By issuer."""
    spans: tuple[Span, ...] = ()
    issuers: tuple[str, ...] = ()
    """All of theirs."""

    @property
    def count(self) -> int:
        """Serials, spans and issuers."""
        serials = len(self.serials) + sum(len(each) for each in self.of_issuers.values())
        return serials + len(self.spans) + len(self.issuers)

    def exceeds(self, before: "Denied") -> bool:
        """Whether it denies anybody whom the one before did not."""
        if not self.serials <= before.serials or not set(self.spans) <= set(before.spans):
            return True
        if not set(self.issuers) <= set(before.issuers):
            return True
        nobody: frozenset[bytes] = frozenset()
        return any(not own <= before.of_issuers.get(issuer, nobody) for issuer, own in self.of_issuers.items())


@dataclass(frozen=True, slots=True)
class Packed:
    """The same as bytes.

    Who signs certificates chooses how they name their issuer, and a CA below a denied one has another name. So a
    certificate whose issuer is not, letter for letter, a CA of the bundle is held against the rules of every issuer.
    """

    head: Mapping[str, Any]
    """`issuers`: issuers' numbers by their text; `known`: the CAs of the bundle; `spans`; `denied_issuers`."""
    records: bytes | memoryview = field(repr=False)

    @classmethod
    def read(cls, content: bytes | memoryview) -> "Packed":
        """Raises ValueError for anything else."""
        view = memoryview(content)
        length = int(bytes(view[:HEAD]), 16)
        found = cls(json.loads(bytes(view[HEAD : HEAD + length])), view[HEAD + length :])
        if len(found.records) % WIDTH:
            raise ValueError("the list of serials is not whole")
        if not isinstance(found.head, dict) or found.head.keys() != _PARTS:
            raise ValueError("not the head of a list of serials")
        return found

    def to_bytes(self) -> bytes:
        """What `read` takes."""
        head = json.dumps(self.head, separators=(",", ":"), sort_keys=True).encode()
        return b"%0*x" % (HEAD, len(head)) + head + bytes(self.records)

    def knows(self, issuer: str) -> bool:
        """Whether it is a CA of the bundle."""
        return issuer in self.head["known"]

    def why(self, issuer: str, serial: int, not_before: dt.datetime) -> str:
        """By what a certificate is denied; empty when it is not."""
        is_known, denied = self.knows(issuer), self.head["denied_issuers"]
        if issuer in denied or (denied and not is_known):
            return "ca"
        begins = not_before.timestamp()
        for who, first, end in self.head["spans"]:
            if (who in {"", issuer} or not is_known) and first <= begins < end:
                return "dates"
        numbers = self.head["issuers"]
        meant = [number for name, number in numbers.items() if name == issuer or not is_known]
        keys = [ANY, *(b"%04x" % number for number in meant)]
        return "serial" if any(self._holds(key + b"%040x" % serial) for key in keys) else ""

    def _holds(self, record: bytes) -> bool:
        low, high = 0, len(self.records) // WIDTH
        while low < high:
            middle = (low + high) // 2
            found = bytes(self.records[middle * WIDTH : middle * WIDTH + WIDTH])
            if found == record:
                return True
            low, high = (middle + 1, high) if found < record else (low, middle)
        return False


def pack(denied: Denied, known: Iterable[str] = ()) -> Packed:
    """Sort and join; `known` are the CAs of the bundle, by their text. Raises ValueError for over 65 535 issuers."""
    issuers = {issuer: number for number, issuer in enumerate(sorted(denied.of_issuers), 1)}
    if len(issuers) > _MOST_ISSUERS:
        raise ValueError(f"{len(issuers)} issuers; {_MOST_ISSUERS} are the most")
    parts = [_records(ANY, denied.serials)]
    parts += [_records(b"%04x" % number, denied.of_issuers[issuer]) for issuer, number in issuers.items()]
    spans = [[span.issuer, span.begins, span.ends] for span in denied.spans]
    head = {"issuers": issuers, "known": sorted(known), "spans": spans, "denied_issuers": list(denied.issuers)}
    records = b"".join(parts)
    if len(records) % WIDTH:
        raise ValueError(f"a serial has not {SERIAL} digits")
    return Packed(head, records)


def _records(issuer: bytes, serials: Iterable[bytes]) -> bytes:
    found = sorted(serials)
    return issuer + issuer.join(found) if found else b""
