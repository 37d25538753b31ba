"""The map beside an image is right after an edit: bmaptool writes what was put, also over a card full of noise."""

import random
import re
from pathlib import Path

import pytest

from mtls_ambassador.image.bmap_text import parse_bmap
from support.golden import make_golden
from support.packed import NOISE, file_in, image, make_rootfs, names, pack, run

ZEROS = bytes(300_000) + b"end"


def flashed(source: Path, bmap: Path, card: Path) -> Path:
    """A card that was full of other bytes, with the image on it as its map says.

    bmaptool writes what it then compares; a file it makes empty first, which no card is.
    """
    run("bmaptool", "copy", source, card)
    written = card.read_bytes()
    content = bytearray(random.Random(1).randbytes(len(written)))  # noqa: S311 - contents
    known = parse_bmap(bmap.read_text())
    for span in known.spans:
        part = slice(span.first * known.block_size, (span.last + 1) * known.block_size)
        content[part] = written[part]
    card.write_bytes(content)
    return card


@pytest.mark.parametrize("options", [[], ["--no-checksum"]], ids=["checksums", "none"])
@pytest.mark.parametrize("kind", ["", "gz", "xz"])
@pytest.mark.parametrize("name", ["a.img.bmap", "a.bmap"])
def test_bmaptool_writes_what_was_put(tmp_path: Path, kind: str, options: list[str], name: str) -> None:
    raw = make_rootfs(tmp_path / "a.img")
    run("bmaptool", "create", *options, "-o", tmp_path / name, raw)
    (tmp_path / name).chmod(0o640)
    source = pack(raw, kind) if kind else raw
    if kind:
        raw.unlink()
    (tmp_path / "zeros").write_bytes(ZEROS)
    (tmp_path / "noise").write_bytes(NOISE[::-1])
    before = names(tmp_path)
    for file in ("zeros", "noise"):
        image("install", "-m", "644", tmp_path / file, f"{source}:/etc/{file}")
    image("rm", f"{source}:/etc/noise")
    assert names(tmp_path) == before
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o640
    assert file_in(flashed(source, tmp_path / name, tmp_path / "card"), "/etc/zeros") == ZEROS


def test_zeros_in_a_fat_are_written_too(tmp_path: Path) -> None:
    golden = tmp_path / "golden.sdimg"
    run("cp", "--sparse=always", make_golden(tmp_path / "dense.sdimg"), golden)
    run("bmaptool", "create", "-o", tmp_path / "golden.bmap", golden)
    (tmp_path / "zeros").write_bytes(ZEROS * 10)
    image("cp", tmp_path / "zeros", f"{golden}:/uboot/zeros")
    card = flashed(golden, tmp_path / "golden.bmap", tmp_path / "card")
    image("cp", f"{card}:/uboot/zeros", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == ZEROS * 10


@pytest.mark.parametrize("kind", ["", "gz"])
def test_a_map_of_another_image_stops_the_edit(tmp_path: Path, kind: str) -> None:
    raw = make_rootfs(tmp_path / "a.img")
    bmap = tmp_path / "a.img.bmap"
    run("bmaptool", "create", "-o", bmap, raw)
    source, whole = pack(raw, kind) if kind else raw, bmap.read_text()
    changed = re.sub(r'chksum="(.)', lambda found: f'chksum="{int(found[1], 16) ^ 1:x}', whole)
    for wrong in (whole.replace("8388608", "8388609"), "", changed, "-----BEGIN PGP SIGNED MESSAGE-----\n" + whole):
        bmap.write_text(wrong)
        before = source.read_bytes()
        assert str(bmap) in image("install", "-d", f"{source}:/etc/new", code=1)
        assert (source.read_bytes(), bmap.read_text()) == (before, wrong)
        assert not [name for name in names(tmp_path) if name.startswith(".")]


@pytest.mark.parametrize("point", ["image.bmap_file:replace_text:after:1", "image.undo:Undo._forget:before:1"])
def test_an_edit_that_was_killed_is_undone_with_its_map(tmp_path: Path, point: str) -> None:
    raw = make_rootfs(tmp_path / "a.img")
    bmap = tmp_path / "a.img.bmap"
    run("bmaptool", "create", "-o", bmap, raw)
    before, old = raw.read_bytes(), bmap.read_bytes()
    image("install", "-d", f"{raw}:/etc/new", code=-9, kill_at=point)
    assert bmap.read_bytes() != old
    image("ls", f"{raw}:/etc")
    assert (raw.read_bytes(), bmap.read_bytes()) == (before, old)
    image("install", "-d", f"{raw}:/etc/new")
    flashed(raw, bmap, tmp_path / "card")


def test_a_signature_of_the_map_is_told(tmp_path: Path) -> None:
    raw = make_rootfs(tmp_path / "a.img")
    run("bmaptool", "create", "-o", tmp_path / "a.img.bmap", raw)
    (tmp_path / "a.img.bmap.asc").write_text("signature")
    assert "a.img.bmap.asc: no longer fits" in image("install", "-d", f"{raw}:/etc/new")
