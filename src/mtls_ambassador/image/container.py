"""The file a disk image is in: as it is, compressed, or in a Mender artifact; opened so that its bytes can be read."""

import fcntl
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mtls_ambassador.image.blocks import Blocks
from mtls_ambassador.image.bmap_path import find_bmap
from mtls_ambassador.image.identity import Identity
from mtls_ambassador.image.overlay import RawFile
from mtls_ambassador.image.progress import Progress, no_progress
from mtls_ambassador.image.undo import Undo
from mtls_ambassador.model.errors import AmbassadorError

if TYPE_CHECKING:
    from mtls_ambassador.image.unpacked import Wrapping

_HEAD = 512
_PACKED = (b"\x1f\x8b", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"BZh", b"PK\3\4", b"version\0", b"\x3a\xff\x26\xed")
_SKIPPABLE = b"\x2a\x4d\x18"
_MAX_NAME = 240
"""Bytes of an image's name: a longer one leaves no room for the names of the files beside it."""


class Container(Protocol):
    """An image's bytes, and how changes to them get back."""

    notes: list[str]
    """After `apply`: what a person should know of what was done."""
    identity: Identity
    """Of the file itself, the packed one if it is packed, from before anything was read of it."""

    @property
    def descriptor(self) -> int:
        """Of a file with the bytes of the disk."""

    @property
    def is_rootfs(self) -> bool:
        """Whether it is a root file system alone, which has no data and no boot partition beside it."""

    def apply(self, changes: Blocks, check: Callable[[RawFile], None], written: Iterable[int] = ()) -> None:
        """Write the changes and `check`; when that raises, all is as before.

        A block map beside the image is put right with it; for that, `written` are offsets of all pages that were
        written to, whether they differ or not: zeros that are now part of a file count.
        """


class Plain:
    """An image that is its file."""

    is_rootfs = False

    def __init__(self, path: Path, identity: Identity) -> None:
        self._path, self._descriptor, self.identity = path, identity.descriptor, identity
        self.notes: list[str] = []

    @property
    def descriptor(self) -> int:
        """Of the file itself."""
        return self._descriptor

    def apply(self, changes: Blocks, check: Callable[[RawFile], None], written: Iterable[int] = ()) -> None:
        """Write in place."""
        if not changes:
            return
        undo = Undo(self._path)
        if find_bmap(self._path) is None:
            undo.apply(self._descriptor, changes, check)
        else:
            self._apply_with_bmap(undo, changes, check, written)

    def _apply_with_bmap(
        self, undo: Undo, changes: Blocks, check: Callable[[RawFile], None], written: Iterable[int]
    ) -> None:
        from mtls_ambassador.image.bmap_file import new_bmap  # noqa: PLC0415 - seldom needed, and slow to load

        bmap = new_bmap(self._path, RawFile(self._descriptor), changes, written)
        if bmap is None:
            raise AmbassadorError(f"{self._path}: its block map went away meanwhile; nothing was changed")

        def check_and_map(image: RawFile) -> None:
            check(image)
            bmap.write()

        undo.keep_beside(bmap.path)
        undo.apply(self._descriptor, changes, check_and_map)
        self.notes += bmap.notes


@contextmanager
def opened(
    path: Path, *, to_write: bool, on_progress: Progress = no_progress, artifacts: bool = False
) -> Iterator[Container]:
    """The image in a file, locked against others who would write to it; an edit that was interrupted is undone first.

    Its kind is told by its first bytes. What is packed takes room for the content in its folder, or in TMPDIR. Mender
    artifacts hold no disk, and are taken only by who says so. Raises AmbassadorError when it cannot be opened.
    """
    try:
        path = Path(os.path.realpath(path))
        _refuse_kind(path, path.stat().st_mode, to_write=to_write)
    except OSError as error:
        raise AmbassadorError(f"{path}: {error.strerror}") from error
    with _locked(path, on_progress, to_write=to_write) as descriptor:
        Undo(path).settle(descriptor)
        identity, wrapping = Identity(descriptor), _wrapping(path, descriptor)
        if wrapping is None:
            yield Plain(path, identity)
            return
        if wrapping.is_rootfs and not artifacts:
            raise AmbassadorError(
                f"{path}: is a Mender artifact, which holds a root file system; a disk image is needed"
            )
        from mtls_ambassador.image.unpacked import unpacked_image  # noqa: PLC0415 - seldom needed

        with unpacked_image(path, identity, wrapping, on_progress, to_write=to_write) as image:
            yield image


def _wrapping(path: Path, descriptor: int) -> "Wrapping | None":
    """How the image is packed; None when it is its file. What is seldom needed is loaded only then."""
    try:
        head = os.pread(descriptor, _HEAD, 0)
    except OSError as error:
        raise AmbassadorError(f"{path}: {error.strerror}") from error
    if head.startswith(_PACKED) or head[1:4] == _SKIPPABLE:
        from mtls_ambassador.image.wrappings import wrapping_of  # noqa: PLC0415 - see above

        try:
            return wrapping_of(head)
        except AmbassadorError as error:
            raise AmbassadorError(f"{path}: {error}") from error
    return None


def _refuse_kind(path: Path, mode: int, *, to_write: bool) -> None:
    """What is no file is not even opened: a pipe would never end."""
    if len(os.fsencode(path.name)) > _MAX_NAME:
        raise AmbassadorError(f"{path}: its name is too long for the files beside it; {_MAX_NAME} bytes are the most")
    if stat.S_ISREG(mode) or (stat.S_ISBLK(mode) and not to_write):
        return
    if stat.S_ISBLK(mode):
        raise AmbassadorError(f"{path}: is a disk; change the image in a file, then write that to it")
    raise AmbassadorError(f"{path}: is {'a folder' if stat.S_ISDIR(mode) else 'no file'}, and no disk image")


@contextmanager
def _locked(path: Path, on_progress: Progress, *, to_write: bool) -> Iterator[int]:
    """The file, opened, for writing also when an interrupted edit must be undone."""
    while True:
        is_writable = to_write or Undo(path).is_there
        descriptor = _open(path, is_writable=is_writable)
        try:
            _lock(descriptor, fcntl.LOCK_EX if is_writable else fcntl.LOCK_SH, on_progress)
            # Whoever held the lock may have put another file in its place, or died.
            if os.path.samestat(os.fstat(descriptor), path.stat()) and is_writable >= Undo(path).is_there:
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _lock(descriptor: int, kind: int, on_progress: Progress) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        on_progress("wait", 0, 1)
        fcntl.flock(descriptor, kind)
        on_progress("wait", 1, 1)


def _open(path: Path, *, is_writable: bool) -> int:
    try:
        return os.open(path, (os.O_RDWR if is_writable else os.O_RDONLY) | os.O_CLOEXEC)
    except OSError as error:
        why = "; an edit of it was interrupted, and is undone first, which needs writing" if Undo(path).is_there else ""
        raise AmbassadorError(f"{path}: {error.strerror}{why}") from error
