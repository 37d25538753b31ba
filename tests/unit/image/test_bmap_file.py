"""What an edit of a packed image left when it was interrupted; what stands beside an image may be anybody's."""

from pathlib import Path

import pytest

from mtls_ambassador.image.bmap_file import new_bmap, recover_bmap
from mtls_ambassador.image.bmap_text import MAX_SIZE
from mtls_ambassador.model.errors import AmbassadorError
from support.bmap import image, make_bmap

BEFORE, AFTER = (make_bmap(image(), ranges, "2.0") for ranges in ([(0, 2)], [(0, 3)]))


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """With the map that belongs to the version which was not put in its place."""
    (tmp_path / ".a.img.gz.new").touch()
    (tmp_path / ".a.img.bmap.old").write_text(BEFORE)
    (tmp_path / "a.img.bmap").write_text(AFTER)
    return tmp_path / "a.img.gz"


def state(packed: Path) -> tuple[str, bool]:
    """The map, and whether another is kept."""
    return packed.with_name("a.img.bmap").read_text(), packed.with_name(".a.img.bmap.old").exists()


def test_the_map_of_the_old_version_is_put_back(packed: Path) -> None:
    recover_bmap(packed)
    assert state(packed) == (BEFORE, False)


def test_the_map_of_the_new_version_stays_with_it(packed: Path) -> None:
    packed.with_name(".a.img.gz.new").unlink()
    recover_bmap(packed)
    assert state(packed) == (AFTER, False)


@pytest.mark.parametrize("kept", [BEFORE[:-20], "attacker's text", "\udcff"])
def test_what_was_not_kept_whole_is_not_put_back(packed: Path, kept: str) -> None:
    packed.with_name(".a.img.bmap.old").write_bytes(kept.encode(errors="surrogateescape"))
    recover_bmap(packed)
    assert state(packed) == (AFTER, False)


def test_nothing_is_written_through_a_link(packed: Path) -> None:
    bmap, victim = packed.with_name("a.img.bmap"), packed.with_name("victim")
    bmap.rename(victim)
    bmap.symlink_to(victim)
    with pytest.raises(AmbassadorError, match=r"a\.img\.bmap: is a symbolic link"):
        recover_bmap(packed)
    assert (victim.read_text(), bmap.is_symlink()) == (AFTER, True)


def test_nothing_is_read_through_a_link(packed: Path) -> None:
    kept = packed.with_name(".a.img.bmap.old")
    kept.unlink()
    kept.symlink_to("/dev/zero")
    with pytest.raises(AmbassadorError, match=r"\.a\.img\.bmap\.old: is a symbolic link"):
        recover_bmap(packed)


def test_only_a_map_is_replaced(packed: Path) -> None:
    packed.with_name("a.img.bmap").write_text("a file")
    with pytest.raises(AmbassadorError, match=r"a\.img\.bmap: cannot be read as a block map"):
        recover_bmap(packed)
    assert state(packed) == ("a file", True)


def test_a_map_that_is_a_link_is_read_and_not_changed(packed: Path) -> None:
    bmap = packed.with_name("a.img.bmap")
    bmap.rename(packed.with_name("map"))
    bmap.symlink_to("map")
    new = new_bmap(packed, image(), {}, [])
    assert new
    with pytest.raises(AmbassadorError, match="put the map itself there; nothing was changed"):
        new.refuse_link()


def test_a_map_that_is_too_large_is_not_read(packed: Path) -> None:
    with packed.with_name("a.img.bmap").open("r+b") as file:
        file.truncate(MAX_SIZE + 1)
    with pytest.raises(AmbassadorError, match=f"has {MAX_SIZE + 1} bytes; {MAX_SIZE} are the most"):
        new_bmap(packed, image(), {}, [])
