"""Orders: what is read is what was written, and every bad row is told by its line."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.model.errors import FaultsError
from mtls_ambassador.pki.order import OrderRow
from mtls_ambassador.pki.order_csv import MAX_FAULTS, read_order

NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._:-]{0,20}[A-Za-z0-9])?", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=64)


def faults_of(text: str | bytes) -> list[str]:
    content = text.encode() if isinstance(text, str) else text
    with pytest.raises(FaultsError) as caught:
        read_order(content, "o.csv")
    return caught.value.faults


def test_reads_names_subject_and_identity() -> None:
    order = read_order(b"\xef\xbb\xbfidentity.mac,name,OU\r\n52:54,dev-1,Pumps\r\n\r\n,dev-2,\r\n", "o.csv")
    assert order.quantity == 2
    assert list(order.rows()) == [
        OrderRow("dev-1", (("OU", "Pumps"),), (("mac", "52:54"),)),
        OrderRow("dev-2"),
    ]
    assert list(order.rows()) == list(order.rows())


def test_reads_semicolons() -> None:
    assert [row.subject for row in read_order(b"name;O\na;Acme, Inc\n", "o.csv").rows()] == [(("O", "Acme, Inc"),)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: the first row must be a header"),
        ("name\n", "no device is ordered"),
        ("name,colour\na,red\n", "line 1: column 'colour' is unknown"),
        ("name,name\na,b\n", "line 1: column name is there twice"),
        ("name,O,organizationName\na,b,c\n", "line 1: column O is there twice"),
        ("name\na\n../b\n", r"line 3: name '../b' must be"),
        ("name\n.hidden\n", "line 2: name '.hidden' must be"),
        ("name\nmanifest.jsonl\n", "line 2: name 'manifest.jsonl' is the name of a file"),
        (f"name\n{'x' * 65}\n", "line 2: name 'x+' must be 1 to 64"),
        ("name,O\na\n", "line 2: 1 values where the header has 2 columns"),
        ("name,O\n,b\n", "line 2: no name"),
        ("name,C\na,no\n", "line 2: C: 'no' is not a country code"),
        ("name,C\na,NOR\n", "line 2: C: 3 characters, more than the 2"),
        (f"name,O\na,{'o' * 65}\n", "line 2: O: 65 characters, more than the 64"),
        ("name,serialNumber\na,ü\n", "line 2: serialNumber: 'ü' must be ASCII"),
        ("name,emailAddress\na,me\n", "line 2: emailAddress: 'me' is not"),
        ("name,O\na,b\x07\n", "line 2: O: 'b\\\\x07' has a character"),
        ('name\na\n"b\n', "line 3: not CSV"),
        ("name\na\nb\na\n", "line 4: name 'a' is already on line 2$"),
        ("name\na\nA\n", "line 3: name 'A' is already on line 2 as 'a': upper and lower"),
    ],
)
def test_refuses_by_line(text: str, told: str) -> None:
    (fault,) = faults_of(text)
    assert re.match("o.csv: " + told, fault), fault


def test_all_bad_rows_are_told_at_once() -> None:
    assert [fault.split(":")[1] for fault in faults_of("name\n/\na\n?\nb\n_\n")] == [" line 2", " line 4", " line 6"]
    assert len(faults_of("name\n" + "/\n" * 1000)) == MAX_FAULTS + 1


def test_line_numbers_count_lines_not_rows() -> None:
    assert faults_of('name,O\n\na,"x"\n\n/,y\n')[0].startswith("o.csv: line 5:")


def test_other_encodings_are_told_by_line() -> None:
    assert faults_of("name,O\na,b\nc,Møre\n".encode("latin-1")) == [
        "o.csv: line 3: not UTF-8; save the file as CSV UTF-8"
    ]


@given(st.lists(st.tuples(NAMES, VALUES, VALUES), min_size=1, unique_by=lambda row: row[0].lower()))
def test_what_is_written_is_read(rows: list[tuple[str, str, str]]) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([("name", "L", "identity.x"), *rows])
    if any(name.lower().startswith("manifest.jsonl") for name, _, _ in rows):
        return
    order = read_order(out.getvalue().encode(), "o.csv")
    assert order.quantity == len(rows)
    assert [(row.name, dict(row.subject).get("L", ""), dict(row.identity).get("x", "")) for row in order.rows()] == rows


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: ("name,O\n" + text).encode()))
def test_any_bytes_are_an_order_or_faults(content: bytes) -> None:
    try:
        order = read_order(content, "o.csv")
    except FaultsError as error:
        assert error.faults  # noqa: PT017 - either way is right, and each is looked at
        return
    names = [row.name for row in order.rows()]
    assert len(names) == order.quantity == len({name.lower() for name in names})
