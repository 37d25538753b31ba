"""The block map of an image (bmaptool's XML, versions 1.0 to 2.0), after a change: pure, text and bytes in, text out.

A map says which blocks of an image hold data, with checksums; bmaptool copies only those. A map that was not changed
with the image has bmaptool refuse the image, or, without checksums, leave out blocks that are now in use.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

from mtls_ambassador.image.blocks import Blocks
from mtls_ambassador.image.bmap_text import Bmap, Span, parse_bmap, rewritten
from mtls_ambassador.image.overlay import PAGE, Readable, laid_over
from mtls_ambassador.model.errors import AmbassadorError

_CHUNK = 1 << 20


def updated_bmap(text: str, image: Readable, changes: Blocks, written: Iterable[int] = ()) -> str:
    """The map of `image` once `changes` are in it; `written` are offsets of pages in use now, which may hold zeros.

    Only ranges that are touched are read. Raises AmbassadorError when the map is not this image's as it is before.
    """
    bmap = parse_bmap(text)
    if bmap.image_size != image.size:
        raise AmbassadorError(f"is of an image of {bmap.image_size} bytes, and this one has {image.size}")
    touched = _touched(bmap.block_size, image.size, changes, written)
    spans = _spans(bmap, touched, _Checksums(bmap, image, changes))
    return rewritten(text, replace(bmap, spans=tuple(spans)))


def _touched(size: int, end: int, changes: Blocks, written: Iterable[int]) -> list[int]:
    """Numbers of blocks."""
    found: set[int] = set()
    for offset, length in [*((at, len(block)) for at, block in changes.items()), *((at, PAGE) for at in written)]:
        found.update(range(offset // size, (min(offset + length, end) - 1) // size + 1))
    return sorted(found)


class _Checksums:
    """Of ranges of blocks, before the change and after it."""

    def __init__(self, bmap: Bmap, image: Readable, changes: Blocks) -> None:
        self._bmap, self._old, self._new = bmap, image, laid_over(image, changes)
        self._has_any = any(span.checksum for span in bmap.spans)

    def added(self, first: int, last: int) -> Span:
        """Of blocks that were in no range."""
        return Span(first, last, self._of(self._new, first, last) if self._has_any else None)

    def renewed(self, span: Span) -> Span:
        """Of a range in which something changed."""
        if span.checksum is None:
            return span
        if self._of(self._old, span.first, span.last) != span.checksum:
            raise AmbassadorError(f"does not fit the image: blocks {span.first}-{span.last} have another checksum")
        return replace(span, checksum=self._of(self._new, span.first, span.last))

    def _of(self, image: Readable, first: int, last: int) -> str:
        return checksum_of(self._bmap, image, first, last)


def checksum_of(bmap: Bmap, image: Readable, first: int, last: int) -> str:
    """Of blocks of `image`, as a map of this kind has it."""
    digest: Any = hashlib.new(bmap.algorithm or "")
    end = min((last + 1) * bmap.block_size, image.size)
    for at in range(first * bmap.block_size, end, _CHUNK):
        digest.update(image.read(at, min(_CHUNK, end - at)))
    return str(digest.hexdigest())


def _spans(bmap: Bmap, touched: list[int], checksums: _Checksums) -> list[Span]:
    firsts = [span.first for span in bmap.spans]
    changed: set[int] = set()
    new: list[int] = []
    for block in touched:
        number = bisect_right(firsts, block) - 1
        if number >= 0 and block <= bmap.spans[number].last:
            changed.add(number)
        else:
            new.append(block)
    kept = [checksums.renewed(span) if n in changed else span for n, span in enumerate(bmap.spans)]
    added = [checksums.added(first, last) for first, last in _runs(new)]
    return sorted([*kept, *added], key=lambda span: span.first)


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """First and last of each row of numbers that follow each other."""
    if numbers:
        ends = [a for a, b in pairwise(numbers) if b != a + 1] + numbers[-1:]
        starts = numbers[:1] + [b for a, b in pairwise(numbers) if b != a + 1]
        yield from zip(starts, ends, strict=True)
