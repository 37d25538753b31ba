"""Which file it is that is open, and whether it is still as it was: by what only the system sets, never by its path."""

import os
import stat
import time

_SETTLED = 2 * 10**9
"""Nanoseconds after which a change would show in the file's times."""


class Identity:
    """An open file as it is now."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.status = os.fstat(descriptor)
        # What is written to a disk shows in no times.
        is_file = stat.S_ISREG(self.status.st_mode)
        self._is_told = is_file and self.status.st_ctime_ns < time.time_ns() - _SETTLED

    @property
    def key(self) -> str:
        """The same only for the same file with the same bytes in it.

        Empty where that cannot be told: what is open is a disk, or was changed just before this was made, or since.
        """
        return _key(self.status) if self._is_told and _key(os.fstat(self.descriptor)) == _key(self.status) else ""


def _key(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"
