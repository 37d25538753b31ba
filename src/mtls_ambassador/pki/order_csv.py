"""An order read from CSV (RFC 4180): every bad row is told by its line, and then none is used."""

import csv
import hashlib
import io
import itertools
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mtls_ambassador.model.errors import FaultsError
from mtls_ambassador.pki.order import MAX_ROWS, OrderRow, name_fault

SUBJECT_COLUMNS = {
    "O": ("O", 64),
    "organizationName": ("O", 64),
    "OU": ("OU", 64),
    "organizationalUnitName": ("OU", 64),
    "C": ("C", 2),
    "countryName": ("C", 2),
    "ST": ("ST", 128),
    "stateOrProvinceName": ("ST", 128),
    "L": ("L", 128),
    "localityName": ("L", 128),
    "serialNumber": ("serialNumber", 64),
    "emailAddress": ("emailAddress", 255),
}
"""Columns that go into the subject: OpenSSL's short and long names, and the longest value (RFC 5280 appendix A.1)."""
IDENTITY_PREFIX = "identity."
"""Columns so named are kept in the manifest beside the certificate, and are not in it."""
DEVICE_TYPE = "device_type"
"""As is this one."""
MAX_FAULTS = 50
_IDENTITY_KEY = re.compile(r"[^\s=]+")
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,./:=?-]*")
_BUCKETS = 64


@dataclass(frozen=True, slots=True)
class CsvOrder:
    """An order file, checked; its bytes are kept so that a file changed meanwhile changes nothing."""

    content: bytes = field(repr=False)
    quantity: int
    digest: bytes

    def rows(self) -> Iterator[OrderRow]:
        """Each device, read anew."""
        lines = _records(self.content)
        _, header = next(lines)
        kinds = [_column(title.strip()) for title in header]
        for _, values in lines:
            yield _row(kinds, [value.strip() for value in values])


def read_order(content: bytes, source_name: str) -> CsvOrder:
    """The order in a CSV file: a header row, then one row per device.

    `name` is the device's name, its folder, and its certificate's common name. Columns of SUBJECT_COLUMNS go into the
    subject, `identity.…` and `device_type` into the manifest and the device's image. Comma or semicolon; UTF-8, a byte
    order mark is allowed.

    Raises FaultsError with every bad row by line number (the first 50 of them); then no row may be used.
    """
    faults: list[str] = []
    quantity = 0
    names = _Names()
    try:
        lines = _records(content)
        header_line, header = next(lines, (1, []))
        kinds, faults = _header(header)
        faults = [f"line {header_line}: {fault}" for fault in faults]
        for line, values in lines if not faults else iter(()):
            quantity += 1
            found = _row_faults(kinds, [value.strip() for value in values])
            faults += [f"line {line}: {fault}" for fault in found]
            names.add(values[0] if len(kinds) == 1 else values[_name_at(kinds)] if len(values) == len(kinds) else "")
            if len(faults) > MAX_FAULTS or quantity > MAX_ROWS:
                break
    except _UnreadableError as error:
        faults.append(str(error))
    else:
        if not faults and not quantity:
            faults.append("no device is ordered: there is no row below the header")
        if not faults and (same := names.repeated()):
            faults = _repeated(content, same)
    if quantity > MAX_ROWS:
        faults.append(f"more than {MAX_ROWS} rows; order them in parts")
    if faults:
        told = [f"{source_name}: {fault}" for fault in faults[:MAX_FAULTS]]
        raise FaultsError(told + ([f"{source_name}: … and more"] if len(faults) > MAX_FAULTS else []))
    return CsvOrder(content, quantity, hashlib.sha256(content).digest())


class _UnreadableError(Exception):
    """The file is no CSV from some line on."""


@dataclass(frozen=True, slots=True)
class _Column:
    kind: str
    key: str = ""
    longest: int = 0


def _records(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not empty, with the number of the line it begins on."""
    head = content.split(b"\n", 1)[0]
    delimiter = ";" if b";" in head and b"," not in head else ","
    text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    line = 1
    try:
        for values in reader:
            if any(values):
                yield line, values
            line = reader.line_num + 1
    except UnicodeDecodeError:
        bad = next(n for n, part in enumerate(content.split(b"\n"), 1) if not _is_utf8(part))
        raise _UnreadableError(f"line {bad}: not UTF-8; save the file as CSV UTF-8") from None
    except csv.Error as error:
        raise _UnreadableError(f"line {line}: not CSV: {error}") from None


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _column(title: str) -> _Column:
    if title == "name":
        return _Column("name")
    if title in SUBJECT_COLUMNS:
        return _Column("subject", *SUBJECT_COLUMNS[title])
    if title == DEVICE_TYPE:
        return _Column("device_type", title)
    if title.startswith(IDENTITY_PREFIX) and _IDENTITY_KEY.fullmatch(title.removeprefix(IDENTITY_PREFIX)):
        return _Column("identity", title.removeprefix(IDENTITY_PREFIX))
    return _Column("unknown", title)


def _name_at(kinds: list[_Column]) -> int:
    return next(n for n, column in enumerate(kinds) if column.kind == "name")


def _header(titles: list[str]) -> tuple[list[_Column], list[str]]:
    kinds = [_column(title.strip()) for title in titles]
    faults = [
        f"column {column.key!r} is unknown: subject columns are {', '.join(SUBJECT_COLUMNS)};"
        f" what is kept in the manifest, and put into images, is `{DEVICE_TYPE}` and {IDENTITY_PREFIX}NAME"
        for column in kinds
        if column.kind == "unknown"
    ]
    if not any(column.kind == "name" for column in kinds):
        faults.append("the first row must be a header with a column `name`")
    seen: set[tuple[str, str]] = set()
    for column in kinds:
        if (column.kind, column.key) in seen and column.kind != "unknown":
            faults.append(f"column {column.key or column.kind} is there twice")
        seen.add((column.kind, column.key))
    return kinds, faults


def _row(kinds: list[_Column], values: list[str]) -> OrderRow:
    pairs = [(column, value) for column, value in zip(kinds, values, strict=True) if value]
    return OrderRow(
        name=next(value for column, value in pairs if column.kind == "name"),
        subject=tuple((column.key, value) for column, value in pairs if column.kind == "subject"),
        identity=tuple((column.key, value) for column, value in pairs if column.kind == "identity"),
        device_type=next((value for column, value in pairs if column.kind == "device_type"), ""),
    )


def _row_faults(kinds: list[_Column], values: list[str]) -> list[str]:
    if len(values) != len(kinds):
        return [f"{len(values)} values where the header has {len(kinds)} columns"]
    return [fault for column, value in zip(kinds, values, strict=True) if (fault := _value_fault(column, value))]


def _value_fault(column: _Column, value: str) -> str | None:
    if column.kind == "name":
        return name_fault(value)
    if not value.isprintable():
        return f"{column.key}: {value!r} has a character that cannot be printed"
    if column.kind == "device_type" and " " in value:
        return f"{DEVICE_TYPE}: {value!r} has a blank in it"
    return _subject_fault(column, value) if column.kind == "subject" and value else None


def noted_fault(identity: Iterable[tuple[str, str]], device_type: str) -> str | None:
    """What is wrong with what a manifest notes of a device, by the rules for an order; None when nothing is."""
    for key, value in [*((f"{IDENTITY_PREFIX}{key}", value) for key, value in identity), (DEVICE_TYPE, device_type)]:
        column = _column(key)
        if column.kind == "unknown":
            return f"{key!r} is no name of a value: blanks and = are not allowed in it"
        if fault := _value_fault(column, value):
            return fault
    return None


def _subject_fault(column: _Column, value: str) -> str | None:
    if len(value) > column.longest:
        return f"{column.key}: {len(value)} characters, more than the {column.longest} RFC 5280 allows"
    if column.key == "C" and not re.fullmatch(r"[A-Z]{2}", value):
        return f"C: {value!r} is not a country code of two capital letters, such as NO"
    if column.key == "serialNumber" and not _PRINTABLE.fullmatch(value):
        return f"serialNumber: {value!r} must be ASCII letters, digits, space and '()+,-./:=?"
    if column.key == "emailAddress" and not (value.isascii() and re.fullmatch(r"[^@\s]+@[^@\s]+", value)):
        return f"emailAddress: {value!r} is not an ASCII mail address"
    return None


class _Names:
    """Which names come again, in eight bytes a name: equal hashes are found here, equal names by `_repeated`."""

    def __init__(self) -> None:
        self._buckets = [array("Q") for _ in range(_BUCKETS)]

    def add(self, name: str) -> None:
        number = _hash(name)
        self._buckets[number % _BUCKETS].append(number)

    def repeated(self) -> set[int]:
        found = set()
        for bucket in self._buckets:
            found |= {one for one, other in itertools.pairwise(sorted(bucket)) if one == other}
        return found


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.strip().lower().encode(), digest_size=8).digest())


def _repeated(content: bytes, hashes: set[int]) -> list[str]:
    """One fault for each row whose name an earlier row has, upper and lower case being the same to some disks."""
    lines = _records(content)
    at = _name_at([_column(title.strip()) for title in next(lines)[1]])
    first: dict[str, tuple[int, str]] = {}
    faults = []
    for line, values in lines:
        name = values[at].strip()
        if _hash(name) not in hashes:
            continue
        earlier, written = first.setdefault(name.lower(), (line, name))
        if earlier != line:
            how = "" if written == name else f" as {written!r}: upper and lower case are one on some file systems"
            faults.append(f"line {line}: name {name!r} is already on line {earlier}{how}")
    return faults
