"""The functions of libext2fs (e2fsprogs) that are called here, and their types: every detail of `ctypes` is in here.

The library has kept its binary interface (libext2fs.so.2) since version 1.41 and only adds to it.
"""

import ctypes as c
import sys
from functools import cache
from typing import Any, ClassVar

from mtls_ambassador.model.errors import AmbassadorError

ERRCODE = c.c_long
INODE = c.c_uint32
HANDLE = c.c_void_p
"""A file system, open file, extent tree or set of attributes of the library."""
_BASE = 2133571328
"""Of the library's error table, whose entries are only ever appended (lib/ext2fs/ext2_err.et)."""
MAGIC_CHANNEL, MAGIC_MANAGER = _BASE + 5, _BASE + 7
NO_FILE, NO_SPACE_IN_FOLDER = _BASE + 76, _BASE + 38
NO_BLOCK, NO_INODE, NO_FOLDER = _BASE + 72, _BASE + 73, _BASE + 74
UNKNOWN_FEATURES = frozenset({_BASE + 67, _BASE + 68})
NOT_IMPLEMENTED, CONTENT_IS_INLINE = _BASE + 80, _BASE + 166
OPEN_RW, OPEN_64BITS = 0x01, 0x20000
FILE_WRITE = 0x01
FILE_ENTRY = 1
"""`EXT2_FT_REG_FILE`, in a folder's entry."""


class Channel(c.Structure):
    """`struct struct_io_channel`: an open device."""

    _fields_: ClassVar = [
        ("magic", ERRCODE),
        ("manager", c.c_void_p),
        ("name", c.c_char_p),
        ("block_size", c.c_int),
        ("read_error", c.c_void_p),
        ("write_error", c.c_void_p),
        ("refcount", c.c_int),
        ("flags", c.c_int),
        ("reserved", c.c_long * 14),
        ("private_data", c.c_void_p),
        ("app_data", c.c_void_p),
        ("align", c.c_int),
    ]


_CHANNEL = c.POINTER(Channel)
OPEN = c.CFUNCTYPE(ERRCODE, c.c_char_p, c.c_int, c.POINTER(_CHANNEL))
PLAIN = c.CFUNCTYPE(ERRCODE, _CHANNEL)
SET_BLOCK_SIZE = c.CFUNCTYPE(ERRCODE, _CHANNEL, c.c_int)
BLOCKS_32 = c.CFUNCTYPE(ERRCODE, _CHANNEL, c.c_ulong, c.c_int, c.c_void_p)
BLOCKS_64 = c.CFUNCTYPE(ERRCODE, _CHANNEL, c.c_ulonglong, c.c_int, c.c_void_p)
OPTION = c.CFUNCTYPE(ERRCODE, _CHANNEL, c.c_char_p, c.c_char_p)
STATISTICS = c.CFUNCTYPE(ERRCODE, _CHANNEL, c.c_void_p)
RANGE = c.CFUNCTYPE(ERRCODE, _CHANNEL, c.c_ulonglong, c.c_ulonglong)
EACH_ENTRY = c.CFUNCTYPE(c.c_int, INODE, c.c_int, c.c_void_p, c.c_int, c.c_int, c.c_void_p, c.c_void_p)
EACH_BLOCK = c.CFUNCTYPE(
    c.c_int, c.c_void_p, c.POINTER(c.c_ulonglong), c.c_longlong, c.c_ulonglong, c.c_int, c.c_void_p
)
ITERATE_READ_ONLY, ITERATE_ABORT = 0x8, 0x2
EACH_ATTRIBUTE = c.CFUNCTYPE(c.c_int, c.c_char_p, c.c_void_p, c.c_size_t, c.c_void_p)


class Manager(c.Structure):
    """`struct struct_io_manager`: how a device is opened, read and written."""

    _fields_: ClassVar = [
        ("magic", ERRCODE),
        ("name", c.c_char_p),
        ("open", OPEN),
        ("close", PLAIN),
        ("set_block_size", SET_BLOCK_SIZE),
        ("read_32", BLOCKS_32),
        ("write_32", BLOCKS_32),
        ("flush", PLAIN),
        ("write_bytes", BLOCKS_32),
        ("set_option", OPTION),
        ("get_statistics", STATISTICS),
        ("read_64", BLOCKS_64),
        ("write_64", BLOCKS_64),
        ("discard", RANGE),
        ("read_ahead", RANGE),
        ("zero", RANGE),
        ("reserved", c.c_long * 14),
    ]


_TYPES: dict[str, tuple[Any, ...]] = {
    "ext2fs_open": (c.c_char_p, c.c_int, c.c_int, c.c_uint, c.c_void_p, c.POINTER(HANDLE)),
    "ext2fs_read_bitmaps": (HANDLE,),
    "ext2fs_close_free": (c.POINTER(HANDLE),),
    "ext2fs_lookup": (HANDLE, INODE, c.c_char_p, c.c_int, c.c_char_p, c.POINTER(INODE)),
    "ext2fs_dir_iterate2": (HANDLE, INODE, c.c_int, c.c_char_p, EACH_ENTRY, c.c_void_p),
    "ext2fs_read_inode_full": (HANDLE, INODE, c.c_void_p, c.c_int),
    "ext2fs_write_inode_full": (HANDLE, INODE, c.c_void_p, c.c_int),
    "ext2fs_write_new_inode": (HANDLE, INODE, c.c_void_p),
    "ext2fs_new_inode": (HANDLE, INODE, c.c_int, c.c_void_p, c.POINTER(INODE)),
    "ext2fs_link": (HANDLE, INODE, c.c_char_p, INODE, c.c_int),
    "ext2fs_unlink": (HANDLE, INODE, c.c_char_p, INODE, c.c_int),
    "ext2fs_expand_dir": (HANDLE, INODE),
    "ext2fs_mkdir": (HANDLE, INODE, INODE, c.c_char_p),
    "ext2fs_extent_open2": (HANDLE, INODE, c.c_void_p, c.POINTER(HANDLE)),
    "ext2fs_inline_data_init": (HANDLE, INODE),
    "ext2fs_file_open": (HANDLE, INODE, c.c_int, c.POINTER(HANDLE)),
    "ext2fs_file_read": (HANDLE, c.c_void_p, c.c_uint, c.POINTER(c.c_uint)),
    "ext2fs_file_write": (HANDLE, c.c_char_p, c.c_uint, c.POINTER(c.c_uint)),
    "ext2fs_file_close": (HANDLE,),
    "ext2fs_bmap2": (HANDLE, INODE, c.c_void_p, c.c_char_p, c.c_int, c.c_ulonglong, c.POINTER(c.c_int), c.c_void_p),
    "ext2fs_block_iterate3": (HANDLE, INODE, c.c_int, c.c_char_p, EACH_BLOCK, c.c_void_p),
    "ext2fs_free_ext_attr": (HANDLE, INODE, c.c_void_p),
    "ext2fs_xattrs_open": (HANDLE, INODE, c.POINTER(HANDLE)),
    "ext2fs_xattrs_read": (HANDLE,),
    "ext2fs_xattrs_iterate": (HANDLE, EACH_ATTRIBUTE, c.c_void_p),
    "ext2fs_xattr_remove": (HANDLE, c.c_char_p),
    "ext2fs_xattrs_close": (c.POINTER(HANDLE),),
}
"""Functions that return an errcode, with their parameters (lib/ext2fs/ext2fs.h)."""
_WITHOUT_RESULT: dict[str, tuple[Any, ...]] = {
    "ext2fs_free": (HANDLE,),
    "ext2fs_extent_free": (HANDLE,),
    "ext2fs_block_alloc_stats2": (HANDLE, c.c_ulonglong, c.c_int),
    "ext2fs_inode_alloc_stats2": (HANDLE, INODE, c.c_int, c.c_int),
}


class ExtError(Exception):
    """What a function of the library failed with."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Library:
    """The library, loaded."""

    def __init__(self) -> None:
        try:
            self._ext, self._errors = c.CDLL("libext2fs.so.2"), c.CDLL("libcom_err.so.2")
        except OSError as error:
            raise AmbassadorError(
                f"ext2/3/4 needs the library libext2fs of e2fsprogs (Debian package e2fsprogs): {error}"
            ) from None
        self._raised: list[BaseException] = []
        self.read_bytes = 0
        """By callbacks, since the last call began."""
        self._hook_before = sys.unraisablehook
        self._ext.initialize_ext2_error_table()
        self._errors.error_message.restype = c.c_char_p
        self._errors.error_message.argtypes = (ERRCODE,)
        for types, result in ((_TYPES, ERRCODE), (_WITHOUT_RESULT, None)):
            for name, parameters in types.items():
                function = getattr(self._ext, name)
                function.argtypes, function.restype = parameters, result

    def call(self, name: str, *args: object) -> None:
        """Call a function that returns an errcode. Raises ExtError unless that is 0."""
        self.read_bytes = 0
        self._hook_before, sys.unraisablehook = sys.unraisablehook, self._keep
        try:
            code = getattr(self._ext, name)(*args)
        finally:
            sys.unraisablehook = self._hook_before
        if self._raised:
            raise self._raised.pop()
        if code:
            raise ExtError(code, self._errors.error_message(code).decode())

    @property
    def is_stopped(self) -> bool:
        """Whether a callback raised something during this call: those that come after it are to fail."""
        return bool(self._raised)

    def _keep(self, what: "sys.UnraisableHookArgs") -> None:
        """What a callback raised, such as KeyboardInterrupt, which may come anywhere in it: `call` raises it.

        No exception passes through C. Python tells this hook of it, and the library goes on as if nothing were the
        matter, with whatever stood where the callback's answer should, until it next reads or writes.
        """
        if what.exc_value is not None and "ctypes" in (what.err_msg or ""):
            self._raised[:] = [what.exc_value]
        else:
            self._hook_before(what)

    def run(self, name: str, *args: object) -> None:
        """Call a function that returns nothing."""
        getattr(self._ext, name)(*args)


@cache
def library() -> Library:
    """The library, loaded once. Raises AmbassadorError where e2fsprogs is not installed."""
    return Library()
