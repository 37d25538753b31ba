"""Any sequence of edits leaves FAT as a dictionary with names of any case would be; or as it was."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtls_ambassador.image.entry import Attributes
from support.fat_reader import FatEntry, read_fat
from support.image_model import NOW, Change, RefusedError, make_all_or_none, make_folder, put, remove
from support.images import Part, make_system

_ATTRIBUTES = Attributes(0o644, 0, 0, NOW)
_LETTERS = st.text("abcABC 019._-+,;=[]()&äÖ", min_size=1, max_size=20)
_NAMES = st.sampled_from(["a", "A", "a b", "KERNEL8.IMG", "kernel8.img", "bcm2711-rpi-4-b.dtb"]) | (
    _LETTERS.filter(lambda name: name[-1] not in ". ")
)
_CONTENTS = st.builds(
    lambda size, byte: bytes([byte]) * size, st.sampled_from([0, 1, 2047, 2048, 2049, 70_000]), st.integers(0, 255)
)
_CASES: st.SearchStrategy[list[Callable[[str], str]]] = st.lists(
    st.sampled_from([str, str.upper, str.lower]), min_size=1, max_size=3
)


class _Model:
    """Each path in lower case, with how its name was first written, and a file's content; None for a folder."""

    def __init__(self, tree: dict[str, FatEntry]) -> None:
        self.found = {
            path.lower(): (_name(path), None if seen.is_folder else seen.content) for path, seen in tree.items()
        }

    def put(self, path: str, content: bytes, attributes: Attributes, *, parents: bool = False) -> None:
        assert parents
        self._make_above(path, attributes)
        name, old = self.found.get(path.lower(), (_name(path), b""))
        if old is None:
            raise RefusedError
        self.found[path.lower()] = name, content

    def make_folder(self, path: str, attributes: Attributes) -> None:
        self._make_above(path, attributes)
        if self.found.setdefault(path.lower(), (_name(path), None))[1] is not None:
            raise RefusedError

    def remove(self, path: str, *, recursive: bool = False) -> None:
        assert recursive
        if path.lower() not in self.found:
            raise RefusedError
        below = path.lower() + "/"
        self.found = {name: seen for name, seen in self.found.items() if not f"{name}/".startswith(below)}

    def _make_above(self, path: str, attributes: Attributes) -> None:
        if "/" in path:
            self.make_folder(path.rpartition("/")[0], attributes)


def _name(path: str) -> str:
    return path.rpartition("/")[2]


@st.composite
def _edits(draw: st.DrawFn) -> list[list[Change]]:
    """Edits of a few changes each, to a few names again and again; each writes them in its own case."""
    names = draw(st.lists(_NAMES, min_size=2, max_size=4, unique_by=str.lower))
    return [draw(_changes([case(name) for name in names])) for case in draw(_CASES)]


def _changes(names: list[str]) -> st.SearchStrategy[list[Change]]:
    paths = st.lists(st.sampled_from(names), min_size=1, max_size=2).map("/".join)
    put_one = st.builds(lambda path, content: put(path, content, _ATTRIBUTES, parents=True), paths, _CONTENTS)
    change = (
        put_one
        | put_one
        | st.builds(lambda path: make_folder(path, _ATTRIBUTES), paths)
        | st.builds(lambda path: remove(path, recursive=True), paths)
    )
    return st.lists(change, min_size=1, max_size=3)


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    image = tmp_path / "golden.vfat"
    make_system(image, Part(9, "vfat", ("-F", "16"), files={"A": None, "A/Kernel8.img": b"x" * 5000}))
    return image


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=_edits())
def test_an_image_is_as_its_model(golden: Path, edits: list[list[Change]]) -> None:
    image = golden.with_name("image.vfat")
    shutil.copy(golden, image)
    model = _Model(read_fat(image))
    for changes in edits:
        model = make_all_or_none(image, model, changes)
    assert _Model(read_fat(image)).found == model.found
