"""Keeps out of the gateway's processes what they do not need."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_rich() -> Iterator[None]:
    """Import structlog within this: it takes rich along wherever that is installed, 0.25 s and 6 MB for each process.

    Only the demo and the progress displays draw with rich, and they import it themselves.
    """
    if "rich" in sys.modules:
        yield
        return
    sys.modules["rich"] = None  # type: ignore[assignment] # the import system's own way to say "not there"
    try:
        yield
    finally:
        del sys.modules["rich"]
