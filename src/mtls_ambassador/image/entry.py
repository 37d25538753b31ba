"""What file systems in images have in common: entries, attributes, and what one can do with them."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

Parts = tuple[str, ...]
"""A path from the root of a file system, a name each; () is the root. Bytes that are no UTF-8 are surrogate escapes."""
MAX_NAME = 255
"""Bytes in ext2/3/4, characters in FAT."""


class Kind(StrEnum):
    """What an entry is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"
    """A device, socket or pipe."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a new file or folder gets. FAT keeps only the time."""

    mode: int
    """Permission bits with setuid, setgid and sticky: 0 to 0o7777."""
    uid: int
    gid: int
    mtime: int
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a person says of mode and owner; None where nothing is said."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None

    def over(self, other: Attributes) -> Attributes:
        """`other` with what is said instead."""
        mode = other.mode if self.mode is None else self.mode
        uid = other.uid if self.uid is None else self.uid
        return Attributes(mode, uid, other.gid if self.gid is None else self.gid, other.mtime)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, folder or link as it is."""

    name: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    """Bytes of a file."""
    mtime: int
    target: str = ""
    """Where a symbolic link leads."""


class FileSystem(Protocol):
    """A file system in a part of an image. Changes are seen at once and kept by `flush`.

    Each function raises AmbassadorError with what is wrong; what was changed before it is then not to be flushed.
    """

    @property
    def type(self) -> str:
        """Such as ext4 or vfat."""

    def entry(self, path: Parts) -> Entry | None:
        """What is there; a link itself, not what it leads to. None when nothing is."""

    def entries(self, path: Parts) -> list[Entry]:
        """What is in a folder, by name, without `.` and `..`."""

    def chunks(self, path: Parts) -> Iterator[bytes]:
        """A file's content, part by part."""

    def content_places(self, path: Parts) -> list[tuple[int, int]]:
        """Offset and length of each piece of a file's content, from the file system's begin; none when not known."""

    def put(self, path: Parts, content: bytes, attributes: Attributes) -> None:
        """Make a file in a folder that is there; a file or link of this name is replaced, a folder is not."""

    def make_folder(self, path: Parts, attributes: Attributes) -> None:
        """Make a folder in a folder that is there. Nothing of this name may be there."""

    def set_permissions(self, path: Parts, attributes: Attributes) -> None:
        """Set mode and owner of what is there."""

    def remove(self, path: Parts) -> None:
        """Remove a file, a link, or a folder with all in it."""

    def flush(self) -> None:
        """Keep what was changed, in the image's overlay. Nothing may be done with the file system afterwards."""

    def close(self) -> None:
        """Let go of what is held, and of changes that were not flushed."""


def text(path: Parts) -> str:
    """The path as people write it, made printable."""
    return "".join(char if char.isprintable() else "?" for char in "/" + "/".join(path))
