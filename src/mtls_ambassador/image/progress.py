"""Telling somebody how far long work is."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Told what is done (wait, hash, map, write, verify, unpack, pack, audit), how much of how much: bytes or pieces."""


def no_progress(what: str, done: int, total: int) -> None:
    """Tells nobody."""
    del what, done, total
