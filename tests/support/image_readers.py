"""What is in an image, as three readers see it: our own, debugfs, and the kernel where it may mount."""

import os
import re
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mtls_ambassador.flows.read_image import image_to_read
from mtls_ambassador.image.entry import FileSystem, Kind, Parts
from mtls_ambassador.image.image import ANY, Selector
from support.images import run

_LINE = re.compile(rb"/(\d+)/(\d+)/(-?\d+)/(-?\d+)/([^/]*)/(\d*)/\n")
_MTIME = re.compile(rb"\bmtime: 0x([0-9a-f]{8})(?::([0-9a-f]{8}))?")
_TARGET = re.compile(rb'Fast link dest: "(.*)"\n')
_SKIPPED = b"lost+found"


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to know of an entry."""

    kind: Kind
    mode: int
    uid: int
    gid: int
    mtime: int
    content: bytes = b""
    """Of a file; of a link, where it leads."""


Tree = dict[bytes, Seen]
"""Everything in a file system but lost+found, by path from its root without a slash at the front."""


def by_us(image: Path, selector: Selector = ANY) -> Tree:
    """Read by the code under test."""
    with image_to_read(image) as opened:
        volume = opened.places((), selector)[0].volume
        return dict(_walk(opened.system(volume), ()))


def _walk(system: FileSystem, path: Parts) -> Iterator[tuple[bytes, Seen]]:
    for entry in system.entries(path):
        below = (*path, entry.name)
        if os.fsencode(entry.name) == _SKIPPED:
            continue
        content = b"".join(system.chunks(below)) if entry.kind is Kind.FILE else os.fsencode(entry.target)
        assert entry.kind is not Kind.FILE or len(content) == entry.size
        assert system.entry(below) == entry
        yield os.fsencode("/".join(below)), Seen(entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime, content)
        if entry.kind is Kind.FOLDER:
            yield from _walk(system, below)


def by_debugfs(image: Path, offset: int = 0) -> Tree:
    """Read by debugfs, which takes inodes' numbers, so that no name needs quoting."""
    found: dict[bytes, tuple[int, int]] = {}
    folders, sizes, owners = {b"": 2}, dict[int, int](), dict[int, tuple[int, int]]()
    while folders:
        said = _debugfs(image, offset, [f"ls -p <{inode}>" for inode in folders.values()])
        listings = re.split(rb"debugfs: ls -p <\d+>\n", said)[1:]
        below = {}
        for path, listing in zip(folders, listings, strict=True):
            for inode, mode, uid, gid, name, size in _LINE.findall(listing):
                if name in {b".", b"..", _SKIPPED} or inode == b"0":
                    continue
                place = path + b"/" + name if path else name
                found[place] = int(inode), int(mode, 8)
                owners[int(inode)], sizes[int(inode)] = (int(uid) % 2**32, int(gid) % 2**32), int(size or 0)
                if stat.S_ISDIR(int(mode, 8)):
                    below[place] = int(inode)
        folders = below
    contents = _contents(image, offset, {inode for inode, mode in found.values() if not stat.S_ISDIR(mode)}, sizes)
    stats = _stats(image, offset, {inode for inode, _ in found.values()})
    tree = {}
    for place, (inode, mode) in found.items():
        mtime, target = stats[inode]
        content = target if target is not None else contents.get(inode, b"")
        tree[place] = Seen(_kind(mode), stat.S_IMODE(mode), *owners[inode], mtime, content)
    return tree


def _debugfs(image: Path, offset: int, commands: list[str]) -> bytes:
    return run("debugfs", "-f", "-", f"{image.resolve()}?offset={offset}", given="\n".join(commands).encode())


def _contents(image: Path, offset: int, inodes: set[int], sizes: dict[int, int]) -> dict[int, bytes]:
    folder = image.with_name(f"{image.name}-dump")
    folder.mkdir()
    _debugfs(image, offset, [f'dump <{inode}> "{folder}/{inode}"' for inode in inodes])
    found = {}
    for inode in inodes:
        file = folder / str(inode)
        content = file.read_bytes()
        # What stands in an inode comes with its padding.
        found[inode] = content[: sizes[inode]]
        assert not content[sizes[inode] :].strip(b"\0")
        file.unlink()
    folder.rmdir()
    return found


def _stats(image: Path, offset: int, inodes: set[int]) -> dict[int, tuple[int, bytes | None]]:
    said = _debugfs(image, offset, [f"stat <{inode}>" for inode in inodes])
    found = {}
    for inode, text in zip(inodes, re.split(rb"debugfs: stat <\d+>\n", said)[1:], strict=True):
        match, target = _MTIME.search(text), _TARGET.search(text)
        assert match, text
        low = int(match[1], 16)
        signed = low - (1 << 32) if low >= 1 << 31 else low
        epoch = int(match[2], 16) & 3 if match[2] else 0
        found[inode] = signed + (epoch << 32), target[1] if target else None
    return found


def _kind(mode: int) -> Kind:
    kinds = {stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.FOLDER, stat.S_IFLNK: Kind.LINK}
    return kinds.get(stat.S_IFMT(mode), Kind.OTHER)


def by_kernel(image: Path, offset: int = 0) -> Tree | None:
    """Read by Linux; None where this machine does not let us mount it."""
    with mounted(image, offset, "ro") as mount:
        return None if mount is None else _by_path(mount)


@contextmanager
def mounted(image: Path, offset: int = 0, how: str = "rw") -> Iterator[Path | None]:
    """Where it is mounted; None where this machine does not let us."""
    mount = image.with_name(f"{image.name}-mount")
    mount.mkdir()
    try:
        words = ["mount", "-o", f"loop,{how},offset={offset}", str(image), str(mount)]
        is_there = subprocess.run(words, check=False, capture_output=True).returncode == 0
        try:
            yield mount if is_there else None
        finally:
            if is_there:
                run("umount", mount)
    finally:
        mount.rmdir()


def _by_path(mount: Path) -> Tree:
    root, tree = os.fsencode(mount), {}
    for folder, folders, files in os.walk(root):
        if folder == root:
            folders.remove(_SKIPPED) if _SKIPPED in folders else None
        for name in folders + files:
            path = folder + b"/" + name
            status = os.lstat(path)
            kind, content = _kind(status.st_mode), b""
            if kind is Kind.LINK:
                content = os.readlink(path)  # noqa: PTH115 - Path would tidy it up
            elif kind is Kind.FILE:
                content = Path(os.fsdecode(path)).read_bytes()
            owner = status.st_uid, status.st_gid
            tree[path[len(root) + 1 :]] = Seen(
                kind, stat.S_IMODE(status.st_mode), *owner, status.st_mtime_ns // 10**9, content
            )
    return tree


def assert_agreed(image: Path, offset: int = 0, selector: Selector = ANY) -> Tree:
    """All readers see the same; returns it."""
    seen = by_us(image, selector)
    _assert_equal(by_debugfs(image, offset), seen)
    if (by_linux := by_kernel(image, offset)) is not None:
        _assert_equal(by_linux, seen)
    return seen


def _assert_equal(one: Tree, other: Tree) -> None:
    differ = [path for path in one.keys() | other.keys() if one.get(path) != other.get(path)]
    assert not differ, [(path, _short(one.get(path)), _short(other.get(path))) for path in differ[:5]]


def _short(seen: Seen | None) -> Seen | None:
    return seen and replace(seen, content=seen.content[:40])
