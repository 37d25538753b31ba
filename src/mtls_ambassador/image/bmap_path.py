"""Which block map is an image's: told by its name alone, so that who finds none need not load the rest."""

from pathlib import Path


def find_bmap(image: Path) -> Path | None:
    """The map that bmaptool would take by itself: of `a.img.xz`, `a.img.xz.bmap`, `a.img.bmap` or `a.bmap`."""
    name = image.name
    while True:
        candidate = image.with_name(f"{name}.bmap")
        if candidate.is_file():
            return candidate
        shorter = Path(name).stem
        if shorter == name:
            return None
        name = shorter
