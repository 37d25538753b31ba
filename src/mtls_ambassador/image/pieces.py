"""A stream of bytes in pieces of one size, worked on in threads, in flat memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

_MOST_THREADS = 4
"""xz takes about 150 MB for each."""


def pieces(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of one size; the last may be smaller."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)


def thread_count() -> int:
    """How many to use on this machine."""
    return min(len(os.sched_getaffinity(0)), _MOST_THREADS)


def in_threads(pack: Callable[[bytes], bytes], parts: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Each part packed, in order, and never more than a few at a time. Parts of `size` zeros are packed only once."""
    zeros, packed_zeros = bytes(size), None
    waiting: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(thread_count()) as pool:
        try:
            for part in parts:
                if part == zeros:
                    packed_zeros = packed_zeros or pool.submit(pack, part)
                    waiting.append(packed_zeros)
                else:
                    waiting.append(pool.submit(pack, part))
                if len(waiting) > thread_count():
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
