"""Extended attributes of what is removed from ext2, ext3 and ext4: their blocks and inodes are freed with it."""

import ctypes as c

from mtls_ambassador.image.entry import Parts
from mtls_ambassador.image.ext_handle import ExtHandle
from mtls_ambassador.image.ext_library import EACH_ATTRIBUTE, HANDLE

_CONTENT = b"system.data"
"""No attribute, but the part of a file's content that stands among them."""


def free_attributes(handle: ExtHandle, inode: int, path: Parts) -> None:
    """Free what holds the attributes of an inode outside it, unless another inode has the same."""
    if handle.found.has_attribute_inodes:
        _remove_each(handle, inode, path)
    handle.call(path, "ext2fs_free_ext_attr", inode, None)


def _remove_each(handle: ExtHandle, inode: int, path: Parts) -> None:
    """One by one, so that the library frees the inodes that hold large ones."""
    attributes, library, names = HANDLE(), handle.library, list[bytes]()

    def take(name: bytes, *rest: object) -> int:
        del rest
        names.append(name)
        return 0

    handle.call(path, "ext2fs_xattrs_open", inode, c.byref(attributes))
    with handle.telling(path):
        try:
            library.call("ext2fs_xattrs_read", attributes)
            library.call("ext2fs_xattrs_iterate", attributes, EACH_ATTRIBUTE(take), None)
            for name in names:
                if name != _CONTENT:
                    library.call("ext2fs_xattr_remove", attributes, name)
        finally:
            library.call("ext2fs_xattrs_close", c.byref(attributes))
