"""A device's patch put on a copy of the golden image: on a disk, or in a file. Checked before, read back after."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mtls_ambassador.flows.golden_image import golden_parts, golden_sha256
from mtls_ambassador.image.blocks import Blocks
from mtls_ambassador.image.bmap_path import find_bmap
from mtls_ambassador.image.container import Container, opened
from mtls_ambassador.image.flash import compare, exclusive, forget_cached, write_image
from mtls_ambassador.image.mapped import Mapped
from mtls_ambassador.image.new_file import new_file
from mtls_ambassador.image.overlay import RawFile, laid_over
from mtls_ambassador.image.partition_table import read_table
from mtls_ambassador.image.patch import Patch, decode_patch
from mtls_ambassador.image.progress import Progress
from mtls_ambassador.image.target import Disk, find_target, refusal
from mtls_ambassador.image.undo import read_back, write_blocks
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.files import read_file, shred_files

MAX_PATCH = 64 << 20
"""Bytes of a patch file; real ones have a few thousand."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be put where."""

    patch: Path
    golden: Path
    target: Path
    is_golden_there: bool
    """The target has the golden image already."""
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
    notes: tuple[str, ...] = ()
    """What a person should know."""


def apply_patch(request: Request) -> Applied:
    """Make `target` the image of the patch's device.

    A disk gets the golden image and the patch, or the patch alone; a file that is not there is made of both; a file
    that is there must be a copy of the golden image. Raises AmbassadorError before anything is written when a disk is
    not there, the golden image is not the patch's, its block map is another's, or what is to be patched is no copy.
    """
    patch = read_patch(request.patch)
    target = find_target(request.target, must_exist=request.is_golden_there)
    with opened(request.golden, to_write=False, on_progress=request.on_progress) as golden:
        _check_golden(patch, request, golden)
        if target.disk is not None:
            return _to_disk(request, patch, golden, target.disk)
        if target.status is not None:
            if os.path.samestat(target.status, golden.identity.status):
                raise AmbassadorError(
                    f"{request.target}: is the golden image itself, which is never written to; name another file"
                )
            return _to_copy(request, patch, golden, target.path)
        return _to_new_file(patch, golden, target.path)


def read_patch(path: Path) -> Patch:
    """The patch in a file. Raises AmbassadorError for anything else."""
    try:
        if path.stat().st_size > MAX_PATCH:
            raise AmbassadorError(f"{path}: is no patch: larger than {MAX_PATCH} bytes")
    except OSError as error:
        raise AmbassadorError(f"{path}: {error.strerror}") from error
    return decode_patch(read_file(path, "the patch"), str(path))


def _check_golden(patch: Patch, request: Request, golden: Container) -> None:
    found = None
    if RawFile(golden.descriptor).size == patch.golden_size:
        found = golden_sha256(golden, request.on_progress)
    if found != patch.golden_sha256:
        raise AmbassadorError(
            f"{request.golden}: is not the golden image that {request.patch} was made for (that has SHA-256"
            f" {patch.golden_sha256.hex()} and {patch.golden_size} bytes); nothing was written"
        )


def _to_disk(request: Request, patch: Patch, golden: Container, disk: Disk) -> Applied:
    image = RawFile(golden.descriptor)
    if disk.number == golden.identity.status.st_rdev:
        raise AmbassadorError(f"{request.target}: is the golden image itself, which is never written to")
    if why := refusal(disk, image.size, is_table=read_table(image).kind != "none"):
        raise AmbassadorError(why)
    mapped = golden_parts(request.golden, golden, request.on_progress)
    request.confirm(disk)
    with exclusive(disk) as descriptor:
        disk_now = RawFile(descriptor)
        if request.is_golden_there:
            blocks, parts = _missing(disk_now, request, patch, image, mapped), []
        else:
            blocks, parts = patch.blocks, write_image(descriptor, image, mapped, request.on_progress)
        write_blocks(descriptor, blocks, disk.path)
        forget_cached(descriptor)
        read_back(disk_now, patch.blocks, disk.path)
        compare(disk_now, laid_over(image, patch.blocks), parts, request.on_progress)
        return Applied(patch.device, len(blocks), is_golden_written=not request.is_golden_there)


def _to_copy(request: Request, patch: Patch, golden: Container, target: Path) -> Applied:
    golden_image = RawFile(golden.descriptor)
    mapped = golden_parts(request.golden, golden, request.on_progress)
    bmap = find_bmap(target)
    if bmap is not None and mapped.bmap is not None and bmap.samefile(mapped.bmap.path):
        raise _shared(bmap, target)

    def check(image: RawFile) -> None:
        forget_cached(image.descriptor)
        read_back(image, patch.blocks, target)

    with opened(target, to_write=True, on_progress=request.on_progress) as copy:
        image = RawFile(copy.descriptor)
        if image.size != golden_image.size:
            raise AmbassadorError(f"{target}: is there, and no copy of the golden image: it has another size")
        blocks = _missing(image, request, patch, golden_image, mapped)
        if bmap is None and copy.descriptor == copy.identity.descriptor:
            write_blocks(
                copy.descriptor, blocks, target
            )  # half of them is what the next run goes on with: no undo file
            check(image)
        else:
            copy.apply(blocks, check, patch.blocks)
        return Applied(patch.device, len(blocks), is_golden_written=False, notes=tuple(copy.notes))


def _missing(image: RawFile, request: Request, patch: Patch, golden: RawFile, mapped: Mapped) -> Blocks:
    """The blocks that are not there yet. Each must be the golden image's, or, from a run before, the patch's.

    Where the golden image has a hole, or its block map says that nothing is there, the disk may hold anything.
    """
    missing = {}
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
    return missing


def _to_new_file(patch: Patch, golden: Container, target: Path) -> Applied:
    if (bmap := find_bmap(target)) is not None:
        raise _shared(bmap, target)
    try:
        with new_file(target) as descriptor:
            RawFile(golden.descriptor).clone_to(descriptor)
            write_blocks(descriptor, patch.blocks, target)
            read_back(RawFile(descriptor), patch.blocks, target)
    except OSError as error:
        raise AmbassadorError(f"{target}: {error.strerror}") from error
    return Applied(patch.device, len(patch.blocks), is_golden_written=True)


def _shared(bmap: Path, target: Path) -> AmbassadorError:
    return AmbassadorError(
        f"{bmap}: would be taken for the block map of {target.name}, which it is not: give that another name, or remove"
        " the map; nothing was written"
    )


def shred_patch(path: Path) -> None:
    """Overwrite and remove a patch once its device has it. See `batch_manifest.shred` for what that is worth."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        shred_files(folder, [path])
    except OSError as error:
        raise AmbassadorError(f"{path}: {error.strerror}; remove it by hand") from error
    finally:
        os.close(folder)
