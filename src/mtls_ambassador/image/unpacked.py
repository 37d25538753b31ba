"""Images that are packed: unpacked into a file without a name, changed there, and packed again beside the old one."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from mtls_ambassador.image.blocks import Blocks
from mtls_ambassador.image.bmap_file import new_bmap, recover_bmap
from mtls_ambassador.image.identity import Identity
from mtls_ambassador.image.overlay import RawFile
from mtls_ambassador.image.staged import Staged, staged_path, unnamed_file, write_all, write_sparse
from mtls_ambassador.image.undo import read_back
from mtls_ambassador.image.wrappings import HEAD, wrapping_of
from mtls_ambassador.model.errors import AmbassadorError

if TYPE_CHECKING:
    from mtls_ambassador.image.progress import Progress

_CHUNK = 1 << 20


class Wrapping(Protocol):
    """How an image is packed in a file."""

    is_rootfs: bool
    """Whether it is a root file system alone, and not a disk."""

    def unpacked(self, file: BinaryIO) -> Iterator[bytes]:
        """The image. Raises AmbassadorError for what cannot be read, or could not be packed again without a loss."""

    def refuse_pack(self, file: BinaryIO) -> None:
        """Raises AmbassadorError when what is beside the image in `file` would not fit one that was changed."""

    def pack(self, file: BinaryIO, raw: RawFile, chunks: Iterable[bytes], out: BinaryIO) -> list[str]:
        """Pack `chunks`, which are all of `raw`, as the image in `file` is; returns what a person should know."""


@dataclass(slots=True)
class Unpacked:
    """A packed image, and the file without a name that its content is in."""

    path: Path
    file: BinaryIO
    wrapping: Wrapping
    identity: Identity
    descriptor: int
    """Of the content."""
    on_progress: "Progress"
    notes: list[str] = field(default_factory=list)

    @property
    def is_rootfs(self) -> bool:
        """Whether it is a root file system alone."""
        return self.wrapping.is_rootfs

    def unpack(self, *, to_write: bool) -> None:
        """Fill the file without a name. Raises AmbassadorError."""
        try:
            if to_write:
                self.wrapping.refuse_pack(self.file)
            write_sparse(self.descriptor, self._read(self.file, "unpack"))
            _refuse_packed(self.descriptor)
        except OSError as error:
            raise AmbassadorError(f"{self.path}: cannot be unpacked: {error.strerror or error}") from error
        except AmbassadorError as error:
            raise AmbassadorError(f"{self.path}: {error}") from error

    def apply(self, changes: Blocks, check: Callable[[RawFile], None], written: Iterable[int] = ()) -> None:
        """Change the content, `check` it, and pack it again; the packed file is the old one or the new one, whole."""
        if not changes:
            return
        raw = RawFile(self.descriptor)
        bmap = None if self.is_rootfs else new_bmap(self.path, raw, changes, written)
        if bmap:
            bmap.refuse_link()
        old = {offset: raw.read(offset, len(block)) for offset, block in changes.items()}
        try:
            self._put(changes)
            read_back(raw, changes, self.path)
            check(raw)
        except BaseException:
            self._put(old)
            raise
        try:
            with Staged(self.path) as staged:
                notes = self._pack(raw, staged.file)
                with bmap.in_place(self.path) if bmap else nullcontext():
                    staged.commit()
        except OSError as error:
            raise AmbassadorError(
                f"{self.path}: cannot be packed again: {error.strerror or error}; it is as it was before"
            ) from error
        self.notes += [f"{self.path}: {note}" for note in notes] + (bmap.notes if bmap else [])

    def _put(self, blocks: Blocks) -> None:
        try:
            for offset, block in blocks.items():
                write_all(self.descriptor, block, offset)
        except OSError as error:
            raise AmbassadorError(f"{self.path}: {error.strerror}; it is as it was before") from error

    def _pack(self, raw: RawFile, out: BinaryIO) -> list[str]:
        """Pack, and see that the same comes out again."""
        try:
            notes = self.wrapping.pack(self.file, raw, self._content(raw), out)
            out.flush()
            self._compare(raw, out)
        except AmbassadorError as error:
            raise AmbassadorError(f"{self.path}: {error}; it is as it was before") from error
        return notes

    def _compare(self, raw: RawFile, packed: BinaryIO) -> None:
        at = 0
        for chunk in self._read(packed, "verify"):
            if chunk != raw.read(at, len(chunk)):
                break
            at += len(chunk)
        if at != raw.size:
            raise AmbassadorError(f"was not packed rightly, at byte {at}")

    def _content(self, raw: RawFile) -> Iterator[bytes]:
        for at in range(0, raw.size, _CHUNK):
            count = min(_CHUNK, raw.size - at)
            yield raw.read(at, count)
            self.on_progress("pack", at + count, raw.size)

    def _read(self, file: BinaryIO, what: str) -> Iterator[bytes]:
        size = file.seek(0, 2)
        file.seek(0)
        for chunk in self.wrapping.unpacked(file):
            yield chunk
            self.on_progress(what, min(file.tell(), size), size)


@contextmanager
def unpacked_image(
    path: Path, identity: Identity, wrapping: Wrapping, on_progress: "Progress", *, to_write: bool
) -> Iterator[Unpacked]:
    """The image in a packed file, which is locked; what an edit left that was interrupted is put right first."""
    if to_write:
        _settle(path)
    with open(identity.descriptor, "rb", closefd=False) as file, unnamed_file(path.parent) as content:
        image = Unpacked(path, file, wrapping, identity, content, on_progress)
        image.unpack(to_write=to_write)
        yield image


def _settle(path: Path) -> None:
    try:
        recover_bmap(path)
        staged_path(path).unlink(missing_ok=True)
    except OSError as error:
        raise AmbassadorError(
            f"{error.filename}: {error.strerror}; what an interrupted edit left there cannot be removed: remove it"
        ) from error


def _refuse_packed(descriptor: int) -> None:
    if wrapping_of(os.pread(descriptor, HEAD, 0)):
        raise AmbassadorError("what is packed in it is packed itself; unpack it once")
