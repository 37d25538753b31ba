"""Compressed streams, unpacked part by part in flat memory."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from mtls_ambassador.model.errors import AmbassadorError

CHUNK = 1 << 20
"""Bytes unpacked at a time."""
_INPUT = 1 << 18
_LONGEST_MAGIC = 8


class Unpacker(Protocol):
    """What the standard library's decompressors share; for one stream."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether it has to be given more."""

    @property
    def unused_data(self) -> bytes:
        """What came after the stream's end."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most so many bytes."""


@dataclass(frozen=True, slots=True)
class Packing:
    """A way to compress."""

    begins: Callable[[bytes], bool]
    """Whether a stream of this kind begins so."""
    unpacker: Callable[[], Unpacker]
    packed: Callable[[Iterable[bytes], bytes], Iterator[bytes]]
    """Compresses, with the choices that the first bytes of the file before tell of."""
    fault: type[Exception]
    """What the unpacker raises for a stream that is damaged."""


def unpacked(packing: Packing, file: BinaryIO) -> Iterator[bytes]:
    """The content of all streams in a file, one after the other.

    Raises AmbassadorError when it is damaged, cut off, takes too much memory, or has something behind its end other
    than zeros.
    """
    try:
        yield from _unpacked(packing, file)
    except (packing.fault, EOFError) as error:
        if "memory" in str(error).lower():  # xz and Zstandard, which let a file ask for gigabytes
            raise AmbassadorError(f"takes too much memory: {error}; pack it anew with a smaller dictionary") from error
        raise AmbassadorError(f"is damaged: {error}") from error


def _unpacked(packing: Packing, file: BinaryIO) -> Iterator[bytes]:
    data = file.read(_INPUT)
    while data:
        if len(data) < _LONGEST_MAGIC:
            data += file.read(_INPUT)
        if packing.begins(data):
            data = (yield from _stream(packing.unpacker(), data, file)) or file.read(_INPUT)
        elif not data.strip(b"\0"):
            data = file.read(_INPUT)
        else:
            raise AmbassadorError("has something behind its end which would be lost; is it damaged?")


def _stream(unpacker: Unpacker, data: bytes, file: BinaryIO) -> Generator[bytes, None, bytes]:
    """One stream; returns what was read of the next."""
    while not unpacker.eof:
        if unpacker.needs_input and not data:
            data = file.read(_INPUT)
            if not data:
                raise AmbassadorError("is cut off: it ends too early; copy it again")
        chunk, data = unpacker.decompress(data, CHUNK), b""
        if chunk:
            yield chunk
    return unpacker.unused_data
