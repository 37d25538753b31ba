"""Changing files in a disk image: all in memory first, then written, checked and read back, or undone."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mtls_ambassador.image.blocks import Blocks
from mtls_ambassador.image.check import faults_of
from mtls_ambassador.image.container import opened
from mtls_ambassador.image.entry import Attributes, FileSystem, Kind, Parts, Permissions, text
from mtls_ambassador.image.image import ANY, Image, Selector
from mtls_ambassador.image.layout import Volume
from mtls_ambassador.image.overlay import RawFile, Readable
from mtls_ambassador.image.progress import Progress, no_progress
from mtls_ambassador.image.tree import Place
from mtls_ambassador.model.errors import AmbassadorError

FOLDER_MODE = 0o755


class UnsoundError(AmbassadorError):
    """A file system's checker complains after a change."""

    def __init__(self, volume: Volume, faults: list[str]) -> None:
        super().__init__(f"{volume.where}: {'; '.join(faults[:5])}")
        self.volume = volume
        self.faults = faults


@dataclass(slots=True)
class Edit:
    """Changes to one image, and what must be found in it afterwards."""

    image: Image
    selector: Selector = ANY
    expected: dict[Place, bytes | None] = field(default_factory=dict)
    """The content of each file put, None for what was removed."""
    attributes: dict[Place, Attributes] = field(default_factory=dict)
    """Of what was made."""
    changed: list[Volume] = field(default_factory=list)
    """Once flushed: those to be checked."""
    written: list[int] = field(default_factory=list)
    """Once flushed: offsets of pages that were written to, whether they changed or not."""
    told: list[str] = field(default_factory=list)
    """What a person should know of how it was written."""

    def content_places(self) -> dict[int, bytes]:
        """Where in the image each piece of what was put stands, before `flush`; what stands in an inode is left out."""
        found: dict[int, bytes] = {}
        for place, content in self.expected.items():
            pieces, at = self.image.system(place.volume).content_places(place.path) if content else [], 0
            for offset, length in pieces:
                found[place.volume.partition.start + offset] = (content or b"")[at : at + length]
                at += length
        return found

    def flush(self) -> Blocks:
        """End the changes; returns the blocks to write."""
        self.image.flush()
        self.changed = self.image.changed()
        self.written = self.image.overlay.written()
        return self.image.overlay.changes()

    def put(self, path: Parts, name: str, content: bytes, attributes: Attributes, *, parents: bool = False) -> None:
        """As `put_file`; where a folder is, the file `name` in it."""
        self.put_file((*path, name) if self._is_folder(path) else path, content, attributes, parents=parents)

    def put_file(self, path: Parts, content: bytes, attributes: Attributes, *, parents: bool = False) -> None:
        """Make or replace a file wherever the path stands for; `parents` makes the folders above it."""
        for place in self._places(path):
            self.put_at(place, content, attributes, parents=parents)

    def put_at(self, place: Place, content: bytes, attributes: Attributes, *, parents: bool = False) -> None:
        """Make or replace a file in one file system."""
        self._refuse_unclean(place.volume)
        if parents:
            self._make_folders(place.volume, place.path[:-1], attributes.mtime)
        system, above = self.image.system(place.volume), Place(place.volume, place.path[:-1])
        if system.entry(above.path) is None:
            raise AmbassadorError(f"{self.image.at(above)} is not there; -p (--parents) makes it")
        system.put(place.path, content, attributes)
        self.expected[place] = content
        self.attributes[place] = attributes

    def make_folder(self, path: Parts, attributes: Attributes) -> None:
        """Make a folder and those above it; one that is there already, or that a link leads to, stays as it is."""
        for place in self._places(path, follow_last=True):
            self._make_folders(place.volume, place.path[:-1], attributes.mtime)
            self._make_folder(place, attributes)

    def install_folder(self, path: Parts, said: Permissions, now: int) -> None:
        """As `make_folder`; one that is there already gets what is said of mode and owner."""
        for place in self._places(path, follow_last=True):
            system = self.image.system(place.volume)
            old = system.entry(place.path)
            if old is None or old.kind is not Kind.FOLDER:
                self._make_folders(place.volume, place.path[:-1], now)
                self._make_folder(place, said.over(Attributes(FOLDER_MODE, 0, 0, now)))
            elif said == Permissions():
                self.told.append(f"{self.image.at(place)} was there and stays as it is; -m, -o and -g change that")
            else:
                self.attributes[place] = said.over(Attributes(old.mode, old.uid, old.gid, old.mtime))
                system.set_permissions(place.path, self.attributes[place])

    def remove(self, path: Parts, *, recursive: bool) -> None:
        """Remove a file or link, or with `recursive` a folder and all in it, wherever it is."""
        places = self._places(path)
        found = [(place, self.image.system(place.volume).entry(place.path)) for place in places]
        there = [(place, entry) for place, entry in found if entry is not None]
        if not there:
            raise AmbassadorError(f"{self._name(path)} is not there")
        for place, entry in there:
            system = self.image.system(place.volume)
            if entry.kind is Kind.FOLDER and not recursive and system.entries(place.path):
                raise AmbassadorError(f"{self._name(path)} is a folder with files in it; say -r to remove it with them")
            system.remove(place.path)
            self._forget(place)
            self.expected[place] = None

    def _forget(self, place: Place) -> None:
        """What was to be found there and below is so no more."""
        for known in (self.expected, self.attributes):
            for other in list(known):
                if other.volume == place.volume and other.path[: len(place.path)] == place.path:
                    del known[other]

    def _places(self, path: Parts, *, follow_last: bool = False) -> list[Place]:
        places = self.image.places(path, self.selector, follow_last=follow_last)
        for place in places:
            self._refuse_unclean(place.volume)
        return places

    def _refuse_unclean(self, volume: Volume) -> None:
        if self.image.table.faults:
            raise AmbassadorError(f"{self.image.name}: {self.image.table.faults[0]}; nothing is written to it")
        fault = volume.system.write_fault() if volume.system else ""
        if fault:
            raise AmbassadorError(f"{self.image.name}: {volume.where} {fault}")

    def _is_folder(self, path: Parts) -> bool:
        """Raises AmbassadorError when it is one in A and not in B: the file would have another name in each."""
        places = self.image.places(path, self.selector, follow_last=True)
        entries = [self.image.system(place.volume).entry(place.path) for place in places]
        folders = [entry is not None and entry.kind is Kind.FOLDER for entry in entries]
        if any(folders) and not all(folders):
            one, other = (
                f"{at.volume.where}: {text(at.path)}"
                for at in (places[folders.index(True)], places[folders.index(False)])
            )
            raise AmbassadorError(
                f"{self._name(path)} is a folder in one root file system ({one}) and not in the other ({other}); end"
                " the path with / or make both alike"
            )
        return all(folders)

    def _make_folders(self, volume: Volume, path: Parts, now: int) -> None:
        for depth in range(1, len(path) + 1):
            self._make_folder(Place(volume, path[:depth]), Attributes(FOLDER_MODE, 0, 0, now))

    def _make_folder(self, place: Place, attributes: Attributes) -> None:
        system = self.image.system(place.volume)
        entry = system.entry(place.path)
        if entry is None:
            system.make_folder(place.path, attributes)
            self._forget(place)
            self.attributes[place] = attributes
        elif entry.kind is not Kind.FOLDER:
            raise AmbassadorError(f"{self.image.at(place)} is no folder")

    def notes(self) -> list[str]:
        """What a person should know of what was done."""
        on_fat = [place for place in self.attributes if place.volume.system and place.volume.system.type == "vfat"]
        return [f"{self.image.at(place)}: FAT keeps no mode and no owner" for place in on_fat[-1:]] + self.told

    def _name(self, path: Parts) -> str:
        return f"{self.image.name}:{text(path)}"

    def verify(self, raw: Readable) -> None:
        """Check every file system that was changed, and read back all that was put. Raises AmbassadorError."""
        try:
            checked = _checked(raw, self.changed)
        except AmbassadorError as error:
            raise AmbassadorError(f"{self.image.name}: {error}; nothing was changed") from error
        for volume, faults in checked:
            if faults:
                raise UnsoundError(volume, faults)
        with Image(raw, self.image.name, 0) as image:
            for place in {**self.attributes, **self.expected}:
                if not self._is_as_wanted(image.system(place.volume), place):
                    raise AmbassadorError(f"{self.image.at(place)} reads back other than it was written")

    def _is_as_wanted(self, system: FileSystem, place: Place) -> bool:
        entry = system.entry(place.path)
        if place in self.expected:
            content = None if entry is None else b"".join(system.chunks(place.path))
            if content != self.expected[place]:
                return False
        wanted = self.attributes.get(place)
        if entry is None or wanted is None or system.type == "vfat":
            return True
        return (entry.mode, entry.uid, entry.gid) == (wanted.mode, wanted.uid, wanted.gid)


def _checked(raw: Readable, volumes: list[Volume]) -> Iterable[tuple[Volume, list[str]]]:
    """Each with what its checker says; several at once, since that is most of an edit's time."""
    if len(volumes) <= 1:
        return [(volume, faults_of(raw, volume)) for volume in volumes]
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - slow to load, and most edits touch one volume

    with ThreadPoolExecutor(max_workers=len(volumes)) as pool:
        return list(zip(volumes, pool.map(lambda volume: faults_of(raw, volume), volumes), strict=True))


def edit_image(
    path: Path,
    selector: Selector,
    now: int,
    change: Callable[[Edit], None],
    on_progress: Progress = no_progress,
) -> Edit:
    """Change an image, wholly or not at all: `change` says what. Two edits of one image wait for each other.

    `on_progress` is told how far a packed image is. Raises AmbassadorError with what is wrong; the image is then as it
    was before.
    """
    with opened(path, to_write=True, on_progress=on_progress, artifacts=True) as container:
        raw = RawFile(container.descriptor)
        with Image(raw, str(path), now, is_rootfs=container.is_rootfs) as image:
            edit = Edit(image, selector)
            change(edit)
            try:
                container.apply(edit.flush(), edit.verify, edit.written)
            except UnsoundError as error:
                raise _explained(raw, path, error) from error
            edit.told += container.notes
    return edit


def _explained(raw: RawFile, path: Path, error: UnsoundError) -> AmbassadorError:
    """Whose fault it is: the image is as before by now."""
    before = faults_of(raw, error.volume)
    if before:
        return AmbassadorError(
            f"{path}: {error.volume.where} was damaged before ({'; '.join(before[:3])}); nothing was changed;"
            " repair it first, see docs/factory/images.md"
        )
    return AmbassadorError(f"{path}: the change would have damaged {error}; nothing was changed; please report this")
