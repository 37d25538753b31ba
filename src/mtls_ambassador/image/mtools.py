"""mtools, run on an unnamed copy of a region of an image; `keep` takes over what it changed."""

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from mtls_ambassador.image.entry import Parts, text
from mtls_ambassador.image.overlay import Region
from mtls_ambassador.model.errors import AmbassadorError

_CHUNK = 1 << 20


class Mtools:
    """Its programs on one FAT. `now` is the time they write, `where` what it is called in messages."""

    def __init__(self, region: Region, where: str, now: int) -> None:
        self._region, self._where, self._now = region, where, now
        self._copy: BinaryIO | None = None

    def run(self, path: Parts, program: str, *words: str, keep: Iterable[int] = ()) -> bytes:
        """What a program says; `keep` are further files it reads.

        Raises AmbassadorError when it fails; `path` is what it is about, for messages.
        """
        with self._started(program, words, keep) as child:
            said, complaint = child.communicate()
        self._check(path, child, complaint)
        return said

    def stream(self, path: Parts, program: str, *words: str) -> Iterator[bytes]:
        """What a program says, part by part."""
        with self._started(program, words, ()) as child:
            while chunk := child.stdout.read(_CHUNK) if child.stdout else b"":
                yield chunk
            complaint = child.stderr.read() if child.stderr else b""
        self._check(path, child, complaint)

    def keep(self) -> None:
        """Take over what was changed."""
        if self._copy is not None:
            self._region.overlay.absorb(self._copy.fileno(), self._region.start)

    def close(self) -> None:
        """Let go of the copy."""
        if self._copy is not None:
            self._copy.close()
            self._copy = None

    def _started(self, program: str, words: Iterable[str], keep: Iterable[int]) -> "subprocess.Popen[bytes]":
        device = self._device()
        try:
            return subprocess.Popen(  # noqa: S603 - no shell, our own words
                [program, "-i", f"/proc/self/fd/{device}", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[device, *keep],
                env=self._environ(),
                start_new_session=True,  # or it would ask questions at the terminal
            )
        except FileNotFoundError:
            raise AmbassadorError(f"FAT needs the program {program} (Debian package mtools)") from None

    def _device(self) -> int:
        if self._copy is None:
            try:
                self._copy = tempfile.TemporaryFile(prefix="fat-")  # noqa: SIM115 - closed by `close`
                self._region.overlay.copy_to(self._copy.fileno(), self._region.start, self._region.size)
            except OSError as error:
                raise AmbassadorError(
                    f"{self._where}: a copy of it in the folder for temporary files (TMPDIR): {error.strerror}"
                ) from error
        return self._copy.fileno()

    def _environ(self) -> dict[str, str]:
        """Nobody's configuration, one time zone, one charset, and the same time for the same work."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "MTOOLSRC": os.devnull,
            "MTOOLS_SKIP_CHECK": "1",
            "MTOOLS_DATE_STRING": "yyyy-mm-dd",
            "MTOOLS_TWENTY_FOUR_HOUR_CLOCK": "1",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "SOURCE_DATE_EPOCH": str(self._now),
        }

    def _check(self, path: Parts, child: "subprocess.Popen[bytes]", complaint: bytes) -> None:
        if child.returncode:
            raise AmbassadorError(f"{self._where}: {text(path)}: {_said(complaint)}")


@contextmanager
def content_file(content: bytes, mtime: int) -> Iterator[int]:
    """A file without a name for a program to read."""
    with os.fdopen(os.memfd_create("content"), "w+b") as file:
        file.write(content)
        file.flush()
        os.utime(file.fileno(), (mtime, mtime))
        yield file.fileno()


def _said(complaint: bytes) -> str:
    """What a program of mtools complained of, without its own name and the copy's."""
    lines = [line.strip() for line in complaint.decode(errors="replace").splitlines() if line.strip()]
    said = "; ".join(line.split(": ", 1)[-1] for line in lines) or "mtools failed without a word"
    return f"no room: {said}" if "full" in said.lower() else said
