"""A partition table that cannot be right is told, listed as far as it goes, and nothing is written to the image."""

import struct
from pathlib import Path

import pytest

from support.image_cli import SMALL, copy, image, key, names, patch_bytes, refused
from support.images import MIB, make_disk
from support.tables import Gpt, entry, mbr

KEY = "/data/mender/key.pem"


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Images with each kind of table, only read."""
    folder = tmp_path_factory.mktemp("disks")
    for kind in ("msdos", "gpt", "logical"):
        make_disk(folder / kind, SMALL, kind)
    return {kind: folder / kind for kind in ("msdos", "gpt", "logical")}


def extended(card: Path) -> int:
    """Sector of the extended partition, which is the fourth."""
    with card.open("rb") as file:
        return int(struct.unpack_from("<I", file.read(512), 446 + 3 * 16 + 8)[0])


def test_each_kind_of_table_can_be_written_to(disks: dict[str, Path], tmp_path: Path) -> None:
    for kind, disk in disks.items():
        card = copy(disk, tmp_path / f"{kind}.img")
        image("install", "-m", "600", key(tmp_path), f"{card}:{KEY}")
        assert image("cat", f"{card}:{KEY}").out == key(tmp_path).read_bytes()
        assert image("ls", card).err == ""


def test_a_truncated_image_is_listed_and_not_written_to(disks: dict[str, Path], tmp_path: Path) -> None:
    card = copy(disks["msdos"], tmp_path / "card.img")
    with card.open("r+b") as file:
        file.truncate(12 * MIB)
    listed = image("ls", card)
    fault = "partition 4 ends at byte 17825792, behind the image's end at 12582912: truncated image?"
    assert listed.err == f"warning: {fault}\n"
    assert len(listed.text.splitlines()) == 5
    said = refused(card, "install", "-m", "600", key(tmp_path), f"{card}:{KEY}")
    assert f'{card}: partition 4 (ext4 "data"): has 3145728 bytes in the image' in said
    # Also where nothing is missing: the rest of the image is worth nothing without it.
    said = refused(card, "install", "-m", "600", key(tmp_path), f"{card}:/etc/key.pem")
    assert f"{card}: {fault}; nothing is written to it" in said
    assert image("cat", f"{card}:/etc/mender/mender.conf").out == b"{}\n"


def test_a_partition_smaller_than_its_file_system(disks: dict[str, Path], tmp_path: Path) -> None:
    card = copy(disks["msdos"], tmp_path / "card.img")
    patch_bytes(card, 446 + 3 * 16 + 12, struct.pack("<I", 4 * MIB // 512))
    said = refused(card, "install", "-m", "600", key(tmp_path), f"{card}:{KEY}")
    assert 'partition 4 (ext4 "data"): has 4194304 bytes in the image, and needs 8388608' in said
    assert "needs 8388608" in image("ls", card).err


def test_partitions_that_overlap(disks: dict[str, Path], tmp_path: Path) -> None:
    card = copy(disks["msdos"], tmp_path / "card.img")
    patch_bytes(card, 446 + 12, struct.pack("<I", 2 * MIB // 512))
    said = refused(card, "install", "-m", "600", key(tmp_path), f"{card}:{KEY}")
    assert f"{card}: partitions 1 and 2 overlap; nothing is written to it" in said
    assert "warning: partitions 1 and 2 overlap" in image("ls", card).err
    assert b"device_type" in image("ls", f"{card}:/data/mender").out


@pytest.mark.parametrize(
    ("at", "damage", "said"),
    [
        (510, b"\0\0", "the extended partition is broken: no partition table at byte"),
        (446 + 16, entry(0x05, 2**32 - 1, 9), "behind the image's end: truncated?"),
        (446 + 16, entry(0x05, 0xFF, 9), "the extended partition is broken: no partition table at byte"),
    ],
)
def test_a_chain_of_logical_partitions_that_breaks_off(
    disks: dict[str, Path], tmp_path: Path, at: int, damage: bytes, said: str
) -> None:
    card = copy(disks["logical"], tmp_path / "card.img")
    patch_bytes(card, extended(card) * 512 + at, damage)
    assert said in refused(card, "install", "-m", "600", key(tmp_path), f"{card}:/key.pem", "--partition", "2")
    listed = image("ls", card)
    assert said in listed.err
    assert [line.split()[0] for line in listed.text.splitlines()[1:4]] == ["1", "2", "3"]


def test_a_chain_of_logical_partitions_in_a_circle(disks: dict[str, Path], tmp_path: Path) -> None:
    card = copy(disks["logical"], tmp_path / "card.img")
    first = extended(card)
    with card.open("rb") as file:
        file.seek(first * 512 + 446)
        logical = file.read(16)
    patch_bytes(card, first * 512, mbr(logical, entry(0x05, 1, 1)))
    patch_bytes(card, (first + 1) * 512, mbr(entry(0x05, 1, 1)))
    said = refused(card, "install", "-m", "600", key(tmp_path), f"{card}:/key.pem", "--partition", "2")
    assert f"{card}: the extended partition leads in a circle" in said


@pytest.mark.parametrize(
    ("at", "data", "said"),
    [
        (512, b"not a GPT", "the partition table is a GPT, and its header is missing; repair it with gdisk"),
        (512 + 40, b"\xff", "the header of the GPT is damaged (its checksum is wrong); repair it with gdisk"),
        (1024 + 56, b"x", "the entries of the GPT are damaged (their checksum is wrong); repair it with gdisk"),
    ],
)
def test_a_damaged_gpt(disks: dict[str, Path], tmp_path: Path, at: int, data: bytes, said: str) -> None:
    card = copy(disks["gpt"], tmp_path / "card.img")
    patch_bytes(card, at, data)
    assert f"{card}: {said}" in refused(card, "install", "-m", "600", key(tmp_path), f"{card}:{KEY}")
    assert f"{card}: {said}" in image("ls", card, code=1).err


@pytest.mark.parametrize("gpt", [{"sector": 4096}, {"hybrid": (entry(0x83, 2048, 2048),)}])
def test_gpts_of_large_sectors_and_hybrids_can_be_written_to(
    disks: dict[str, Path], tmp_path: Path, gpt: dict[str, object]
) -> None:
    card = copy(disks["msdos"], tmp_path / "card.img")
    sector = 4096 if gpt.get("sector") else 512
    ends = [4 * MIB]
    for part in SMALL:
        ends.append(ends[-1] + part.size * MIB)
    entries = [(ends[n] // sector, ends[n + 1] // sector - 1, f"part {n}") for n in range(4)]
    table = Gpt(entries, **gpt)  # type: ignore[arg-type]  # its own fields
    patch_bytes(card, 0, table.disk(100).data)
    image("install", "-m", "600", key(tmp_path), f"{card}:{KEY}")
    assert image("cat", f"{card}:{KEY}").out == key(tmp_path).read_bytes()
    assert image("ls", card).err == ""
    assert names(tmp_path) == ["card.img", "key.pem"]
