"""The block map beside an image, put right together with it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mtls_ambassador.image.beside import read_beside
from mtls_ambassador.image.blocks import Blocks
from mtls_ambassador.image.bmap import updated_bmap
from mtls_ambassador.image.bmap_path import find_bmap
from mtls_ambassador.image.bmap_text import MAX_SIZE, parse_bmap
from mtls_ambassador.image.overlay import Readable
from mtls_ambassador.image.staged import replace_text, staged_path
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.files import PRIVATE, sync_folder, write_new

_SIGNATURES = (".asc", ".sig")


@dataclass(frozen=True, slots=True)
class NewBmap:
    """What a map must say once a change is made."""

    path: Path
    old: str = field(repr=False)
    new: str = field(repr=False)

    def refuse_link(self) -> None:
        """Raises AmbassadorError when it is a symbolic link: through that, nothing is put back."""
        if self.path.is_symlink():
            raise AmbassadorError(f"{self.path}: is a symbolic link; put the map itself there; nothing was changed")

    def write(self) -> None:
        """Put it in place."""
        try:
            replace_text(self.path, self.new)
        except OSError as error:
            raise AmbassadorError(f"{self.path}: cannot be written: {error.strerror}; nothing was changed") from error

    @contextmanager
    def in_place(self, image: Path) -> Iterator[None]:
        """Have it in place before the image is, and the old one again when that fails or the program dies.

        A crash in between leaves a map with more blocks and other checksums than the image: bmaptool refuses that, and
        the next edit puts the old one back.
        """
        kept = _kept_path(self.path)
        kept.unlink(missing_ok=True)
        write_new(kept, self.old.encode(), PRIVATE)
        try:
            self.write()
            yield
        except BaseException:
            recover_bmap(image)
            raise
        kept.unlink()

    @property
    def notes(self) -> list[str]:
        """What a person should know."""
        signatures = [self.path.with_name(self.path.name + suffix) for suffix in _SIGNATURES]
        return [
            f"{item}: no longer fits {self.path.name}, which was changed with the image: sign it again"
            for item in signatures
            if item.exists()
        ]


def new_bmap(path: Path, image: Readable, changes: Blocks, written: Iterable[int]) -> NewBmap | None:
    """What the map beside the image must say after the change; None where there is none.

    Raises AmbassadorError when there is one that is not the image's: nothing is then written.
    """
    bmap = find_bmap(path)
    if bmap is None:
        return None
    old = read_bmap(bmap.resolve())
    try:
        return NewBmap(bmap, old, updated_bmap(old, image, changes, written))
    except AmbassadorError as error:
        raise AmbassadorError(
            f"{bmap}: {error}; it would be taken for the map of {path.name}: remove it, or make it anew by"
            f" `bmaptool create`; nothing was changed"
        ) from error


def read_bmap(path: Path) -> str:
    """The text of a map. Raises AmbassadorError when it cannot be read, is too large, or is a symbolic link."""
    try:
        return read_beside(path, MAX_SIZE).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise AmbassadorError(f"{path}: cannot be read: {error}") from error


def put_back_bmap(bmap: Path, kept: str) -> None:
    """Have a map say again what it said before an edit.

    Fails closed, since what is kept may have come from anybody with the image: raises AmbassadorError, and changes
    nothing, unless a map takes the place of a map, and no link leads elsewhere.
    """
    now = read_bmap(bmap)
    for text in (now, kept):
        try:
            parse_bmap(text)
        except AmbassadorError as error:
            what = "" if text is now else "what it was before an edit "
            raise AmbassadorError(f"{bmap}: {what}{error}; remove it, or make it anew by `bmaptool create`") from error
    if now != kept:
        replace_text(bmap, kept)


def recover_bmap(image: Path) -> None:
    """End what an edit that was interrupted left: the image's new version was not in its place yet, or it was.

    Raises AmbassadorError as `put_back_bmap` does.
    """
    bmap = find_bmap(image)
    if bmap is None or not (kept := _kept_path(bmap)).exists():
        return
    if staged_path(image).exists() and (old := _whole(kept)) is not None:
        put_back_bmap(bmap, old)
    kept.unlink()
    sync_folder(kept.parent)


def _whole(kept: Path) -> str | None:
    """None when it is not whole: the map itself is not touched before it is."""
    data = read_beside(kept, MAX_SIZE)
    try:
        parse_bmap(text := data.decode())
    except (UnicodeDecodeError, AmbassadorError):
        return None
    return text


def _kept_path(bmap: Path) -> Path:
    return bmap.with_name(f".{bmap.name}.old")
