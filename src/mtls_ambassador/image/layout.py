"""Which partition plays which part on a device that Mender updates: pure, from what the partitions are."""

from dataclasses import dataclass

from mtls_ambassador.image.partition_table import EFI_SYSTEM, Partition
from mtls_ambassador.image.superblock import Ext, Fat, Found
from mtls_ambassador.model.errors import AmbassadorError

_FOUR = 4
_FIRST_ROOTFS = frozenset({"primary", "rootfsa", "rootfs-a", "rootfs_a"})
_SECOND_ROOTFS = frozenset({"secondary", "rootfsb", "rootfs-b", "rootfs_b"})
_BOOT = frozenset({"boot", "uboot", "efi", "esp"})
_DATA = frozenset({"data"})
_EFI_TYPES = frozenset({EFI_SYSTEM, "ef"})
"""In GPT, and in MBR."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A partition and the file system in it."""

    partition: Partition
    system: Found | None

    @property
    def labels(self) -> frozenset[str]:
        """The file system's label and the partition's name, in lower case."""
        label = self.system.label if self.system else ""
        return frozenset({label.lower(), self.partition.name.lower()} - {""})

    @property
    def where(self) -> str:
        """How it is called in messages."""
        label = f' "{self.system.label}"' if self.system and self.system.label else ""
        number = f"partition {self.partition.number}" if self.partition.number else "its file system"
        return f"{number} ({self.system.type if self.system else 'empty'}{label})"


@dataclass(frozen=True, slots=True)
class Layout:
    """The parts, as far as they are known."""

    rootfs: tuple[Volume, ...]
    """A and, if there is one, B."""
    boot: Volume | None = None
    data: Volume | None = None

    def role(self, volume: Volume) -> str:
        """boot, rootfs A, rootfs B, data, or empty."""
        if volume is self.boot:
            return "boot"
        if volume is self.data:
            return "data"
        return f"rootfs {'AB'[self.rootfs.index(volume)]}" if volume in self.rootfs else ""


def find_layout(volumes: tuple[Volume, ...]) -> Layout:
    """With four partitions their order decides, as in `mender-artifact`: boot, rootfs A, rootfs B, data.

    With any other number labels do: `data`; `primary` and `secondary` (as Yocto builds call them) or `rootfsA` and
    `rootfsB`; `boot`, or the EFI system partition. What no label tells, or two do, is not guessed at.
    """
    if len(volumes) == 1 and volumes[0].partition.number == 0:
        return Layout(rootfs=volumes)
    if len(volumes) == _FOUR:
        boot, first, second, data = volumes
        return Layout((first, second), boot, data)
    called_boot = _labelled(volumes, _BOOT) or _efi(volumes)
    return Layout(_rootfs(volumes), _only(called_boot), _only(_labelled(volumes, _DATA)))


@dataclass(frozen=True, slots=True)
class Roles:
    """The parts that a person names, by numbers of partitions."""

    rootfs: tuple[int, ...]
    boot: int | None = None
    data: int | None = None


def named_layout(volumes: tuple[Volume, ...], roles: Roles) -> Layout:
    """As a person says. Raises AmbassadorError for a partition that is not there."""

    def find(number: int | None) -> Volume | None:
        return None if number is None else choose_volume(volumes, number, None)

    rootfs = tuple(choose_volume(volumes, number, None) for number in roles.rootfs)
    return Layout(rootfs, find(roles.boot), find(roles.data))


def _labelled(volumes: tuple[Volume, ...], names: frozenset[str]) -> list[Volume]:
    return [volume for volume in volumes if volume.labels & names]


def _efi(volumes: tuple[Volume, ...]) -> list[Volume]:
    return [item for item in volumes if item.partition.type in _EFI_TYPES and isinstance(item.system, Fat)]


def _only(found: list[Volume]) -> Volume | None:
    return found[0] if len(found) == 1 else None


def _rootfs(volumes: tuple[Volume, ...]) -> tuple[Volume, ...]:
    """A and B; none when there are two of either, since it must not be changed in one and not in the other."""
    first, second = _labelled(volumes, _FIRST_ROOTFS), _labelled(volumes, _SECOND_ROOTFS)
    return (*first, *second) if max(len(first), len(second)) <= 1 else ()


def choose_volume(volumes: tuple[Volume, ...], number: int | None, label: str | None) -> Volume:
    """The one that --partition or --label names. Raises AmbassadorError when there is none, or more than one."""
    if number is not None:
        found = [volume for volume in volumes if volume.partition.number == number]
        asked = f"--partition {number}"
    else:
        wanted = (label or "").lower()
        found = [volume for volume in volumes if wanted in volume.labels]
        asked = f"--label {label}"
    if len(found) != 1:
        known = ", ".join(volume.where for volume in volumes)
        raise AmbassadorError(f"{asked} names {len(found) or 'none'} of the image's partitions: {known}")
    return found[0]


def usable_rootfs(layout: Layout) -> tuple[Volume, ...]:
    """Those that can be read and changed. An empty B, before the first update, is left out, as by `mender-artifact`."""
    return tuple(volume for volume in layout.rootfs if isinstance(volume.system, Ext))
