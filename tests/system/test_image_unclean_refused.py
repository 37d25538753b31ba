"""A file system that was not unmounted cleanly, or that only a kernel may change, is refused and left as it is."""

from pathlib import Path

import pytest

from support.image_cli import SMALL, copy, debugfs, image, key, make_small, mounted, names, patch_bytes, refused
from support.images import MIB, Part, make_system, run

DATA = f"offset={(4 + 1 + 2 + 2) * MIB},sizelimit={8 * MIB}"


def test_a_journal_to_be_replayed_would_undo_the_edit(tmp_path: Path) -> None:
    device, card = tmp_path / "device.img", tmp_path / "card.img"
    data = make_small(device)[3]
    with mounted(device, tmp_path / "mnt", DATA) as root:
        (root / "mender/log").write_text("running\n")
        run("sync", "-f", root)
        copy(device, card)
    lost = copy(card, tmp_path / "lost.img")
    said = refused(card, "install", "-m", "600", key(tmp_path), f"{card}:/data/mender/key.pem")
    assert f'{card}: partition 4 (ext4 "data") was not unmounted: its journal must be replayed first' in said
    assert "take the image from a device that was shut down, or see docs/factory/images.md" in said
    assert 'warning: partition 4 (ext4 "data") was not unmounted' in image("ls", card).err
    # What other tools do: the file is there, until the device mounts it.
    debugfs(lost, f"write {key(tmp_path)} /mender/key.pem", data)
    assert "key.pem" in debugfs(lost, "ls /mender", data)
    with mounted(lost, tmp_path / "mnt", DATA) as root:
        assert names(root / "mender") == ["device_type", "log"]
    # A device that was shut down.
    image("install", "-m", "600", key(tmp_path), f"{device}:/data/mender/key.pem")
    with mounted(device, tmp_path / "mnt", DATA) as root:
        assert names(root / "mender") == ["device_type", "key.pem", "log"]


def test_an_unclean_b_stops_an_edit_of_both(tmp_path: Path) -> None:
    card = tmp_path / "card.img"
    debugfs(card, "ssv state 0", make_small(card)[2])
    said = refused(card, "rm", f"{card}:/etc/mender/mender.conf")
    assert f"{card}: partition 3 (ext4) is marked as not clean: let e2fsck repair it first" in said
    assert image("cat", f"{card}:/etc/mender/mender.conf").out == b"{}\n"


@pytest.mark.parametrize(
    ("options", "command", "said"),
    [
        ((), "ssv state 0", "is marked as not clean: let e2fsck repair it first"),
        ((), "ssv state 3", "is marked as not clean"),
        ((), "ssv last_orphan 12", "is marked as not clean"),
        ((), "feature orphan_present", "is marked as not clean"),
        (
            (),
            "ssv journal_inum 0",
            "has its journal on another device, which is not here; make the image with its journal",
        ),
        ((), "feature shared_blocks", "has the feature shared_blocks: its files share blocks"),
        ((), "feature read-only", "has the feature read-only: it says that it is never to be written to"),
        (("-O", "mmp"), "", "has the feature mmp: only a mounted kernel keeps it right; make the image without it"),
        (("-O", "quota"), "", "has the feature quota: only a mounted kernel keeps it right"),
        (("-O", "project"), "", "has the feature project: only a mounted kernel keeps it right"),
        (
            (),
            "feature FEATURE_I30",
            "e2fsprogs does not know; it must be at least as new as the one that made the image",
        ),
        (
            (),
            "feature FEATURE_R30",
            "e2fsprogs does not know; it must be at least as new as the one that made the image",
        ),
        (
            (),
            "feature FEATURE_C30",
            "cannot be checked: e2fsck ended with 12; it has unsupported feature(s): FEATURE_C30",
        ),
        (("-O", "^metadata_csum"), "ssv feature_incompat 0x40000042", "features: compat 0x3c, incompat 0x40000042"),
    ],
)
def test_states_and_features(tmp_path: Path, options: tuple[str, ...], command: str, said: str) -> None:
    system = tmp_path / "data.ext4"
    make_system(system, Part(8, "ext4", options))
    if command:
        debugfs(system, command)
    told = refused(system, "install", "-m", "600", key(tmp_path), f"{system}:/key.pem")
    assert told.startswith(f"mtls-ambassador: {system}: ")
    assert said in told


def test_an_external_journal(tmp_path: Path) -> None:
    journal, system = tmp_path / "journal", tmp_path / "data.ext4"
    run("mke2fs", "-q", "-F", "-b", "4096", "-O", "journal_dev", journal, "8M")
    device = run("losetup", "-f", "--show", journal).decode().strip()
    try:
        run("mke2fs", "-q", "-F", "-b", "4096", "-t", "ext4", "-J", f"device={device}", system, "8M")
    finally:
        run("losetup", "-d", device)
    assert "has its journal on another device" in refused(system, "install", "-d", f"{system}:/new")
    assert f"{journal}: is a journal; only ext2, ext3" in refused(journal, "install", "-d", f"{journal}:/new")


def test_fat_that_was_not_unmounted(tmp_path: Path) -> None:
    card = tmp_path / "card.img"
    boot = make_small(card)[0]
    patch_bytes(card, boot + 37, b"\1")
    said = refused(card, "install", "-m", "644", key(tmp_path), f"{card}:/uboot/key.pem")
    assert f'{card}: partition 1 (vfat "BOOT") was not unmounted (dirty bit): let fsck.vfat repair it first' in said
    assert 'warning: partition 1 (vfat "BOOT") was not unmounted' in image("ls", card).err
    image("install", "-m", "644", key(tmp_path), f"{card}:/data/key.pem")


def test_no_root_file_system_that_can_be_written(tmp_path: Path) -> None:
    card = tmp_path / "card.img"
    starts = make_small(card)
    for start, magic in zip(starts[1:3], (b"hsqs", b"\0" * 4), strict=True):
        patch_bytes(card, start, magic + bytes(SMALL[1].size * MIB - 4))
    said = refused(card, "install", "-m", "600", key(tmp_path), f"{card}:/etc/key.pem")
    assert (
        f"{card}: /etc: no root file system is ext2, ext3 or ext4: partition 2 (squashfs), partition 3 (empty)" in said
    )
    said = refused(card, "install", "-m", "600", key(tmp_path), f"{card}:/key.pem", "--partition", "2")
    assert f"{card}: partition 2 (squashfs): is squashfs; only ext2, ext3, ext4 and FAT can be read and changed" in said
    said = refused(card, "install", "-m", "600", key(tmp_path), f"{card}:/key.pem", "--partition", "3")
    assert f"{card}: partition 3 (empty): no file system is in it" in said
    assert "is squashfs; only" in image("cat", f"{card}:/key.pem", "--partition", "2", code=1).err
    image("install", "-m", "600", key(tmp_path), f"{card}:/data/key.pem")
