"""A device's patch put on a copy of the golden image: on a disk, or in a file. Checked before, read back after."""

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mtls_ambassador.flows.golden_image import golden_sha256
from mtls_ambassador.image.container import opened
from mtls_ambassador.image.flash import compare, exclusive, forget_cached, write_image
from mtls_ambassador.image.mapped import Mapped
from mtls_ambassador.image.overlay import RawFile, laid_over
from mtls_ambassador.image.partition_table import read_table
from mtls_ambassador.image.patch import Patch, decode_patch
from mtls_ambassador.image.progress import Progress
from mtls_ambassador.image.target import Disk, look_at, refusal
from mtls_ambassador.image.undo import Undo, read_back, write_blocks
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.files import PRIVATE, read_file, shred_files, sync_folder

MAX_PATCH = 64 << 20
"""Bytes of a patch file; real ones have a few thousand."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be put where."""

    patch: Path
    golden: Path
    target: Path
    is_golden_there: bool
    """On a disk: the golden image is on it already."""
    confirm: Callable[[Disk], None]
    """Asked before a disk is written; raises to refuse."""
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
    with opened(request.golden, to_write=False, on_progress=request.on_progress) as container:
        golden = RawFile(container.descriptor)
        _check_golden(patch, request, golden)
        disk = look_at(request.target) if request.target.exists() else None
        if disk is not None:
            return _to_disk(request, patch, golden, disk)
        if request.target.exists():
            return _to_copy(request, patch, golden)
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
        found = golden_sha256(request.golden, golden, request.on_progress)
    if found != patch.golden_sha256:
        raise AmbassadorError(
            f"{request.golden}: is not the golden image that {request.patch} was made for (that has SHA-256"
            f" {patch.golden_sha256.hex()} and {patch.golden_size} bytes); nothing was written"
        )


def _to_disk(request: Request, patch: Patch, golden: RawFile, disk: Disk) -> Applied:
    if why := refusal(disk, golden.size, is_table=read_table(golden).kind != "none"):
        raise AmbassadorError(why)
    request.confirm(disk)
    with exclusive(request.target) as descriptor:
        if request.is_golden_there:
            return _patched(descriptor, request, patch, golden)
        parts = write_image(descriptor, golden, Mapped(request.golden, golden), request.on_progress)
        write_blocks(descriptor, patch.blocks, request.target)
        forget_cached(descriptor)
        disk_now = RawFile(descriptor)
        read_back(disk_now, patch.blocks, request.target)
        compare(disk_now, laid_over(golden, patch.blocks), parts, request.on_progress)
        return Applied(patch.device, len(patch.blocks), is_golden_written=True)


def _to_copy(request: Request, patch: Patch, golden: RawFile) -> Applied:
    target = request.target
    try:
        descriptor = os.open(target, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise AmbassadorError(f"{target}: {error.strerror}") from error
    try:
        if os.path.samestat(os.fstat(descriptor), os.fstat(golden.descriptor)):
            raise AmbassadorError(f"{target}: is the golden image itself, which is never written to; name another file")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        Undo(Path(os.path.realpath(target))).settle(descriptor)
        if RawFile(descriptor).size != golden.size:
            raise AmbassadorError(f"{target}: is there, and no copy of the golden image: it has another size")
        return _patched(descriptor, request, patch, golden)
    finally:
        os.close(descriptor)


def _patched(descriptor: int, request: Request, patch: Patch, golden: RawFile) -> Applied:
    """Write the blocks that are not there yet. Each must be the golden image's, or, from a run before, the patch's.

    Where the golden image has a hole, or its block map says that nothing is there, the disk may hold anything.
    """
    image, missing = RawFile(descriptor), {}
    mapped = Mapped(request.golden, golden)
    for offset, block in patch.blocks.items():
        found = image.read(offset, len(block))
        if found == block:
            continue
        if found != golden.read(offset, len(block)) and mapped.holds(offset, len(block)):
            raise AmbassadorError(
                f"{request.target}: is no copy of the golden image: byte {offset} on is neither the golden image's nor"
                f" that of {patch.device}; nothing was written"
            )
        missing[offset] = block
    write_blocks(descriptor, missing, request.target)
    forget_cached(descriptor)
    read_back(image, patch.blocks, request.target)
    return Applied(patch.device, len(missing), is_golden_written=False)


def _to_new_file(request: Request, patch: Patch, golden: RawFile) -> Applied:
    target = request.target
    staged = target.with_name(f".{target.name}.part")
    try:
        staged.unlink(missing_ok=True)
        descriptor = os.open(staged, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
        try:
            golden.clone_to(descriptor)
            write_blocks(descriptor, patch.blocks, target)
            read_back(RawFile(descriptor), patch.blocks, target)
            staged.rename(target)
        finally:
            os.close(descriptor)
            staged.unlink(missing_ok=True)
        sync_folder(target.parent)
    except OSError as error:
        raise AmbassadorError(f"{target}: {error.strerror}") from error
    return Applied(patch.device, len(patch.blocks), is_golden_written=True)


def shred_patch(path: Path) -> None:
    """Overwrite and remove a patch once its device has it. See `batch_manifest.shred` for what that is worth."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        shred_files(folder, [path])
    except OSError as error:
        raise AmbassadorError(f"{path}: {error.strerror}; remove it by hand") from error
    finally:
        os.close(folder)
