"""Block maps of all versions, of an image in memory."""

import hashlib
import re

from mtls_ambassador.image.overlay import RawFile

SIZE = 16 * 4096 + 100
_TEMPLATE = """<?xml version="1.0" ?>
<!-- With it less is copied: <MappedBlocksCount> blocks instead of <BlocksCount> blocks. -->

<bmap version="{version}">
    <ImageSize> {size} </ImageSize>

    <!-- Size of a block in bytes -->
    <BlockSize> 4096 </BlockSize>

    <BlocksCount> {blocks} </BlocksCount>

    <!-- Count of mapped blocks: {said}    -->
    <MappedBlocksCount> {mapped} </MappedBlocksCount>
{checksums}
    <BlockMap>
{ranges}    </BlockMap>
</bmap>
"""


class Memory:
    """An image in memory that remembers what was read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads: list[tuple[int, int]] = []

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        return self.data[offset : offset + length]

    @property
    def raw(self) -> RawFile:
        raise NotImplementedError

    def lay_over(self, descriptor: int, start: int, length: int) -> None:
        raise NotImplementedError

    def copy_to(self, descriptor: int, start: int, length: int) -> None:
        raise NotImplementedError


def image() -> Memory:
    """No two blocks of it are alike, and the last is none."""
    return Memory(b"".join(bytes([65 + n]) * 4096 for n in range(17))[:SIZE])


def make_bmap(of: Memory, ranges: list[tuple[int, int]], version: str) -> str:
    """As bmaptool of the time wrote it."""
    kind, attribute, element = "sha256", "chksum", "BmapFileChecksum"
    if version == "1.3":
        kind, attribute, element = "sha1", "sha1", "BmapFileSHA1"
    lines = ""
    for first, last in ranges:
        checksum = hashlib.new(kind, of.data[first * 4096 : (last + 1) * 4096]).hexdigest()
        said = f' {attribute}="{checksum}"' if version != "1.2" else ""
        lines += f"        <Range{said}> {f'{first}-{last}' if last > first else first} </Range>\n"
    mapped, blocks = sum(last - first + 1 for first, last in ranges), -(-of.size // 4096)
    zeros = "0" * hashlib.new(kind).digest_size * 2
    checksums = f"    <ChecksumType> {kind} </ChecksumType>\n" if attribute == "chksum" else ""
    checksums += f"    <{element}> {zeros} </{element}>\n"
    text = _TEMPLATE.format(
        version=version,
        size=of.size,
        blocks=blocks,
        mapped=mapped,
        said=f"{mapped * 4.0:.1f} KiB or {100 * mapped / blocks:.1f}%",
        checksums=checksums if version != "1.2" else "",
        ranges=lines,
    )
    return text.replace(zeros, hashlib.new(kind, text.encode()).hexdigest())


def spans_of(text: str) -> list[str]:
    """Ranges as they are written."""
    return re.findall(r"<Range[^>]*> (\S+) </Range>", text)
