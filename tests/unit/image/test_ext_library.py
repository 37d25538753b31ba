"""What is said to libext2fs is what its header says to a C compiler (lib/ext2fs/ext2_io.h, for pointers of 64 bits)."""

import ctypes

from mtls_ambassador.image.ext_library import Channel, Manager, library


def test_structures_are_as_the_library_has_them() -> None:
    assert ctypes.sizeof(ctypes.c_void_p) == 8
    assert ctypes.sizeof(Channel) == 192
    assert {name: getattr(Channel, name).offset for name in ("block_size", "refcount", "private_data", "align")} == {
        "block_size": 24,
        "refcount": 48,
        "private_data": 168,
        "align": 184,
    }
    assert ctypes.sizeof(Manager) == 240
    assert {name: getattr(Manager, name).offset for name in ("open", "write_bytes", "read_64", "zero", "reserved")} == {
        "open": 16,
        "write_bytes": 64,
        "read_64": 88,
        "zero": 120,
        "reserved": 128,
    }


def test_the_library_has_all_that_is_called() -> None:
    """Else this would raise: every function is looked up, with its parameters."""
    assert library() is library()
