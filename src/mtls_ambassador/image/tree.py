"""An image's file systems as one tree, the way the device sees them, and the walk along a path in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mtls_ambassador.image.entry import MAX_NAME, FileSystem, Kind, Parts, text
from mtls_ambassador.image.layout import Volume
from mtls_ambassador.model.errors import AmbassadorError, UsageError

_MAX_LINKS = 40
"""As Linux: a path with more symbolic links in it is taken for a circle."""


@dataclass(frozen=True, slots=True)
class Place:
    """A path in one file system."""

    volume: Volume
    path: Parts


@dataclass(frozen=True, slots=True)
class Tree:
    """A root file system and what is mounted in it; None for what a device has and the image does not tell."""

    root: Volume | None
    mounts: Mapping[Parts, Volume | None]
    """By the path where each is mounted."""
    system: Callable[[Volume], FileSystem]
    missing: Callable[[Parts], AmbassadorError]
    """What is to be said when a path leads to where nothing is known."""

    def find(self, path: Parts, *, follow_last: bool) -> Place:
        """Where a path leads, there or not. Links on the way are followed within the image, as a device would.

        `..` in a link stops at the root, so that none leads out. Raises AmbassadorError for links in a circle, and for
        what leads to a partition that is not known: under its mount point nothing is to be put instead.
        """
        ahead, behind, links = list(reversed(path)), list[str](), 0
        while ahead:
            if not behind and (mount := self._mount(ahead[::-1])):  # whatever the root file system has there
                behind += mount
                del ahead[-len(mount) :]
                continue
            name = ahead.pop()
            if name == "..":
                del behind[-1:]
                continue
            behind.append(name)
            place = self._locate(behind)
            if not (ahead or follow_last) or not place.path:
                continue
            entry = self.system(place.volume).entry(place.path)
            if entry is None or entry.kind is not Kind.LINK:
                continue
            links += 1
            if links > _MAX_LINKS:
                raise AmbassadorError(f"{text(path)}: more than {_MAX_LINKS} symbolic links on the way: a circle?")
            behind = [] if entry.target.startswith("/") else behind[:-1]
            ahead += [part for part in reversed(entry.target.split("/")) if part not in {"", "."}]
        return self._locate(behind)

    def _locate(self, path: list[str]) -> Place:
        mount = self._mount(path)
        volume = self.mounts[mount] if mount else self.root
        if volume is None:
            raise self.missing(tuple(path))
        return Place(volume, tuple(path[len(mount) :]))

    def _mount(self, path: list[str]) -> Parts:
        """The mount point that a path begins with; () when with none."""
        return max((mount for mount in self.mounts if tuple(path[: len(mount)]) == mount), key=len, default=())


def parse_path(given: str) -> Parts:
    """A path as given by a person. Raises UsageError for what could leave the image, or be no name."""
    parts = tuple(part for part in given.split("/") if part not in {"", "."})
    for part in parts:
        if part == "..":
            raise UsageError(f"{given}: `..` is not allowed in a path in an image; write the path it leads to")
        if "\0" in part or len(part.encode(errors="surrogateescape")) > MAX_NAME:
            raise UsageError(f"{text(parts)}: a name has at most {MAX_NAME} bytes, none of them zero")
    return parts
