import hashlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.sandbox.bulk_api import PERIOD, blob_chunks
from support.sandbox_caller import Caller

ECHO, BLOB = "/api/devices/v1/sandbox/echo", "/api/devices/v1/sandbox/blob"


async def pieces() -> AsyncIterator[bytes]:
    for chunk in blob_chunks(0, 3_000_000):
        yield chunk


@given(st.integers(0, 3 * PERIOD), st.integers(0, 1000), st.integers(0, 1000))
def test_pieces_are_slices_of_one_blob(start: int, one: int, two: int) -> None:
    whole = b"".join(blob_chunks(start, start + one + two))
    assert len(whole) == one + two
    assert whole == b"".join(blob_chunks(start, start + one)) + b"".join(blob_chunks(start + one, start + one + two))


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_echo_counts_and_hashes(caller: Caller, method: str) -> None:
    device = await caller.enrol()
    digest = hashlib.sha256(b"".join(blob_chunks(0, 3_000_000))).hexdigest()
    answer = await caller.as_device(method, ECHO, device.token, data=pieces())
    assert answer.json == {"bytes": 3_000_000, "sha256": digest}
    entry = caller.sandbox.journal.find(ECHO)[0]
    assert (entry.body_size, entry.body_sha256) == (3_000_000, digest)


async def test_blob_sends_what_was_asked_for(caller: Caller) -> None:
    device = await caller.enrol()
    answer = await caller.as_device("GET", f"{BLOB}?bytes=2500000", device.token)
    assert answer.headers["Content-Length"] == "2500000"
    assert answer.body == b"".join(blob_chunks(0, 2_500_000))


@pytest.mark.parametrize(
    ("text", "start", "stop"), [("0-0", 0, 1), ("10-", 10, 5000), ("4990-9999", 4990, 5000), ("-7", 4993, 5000)]
)
async def test_blob_honours_a_range(caller: Caller, text: str, start: int, stop: int) -> None:
    device = await caller.enrol()
    headers = {"Range": f"bytes={text}"}
    answer = await caller.as_device("GET", f"{BLOB}?bytes=5000", device.token, headers=headers)
    assert (answer.status, answer.headers["Content-Range"]) == (206, f"bytes {start}-{stop - 1}/5000")
    assert answer.body == b"".join(blob_chunks(start, stop))


@pytest.mark.parametrize(("query", "text", "status"), [("bytes=9", "9-", 416), ("bytes=9", "x", 416), ("", "0-", 400)])
async def test_what_cannot_be_sent(caller: Caller, query: str, text: str, status: int) -> None:
    device = await caller.enrol()
    headers = {"Range": f"bytes={text}"}
    assert (await caller.as_device("GET", f"{BLOB}?{query}", device.token, headers=headers)).status == status


async def test_both_need_a_device(caller: Caller) -> None:
    assert (await caller.call("PUT", ECHO, data=b"x")).status == 401
    assert (await caller.call("GET", f"{BLOB}?bytes=1")).status == 401
