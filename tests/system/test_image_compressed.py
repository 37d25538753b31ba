"""A file goes into a compressed image, and the tool that people unpack it with finds it there and the archive whole."""

import stat
from pathlib import Path

import pytest

from support.packed import KINDS, NOISE, file_in, image, make_rootfs, names, pack, run, unpacked

KEY = b"not a key\n"


@pytest.mark.parametrize("kind", KINDS)
def test_the_real_tool_finds_what_was_installed(tmp_path: Path, kind: str) -> None:
    raw = make_rootfs(tmp_path / "a.img")
    packed = pack(raw, kind).rename(tmp_path / "named-by-nobody")  # the content tells, not the name
    packed.chmod(0o640)
    key = tmp_path / "key.pem"
    key.write_bytes(KEY)
    before = names(tmp_path)
    image("install", "-m", "600", key, f"{packed}:/etc/mender/key.pem")
    assert names(tmp_path) == before
    assert stat.S_IMODE(packed.stat().st_mode) == 0o640
    found = unpacked(packed, kind, tmp_path / "found.img")
    assert file_in(found, "/etc/mender/key.pem") == KEY
    assert file_in(found, "/etc/noise") == NOISE
    image("cp", f"{packed}:/etc/mender/key.pem", tmp_path / "out.pem")
    assert (tmp_path / "out.pem").read_bytes() == KEY


@pytest.mark.parametrize("kind", KINDS)
def test_reading_and_a_change_that_fails_leave_the_file_alone(tmp_path: Path, kind: str) -> None:
    packed = pack(make_rootfs(tmp_path / "a.img"), kind)
    before, inode = packed.read_bytes(), packed.stat().st_ino
    image("ls", f"{packed}:/etc")
    image("rm", f"{packed}:/etc/nothing", code=1)
    (tmp_path / "large").write_bytes(NOISE * 20)
    assert "room" in image("cp", tmp_path / "large", f"{packed}:/etc/large", code=1)
    assert (packed.read_bytes(), packed.stat().st_ino) == (before, inode)
    assert not [name for name in names(tmp_path) if name.startswith(".")]


@pytest.mark.parametrize("kind", ["gz", "xz", "zst", "bz2"])
def test_files_of_several_streams_are_read_whole(tmp_path: Path, kind: str) -> None:
    raw = make_rootfs(tmp_path / "a.img")
    data, streams = raw.read_bytes(), []
    for number, part in enumerate((data[:100], data[100:3_000_000], data[3_000_000:])):
        piece = tmp_path / f"part{number}"
        piece.write_bytes(part)
        streams.append(pack(piece, kind).read_bytes())
    packed = tmp_path / "many"
    packed.write_bytes(b"".join(streams) + bytes(512))
    image("rm", f"{packed}:/etc/noise")
    image("install", "-d", f"{packed}:/etc/new")
    assert b"new" in run("debugfs", "-R", "ls /etc", unpacked(packed, kind, tmp_path / "found.img"))


def test_gzip_keeps_the_name_and_effort_of_before(tmp_path: Path) -> None:
    raw = make_rootfs(tmp_path / "a.img")
    run("gzip", "-9", "-k", raw)
    packed = tmp_path / "a.img.gz"
    head = packed.read_bytes()[:16]
    image("rm", f"{packed}:/etc/noise")
    assert packed.read_bytes()[:16] == head


def others(packed: Path) -> list[bytes]:
    """Modes, sizes, methods, times and names, but for the image's own."""
    return [line for line in run("zipinfo", packed).splitlines()[2:-1] if b"a.img" not in line]


def test_a_zip_keeps_all_else(tmp_path: Path) -> None:
    raw = make_rootfs(tmp_path / "a.img")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "manual.txt").write_bytes(NOISE)
    (tmp_path / "link").symlink_to("docs/manual.txt")
    packed = tmp_path / "a.zip"
    run("zip", "-qry", packed, "docs", "link", raw.name, folder=tmp_path)
    run("bash", "-c", 'printf "release 1\n" | zip -qz "$0"', packed)
    shown = others(packed)
    image("rm", f"{packed}:/etc/noise")
    run("unzip", "-tq", packed)
    assert others(packed) == shown
    assert b"release 1" in run("unzip", "-z", packed)
    assert run("unzip", "-p", packed, "docs/manual.txt") == NOISE
