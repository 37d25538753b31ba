"""Changed blocks in a file: what a patch holds, and what an interrupted edit is undone with.

A line with the kind, a line of JSON that says what the blocks are for, the blocks deflated (zlib, RFC 1950), each with
its offset (8 bytes) and length (4 bytes) before it, little-endian; at the end the SHA-256 of all that.
"""

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mtls_ambassador.model.errors import AmbassadorError

Blocks = Mapping[int, bytes]
"""Content by offset."""
_HEAD = struct.Struct("<QI")
_DIGEST = 32
_LEVEL = 6
MAX_BYTES = 1 << 30
"""Of blocks in one file, uncompressed."""


@dataclass(frozen=True, slots=True)
class BlockFile:
    """What such a file holds."""

    kind: str
    facts: dict[str, Any]
    blocks: dict[int, bytes]


def encode(kind: str, facts: Mapping[str, object], blocks: Blocks, most: int = MAX_BYTES) -> bytes:
    """The bytes of the file. Raises AmbassadorError when it would be more than `decode` takes."""
    body = b"".join(_HEAD.pack(offset, len(block)) + block for offset, block in sorted(blocks.items()))
    if len(body) > most:
        raise AmbassadorError(f"too much changes at once: {len(body)} bytes of blocks, and {most} are the most")
    head = f"{kind}\n{json.dumps(facts, separators=(',', ':'))}\n".encode()
    data = head + zlib.compress(body, _LEVEL)
    return data + hashlib.sha256(data).digest()


def decode(kind: str, data: bytes, name: str, most: int = MAX_BYTES) -> BlockFile:
    """Read it back; `most` bytes of blocks at most.

    Fails closed: raises AmbassadorError for another kind, a byte changed, too much in it, or blocks that are empty,
    overlap, or are not in their order.
    """
    found, _, rest = data.partition(b"\n")
    if found != kind.encode():
        raise AmbassadorError(f"{name}: is not a file of the kind `{kind}`")
    if hashlib.sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
        raise AmbassadorError(f"{name}: is damaged or cut off (its checksum is wrong)")
    facts, _, packed = rest[:-_DIGEST].partition(b"\n")
    try:
        return BlockFile(kind, _parse(facts), _unpack(_inflate(packed, most)))
    except (ValueError, RecursionError, struct.error, zlib.error) as error:
        raise AmbassadorError(f"{name}: cannot be read: {error}") from error


def _parse(facts: bytes) -> dict[str, Any]:
    found = json.loads(facts)
    if not isinstance(found, dict):
        raise ValueError("its second line is no JSON object")  # noqa: TRY004 - as for other faults of the text
    return found


def _inflate(packed: bytes, most: int) -> bytes:
    inflater = zlib.decompressobj()
    body = inflater.decompress(packed, most)
    if inflater.unconsumed_tail:
        raise ValueError(f"it holds more than {most} bytes of blocks")
    if not inflater.eof or inflater.unused_data:
        raise ValueError("its blocks do not end where the file does")
    return body


def _unpack(body: bytes) -> dict[int, bytes]:
    blocks, at, end = dict[int, bytes](), 0, 0
    while at < len(body):
        offset, length = _HEAD.unpack_from(body, at)
        at += _HEAD.size
        if offset < end or not length:
            raise ValueError("blocks are empty, overlap, or are not in their order")
        if at + length > len(body):
            raise ValueError("a block is cut off")
        blocks[offset] = body[at : at + length]
        at, end = at + length, offset + length
    return blocks
