"""Any sequence of edits leaves ext4 as a dictionary would be: contents, kinds, modes, owners, times; or as it was."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtls_ambassador.image.entry import Attributes
from support.ext_features import FEATURES
from support.image_model import Change, Modelled, make_folder, put, remove
from support.images import Part, make_system

_ODD_NAMES = [
    b"a",
    b"a b",
    b"q'\"uote",
    b"new\nline",
    "ü€😀".encode(),
    b"\xff\xfe",
    b"n" * 255,
    b"*",
    b"-r",
    b"<2>",
    b"$(x)",
]
_NAMES = st.sampled_from(_ODD_NAMES) | st.binary(min_size=1, max_size=255).filter(
    lambda name: not set(name) & set(b"/\0") and name not in {b".", b"..", b"lost+found"}
)
_SIZES = (0, 1, 59, 60, 61, 156, 157, 1023, 1024, 4096, 4097, 70_000)
_CONTENTS = st.builds(lambda size, byte: bytes([byte]) * size, st.sampled_from(_SIZES), st.integers(0, 255))
_OWNERS = st.sampled_from([0, 1000, 65_535, 65_536, 2**32 - 2])
_LAST = 2**31 - 1
"""The last second that an inode of 128 bytes can hold; what comes after it has a test of its own."""
_ATTRIBUTES = st.builds(Attributes, st.integers(0, 0o7777), _OWNERS, _OWNERS, st.integers(0, _LAST))


@st.composite
def _edits(draw: st.DrawFn) -> list[list[Change]]:
    """Edits of a few changes each, to a few names again and again."""
    names = [os.fsdecode(name) for name in draw(st.lists(_NAMES, min_size=2, max_size=4, unique=True))]
    paths = st.lists(st.sampled_from(names), min_size=1, max_size=3).map("/".join)
    change = (
        st.builds(put, paths, _CONTENTS, _ATTRIBUTES)
        | st.builds(
            lambda path, content, wanted: put(path, content, wanted, parents=True), paths, _CONTENTS, _ATTRIBUTES
        )
        | st.builds(make_folder, paths, _ATTRIBUTES)
        | st.builds(remove, paths)
        | st.builds(lambda path: remove(path, recursive=True), paths)
    )
    return draw(st.lists(st.lists(change, min_size=1, max_size=5), min_size=1, max_size=4))


@pytest.fixture(params=["default", "128-byte-inodes", "inline-data-1k"])
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    system, options = FEATURES[request.param]
    image = tmp_path / "golden.ext4"
    make_system(image, Part(4, system, (*options, "-N", "128"), files={"a/a": b"x" * 5000, "a/link": "a"}))
    return image


@settings(max_examples=16, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=_edits())
def test_an_image_is_as_its_model(golden: Path, edits: list[list[Change]]) -> None:
    image = golden.with_name("image.ext4")
    shutil.copy(golden, image)
    modelled = Modelled(image)
    for changes in edits:
        modelled.edit_or_refuse(*changes)
    modelled.check()
