"""A device's patch put on a copy of the golden image: on a disk, or in a file. Checked before, read back after."""

import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mtls_ambassador.flows.golden_image import golden_sha256
from mtls_ambassador.image.container import opened
from mtls_ambassador.image.overlay import Overlay, RawFile, copy_range, laid_over
from mtls_ambassador.image.patch import Patch, decode_patch
from mtls_ambassador.image.target import Disk, look_at, refusal
from mtls_ambassador.image.undo import read_back, write_blocks
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.files import PRIVATE, read_file, shred_files, sync_folder

_BLKZEROOUT = 0x127F
_BLKFLSBUF = 0x1261
_CHUNK = 4 << 20
MAX_PATCH = 64 << 20
"""Bytes of a patch file; real ones have a few thousand."""
Progress = Callable[[str, int, int], None]
"""Told what is done, and bytes done and in all."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be put where."""

    patch: Path
    golden: Path
    target: Path
    is_golden_there: bool
    """On a disk: the golden image is on it already."""
    confirm: Callable[[Disk], None]
    """Asked before a whole disk; raises to refuse."""
    on_progress: Progress


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done."""

    device: str
    blocks: int
    """Written; 0 when all were there already."""
    is_golden_written: bool


def apply_patch(request: Request) -> Applied:
    """Make `target` the image of the patch's device.

    A disk gets the golden image and the patch, or the patch alone; a file that is not there is made of both; a file
    that is there must be a copy of the golden image. Raises AmbassadorError before anything is written when the golden
    image is not the patch's, or what is to be patched is no copy of it.
    """
    patch = read_patch(request.patch)
    with opened(request.golden, to_write=False) as container:
        golden = RawFile(container.descriptor)
        _check_golden(patch, request, golden)
        disk = look_at(request.target) if request.target.exists() else None
        if disk is not None:
            return _to_disk(request, patch, golden, disk)
        if request.target.exists():
            return _to_copy(request.target, patch, golden)
        return _to_new_file(request, patch, golden)


def read_patch(path: Path) -> Patch:
    """The patch in a file. Raises AmbassadorError for anything else."""
    try:
        if path.stat().st_size > MAX_PATCH:
            raise AmbassadorError(f"{path}: is no patch: larger than {MAX_PATCH} bytes")
    except OSError as error:
        raise AmbassadorError(f"{path}: {error.strerror}") from error
    return decode_patch(read_file(path, "the patch"), str(path))


def _check_golden(patch: Patch, request: Request, golden: RawFile) -> None:
    found = None
    if golden.size == patch.golden_size:
        found = golden_sha256(request.golden, golden, lambda done, total: request.on_progress("hash", done, total))
    if found != patch.golden_sha256:
        raise AmbassadorError(
            f"{request.golden}: is not the golden image that {request.patch} was made for (that has SHA-256"
            f" {patch.golden_sha256.hex()} and {patch.golden_size} bytes); nothing was written"
        )


def _to_disk(request: Request, patch: Patch, golden: RawFile, disk: Disk) -> Applied:
    if why := refusal(disk, golden.size):
        raise AmbassadorError(why)
    if disk.is_whole:
        request.confirm(disk)
    with _exclusive(request.target) as descriptor:
        if request.is_golden_there:
            return _patched(descriptor, request.target, patch, golden)
        _write_golden(descriptor, golden, request.on_progress)
        write_blocks(descriptor, patch.blocks)
        _forget_cached(descriptor)
        _compare(RawFile(descriptor), laid_over(golden, patch.blocks), request)
        return Applied(patch.device, len(patch.blocks), is_golden_written=True)


@contextmanager
def _exclusive(target: Path) -> Iterator[int]:
    """A block device, which the system gives to nobody else meanwhile, and not at all while it is mounted."""
    try:
        descriptor = os.open(target, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        raise AmbassadorError(f"{target}: {error.strerror}; is it in use?") from error
    try:
        yield descriptor
    except OSError as error:
        raise AmbassadorError(f"{target}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _to_copy(target: Path, patch: Patch, golden: RawFile) -> Applied:
    try:
        descriptor = os.open(target, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise AmbassadorError(f"{target}: {error.strerror}") from error
    try:
        if os.path.samestat(os.fstat(descriptor), os.fstat(golden.descriptor)):
            raise AmbassadorError(f"{target}: is the golden image itself, which is never written to; name another file")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if RawFile(descriptor).size != golden.size:
            raise AmbassadorError(f"{target}: is there, and no copy of the golden image: it has another size")
        return _patched(descriptor, target, patch, golden)
    finally:
        os.close(descriptor)


def _patched(descriptor: int, target: Path, patch: Patch, golden: RawFile) -> Applied:
    """Write the blocks that are not there yet. Each must be the golden image's, or, from a run before, the patch's."""
    image, missing = RawFile(descriptor), {}
    for offset, block in patch.blocks.items():
        found = image.read(offset, len(block))
        if found == block:
            continue
        if found != golden.read(offset, len(block)):
            raise AmbassadorError(
                f"{target}: is no copy of the golden image: byte {offset} on is neither the golden image's nor that of"
                f" {patch.device}; nothing was written"
            )
        missing[offset] = block
    write_blocks(descriptor, missing)
    _forget_cached(descriptor)
    read_back(image, patch.blocks)
    return Applied(patch.device, len(missing), is_golden_written=False)


def _to_new_file(request: Request, patch: Patch, golden: RawFile) -> Applied:
    target = request.target
    staged = target.with_name(f".{target.name}.part")
    try:
        staged.unlink(missing_ok=True)
        descriptor = os.open(staged, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
        try:
            golden.clone_to(descriptor)
            write_blocks(descriptor, patch.blocks)
            read_back(RawFile(descriptor), patch.blocks)
            staged.rename(target)
        finally:
            os.close(descriptor)
            staged.unlink(missing_ok=True)
        sync_folder(target.parent)
    except OSError as error:
        raise AmbassadorError(f"{target}: {error.strerror}") from error
    return Applied(patch.device, len(patch.blocks), is_golden_written=True)


def _write_golden(descriptor: int, golden: RawFile, on_progress: Progress) -> None:
    """All of it: where the golden image has holes, zeros, since the disk holds something else there."""
    at = 0
    for offset, length in [*golden.extents(0, golden.size), (golden.size, 0)]:
        _zero(descriptor, at, offset - at)
        for begin in range(offset, offset + length, _CHUNK):
            count = min(_CHUNK, offset + length - begin)
            copy_range(golden.descriptor, descriptor, begin, begin, count)
            on_progress("write", begin + count, golden.size)
        at = offset + length
    os.fsync(descriptor)


def _zero(descriptor: int, start: int, length: int) -> None:
    try:
        fcntl.ioctl(descriptor, _BLKZEROOUT, struct.pack("=QQ", start, length))
    except OSError:
        for begin in range(start, start + length, _CHUNK):
            os.pwrite(descriptor, bytes(min(_CHUNK, start + length - begin)), begin)


def _forget_cached(descriptor: int) -> None:
    """So that what is read back comes from the disk, where the system lets us ask for that."""
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    try:
        fcntl.ioctl(descriptor, _BLKFLSBUF)
    except OSError:
        return


def _compare(found: RawFile, wanted: Overlay, request: Request) -> None:
    for begin in range(0, wanted.size, _CHUNK):
        count = min(_CHUNK, wanted.size - begin)
        if found.read(begin, count) != wanted.read(begin, count):
            raise AmbassadorError(
                f"{request.target}: reads back other than it was written, at or after byte {begin}: a worn-out card?"
            )
        request.on_progress("verify", begin + count, wanted.size)


def shred_patch(path: Path) -> None:
    """Overwrite and remove a patch once its device has it. See `batch_manifest.shred` for what that is worth."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        shred_files(folder, [path])
    except OSError as error:
        raise AmbassadorError(f"{path}: {error.strerror}; remove it by hand") from error
    finally:
        os.close(folder)
