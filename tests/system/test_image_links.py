"""Links in an image lead where the device would go: across partitions, never out of it, and nowhere in a circle."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mtls_ambassador.flows.edit_image import Edit, edit_image
from mtls_ambassador.flows.read_image import image_to_read, listed, open_file
from mtls_ambassador.image.entry import Attributes, Kind
from mtls_ambassador.image.image import Selector
from mtls_ambassador.image.tree import parse_path
from mtls_ambassador.model.errors import AmbassadorError
from support.fat_reader import fat_tree
from support.image_cli import SMALL, refused
from support.image_cli import image as cli
from support.image_model import NOW, digest
from support.image_readers import by_us
from support.images import BOOT, DATA, MIB, ROOTFS, Part, Tree, check_ext, make_disk, make_system, run

_WANTED = Attributes(0o600, 0, 0, NOW)
_NEW = b"put through a link"
_BOTH: Tree = {
    "etc/mender/mender.conf": b"conf",
    "etc/a": None,
    "etc/b": None,
    "boot": None,
    "var/lib/mender": "/data/mender",
    "var/lib/relative": "../../etc/mender",
    "var/lib/above": "../../../../../../../data/mender/",
    "var/lib/above-file": "../../../../../../../etc/mender/mender.conf",
    "var/lib/dots": "./../lib/./mender//",
    "var/lib/chain": "chain-2/deeper",
    "var/lib/chain-2": "/var/lib/mender",
    "var/lib/dangling": "/etc/mender/not-there",
    "firmware": "boot/efi/EFI",
    "etc/conf": "mender/mender.conf",
    "etc/loop-1": "loop-2",
    "etc/loop-2": "/etc/loop-1",
    "etc/self": "self",
    "etc/root": "/",
}
_DATA: Tree = {
    "mender/deeper": None,
    "mender/conf": "/etc/mender",
    "mender/up": "../../etc/mender",
    "mender/out-and-back": "../../data/mender/deeper",
}
_PARTS = (
    replace(BOOT, size=4),
    replace(ROOTFS, size=5, files={**_BOTH, "etc/differs": "a"}),
    replace(ROOTFS, size=5, files={**_BOTH, "etc/differs": "b"}),
    replace(DATA, size=5, files=_DATA),
)
_STARTS = (4, 8, 13, 18)


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("links") / "golden.sdimg"
    assert make_disk(path, _PARTS) == [start * MIB for start in _STARTS]
    return path


@pytest.fixture
def image(golden: Path, tmp_path: Path) -> Path:
    path = tmp_path / "image.sdimg"
    run("cp", "--sparse=always", golden, path)
    return path


def _put(image: Path, path: str, *, parents: bool = False) -> None:
    wanted = parse_path(path)
    edit_image(image, Selector(), NOW, lambda edit: edit.put(wanted, "name", _NEW, _WANTED, parents=parents))


def _where(image: Path) -> set[tuple[int, str]]:
    """Partition and path of each file that holds what was put; the file systems are sound."""
    found = {(1, path) for path, seen in fat_tree(image, 4 * MIB, 4 * MIB).items() if seen.content == _NEW}
    for number in (2, 3, 4):
        check_ext(image, _STARTS[number - 1] * MIB)
        tree = by_us(image, Selector(number))
        found |= {(number, path.decode()) for path, seen in tree.items() if seen.content == _NEW}
    return found


_LANDS = {
    "/var/lib/mender/key": {(4, "mender/key")},
    "/var/lib/mender": {(4, "mender/name")},
    "/var/lib/above/key": {(4, "mender/key")},
    "/var/lib/dots/key": {(4, "mender/key")},
    "/var/lib/chain/key": {(4, "mender/deeper/key")},
    "/var/lib/relative/mender.conf": {(2, "etc/mender/mender.conf"), (3, "etc/mender/mender.conf")},
    "/firmware/key": {(1, "EFI/key")},
    "/etc/root/etc/a/key": {(2, "etc/a/key"), (3, "etc/a/key")},
    "/etc/root/data/key": {(4, "key")},
    "/etc/differs/key": {(2, "etc/a/key"), (3, "etc/b/key")},
    "/data/mender/conf/key": {(2, "etc/mender/key"), (3, "etc/mender/key")},
    "/data/mender/up/key": {(2, "etc/mender/key"), (3, "etc/mender/key")},
    "/data/mender/out-and-back/key": {(4, "mender/deeper/key")},
    # A link to a file, or to nothing, is replaced, as by mender-artifact.
    "/etc/conf": {(2, "etc/conf"), (3, "etc/conf")},
    "/var/lib/above-file": {(2, "var/lib/above-file"), (3, "var/lib/above-file")},
    "/var/lib/dangling": {(2, "var/lib/dangling"), (3, "var/lib/dangling")},
}


@pytest.mark.parametrize("path", _LANDS)
def test_a_file_lands_where_the_device_looks_for_it(path: str, image: Path) -> None:
    _put(image, path)
    assert _where(image) == _LANDS[path]
    with image_to_read(image) as opened:
        assert open_file(opened, parse_path(path if path != "/var/lib/mender" else f"{path}/name")).read() == _NEW


def test_folders_are_made_where_links_lead(image: Path) -> None:
    _put(image, "/var/lib/mender/new/folder/key", parents=True)
    assert _where(image) == {(4, "mender/new/folder/key")}
    path = parse_path("/var/lib/chain/made")
    edit_image(image, Selector(), NOW, lambda edit: edit.make_folder(path, _WANTED))
    edit_image(image, Selector(), NOW, lambda edit: edit.make_folder(parse_path("/var/lib/mender"), _WANTED))
    tree = by_us(image, Selector(4))
    assert tree[b"mender/deeper/made"].mode == 0o600
    assert tree[b"mender"].mode == 0o755


def test_a_replaced_link_leaves_what_it_led_to(image: Path) -> None:
    _put(image, "/etc/conf")
    with image_to_read(image) as opened:
        assert open_file(opened, parse_path("/etc/mender/mender.conf")).read() == b"conf"


def test_a_removed_link_leaves_what_it_led_to(image: Path) -> None:

    def remove_links(edit: Edit) -> None:
        for path in ("/var/lib/mender", "/etc/loop-1"):
            edit.remove(parse_path(path), recursive=True)

    edit_image(image, Selector(), NOW, remove_links)
    assert b"mender/deeper" in by_us(image, Selector(4))
    assert b"var/lib/mender" not in by_us(image, Selector(3))


@pytest.mark.parametrize("path", ["/etc/loop-1", "/etc/loop-2/x", "/etc/self", "/var/lib/../../etc/self/x"])
def test_links_in_a_circle_are_told(path: str, image: Path) -> None:
    before, parts = digest(image), tuple(part for part in path.split("/") if part)
    with pytest.raises(AmbassadorError, match="more than 40 symbolic links on the way: a circle"):
        edit_image(image, Selector(), NOW, lambda edit: edit.put(parts, "name", _NEW, _WANTED))
    with image_to_read(image) as opened, pytest.raises(AmbassadorError, match="a circle"):
        open_file(opened, parts)
    assert digest(image) == before


def test_reading_follows_links_and_listing_shows_them(image: Path) -> None:
    with image_to_read(image) as opened:
        for path in (
            "/etc/conf",
            "/var/lib/above-file",
            "/var/lib/relative/mender.conf",
            "/data/mender/up/mender.conf",
        ):
            assert open_file(opened, parse_path(path)).read() == b"conf"
        assert [entry.kind for entry in listed(opened, parse_path("/var/lib/mender"))] == [Kind.LINK]
        assert {entry.name for entry in listed(opened, parse_path("/var/lib/chain-2/"[:-1]))} == {"chain-2"}
    said = run(sys.executable, "-m", "mtls_ambassador", "image", "ls", f"{image}:/var/lib").decode()
    assert "mender -> /data/mender\n" in said


def _three(tmp_path: Path, *, data: str) -> Path:
    path = tmp_path / "three.img"
    parts = (replace(_PARTS[1], label="primary"), replace(_PARTS[2], label="secondary"), replace(_PARTS[3], label=data))
    make_disk(path, parts)
    return path


@pytest.mark.parametrize("path", ["/var/lib/mender/key", "/var/lib/above/new/key", "/data/mender/key", "/firmware/key"])
def test_nothing_is_put_under_a_mount_point(path: str, tmp_path: Path) -> None:
    """Where the partition that is mounted there is not known, the device would never see it."""
    image = _three(tmp_path, data="unknown")
    before = digest(image)
    with pytest.raises(AmbassadorError, match=r"which partition is the (data|boot) one\? .* --partition N or --label"):
        _put(image, path, parents=True)
    assert digest(image) == before
    _put(image, "/var/lib/relative/mender.conf")


def test_links_lead_across_partitions_found_by_label(tmp_path: Path) -> None:
    image = _three(tmp_path, data="DATA")
    _put(image, "/var/lib/mender/key")
    assert by_us(image, Selector(3))[b"mender/key"].content == _NEW


def test_a_link_to_root_file_systems_that_are_none_is_refused(tmp_path: Path) -> None:
    image, empty = tmp_path / "image.sdimg", Part(5, "")
    make_disk(image, (_PARTS[0], empty, empty, _PARTS[3]))
    _put(image, "/data/mender/key")
    with pytest.raises(AmbassadorError, match="no root file system is ext2, ext3 or ext4"):
        _put(image, "/data/mender/conf/key")
    assert b"etc" not in by_us(image, Selector(4))


def test_a_partition_that_is_named_is_a_tree_of_its_own(image: Path) -> None:
    _put_in = parse_path("/var/lib/relative/key")
    edit_image(image, Selector(3), NOW, lambda edit: edit.put_file(_put_in, _NEW, _WANTED))
    assert _where(image) == {(3, "etc/mender/key")}
    with pytest.raises(AmbassadorError, match="is not there"):
        edit_image(image, Selector(3), NOW, lambda edit: edit.put_file(parse_path("/var/lib/mender/x"), _NEW, _WANTED))


@pytest.mark.parametrize(
    "path", ["/var/lib/mender/key", "/var/lib/above/key", "/firmware/key", "/data/key", "/uboot/key"]
)
def test_a_mender_artifact_has_no_other_partitions(path: str, tmp_path: Path) -> None:
    rootfs, artifact = tmp_path / "rootfs.ext4", tmp_path / "release.mender"
    make_system(rootfs, Part(4, files={**_BOTH, "data/mender": None, "boot/efi/EFI": None}))
    words = ("write", "rootfs-image", "-n", "release-1", "-t", "device", "-f", rootfs, "-o", artifact)
    run("mender-artifact", "--compression", "none", *words)
    with pytest.raises(AmbassadorError, match="a Mender artifact holds a root file system only"):
        _put(artifact, path, parents=True)
    _put(artifact, "/var/lib/relative/key")


def test_a_link_does_not_choose_the_name_of_a_file_of_this_machine(tmp_path: Path) -> None:
    card, home = tmp_path / "rootfs.ext4", tmp_path / "home"
    make_system(card, Part(2, files={"etc/mender/mender.conf": "../.bashrc", "etc/.bashrc": b"from the image"}))
    home.mkdir()
    (home / ".bashrc").write_text("mine")
    cli("cp", f"{card}:/etc/mender/mender.conf", home)
    found = {path.name: path.read_text() for path in home.iterdir()}
    assert found == {".bashrc": "mine", "mender.conf": "from the image"}


def test_a_folder_in_one_root_file_system_and_none_in_the_other_is_refused(tmp_path: Path) -> None:
    card, file = tmp_path / "card.img", tmp_path / "key.pem"
    make_disk(card, (SMALL[0], SMALL[1], replace(SMALL[2], files={"var/lib/other": b""}), SMALL[3]))
    file.write_text("key")
    said = refused(card, "cp", file, f"{card}:/var/lib/mender")
    assert f'{card}:/var/lib/mender is a folder in one root file system (partition 4 (ext4 "data"): /mender)' in said
    assert "not in the other (partition 3 (ext4): /var/lib/mender); end the path with / or make both alike" in said
    assert "/var/lib/mender is not there; -p (--parents) makes it" in refused(
        card, "cp", file, f"{card}:/var/lib/mender/"
    )
    cli("cp", "-p", file, f"{card}:/var/lib/mender/")
    assert by_us(card, Selector(4))[b"mender/key.pem"].content == b"key"
    assert by_us(card, Selector(3))[b"var/lib/mender/key.pem"].content == b"key"
    cli("cp", file, f"{card}:/var/lib/mender")
