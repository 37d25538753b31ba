"""Blocks of what is removed from ext2, ext3 and ext4.

`ext2fs_punch` will not do: e2fsprogs 1.47 takes the last block of a file system for one behind its end there, so that a
file in a full one could be neither removed nor replaced.
"""

from typing import Any

from mtls_ambassador.image.entry import Parts
from mtls_ambassador.image.ext_handle import ExtHandle
from mtls_ambassador.image.ext_library import EACH_BLOCK, ITERATE_ABORT, ITERATE_READ_ONLY
from mtls_ambassador.model.errors import AmbassadorError


def free_blocks(handle: ExtHandle, inode: int, path: Parts) -> None:
    """Free all blocks of an inode, those that say where its content is included; with bigalloc whole clusters, once."""
    end, blocks = handle.found.size // handle.found.block_size, list[int]()

    def take(library: object, block: Any, *rest: object) -> int:  # noqa: ANN401 - a pointer
        del library, rest
        blocks.append(block[0])
        return 0 if fit() else ITERATE_ABORT

    def fit() -> bool:
        return not blocks or (0 < blocks[-1] < end and len(blocks) < end)

    handle.call(path, "ext2fs_block_iterate3", inode, ITERATE_READ_ONLY, None, EACH_BLOCK(take), None)
    if not fit():
        raise AmbassadorError(f"{handle.at(path)} has blocks that its file system has not: damaged")
    for block in {block // handle.found.cluster_blocks: block for block in blocks}.values():
        handle.run("ext2fs_block_alloc_stats2", block, -1)
