"""SHA-256 of whole images, as `sha256sum` prints it, without reading holes and without doing twice what is the same."""

import hashlib
from typing import Any

from mtls_ambassador.image.overlay import RawFile
from mtls_ambassador.image.progress import Progress, no_progress

_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)


def sha256_of(image: RawFile, on_progress: Progress = no_progress) -> bytes:
    """Of the whole image."""
    digest = hashlib.sha256()
    _update(digest, image, 0, image.size, on_progress)
    return digest.digest()


class Sha256Alike:
    """Of images that are alike up to some byte: what is before it is hashed once."""

    def __init__(self) -> None:
        self._start = 0
        self._head = hashlib.sha256()

    def of(self, image: RawFile, alike_up_to: int) -> bytes:
        """Of one that is the same as those before up to this byte."""
        if alike_up_to != self._start:
            self._head, self._start = hashlib.sha256(), alike_up_to
            _update(self._head, image, 0, alike_up_to)
        digest = self._head.copy()
        _update(digest, image, self._start, image.size)
        return digest.digest()


def _update(
    digest: Any,  # noqa: ANN401 - hashlib has no public type for it
    image: RawFile,
    at: int,
    end: int,
    on_progress: Progress = no_progress,
) -> None:
    for offset, length in [*image.extents(at, end - at), (end, 0)]:
        while at < offset + length:
            is_hole = at < offset
            count = min(_CHUNK, (offset if is_hole else offset + length) - at)
            digest.update(_ZEROS[:count] if is_hole else image.read(at, count))
            at += count
            on_progress("hash", at, end)
