"""What a file system says of itself in its first bytes, and whether it may be written to."""

import struct
from dataclasses import dataclass
from typing import Protocol

_COMPAT = {0x4: "has_journal"}
_INCOMPAT = {
    0x4: "needs_recovery",
    0x40: "extents",
    0x80: "64bit",
    0x100: "mmp",
    0x400: "ea_inode",
    0x8000: "inline_data",
    0x10000: "encrypt",
    0x20000: "casefold",
}
_RO_COMPAT = {
    0x100: "quota",
    0x200: "bigalloc",
    0x400: "metadata_csum",
    0x1000: "read-only",
    0x2000: "project",
    0x4000: "shared_blocks",
    0x10000: "orphan_present",
}
_KERNELS = "only a mounted kernel keeps it right; make the image without it"
_REFUSED = {
    "mmp": _KERNELS,
    "quota": _KERNELS,
    "project": _KERNELS,
    "shared_blocks": "its files share blocks, so that what is removed of one is gone from others; unshare it first",
    "read-only": "it says that it is never to be written to",
}
_HEAD = 68 * 1024
_EXT_END = 2048
_JOURNAL_DEVICE = 0x8
"""Of the incompatible features: no file system, but the journal of one."""
_OTHERS = (
    ("squashfs", 0, b"hsqs"),
    ("xfs", 0, b"XFSB"),
    ("btrfs", 65600, b"_BHRfS_M"),
    ("f2fs", 1024, b"\x10\x20\xf5\xf2"),
    ("LUKS", 0, b"LUKS\xba\xbe"),
    ("swap", 4086, b"SWAPSPACE2"),
)


class Source(Protocol):
    """Bytes of known number, read at offsets."""

    @property
    def size(self) -> int:
        """In bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes."""


@dataclass(frozen=True, slots=True)
class Ext:
    """ext2, ext3 or ext4."""

    label: str
    block_size: int
    cluster_blocks: int
    """Blocks that are allocated together: 1, or more with bigalloc."""
    size: int
    """Bytes it takes, from its first."""
    features: tuple[str, ...]
    """Those of its features that matter here."""
    state: int
    """1 when it was unmounted cleanly."""
    last_orphan: int
    """First inode of the list of those deleted while open; 0 when there is none."""
    journal: int
    """The journal's inode; 0 when it has none, or has it on another device."""
    feature_bits: str
    """All of its features, for a person."""

    @property
    def type(self) -> str:
        """ext4 if it has what only ext4 has, ext3 with a journal, else ext2."""
        if {"extents", "64bit", "metadata_csum", "inline_data", "bigalloc"} & set(self.features):
            return "ext4"
        return "ext3" if "has_journal" in self.features else "ext2"

    @property
    def has_extents(self) -> bool:
        """Whether new files have their blocks in extents."""
        return "extents" in self.features

    @property
    def has_inline_data(self) -> bool:
        """Whether small files stand in their inodes."""
        return "inline_data" in self.features

    @property
    def has_attribute_inodes(self) -> bool:
        """Whether large extended attributes have inodes of their own."""
        return "ea_inode" in self.features

    @property
    def has_encryption(self) -> bool:
        """Whether folders can be encrypted (fscrypt)."""
        return "encrypt" in self.features

    def write_fault(self) -> str:
        """Why it must not be written to from outside; empty when it may be. Fails closed.

        A journal that is not replayed would later undo the change; quotas and a second mount would not see it.
        """
        if fault := self.state_fault():
            return fault
        refused = min(_REFUSED.keys() & set(self.features), default="")
        return f"has the feature {refused}: {_REFUSED[refused]}" if refused else ""

    def state_fault(self) -> str:
        """Why a device that mounts it may see other files than are read here; empty when it sees the same."""
        if "needs_recovery" in self.features:
            return (
                "was not unmounted: its journal must be replayed first, or the next mount undoes the change;"
                " take the image from a device that was shut down, or see docs/factory/images.md"
            )
        if self.state != 1 or self.last_orphan or "orphan_present" in self.features:
            return "is marked as not clean: let e2fsck repair it first, see docs/factory/images.md"
        if "has_journal" in self.features and not self.journal:
            return "has its journal on another device, which is not here; make the image with its journal in it"
        return ""


@dataclass(frozen=True, slots=True)
class Fat:
    """FAT12, FAT16 or FAT32."""

    label: str
    size: int
    """Bytes it takes, from its first."""
    is_dirty: bool
    """Whether it is marked as not unmounted."""
    type: str = "vfat"

    def write_fault(self) -> str:
        """Why it must not be written to from outside; empty when it may be. Fails closed."""
        if self.is_dirty:
            return "was not unmounted (dirty bit): let fsck.vfat repair it first, see docs/factory/images.md"
        return ""


@dataclass(frozen=True, slots=True)
class OtherSystem:
    """Something that can be recognised and is neither read nor written here."""

    type: str
    label: str = ""
    size: int = 0

    def write_fault(self) -> str:
        """Nothing is written to it."""
        return f"is {self.type}; only ext2, ext3, ext4 and FAT can be read and changed"


Found = Ext | Fat | OtherSystem


def probe(source: Source) -> Found | None:
    """What file system is there; None when no known one is."""
    head = source.read(0, min(_HEAD, source.size))
    if head[1080:1082] == b"\x53\xef" and len(head) >= _EXT_END:
        is_journal = head[1024 + 0x60] & _JOURNAL_DEVICE
        return OtherSystem("a journal") if is_journal else _ext(head[1024:_EXT_END])
    for name, offset, magic in _OTHERS:
        if head[offset : offset + len(magic)] == magic:
            return OtherSystem(name)
    if head[510:512] == b"\x55\xaa" and (head[54:58] == b"FAT1" or head[82:87] == b"FAT32"):
        return _fat(head)
    return None


def _ext(block: bytes) -> Ext:
    def number(offset: int) -> int:
        return int(struct.unpack_from("<I", block, offset)[0])

    compat, incompat, ro_compat = number(0x5C), number(0x60), number(0x64)
    features = [
        name
        for bits, names in ((compat, _COMPAT), (incompat, _INCOMPAT), (ro_compat, _RO_COMPAT))
        for bit, name in names.items()
        if bits & bit
    ]
    block_size = 1024 << min(number(0x18), 6)
    blocks = number(4) | (number(0x150) << 32 if "64bit" in features else 0)
    return Ext(
        label=_label(block[0x78:0x88]),
        block_size=block_size,
        cluster_blocks=1 << min(max(number(0x1C) - number(0x18), 0), 20) if "bigalloc" in features else 1,
        size=blocks * block_size,
        features=tuple(features),
        state=struct.unpack_from("<H", block, 0x3A)[0],
        last_orphan=number(0xE8),
        journal=number(0xE0),
        feature_bits=f"compat {compat:#x}, incompat {incompat:#x}, ro_compat {ro_compat:#x}",
    )


def _fat(head: bytes) -> Fat:
    sector, small = struct.unpack_from("<H", head, 11)[0], struct.unpack_from("<H", head, 19)[0]
    sectors = small or struct.unpack_from("<I", head, 32)[0]
    is_32 = head[82:87] == b"FAT32"
    at, state = (71, head[65]) if is_32 else (43, head[37])
    return Fat(_label(head[at : at + 11]), sector * sectors, bool(state & 1))


def _label(raw: bytes) -> str:
    label = raw.split(b"\0", 1)[0].decode(errors="replace").strip()
    return "" if label == "NO NAME" else "".join(char if char.isprintable() else "?" for char in label)
