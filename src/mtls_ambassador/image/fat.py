"""FAT in a region of an image, through mtools, on an unnamed copy of the region; `flush` takes over what changed."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO

from mtls_ambassador.image.entry import MAX_NAME, Attributes, Entry, Kind, Parts, text
from mtls_ambassador.image.overlay import Region
from mtls_ambassador.model.errors import AmbassadorError

_LINE = re.compile(
    r"(?P<stem>.{8}) (?P<suffix>.{3}) (?P<size> *(?:<DIR>|[\d ]+)) *"
    r"(?P<time>\d{4}-\d\d-\d\d +\d?\d:\d\d) (?: (?P<long>.*))?"
)
_NOT_IN_A_NAME = re.compile(r'[\x00-\x1f"*/:<>?\\|\x7f]|[. ]$')
_PATTERN = re.compile(r"([\[\]])")
_FULL_MODE, _FOLDER_MODE = 0o755, 0o755
_FIRST_TIME = 315532800
"""1980: mtools takes what is before for a time after 2097."""


class FatFileSystem:
    """See `FileSystem`. Modes and owners do not exist here; names are the same in upper and lower case."""

    type = "vfat"

    def __init__(self, region: Region, where: str, now: int) -> None:
        self._region, self._where, self._now = region, where, max(now, _FIRST_TIME)
        self._copy: BinaryIO | None = None
        self._is_changed = False

    def entry(self, path: Parts) -> Entry | None:
        """What is there."""
        if not path:
            return Entry("/", Kind.FOLDER, _FOLDER_MODE, 0, 0, 0, 0)
        parent = self.entry(path[:-1])
        if parent is None or parent.kind is not Kind.FOLDER:
            return None
        return next((found for found in self.entries(path[:-1]) if found.name.lower() == path[-1].lower()), None)

    def entries(self, path: Parts) -> list[Entry]:
        """What is in a folder."""
        said = self._run("mdir", "-a", _inside(path)).decode(errors="surrogateescape")
        found = [_read_line(line) for line in said.split("\n")]
        return sorted(
            (entry for entry in found if entry and entry.name not in {".", ".."}), key=lambda entry: entry.name
        )

    def chunks(self, path: Parts) -> Iterator[bytes]:
        """A file's content."""
        yield self._run("mtype", _inside(path))

    def content_places(self, path: Parts) -> list[tuple[int, int]]:
        """None: mtools does not tell them with enough certainty."""
        del path
        return []

    def put(self, path: Parts, content: bytes, attributes: Attributes) -> None:
        """Make or replace a file."""
        self._check_name(path)
        old = self.entry(path)
        if old is not None and old.kind is Kind.FOLDER:
            raise AmbassadorError(f"{self._where}: {text(path)} is a folder, and is not replaced by a file")
        with os.fdopen(os.memfd_create("content"), "w+b") as file:
            file.write(content)
            file.flush()
            time = max(attributes.mtime, _FIRST_TIME)
            os.utime(file.fileno(), (time, time))
            self._change("mcopy", "-o", "-m", f"/proc/self/fd/{file.fileno()}", _inside(path), keep=file.fileno())

    def make_folder(self, path: Parts, attributes: Attributes) -> None:
        """Make a folder."""
        del attributes
        self._check_name(path)
        if self.entry(path) is not None:
            raise AmbassadorError(f"{self._where}: {text(path)} is there already")
        self._change("mmd", _inside(path))

    def remove(self, path: Parts) -> None:
        """Remove a file, or a folder with all in it."""
        found = self.entry(path)
        if found is None or not path:
            raise AmbassadorError(f"{self._where}: {text(path)} is not there" if path else "the root is not removed")
        self._change("mdeltree" if found.kind is Kind.FOLDER else "mdel", _inside(path))

    def flush(self) -> None:
        """Keep what was changed."""
        if self._copy is not None and self._is_changed:
            self._region.overlay.absorb(self._copy.fileno(), self._region.start)
        self.close()

    def close(self) -> None:
        """Let go of the copy."""
        if self._copy is not None:
            self._copy.close()
            self._copy = None

    def _check_name(self, path: Parts) -> None:
        name = path[-1] if path else ""
        if not name or _NOT_IN_A_NAME.search(name) or len(name) > MAX_NAME:
            raise AmbassadorError(
                f'{self._where}: {text(path)}: no name for FAT, which has none of " * / : < > ? \\ | in a name'
                " and no dot or blank at its end"
            )
        parent = self.entry(path[:-1])
        if parent is None or parent.kind is not Kind.FOLDER:
            state = "is not there" if parent is None else "is no folder"
            raise AmbassadorError(f"{self._where}: {text(path[:-1])} {state}")

    def _change(self, program: str, *words: str, keep: int | None = None) -> None:
        self._is_changed = True
        self._run(program, *words, keep=keep)

    def _run(self, program: str, *words: str, keep: int | None = None) -> bytes:
        if self._copy is None:
            self._copy = tempfile.TemporaryFile(prefix="fat-")  # noqa: SIM115 - closed by `close`
            self._region.overlay.copy_to(self._copy.fileno(), self._region.start, self._region.size)
        device = self._copy.fileno()
        argv = [program, *words[:-1], "-i", f"/proc/self/fd/{device}", words[-1]]
        if keep is not None:
            argv = [program, *words[:-2], "-i", f"/proc/self/fd/{device}", *words[-2:]]
        try:
            done = subprocess.run(  # noqa: S603 - no shell, our own words
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                pass_fds=[device] if keep is None else [device, keep],
                env=self._environ(),
            )
        except FileNotFoundError:
            raise AmbassadorError(f"FAT needs the program {program} (Debian package mtools)") from None
        if done.returncode:
            raise AmbassadorError(f"{self._where}: {_said(done.stderr)}")
        return done.stdout

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


def _inside(path: Parts) -> str:
    """The path for mtools, which takes brackets for a pattern."""
    return "::/" + _PATTERN.sub(r"\\\1", "/".join(path))


def _read_line(line: str) -> Entry | None:
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    suffix = found["suffix"].rstrip()
    short = found["stem"].rstrip() + (f".{suffix}" if suffix else "")
    is_folder = "<DIR>" in found["size"]
    size = 0 if is_folder else int(found["size"].replace(" ", ""))
    kind, mode = (Kind.FOLDER, _FOLDER_MODE) if is_folder else (Kind.FILE, _FULL_MODE)
    return Entry(found["long"] or short, kind, mode, 0, 0, size, _time(found["time"]))


def _time(said: str) -> int:
    """Seconds since 1970; 0 for what is no time, which is what a system without a clock leaves."""
    try:
        return int(datetime.strptime(said, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp())
    except ValueError:
        return 0


def _said(stderr: bytes) -> str:
    """What a program of mtools complained of, without its own name and the copy's."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    said = "; ".join(line.split(": ", 1)[-1] for line in lines) or "mtools failed without a word"
    return f"no room: {said}" if "full" in said.lower() else said
