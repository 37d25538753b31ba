"""Looking into a disk image, without changing anything."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mtls_ambassador.image.container import opened
from mtls_ambassador.image.entry import Entry, FileSystem, Kind, Parts, text
from mtls_ambassador.image.image import ANY, Image, Selector
from mtls_ambassador.image.overlay import RawFile
from mtls_ambassador.image.progress import Progress, no_progress
from mtls_ambassador.model.errors import AmbassadorError

_PRIVATE = 0o600


@contextmanager
def image_to_read(path: Path, on_progress: Progress = no_progress) -> Iterator[Image]:
    """An image that is only looked at; `on_progress` is told how far one is that must be unpacked."""
    with opened(path, to_write=False, on_progress=on_progress, artifacts=True) as container:
        raw = RawFile(container.descriptor)
        with Image(raw, str(path), 0, is_rootfs=container.is_rootfs) as image:
            yield image


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file in an image."""

    system: FileSystem
    path: Parts
    entry: Entry

    def chunks(self) -> Iterator[bytes]:
        """Its content, part by part."""
        return self.system.chunks(self.path)

    def read(self) -> bytes:
        """Its content."""
        return b"".join(self.chunks())


def find_file(image: Image, path: Parts, selector: Selector = ANY) -> ImageFile | None:
    """The file that a path leads to, in A when both root file systems have it; None when there is none."""
    place = image.places(path, selector, follow_last=True)[0]
    system = image.system(place.volume)
    entry = system.entry(place.path)
    return None if entry is None else ImageFile(system, place.path, entry)


def open_file(image: Image, path: Parts, selector: Selector = ANY) -> ImageFile:
    """As `find_file`. Raises AmbassadorError when there is no file."""
    found = find_file(image, path, selector)
    if found is None:
        raise AmbassadorError(f"{image.name}:{text(path)} is not there")
    if found.entry.kind is not Kind.FILE:
        raise AmbassadorError(f"{image.name}:{text(path)} is a {found.entry.kind.value}, not a file")
    return found


def listed(image: Image, path: Parts, selector: Selector = ANY) -> list[Entry]:
    """What is in a folder, or the file or link itself."""
    place = image.places(path, selector, follow_last=False)[0]
    system = image.system(place.volume)
    entry = system.entry(place.path)
    if entry is None:
        raise AmbassadorError(f"{image.name}:{text(path)} is not there")
    return system.entries(place.path) if entry.kind is Kind.FOLDER else [entry]


def save(file: ImageFile, target: Path, name: str) -> None:
    """Write it to a file of this machine, with its permissions, whole or not at all; in a folder to the file `name`.

    `name` is the one that was asked for: links of the image must not choose which file of this machine is replaced.
    What comes from FAT, which has no permissions, is for its owner alone: it may be a key.
    """
    mode = file.entry.mode & 0o777 if file.system.type != "vfat" else _PRIVATE
    try:
        if target.is_dir():
            target /= name
        if target.exists() and not target.is_file():
            raise AmbassadorError(f"{target}: is no file, and is not replaced by one; `-` is standard output")
        place = Path(os.path.realpath(target))  # a link, such as /dev/stdout, stays one
        staged = place.with_name(f".{place.name}.{os.urandom(4).hex()}")
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
        try:
            with os.fdopen(descriptor, "wb") as out:
                out.writelines(file.chunks())
                os.fchmod(out.fileno(), mode)
            staged.replace(place)
        finally:
            staged.unlink(missing_ok=True)
    except OSError as error:
        raise AmbassadorError(f"{target}: {error.strerror}") from error
