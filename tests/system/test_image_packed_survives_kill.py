"""A compressed image whose editor is killed (SIGKILL) is the old or the new one, its map too; nothing is in the way."""

from pathlib import Path

from support.packed import file_in, image, make_rootfs, names, pack, run, unpacked

OLD = [
    "image.staged:Staged.commit:before:1",
    "image.compressed:unpacked:after:2",
    "image.bmap_file:write_new:after:1",
    "image.bmap_file:NewBmap.write:before:1",
    "image.bmap_file:replace_text:after:1",
    "image.staged:Staged.commit:before:2",
    "image.staged:fcntl.flock:after:2",
]
NEW = ["image.staged:Staged.commit:after:2", "image.staged:sync_folder:after:2"]


def test_killed_anywhere(tmp_path: Path) -> None:
    raw = make_rootfs(tmp_path / "a.img")
    run("bmaptool", "create", "-o", tmp_path / "a.img.bmap", raw)
    packed = pack(raw, "gz")
    raw.unlink()
    file = tmp_path / "file"
    whole = names(tmp_path) | {"file"}
    file.write_text("first")
    image("cp", file, f"{packed}:/etc/file")
    for number, point in enumerate(OLD + NEW):
        before = packed.read_bytes()
        file.write_text(f"killed {number}")
        image("cp", file, f"{packed}:/etc/file", code=-9, kill_at=point)
        assert (packed.read_bytes() != before) is (point in NEW), point
        assert {name for name in names(tmp_path) if not name.startswith(".")} == whole
        file.write_text(f"done {number}")
        image("cp", file, f"{packed}:/etc/file")
        assert names(tmp_path) == whole, point
        run("bmaptool", "copy", packed, tmp_path / "card")
        assert file_in(tmp_path / "card", "/etc/file") == f"done {number}".encode()
        (tmp_path / "card").unlink()
    assert file_in(unpacked(packed, "gz", tmp_path / "b.img"), "/etc/noise")
