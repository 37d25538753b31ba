"""FAT in a region of an image, through mtools; `flush` takes over what changed."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from mtls_ambassador.image.entry import MAX_NAME, Attributes, Entry, Kind, Parts, text
from mtls_ambassador.image.mtools import Mtools, content_file
from mtls_ambassador.image.overlay import Region
from mtls_ambassador.model.errors import AmbassadorError

_LINE = re.compile(
    r"(?P<stem>.{8}) (?P<suffix>.{3}) (?P<size> *(?:<DIR>|[\d ]+)) *"
    r"(?P<time>\d{4}-\d\d-\d\d +\d?\d:\d\d) (?: (?P<long>.*))?"
)
_NOT_IN_A_NAME = re.compile(r'[\x00-\x1f"*/:<>?\\|\x7f\ud800-\udfff]|[. ]$')
_DEVICE = re.compile(r"(?:con|aux|prn|nul|(?:com|lpt)[1-9])", re.IGNORECASE)
_PATTERN = re.compile(r"([\[\]*?\\])")
_FULL_MODE, _FOLDER_MODE = 0o755, 0o755
_MAX_DEPTH = 128
"""Names of one letter in the 260 characters that its specification has for a path."""
_FIRST_TIME = 315532800
"""1980: mtools takes what is before for a time after 2097."""
_Listed = list[tuple[Entry, str]]
"""With the short name of each, by which it can be called as well."""


class FatFileSystem:
    """See `FileSystem`. Modes and owners do not exist here; names are the same in upper and lower case.

    A file that is replaced keeps its name as it was written.
    """

    type = "vfat"

    def __init__(self, region: Region, where: str, now: int) -> None:
        self._where = where
        self._mtools = Mtools(region, where, max(now, _FIRST_TIME))
        self._is_changed = False
        self._known: dict[Parts, _Listed] = {}
        """What is in folders; forgotten with every change."""

    def entry(self, path: Parts) -> Entry | None:
        """What is there."""
        found: Entry | None = Entry("/", Kind.FOLDER, _FOLDER_MODE, 0, 0, 0, 0)
        for depth, given in enumerate(path):
            if found is None or found.kind is not Kind.FOLDER:
                return None
            name = _fold(given)
            listed = self._listed(path[:depth])
            found = next((item for item, short in listed if name in {_fold(item.name), _fold(short)}), None)
        return found

    def entries(self, path: Parts) -> list[Entry]:
        """What is in a folder."""
        self._check_folder(path)
        return sorted((entry for entry, _ in self._listed(path)), key=lambda entry: entry.name)

    def chunks(self, path: Parts) -> Iterator[bytes]:
        """A file's content."""
        yield from self._mtools.stream(path, "mtype", _found_at(path))

    def content_places(self, path: Parts) -> list[tuple[int, int]]:
        """None: mtools does not tell them with enough certainty."""
        del path
        return []

    def put(self, path: Parts, content: bytes, attributes: Attributes) -> None:
        """Make or replace a file."""
        self._check_new(path)
        old = self.entry(path)
        if old is not None and old.kind is Kind.FOLDER:
            raise AmbassadorError(f"{self._at(path)} is a folder, and is not replaced by a file")
        place = path if old is None else (*path[:-1], old.name)
        self._check_new(place)  # mtools would put it into a folder that fits an old name such as `*`
        with content_file(content, max(attributes.mtime, _FIRST_TIME)) as file:
            self._change(path, "mcopy", "-o", "-m", f"/proc/self/fd/{file}", _new_at(place), keep=(file,))
        self._check_name_kept(path)

    def make_folder(self, path: Parts, attributes: Attributes) -> None:
        """Make a folder."""
        del attributes
        self._check_new(path)
        if self.entry(path) is not None:
            raise AmbassadorError(f"{self._at(path)} is there already")
        self._change(path, "mmd", _new_at(path))
        self._check_name_kept(path)

    def set_permissions(self, path: Parts, attributes: Attributes) -> None:
        """Nothing: there are none."""

    def remove(self, path: Parts) -> None:
        """Remove a file, or a folder with all in it."""
        found = self.entry(path)
        if found is None or not path:
            raise AmbassadorError(f"{self._at(path)} is not there" if path else "the root is not removed")
        self._change(path, "mdeltree" if found.kind is Kind.FOLDER else "mdel", _found_at(path))

    def flush(self) -> None:
        """Keep what was changed."""
        if self._is_changed:
            self._mtools.keep()
        self.close()

    def close(self) -> None:
        """Let go of the copy."""
        self._mtools.close()

    def _at(self, path: Parts) -> str:
        return f"{self._where}: {text(path)}"

    def _listed(self, path: Parts) -> _Listed:
        if path not in self._known:
            said = self._mtools.run(path, "mdir", "-a", _found_at((*path, ""))).decode(errors="surrogateescape")
            found = [_read_line(line) for line in said.split("\n")]
            self._known[path] = [item for item in found if item and item[0].name not in {".", ".."}]
        return self._known[path]

    def _change(self, path: Parts, program: str, *words: str, keep: tuple[int, ...] = ()) -> None:
        self._is_changed = True
        # By depth, since a folder has more names than one.
        self._known = {known: listed for known, listed in self._known.items() if len(known) < len(path) - 1}
        self._mtools.run(path, program, *words, keep=keep)

    def _check_folder(self, path: Parts) -> None:
        found = self.entry(path)
        if found is None or found.kind is not Kind.FOLDER:
            raise AmbassadorError(f"{self._at(path)} is {'not there' if found is None else 'no folder'}")

    def _check_new(self, path: Parts) -> None:
        name = path[-1] if path else ""
        if not name or _NOT_IN_A_NAME.search(name) or len(name) > MAX_NAME:
            raise AmbassadorError(
                f'{self._at(path)}: no name for FAT, which has none of " * / : < > ? \\ | in a name and no dot or blank'
                " at its end"
            )
        if len(path) > _MAX_DEPTH:
            raise AmbassadorError(f"{self._at(path)}: in FAT at most {_MAX_DEPTH} names make a path")
        if _DEVICE.fullmatch(name):
            raise AmbassadorError(f"{self._at(path)}: no name for FAT, where it stands for a device")
        self._check_folder(path[:-1])

    def _check_name_kept(self, path: Parts) -> None:
        """Rarer characters are written as others by mtools, without a word."""
        if self.entry(path) is None:
            raise AmbassadorError(f"{self._at(path)}: mtools cannot keep this name on FAT; plain letters it can")


def _found_at(path: Parts) -> str:
    """The path of what is there, for mtools, which takes more than letters in it for a pattern."""
    return "::/" + _PATTERN.sub(r"\\\1", "/".join(path))


def _new_at(path: Parts) -> str:
    """The path of what is not there yet, whose name is none."""
    return f"{_found_at(path[:-1])}/{path[-1]}" if len(path) > 1 else f"::/{path[-1]}"


def _fold(name: str) -> str:
    """As mtools compares names: letter by letter."""
    return "".join(letter.upper() if len(letter.upper()) == 1 else letter for letter in name)


def _read_line(line: str) -> tuple[Entry, str] | None:
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    suffix = found["suffix"].rstrip()
    short = found["stem"].rstrip() + (f".{suffix}" if suffix else "")
    is_folder = "<DIR>" in found["size"]
    size = 0 if is_folder else int(found["size"].replace(" ", ""))
    kind, mode = (Kind.FOLDER, _FOLDER_MODE) if is_folder else (Kind.FILE, _FULL_MODE)
    return Entry(found["long"] or short, kind, mode, 0, 0, size, _time(found["time"])), short


def _time(said: str) -> int:
    """Seconds since 1970; 0 for what is no time, which is what a system without a clock leaves."""
    try:
        return int(datetime.strptime(said, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp())
    except ValueError:
        return 0
