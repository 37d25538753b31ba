"""What cannot be read, or could not be written again without a loss, is refused with a reason and left as it is."""

import zipfile
from pathlib import Path

import pytest

from support.packed import KINDS, image, make_rootfs, names, pack, run


def refused(packed: Path, why: str) -> None:
    before = packed.read_bytes()
    assert why in image("install", "-d", f"{packed}:/etc/new", code=1)
    assert packed.read_bytes() == before
    assert not [name for name in names(packed.parent) if name.startswith(".")]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_cut_off_changed_or_followed_by_something(tmp_path: Path, kind: str) -> None:
    packed = pack(make_rootfs(tmp_path / "a.img"), kind)
    whole = packed.read_bytes()
    packed.write_bytes(whole[: len(whole) // 2])
    refused(packed, "cut off")
    middle = len(whole) // 2
    packed.write_bytes(whole[:middle] + bytes([whole[middle] ^ 0x10]) + whole[middle + 1 :])
    refused(packed, "damaged")
    packed.write_bytes(whole + b"more")
    refused(packed, "would be lost")


def test_zips_that_are_encrypted_or_have_no_image_or_two(tmp_path: Path) -> None:
    raw, packed = make_rootfs(tmp_path / "a.img"), tmp_path / "a.zip"
    (tmp_path / "b.img").write_bytes(raw.read_bytes())
    (tmp_path / "README").write_text("hello\n")
    run("zip", "-q", "-P", "secret", packed, "a.img", folder=tmp_path)
    refused(packed, "encrypted: a.img")
    packed.unlink()
    run("zip", "-q", packed, "a.img", "b.img", folder=tmp_path)
    refused(packed, "more than one disk image in it: a.img, b.img")
    packed.unlink()
    run("zip", "-q", packed, "README", folder=tmp_path)
    refused(packed, "no disk image in it: README")
    packed.unlink()
    (tmp_path / "a.img.bmap").write_text("")
    run("zip", "-q", packed, "a.img", "a.img.bmap", folder=tmp_path)
    refused(packed, f"{packed}: has a.img.bmap in it, which would no longer fit")
    image("ls", packed)
    packed.unlink()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as archive:
        archive.write(raw, "a.img")
    refused(packed, "may take 4 GiB of memory; pack them by deflate")


def test_android_sparse_images_as_they_are_and_packed(tmp_path: Path) -> None:
    sparse = tmp_path / "a.img"
    sparse.write_bytes(bytes.fromhex("3aff26ed") + bytes(4096))
    refused(sparse, "simg2img")
    refused(pack(sparse, "gz"), "simg2img")


def test_what_is_packed_twice(tmp_path: Path) -> None:
    refused(pack(pack(make_rootfs(tmp_path / "a.img"), "gz"), "xz"), "unpack it once")


def test_folders_where_files_of_an_edit_are_made(tmp_path: Path) -> None:
    packed = pack(make_rootfs(tmp_path / "a.img"), "gz")
    for name in (".a.img.gz.new", ".a.img.gz.bmap.old"):
        (tmp_path / "a.img.gz.bmap").touch()
        (tmp_path / name).mkdir()
        assert name in image("install", "-d", f"{packed}:/etc/new", code=1)
        (tmp_path / name).rmdir()


def test_folders_and_empty_files(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.img").touch()
    assert "is a folder" in image("ls", tmp_path / "folder", code=1)
    image("ls", tmp_path / "empty.img", code=1)
