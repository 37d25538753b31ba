"""Which disks may be written to, from what the system says of them."""

from dataclasses import replace
from pathlib import Path

import pytest

from mtls_ambassador.image.target import Disk, look_at, refusal

CARD = Disk(Path("/dev/sdz"), 0x8B0, "7", 8_000_000_000, "SanDisk Ultra", True, True, False, (), ())  # noqa: FBT003 - a table's row


def test_a_card_nobody_uses_may_be_written() -> None:
    assert refusal(CARD, 8_000_000_000, is_table=True) == ""
    assert refusal(replace(CARD, is_whole=False), 8_000_000_000, is_table=False) == ""
    assert CARD.described == "/dev/sdz: SanDisk Ultra, 8.0 GB, removable"


@pytest.mark.parametrize(
    ("disk", "said"),
    [
        (replace(CARD, mounts=("/", "/boot/efi")), "is mounted at /, /boot/efi; unmount it first"),
        (replace(CARD, users=("swap", "md0")), "is in use by swap, md0"),
        (replace(CARD, is_read_only=True), "is read-only"),
        (replace(CARD, is_whole=False), "is a partition, and the image is one of a whole disk"),
        (replace(CARD, size=7_999_999_999), "has 7999999999 bytes, and the image 8000000000"),
    ],
)
def test_all_others_are_refused_with_the_reason(disk: Disk, said: str) -> None:
    assert said in refusal(disk, 8_000_000_000, is_table=True)


def test_a_disk_that_is_not_removable_is_said_to_be_that() -> None:
    assert "NOT removable" in replace(CARD, is_removable=False, model="").described


def test_files_are_no_disks(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert look_at(tmp_path / "a") is None
    assert look_at(Path("/dev/null")) is None
