"""What the `image` commands put on standard output."""

import sys
from collections.abc import Iterable

from mtls_ambassador.model.errors import AmbassadorError


def write_out(chunks: Iterable[bytes]) -> None:
    """Write all to standard output. Raises AmbassadorError when it cannot be written, unless its reader went away."""
    if not sys.stdout:
        raise AmbassadorError("standard output is closed: nothing can be written to it")
    try:
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise AmbassadorError(f"standard output cannot be written: {error.strerror}") from error
