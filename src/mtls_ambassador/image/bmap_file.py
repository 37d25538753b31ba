"""The block map beside an image, put right together with it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mtls_ambassador.image.blocks import Blocks
from mtls_ambassador.image.bmap import updated_bmap
from mtls_ambassador.image.bmap_path import find_bmap
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

    def write(self) -> None:
        """Put it in place."""
        try:
            replace_text(self.path.resolve(), self.new)
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
    try:
        old = bmap.read_bytes().decode()
        return NewBmap(bmap, old, updated_bmap(old, image, changes, written))
    except (OSError, UnicodeDecodeError) as error:
        raise AmbassadorError(f"{bmap}: cannot be read: {error}") from error
    except AmbassadorError as error:
        raise AmbassadorError(
            f"{bmap}: {error}; it would be taken for the map of {path.name}: remove it, or make it anew by"
            f" `bmaptool create`; nothing was changed"
        ) from error


def recover_bmap(image: Path) -> None:
    """End what an edit that was interrupted left: the image's new version was not in its place yet, or it was."""
    bmap = find_bmap(image)
    if bmap is None or not (kept := _kept_path(bmap)).exists():
        return
    if staged_path(image).exists():
        replace_text(bmap.resolve(), kept.read_bytes().decode())
    kept.unlink()
    sync_folder(kept.parent)


def _kept_path(bmap: Path) -> Path:
    return bmap.with_name(f".{bmap.name}.old")
