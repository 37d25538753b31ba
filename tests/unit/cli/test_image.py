"""`mtls-ambassador image`: what its words mean, what it prints, and how it ends."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mtls_ambassador.cli.image_output import write_out
from mtls_ambassador.cli.image_path import parse_mode, split
from support.image_cli import debugfs, image, key, make_small, names, patch_bytes, refused
from support.images import MIB, Part, check_ext, make_system

DATA = 9 * MIB
"""First byte of the data partition."""


@pytest.fixture
def card(tmp_path: Path) -> Path:
    make_small(tmp_path / "card.img")
    return tmp_path / "card.img"


def entries(path: str) -> dict[str, dict[str, object]]:
    return {entry["name"]: entry for entry in json.loads(image("ls", "--json", path).out)}


# Modes, owners, times


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        ("600", 0o600),
        ("0600", 0o600),
        ("0o600", 0o600),
        ("4755", 0o4755),
        ("7777", 0o7777),
        ("0", 0),
        ("000644", 0o644),
    ],
)
def test_a_mode_is_octal_always(given: str, mode: int) -> None:
    assert parse_mode(given) == mode


@pytest.mark.parametrize(
    "given",
    [
        "",
        "8",
        "888",
        "10000",
        "-600",
        "u+rw",
        "0x180",
        "0o",
        "6 0",
        "600\n",
        "\N{SUPERSCRIPT TWO}",
        "0b11",
        "\N{ARABIC-INDIC DIGIT SIX}00",
    ],
)
def test_what_is_no_mode_is_refused(tmp_path: Path, card: Path, given: str) -> None:
    said = refused(card, "install", "-m", given, key(tmp_path), f"{card}:/data/x", code=2)
    assert "a mode is an octal number up to 7777, such as 600" in said


@pytest.mark.parametrize("mode", ["600", "0600", "0o600", "4755", "1777"])
def test_the_mode_in_the_image_is_the_one_said(tmp_path: Path, card: Path, mode: str) -> None:
    image("install", "-m", mode, key(tmp_path), f"{card}:/data/x")
    found = debugfs(card, "stat /x", DATA)
    assert f"Mode:  0{int(mode.removeprefix('0o'), 8):03o} " in found
    assert entries(f"{card}:/data")["x"]["mode"] == f"{int(mode.removeprefix('0o'), 8):04o}"


def test_owners_are_numbers_and_root_otherwise(tmp_path: Path, card: Path) -> None:
    image("install", "-m", "640", "-o", "1000", "-g", "4294967294", key(tmp_path), f"{card}:/data/a")
    image("install", "-m", "640", key(tmp_path), f"{card}:/data/b")
    image("install", "-d", "-o", "70000", f"{card}:/data/c")
    found = entries(f"{card}:/data")
    assert [(found[name]["uid"], found[name]["gid"]) for name in "abc"] == [(1000, 4294967294), (0, 0), (70000, 0)]
    for owner in ("root", "-1", "4294967295"):
        said = refused(card, "install", "-m", "640", "-o", owner, key(tmp_path), f"{card}:/data/a", code=2)
        assert "-o" in said


def test_a_folder_is_made_with_those_above_it(card: Path) -> None:
    image("install", "-d", "-m", "700", f"{card}:/data/a/b/c")
    image("install", "-d", f"{card}:/data/a/d")
    assert (entries(f"{card}:/data")["a"]["mode"], entries(f"{card}:/data/a")["b"]["mode"]) == ("0755", "0755")
    assert (entries(f"{card}:/data/a/b")["c"]["mode"], entries(f"{card}:/data/a")["d"]["mode"]) == ("0700", "0755")
    check_ext(card, DATA)


@pytest.mark.parametrize("words", [("install", "-m", "600", "-p"), ("cp", "--parents")])
def test_folders_above_a_file_are_made_when_that_is_said(tmp_path: Path, card: Path, words: tuple[str, ...]) -> None:
    image(*words, key(tmp_path), f"{card}:/data/new/folder/key.pem")
    image(*words, key(tmp_path), f"{card}:/data/new/folder/")
    image(*words, key(tmp_path), f"{card}:/uboot/new/folder/key.pem")
    assert image("cat", f"{card}:/data/new/folder/key.pem").out == key(tmp_path).read_bytes()
    assert entries(f"{card}:/data/new")["folder"]["mode"] == "0755"


def test_the_time_is_what_source_date_epoch_says(tmp_path: Path, card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.img"
    other.write_bytes(card.read_bytes())
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000001")
    for path in (card, other):
        image("install", "-m", "600", key(tmp_path), f"{path}:/data/x")
        image("cp", key(tmp_path), f"{path}:/uboot/x")
    assert card.read_bytes() == other.read_bytes()
    assert entries(f"{card}:/data")["x"]["mtime"] == 1700000001
    assert entries(f"{card}:/uboot")["x"]["mtime"] == 1699999980  # mdir tells minutes
    for epoch in ("0", "4294967295"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
        image("install", "-m", "600", key(tmp_path), f"{card}:/data/x")
        image("cp", key(tmp_path), f"{card}:/uboot/x")
        assert entries(f"{card}:/data")["x"]["mtime"] == int(epoch)
    for wrong in ("-1", "4294967296", "1e9", "now", " 5", "\N{ARABIC-INDIC DIGIT FIVE}", "1" * 5000):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", wrong)
        said = refused(card, "install", "-m", "600", key(tmp_path), f"{card}:/data/x", code=2)
        assert "must be seconds since 1970, and at most 4294967295 (year 2106)" in said
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    image("rm", f"{card}:/data/x")


# cp


def test_cp_keeps_permissions_both_ways(tmp_path: Path, card: Path) -> None:
    file = key(tmp_path)
    for mode in (0o600, 0o4755, 0o444):
        file.chmod(mode)
        image("cp", file, f"{card}:/data/x")
        assert entries(f"{card}:/data")["x"]["mode"] == f"{mode:04o}"
        image("cp", f"{card}:/data/x", tmp_path / "out")
        assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == mode & 0o777
        assert (tmp_path / "out").read_bytes() == file.read_bytes()


def test_cp_from_standard_input_has_mode_600_and_to_standard_output_is_whole(card: Path) -> None:
    content = bytes(range(256)) * 400
    image("cp", "-", f"{card}:/data/x", given=content)
    assert entries(f"{card}:/data")["x"]["mode"] == "0600"
    assert image("cp", f"{card}:/data/x", "-").out == content
    image("install", "-m", "644", "-", f"{card}:/data/x", given=b"")
    assert image("cat", f"{card}:/data/x").out == b""
    for path in ("/data/", "/data/mender/", "", "/"):
        said = refused(card, "cp", "-", f"{card}:{path}", code=2)
        assert "is a folder; say under which name in it standard input goes" in said
    assert "/mender is a folder, and is not replaced" in refused(card, "cp", "-", f"{card}:/data/mender")


def test_cp_into_a_folder_goes_by_the_files_name(tmp_path: Path, card: Path) -> None:
    for path in ("/data", "/data/mender", "/data/mender/", "/uboot", "/uboot/grub/"):
        image("cp", key(tmp_path), f"{card}:{path}")
        assert image("cat", f"{card}:{path}/key.pem").out == key(tmp_path).read_bytes()
    (tmp_path / "folder").mkdir()
    image("cp", f"{card}:/data/key.pem", tmp_path / "folder")
    assert names(tmp_path / "folder") == ["key.pem"]
    assert "/none is not there" in refused(card, "cp", key(tmp_path), f"{card}:/data/none/")


def test_cp_out_replaces_files_only_and_writes_through_links(tmp_path: Path, card: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    image("cp", f"{card}:/data/mender/device_type", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "device_type=qemu\n"
    os.mkfifo(tmp_path / "pipe")
    for target in (tmp_path / "pipe", Path("/dev/null")):
        said = image("cp", f"{card}:/data/mender/device_type", target, code=1).err
        assert f"{target}: is no file, and is not replaced by one; `-` is standard output" in said
    assert Path("/dev/null").is_char_device()
    for target in (tmp_path / "none/x", tmp_path / ("n" * 256)):
        assert f"{target}: " in image("cp", f"{card}:/data/mender/device_type", target, code=1).err
    assert names(tmp_path) == ["card.img", "link", "pipe", "real"]


def test_what_comes_out_of_fat_is_for_its_owner_alone(tmp_path: Path, card: Path) -> None:
    image("cp", f"{card}:/uboot/config.txt", tmp_path / "config.txt")
    assert stat.S_IMODE((tmp_path / "config.txt").stat().st_mode) == 0o600


def test_one_word_of_cp_is_in_an_image(tmp_path: Path, card: Path) -> None:
    said = refused(card, "cp", f"{card}:/data/mender/device_type", f"{card}:/data/x", code=2)
    assert "both are in images: copy out to a file, then that into the other image" in said
    for words in ((key(tmp_path), tmp_path / "x"), (key(tmp_path), "golden.bin:/x"), ("-", "-")):
        assert "one of the two must be IMAGE:/path, such as" in image("cp", *words, code=2).err
    assert f"{tmp_path}/none: No such file" in refused(card, "cp", tmp_path / "none", f"{card}:/data/x")
    assert f"{tmp_path}: Is a directory" in refused(card, "cp", tmp_path, f"{card}:/data/x")


def test_files_with_a_colon_in_their_name(tmp_path: Path, card: Path) -> None:
    for name in ("a:b", "card.img:b", "a.img:b:c"):
        (tmp_path / name).write_text(name)
        image("cp", tmp_path / name, f"{card}:/data/{name}")
        assert image("cat", f"{card}:/data/{name}").out == name.encode()
    image("cp", f"{card}:/data/a:b", tmp_path / "out:put")
    assert (tmp_path / "out:put").read_text() == "a:b"


@pytest.mark.parametrize(
    "name", ["new.sdimg", "new.img", "new.uefiimg", "new.wic", "new.mender", "new.ext4", "new.img.xz"]
)
def test_an_image_that_is_not_there_is_known_by_its_name(tmp_path: Path, name: str) -> None:
    assert (
        f"{tmp_path}/{name}: No such file or directory"
        in image("cp", key(tmp_path), f"{tmp_path}/{name}:/x", code=1).err
    )


def test_what_is_no_image_path() -> None:
    assert [split(word) for word in ("", ":", ":/x", "x", "/a/b", "x:/y", "-", "a" * 300)] == [None] * 8


# Which partition


def test_partition_and_label_name_one_and_exclude_each_other(tmp_path: Path, card: Path) -> None:
    image("install", "-m", "600", key(tmp_path), f"{card}:/only-b", "--partition", "3")
    assert "only-b" not in image("ls", f"{card}:/").text
    image("install", "-m", "600", key(tmp_path), f"{card}:/x", "--label", "DATA")
    assert image("cat", f"{card}:/data/x").out == image("cat", f"{card}:/x", "--partition", "4").out
    said = refused(card, "rm", f"{card}:/x", "--partition", "4", "--label", "data", code=2)
    assert "--partition and --label exclude each other" in said
    for number in ("0", "-1", "x"):
        assert "--partition" in refused(card, "rm", f"{card}:/x", "--partition", number, code=2)


# ls


def test_ls_of_partitions(card: Path) -> None:
    lines = [line.split() for line in image("ls", card).text.splitlines()]
    assert lines[0] == ["no", "start", "size", "type", "system", "label", "part"]
    assert [line[0] for line in lines[1:]] == ["1", "2", "3", "4"]
    assert lines[1][1:] == [str(4 * MIB), str(MIB), "83", "vfat", "BOOT", "boot"]
    assert lines[4][1:] == [str(DATA), str(8 * MIB), "83", "ext4", "data", "data"]
    facts = json.loads(image("ls", "--json", card).out)
    assert (facts["table"], facts["faults"]) == ("mbr", [])
    assert [part["role"] for part in facts["partitions"]] == ["boot", "rootfs A", "rootfs B", "data"]
    assert [part["write_fault"] for part in facts["partitions"]] == [""] * 4


def test_ls_of_an_image_with_faults_lists_what_it_can_and_warns(card: Path) -> None:
    debugfs(card, "ssv state 0", DATA)
    patch_bytes(card, 5 * MIB, bytes(2 * MIB))
    listed = image("ls", card)
    assert [line.split()[4:] for line in listed.text.splitlines()[1:]] == [
        ["vfat", "BOOT", "boot"],
        ["rootfs", "A"],
        ["ext4", "rootfs", "B"],
        ["ext4", "data", "data"],
    ]
    assert listed.err.startswith('warning: partition 4 (ext4 "data") is marked as not clean')
    facts = json.loads(image("ls", "--json", card).out)
    assert "is marked as not clean" in facts["partitions"][3]["write_fault"]
    assert b"device_type" in image("ls", f"{card}:/data/mender").out


def test_ls_of_folders_files_and_links(tmp_path: Path, card: Path) -> None:
    image("install", "-m", "4711", "-o", "5", "-g", "6", key(tmp_path), f"{card}:/data/x")
    line = image("ls", f"{card}:/data/x").text
    assert line.split()[:4] == ["-rws--x--x", "5", "6", str(key(tmp_path).stat().st_size)]
    assert line.endswith(" x\n")
    assert image("ls", f"{card}:/var/lib/mender").text.endswith(" mender -> /data/mender\n")
    assert entries(f"{card}:/var/lib")["mender"]["target"] == "/data/mender"
    assert [line.split()[-1] for line in image("ls", f"{card}:/data").text.splitlines()] == [
        "lost+found",
        "mender",
        "x",
    ]
    assert image("ls", f"{card}:").out == image("ls", f"{card}:/").out
    assert image("ls", "--partition", "4", card).out == image("ls", f"{card}:/data").out
    assert f"{card}:/data/none is not there" in image("ls", f"{card}:/data/none", code=1).err


def test_names_that_would_steer_a_terminal_are_shown_harmless(tmp_path: Path) -> None:
    system = tmp_path / "a.ext4"
    name = "\x1b[31m\nred\u202e"
    make_system(system, Part(2, files={f"{name}/x": b"", "link": name}, label="\x1b[2J"))
    listed = image("ls", f"{system}:/").text
    assert all(char.isprintable() or char == "\n" for char in listed)
    assert "?[31m?red?" in listed
    assert "\x1b" not in image("ls", system).text
    assert entries(f"{system}:/")["link"]["target"] == name
    assert "/?[31m?red?/none is not there" in image("cat", f"{system}:/{name}/none", code=1).err
    assert "/?[31m?red? is a folder" in image("cat", f"{system}:/{name}", code=1).err
    raw = b"\xff\xfe".decode(errors="surrogateescape")
    image("install", "-m", "600", key(tmp_path), f"{system}:/{raw}")
    assert "??" in image("ls", f"{system}:/").text
    assert "\N{REPLACEMENT CHARACTER}" * 2 in entries(f"{system}:/")
    assert image("cat", f"{system}:/{raw}").out == key(tmp_path).read_bytes()


# What is said, and how it ends


def test_fat_is_said_to_keep_no_mode(tmp_path: Path, card: Path) -> None:
    said = image("install", "-m", "600", key(tmp_path), f"{card}:/uboot/key.pem").err
    assert said == f'{card}: partition 1 (vfat "BOOT"): /key.pem: FAT keeps no mode and no owner\n'
    said = image("cp", "-p", key(tmp_path), f"{card}:/uboot/new/folder/").err
    assert said == f'{card}: partition 1 (vfat "BOOT"): /new/folder/key.pem: FAT keeps no mode and no owner\n'
    assert image("install", "-m", "600", key(tmp_path), f"{card}:/data/key.pem").err == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cat", "x.img"), "say IMAGE:/path, such as mender-disk-image.sdimg:/data/mender/mender-cert.pem"),
        (("rm", ":/x"), "say IMAGE:/path"),
        (("install", "-m", "600", "x.img:/x"), "say FILE IMAGE:/path, or with -d IMAGE:/path"),
        (("install", "-d", "a", "x.img:/x"), "say FILE IMAGE:/path, or with -d IMAGE:/path"),
        (("install", "a", "x.img:/x"), "say the permissions, such as -m 644"),
        (("install",), "Missing argument"),
        (("cp", "a"), "Missing argument"),
        (("ls",), "Missing argument"),
        (("ls", "--wrong"), "No such option"),
        (("nothing",), "No such command"),
    ],
)
def test_wrong_usage_ends_with_2(words: tuple[str, ...], said: str) -> None:
    assert said in image(*words, code=2).err


@pytest.mark.parametrize("command", ["ls", "cat", "cp", "install", "rm"])
def test_help_has_examples(command: str) -> None:
    said = image(command, "--help").text
    assert f"Examples:\n    mtls-ambassador image {command} " in said
    assert "--partition" in said
    assert "--label" in said


def test_a_reader_that_goes_away_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    out = os.fdopen(writer, "w")
    monkeypatch.setattr("sys.stdout", out)
    with pytest.raises(BrokenPipeError):
        write_out([b"x"])
    with pytest.raises(BrokenPipeError):
        out.close()


def test_a_reader_that_goes_away_and_a_full_output(tmp_path: Path) -> None:
    system = tmp_path / "a.ext4"
    make_system(system, Part(4, files={"big": b"x" * 1_000_000}))
    argv = [sys.executable, "-m", "mtls_ambassador", "image"]
    script = '"$@" | head -c 1'
    done = subprocess.run(["sh", "-c", script, "sh", *argv, "cat", f"{system}:/big"], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"x", b"")
    for words in (("cat", f"{system}:/big"), ("cp", f"{system}:/big", "-"), ("ls", system)):
        with Path("/dev/full").open("wb") as full:
            ended = subprocess.run([*argv, *words], stdout=full, stderr=subprocess.PIPE, check=False)
        assert ended.returncode == 1
        assert ended.stderr == b"mtls-ambassador: standard output cannot be written: No space left on device\n"
