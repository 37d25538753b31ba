"""A disk image, opened: its table, its volumes, and the places a path stands for."""

from copy import copy
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mtls_ambassador.image.entry import Parts, text
from mtls_ambassador.image.ext import ExtFileSystem
from mtls_ambassador.image.layout import Roles, Volume, choose_volume, find_layout, named_layout, usable_rootfs
from mtls_ambassador.image.overlay import Overlay, Readable, Region
from mtls_ambassador.image.partition_table import Partition, read_table
from mtls_ambassador.image.superblock import Ext, Fat, Found, probe
from mtls_ambassador.image.tree import Place, Tree
from mtls_ambassador.model.errors import AmbassadorError

if TYPE_CHECKING:
    from mtls_ambassador.image.fat import FatFileSystem

_MOUNTS: dict[str, tuple[Parts, ...]] = {"data": (("data",),), "boot": (("uboot",), ("boot", "efi"), ("boot", "grub"))}
"""Where the device mounts what, as `mender-artifact` takes paths."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Which partition a person names; by default the path decides."""

    number: int | None = None
    label: str | None = None

    @property
    def is_given(self) -> bool:
        """Whether one is named."""
        return self.number is not None or self.label is not None


ANY = Selector()


class Image:
    """An image with changes that are not in it yet; `name` is for messages, `now` the time of what changes.

    One that `is_rootfs` is the root file system of a device whose other partitions are not in it.
    """

    def __init__(
        self, source: Readable, name: str, now: int, roles: Roles | None = None, *, is_rootfs: bool = False
    ) -> None:
        self.overlay, self.name, self._now, self._is_rootfs = Overlay(source), name, now, is_rootfs
        try:
            self.table = read_table(self.overlay)
        except AmbassadorError as error:
            raise AmbassadorError(f"{name}: {error}") from None
        self.volumes = tuple(Volume(item, self._probe(item)) for item in self.table.partitions)
        self.layout = find_layout(self.volumes) if roles is None else named_layout(self.volumes, roles)
        self._systems: dict[Volume, ExtFileSystem | FatFileSystem] = {}

    def again(self, source: Readable) -> "Image":
        """The same image with other changes below it, which leave partitions and kinds of file systems as they are."""
        other = copy(self)
        other.overlay, other._systems = Overlay(source), {}  # noqa: SLF001 - another of this class
        return other

    def _probe(self, partition: Partition) -> Found | None:
        inside = min(partition.size, self.overlay.size - partition.start)
        return probe(Region(self.overlay, partition.start, inside)) if inside > 0 else None

    def region(self, volume: Volume) -> Region:
        """The bytes of a partition."""
        return Region(self.overlay, volume.partition.start, volume.partition.size)

    def system(self, volume: Volume) -> "ExtFileSystem | FatFileSystem":
        """Its file system. Raises AmbassadorError when it cannot be read here, or is not all there."""
        if (known := self._systems.get(volume)) is not None:
            return known
        where, found = self._where(volume), volume.system
        if found is None:
            raise AmbassadorError(f"{where}: no file system is in it")
        if missing := self._missing_end(volume):
            raise AmbassadorError(f"{where}: {missing}")
        opened = self._open(volume, found)
        self._systems[volume] = opened
        return opened

    def write_fault(self, volume: Volume) -> str:
        """Why a file system must not be written to; empty when it may be, as far as its first bytes tell."""
        return volume.system.write_fault() or self._missing_end(volume) if volume.system else ""

    def _missing_end(self, volume: Volume) -> str:
        partition, needs = volume.partition, volume.system.size if volume.system else 0
        has = min(partition.size, self.overlay.size - partition.start)
        if has >= max(needs, partition.size):
            return ""
        return f"has {max(has, 0)} bytes in the image, and needs {max(needs, partition.size)}: is the image truncated?"

    def _open(self, volume: Volume, found: Found) -> "ExtFileSystem | FatFileSystem":
        if isinstance(found, Ext):
            return ExtFileSystem(self.region(volume), found, self._where(volume), self._now)
        if isinstance(found, Fat):
            from mtls_ambassador.image.fat import FatFileSystem  # noqa: PLC0415 - most edits touch no FAT

            return FatFileSystem(self.region(volume), self._where(volume), self._now)
        raise AmbassadorError(f"{self._where(volume)}: {found.write_fault()}")

    def at(self, place: Place) -> str:
        """How a place is called in messages."""
        return f"{self._where(place.volume)}: {text(place.path)}"

    def _where(self, volume: Volume) -> str:
        return f"{self.name}: {volume.where}" if volume.partition.number else self.name

    def places(self, path: Parts, selector: Selector = ANY, *, follow_last: bool = False) -> list[Place]:
        """All places that a path stands for: in the data or boot partition one, in the root file system A and B.

        Raises AmbassadorError when the image has no such partition: nothing is then done rather than the wrong thing.
        """
        found = [tree.find(path, follow_last=follow_last) for tree in self.trees(selector)]
        return list(dict.fromkeys(found))

    def trees(self, selector: Selector = ANY) -> list[Tree]:
        """What a device sees that has started from root file system A, and from B."""
        if selector.is_given:
            return [Tree(self._chosen(selector), {}, self.system, self._missing)]
        if self.table.kind == "none":
            others = [mount for paths in _MOUNTS.values() for mount in paths] if self._is_rootfs else []
            return [Tree(self.volumes[0], dict.fromkeys(others), self.system, self._missing)]
        volumes = {"data": self.layout.data, "boot": self.layout.boot}
        mounts = {mount: volumes[role] for role, paths in _MOUNTS.items() for mount in paths}
        roots = usable_rootfs(self.layout) or (None,)
        return [Tree(root, mounts, self.system, self._missing) for root in roots]

    def _chosen(self, selector: Selector) -> Volume:
        try:
            return choose_volume(self.volumes, selector.number, selector.label)
        except AmbassadorError as error:
            raise AmbassadorError(f"{self.name}: {error}") from None

    def _missing(self, path: Parts) -> AmbassadorError:
        roles = [role for role, paths in _MOUNTS.items() if any(path[: len(mount)] == mount for mount in paths)]
        role = roles[0] if roles else "root"
        if self._is_rootfs:
            where = f"{self.name}: {text(path)}: is in the {role} partition of a device"
            return AmbassadorError(f"{where}, and a Mender artifact holds a root file system only")
        if role == "root" and (roots := self.layout.rootfs):
            found = ", ".join(volume.where for volume in roots)
            return AmbassadorError(f"{self.name}: {text(path)}: no root file system is ext2, ext3 or ext4: {found}")
        known = ", ".join(volume.where for volume in self.volumes) or "no partition"
        rule = "four partitions are taken as boot, rootfs A, rootfs B, data; else their labels say it"
        return AmbassadorError(
            f"{self.name}: {text(path)}: which partition is the {role} one? Found {known}; {rule}."
            " Name it by --partition N or --label"
        )

    def changed(self) -> list[Volume]:
        """Volumes in which something differs."""
        return [item for item in self.volumes if self.overlay.differs(item.partition.start, item.partition.end)]

    def flush(self) -> None:
        """Keep what was changed in the overlay; file systems are opened anew when they are asked for again."""
        while self._systems:
            self._systems.popitem()[1].flush()

    def close(self) -> None:
        """Let go of all file systems."""
        while self._systems:
            self._systems.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
