"""An image may be called what a file can be called, and be reached by a link; an edit is undone by whichever name."""

from pathlib import Path

import pytest

from support import packed
from support.image_cli import image, key, names, sha256
from support.images import BOOT, Part, make_system

NAMES = (
    "a?b.img",
    "a:b.img",
    "a?offset=512.img",
    " a b .img",
    "a\nb.img",
    "-a.img",
    "a.img:b",
    "ä\\x.img",
    "a'b\"c$d.img",
    "@@512",
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", [Part(2, files={"old": b"old\n"}), Part(1, "vfat", files={"old": b"old\n"})])
def test_any_name(tmp_path: Path, name: str, part: Part) -> None:
    make_system(tmp_path / "made", part)
    system = (tmp_path / "made").rename(tmp_path / name)
    image("install", "-m", "600", key(tmp_path), f"{system}:/new")
    assert image("cat", f"{system}:/new").out == key(tmp_path).read_bytes()
    assert "old" in image("ls", f"{system}:/").text
    assert image("ls", system).text.count("\n") == 2
    image("cp", f"{system}:/old", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"old\n"
    said = image("cat", f"{system}:/none", code=1).err
    assert said.count("\n") == 1 + name.count("\n")
    assert names(tmp_path) == sorted([name, "key.pem", "out"])


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    make_system(tmp_path / "made", Part(2))
    system = (tmp_path / "made").rename(tmp_path / b"\xff\xfe.img".decode(errors="surrogateescape"))
    image("install", "-m", "600", key(tmp_path), f"{system}:/new")
    assert image("cat", f"{system}:/none", code=1).err.endswith("??.img:/none is not there\n")


def test_a_link_to_an_image_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    for folder in (real, link):
        folder.mkdir()
    make_system(real / "a.img", BOOT)
    (link / "b.img").symlink_to("../real/a.img")
    image("install", "-m", "644", key(tmp_path), f"{link}/b.img:/new")
    assert (link / "b.img").is_symlink()
    assert image("cat", f"{real}/a.img:/new").out == key(tmp_path).read_bytes()
    before = sha256(real / "a.img")
    packed.image("rm", f"{link}/b.img:/new", code=-9, kill_at="image.undo:Undo._forget:before:1")
    assert (names(real), names(link)) == ([".a.img.undo", "a.img"], ["b.img"])
    assert sha256(real / "a.img") != before
    image("ls", real / "a.img")
    assert (sha256(real / "a.img"), names(real)) == (before, ["a.img"])


def test_an_undo_file_beside_another_image_of_this_name_is_told_and_not_applied(tmp_path: Path) -> None:
    system = tmp_path / "a.img"
    make_system(system, Part(2, files={"old": b"old\n"}))
    packed.image("rm", f"{system}:/old", code=-9, kill_at="image.undo:Undo._forget:before:1")
    make_system(tmp_path / "b.img", Part(2, files={"another": b"x" * 100_000, "one": b"x"}))
    (tmp_path / "b.img").replace(system)
    before = sha256(system)
    for words in (("ls", system), ("cat", f"{system}:/one"), ("install", "-d", f"{system}:/new")):
        said = image(*words, code=1).err
        assert f"{system}: an edit of it was interrupted and cannot be undone: byte " in said
        assert "on is neither as it was before that edit nor after. Put a good copy of the image in its place" in said
        assert "then remove .a.img.undo beside it" in said
    assert sha256(system) == before
    (tmp_path / ".a.img.undo").unlink()
    assert image("cat", f"{system}:/one").out == b"x"
