"""Denials found by what they name, without reading all: there may be a hundred thousand, and devices wait meanwhile."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import sqlalchemy as sa

from mtls_ambassador.model.certificate import Named
from mtls_ambassador.model.denial import Denial, DenialKind
from mtls_ambassador.store.denial_tables import denial
from mtls_ambassador.store.denials import as_denial, columns
from mtls_ambassador.store.pki_tables import certificate

T = TypeVar("T")
CHUNK = 500
"""Serials or keys in one question."""
_ALL = sa.select(*columns, denial.c.lifted_at).order_by(denial.c.id)
_FEW = denial.c.kind.not_in((DenialKind.SERIAL.value, DenialKind.KEY.value))
_WIDE = denial.c.kind.in_((DenialKind.DATES.value, DenialKind.CA.value))


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Values, a few at a time."""
    for begin in range(0, len(values), CHUNK):
        yield values[begin : begin + CHUNK]


def naming_the_same(connection: sa.Connection, items: Iterable[Denial]) -> tuple[list[Denial], list[Denial]]:
    """Denials with the content of one of these: standing ones, those whose time is over included, and lifted ones."""
    wanted = list(items)
    contents = {item.content for item in wanted}
    clauses = [
        *_by_serial([item.serial for item in wanted if item.kind is DenialKind.SERIAL and item.serial is not None]),
        *_by_key([item.spki_sha256 for item in wanted if item.kind is DenialKind.KEY]),
    ]
    if any(item.kind not in {DenialKind.SERIAL, DenialKind.KEY} for item in wanted):
        clauses.append(_FEW)
    standing: list[Denial] = []
    lifted: list[Denial] = []
    for clause in clauses:
        for row in connection.execute(_ALL.where(clause)):
            item = as_denial(row[:-1])
            if item.content in contents:
                (standing if row[-1] is None else lifted).append(item)
    return sorted(standing, key=_number), sorted(lifted, key=_number)


def that_may_hit(connection: sa.Connection, certificates: Iterable[Named]) -> list[Denial]:
    """Standing denials that name the serial, the key or the batch of one of these, and all by dates or by CA."""
    given = list(certificates)
    serials = sorted({item.serial for item in given if item.serial is not None})
    batches = [
        denial.c.batch_id.in_(sa.select(certificate.c.batch_id).where(certificate.c.serial.in_(chunk)))
        for chunk in chunks(serials)
    ]
    keys = _by_key(sorted({item.spki_sha256 for item in given if item.spki_sha256}))
    found = {}
    for clause in (*_by_serial(serials), *keys, *batches, _WIDE):
        for row in connection.execute(_ALL.where(clause, denial.c.lifted_at.is_(None))):
            found[row[-2]] = as_denial(row[:-1])
    return [found[number] for number in sorted(found)]


def numbered(connection: sa.Connection, numbers: Iterable[int]) -> list[Denial]:
    """Standing denials with these numbers."""
    found = [
        as_denial(row[:-1])
        for chunk in chunks(sorted(set(numbers)))
        for row in connection.execute(_ALL.where(denial.c.id.in_(chunk), denial.c.lifted_at.is_(None)))
    ]
    return sorted(found, key=_number)


def last_number(connection: sa.Connection) -> int:
    """The highest one there is."""
    return connection.scalar(sa.select(sa.func.max(denial.c.id))) or 0


def since(connection: sa.Connection, number: int) -> list[Denial]:
    """Standing denials with higher numbers."""
    rows = connection.execute(_ALL.where(denial.c.id > number, denial.c.lifted_at.is_(None)))
    return [as_denial(row[:-1]) for row in rows]


def made_at(connection: sa.Connection) -> Counter[dt.datetime]:
    """How many denials there are of each time, lifted ones included; none is ever removed."""
    counted = sa.select(denial.c.at, sa.func.count()).group_by(denial.c.at)
    return Counter({row[0]: row[1] for row in connection.execute(counted)})


def _by_serial(serials: Sequence[int]) -> Iterator[sa.ColumnElement[bool]]:
    return (denial.c.serial.in_(chunk) for chunk in chunks(serials))


def _by_key(keys: Sequence[str]) -> Iterator[sa.ColumnElement[bool]]:
    return (denial.c.spki_sha256.in_(chunk) for chunk in chunks(keys))


def _number(item: Denial) -> int:
    return item.number
