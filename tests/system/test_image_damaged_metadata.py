"""File systems with bytes changed anywhere: no command dies, hangs or stumbles, and what is changed is sound.

libext2fs and mtools are C: each command runs in a process of its own, which would end by a signal.
"""

import os
import random
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.image_cli import image, names
from support.images import Part, Tree, check_ext, make_system, run

FILES: Tree = {"etc/mender/mender.conf": b"{}" * 400, "big": b"x" * 40_000} | {
    f"many/a name of some length {n}": b"x" for n in range(40)
}
LINKS: Tree = {"link": "etc/mender", "long": "x" * 200}
FAT_FILES: Tree = {
    "etc": None,
    "etc/mender": None,
    "etc/mender/mender.conf": b"{}",
    "many": None,
    "big": b"x" * 40_000,
}
SYSTEMS = {
    "ext4": Part(4, "ext4", files={**FILES, **LINKS}),
    "ext4 without checksums": Part(4, "ext4", ("-b", "1024", "-O", "^metadata_csum"), files={**FILES, **LINKS}),
    "ext4 with small files in inodes": Part(4, "ext4", ("-O", "inline_data,^metadata_csum"), files={**FILES, **LINKS}),
    "ext2": Part(4, "ext2", ("-b", "1024"), files={**FILES, **LINKS}),
    "FAT12": Part(1, "vfat", files=FAT_FILES),
    "FAT16": Part(8, "vfat", ("-F", "16", "-s", "1"), files=FAT_FILES),
}
VALUES = (b"\xff" * 4, b"\0" * 4, b"\1\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\xff\xff", b"\1", b"\xff")
SECONDS = 60
COUNT = 8


def damaged(data: bytes, seed: str) -> Iterator[bytes]:
    """Copies with some bytes changed in sectors that hold something; half of them in the first ones."""
    source = random.Random(seed)  # noqa: S311 - test data
    used = [at for at in range(0, len(data), 512) if any(data[at : at + 512])]
    for number in range(COUNT):
        changed, sectors = bytearray(data), used if number % 2 else used[:8]
        for _ in range(source.choice((1, 1, 2, 4, 16, 64))):
            at, value = source.choice(sectors), source.choice(VALUES)
            if source.random() < 0.5:
                changed[at + source.randrange(512)] ^= 1 << source.randrange(8)
            else:
                place = at + source.randrange(512 // len(value)) * len(value)
                changed[place : place + len(value)] = value
        yield bytes(changed)


def ended(*words: str | Path) -> int:
    """How a command ends in a process of its own: its exit code, minus a signal, or 99 when it stumbles."""
    child = os.fork()
    if not child:
        signal.alarm(SECONDS)
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        code = 99
        try:
            code = image(*words, code=None).code
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def check(path: Path, part: Part) -> None:
    if part.system == "vfat":
        run("fsck.vfat", "-n", path)
    else:
        check_ext(path)


def commands(path: Path, file: Path) -> list[tuple[str | Path, ...]]:
    return [
        ("ls", path),
        ("ls", f"{path}:/many"),
        ("cat", f"{path}:/big"),
        ("ls", f"{path}:/etc/mender"),
        ("install", "-m", "600", file, f"{path}:/etc/mender/mender.conf"),
        ("install", "-d", "-m", "700", f"{path}:/many/new"),
        ("rm", "-r", f"{path}:/many"),
    ]


@pytest.mark.parametrize("kind", list(SYSTEMS))
def test_no_command_dies_of_it_and_no_edit_makes_it_worse(tmp_path: Path, kind: str) -> None:
    part, path, file = SYSTEMS[kind], tmp_path / "a.img", tmp_path / "file"
    make_system(path, part)
    file.write_bytes(b"hello" * 500)
    whole, changed, failed = path.read_bytes(), 0, 0
    for words in commands(path, file):  # what is loaded late is loaded before the forks
        assert image(*words).code == 0
    for data in damaged(whole, kind):
        for words in commands(path, file):
            path.write_bytes(data)
            code = ended(*words)
            assert code in {0, 1}, (words, code)
            if path.read_bytes() != data:
                assert code == 0
                check(path, part)
                changed += 1
            failed += code
            assert names(tmp_path) == ["a.img", "file"]
    assert changed
    assert failed
