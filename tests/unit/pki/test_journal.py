"""The journal holds every line it acknowledged, whatever happens while it is written."""

import datetime as dt
import resource
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.revocation import Revocation, RevocationReason
from mtls_ambassador.pki.journal import CrlNote, Journal

NOW = dt.datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=dt.UTC)
CA, OTHER = b"\1" * 32, b"\2" * 32


def revocation(serial: int, ca: bytes = CA) -> Revocation:
    return Revocation(ca, serial, RevocationReason.CERTIFICATE_HOLD, NOW, "mé", 'no"te\n', NOW + dt.timedelta(days=9))


def note(number: int, ca: bytes = CA) -> CrlNote:
    return CrlNote(ca, number, NOW, number * 10, bytes([number]) * 32)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "pki")


def test_read_back_together(journal: Journal) -> None:
    first, second = revocation((1 << 160) - 1), replace(revocation(2, OTHER), not_after=None)
    journal.revoked([first, second, revocation(3)])
    journal.lifted([revocation(3)], NOW)
    for number in (4, 9, 5):
        journal.crl_signed(note(number))
    state = journal.read()
    assert {key: state.revocation(key) for key in state.lines} == {first.key: first, second.key: second}
    assert state.last_crl == {CA: note(9)}
    assert state.anchors == {number * 10: bytes([number]) * 32 for number in (4, 9, 5)}
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


def test_nothing_written_is_nothing_known(journal: Journal) -> None:
    assert not journal.read().lines
    journal.revoked([])
    assert not journal.path.exists()


@pytest.mark.parametrize("torn", ['{"event":"revo', "x" * 9000, '{"event":"crl"}'])
def test_a_line_a_crash_left_unfinished_never_was(journal: Journal, torn: str) -> None:
    journal.revoked([revocation(1)])
    with journal.path.open("a") as file:
        file.write(torn)
    assert list(journal.read().lines) == [(CA, 1)]
    journal.revoked([revocation(2)])
    assert list(journal.read().lines) == [(CA, 1), (CA, 2)]


def test_a_file_that_is_all_one_torn_line(journal: Journal) -> None:
    journal.path.parent.mkdir()
    journal.path.write_text('{"ev')
    assert not journal.read().lines
    journal.revoked([revocation(2)])
    assert list(journal.read().lines) == [(CA, 2)]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nonsense",
        "{}",
        "[]",
        "1,2",
        '{"event":"other","ca":"01"}',
        '{"event":"revoked","ca":"01","serial":"zz","reason":"superseded"}',
        '{"event":"revoked","ca":"01","serial":"1","reason":"because"}',
    ],
)
def test_a_line_that_cannot_be_read_stops_it_all_and_is_named(journal: Journal, line: str) -> None:
    journal.revoked([revocation(1)])
    with journal.path.open("a") as file:
        file.write(f"{line}\n")
    journal.revoked([revocation(2)])
    with pytest.raises(AmbassadorError, match=r"journal\.jsonl: line 2 is not a line of a journal"):
        journal.read()


def test_several_writers_lose_nothing(journal: Journal) -> None:
    def write(first: int) -> None:
        for serial in range(first, first + 25):
            journal.revoked([revocation(serial)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, (100, 200, 300, 400)))
    assert len(journal.read().lines) == 100


def test_where_it_cannot_be_written_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AmbassadorError, match="cannot be written"):
        Journal(tmp_path / "file").revoked([revocation(1)])


def test_a_full_disk_leaves_whole_lines(journal: Journal) -> None:
    """A limit on the size of files is a disk without room: a line that does not fit leaves nothing behind."""
    journal.revoked([revocation(1)])
    before = journal.path.read_bytes()
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, hard))
    try:
        with pytest.raises(AmbassadorError, match="cannot be written: File too large"):
            journal.revoked([revocation(2)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert journal.path.read_bytes() == before
