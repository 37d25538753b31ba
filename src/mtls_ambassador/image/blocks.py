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


def encode(kind: str, facts: Mapping[str, object], blocks: Blocks) -> bytes:
    """The bytes of the file."""
    body = b"".join(_HEAD.pack(offset, len(block)) + block for offset, block in sorted(blocks.items()))
    head = f"{kind}\n{json.dumps(facts, ensure_ascii=False, separators=(',', ':'))}\n".encode()
    data = head + zlib.compress(body, _LEVEL)
    return data + hashlib.sha256(data).digest()


def decode(kind: str, data: bytes, name: str) -> BlockFile:
    """Read it back. Fails closed: raises AmbassadorError for another kind, a byte changed, or too much in it."""
    found, _, rest = data.partition(b"\n")
    if found != kind.encode():
        raise AmbassadorError(f"{name}: is not a file of the kind `{kind}`")
    if hashlib.sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
        raise AmbassadorError(f"{name}: is damaged or cut off (its checksum is wrong); copy it again")
    facts, _, packed = rest[:-_DIGEST].partition(b"\n")
    try:
        inflater = zlib.decompressobj()
        body = inflater.decompress(packed, MAX_BYTES)
        if inflater.unconsumed_tail or not inflater.eof:
            raise AmbassadorError(f"{name}: holds more than {MAX_BYTES} bytes of blocks")
        return BlockFile(kind, json.loads(facts), _unpack(body))
    except (ValueError, struct.error, zlib.error) as error:
        raise AmbassadorError(f"{name}: cannot be read: {error}") from error


def _unpack(body: bytes) -> dict[int, bytes]:
    blocks, at = {}, 0
    while at < len(body):
        offset, length = _HEAD.unpack_from(body, at)
        at += _HEAD.size
        blocks[offset] = body[at : at + length]
        if len(blocks[offset]) != length:
            raise ValueError("a block is cut off")
        at += length
    return blocks
