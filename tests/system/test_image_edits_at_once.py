"""Edits of one image at once wait for each other, and readers for them: none is lost."""

import fcntl
import subprocess
import sys
from pathlib import Path

from mtls_ambassador.flows.read_image import image_to_read
from support.image_cli import image, make_small, names
from support.images import check_ext


def start(*words: str | Path) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "mtls_ambassador", "image", *map(str, words)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_all_survive(tmp_path: Path) -> None:
    card = tmp_path / "card.img"
    starts = make_small(card)
    file = tmp_path / "file"
    file.write_bytes(b"x" * 20_000)
    for count in (2, 5):
        paths = [f"/{folder}/new-{count}-{n}" for n, folder in zip(range(count), ("data", "etc") * 3, strict=False)]
        edits = [start("install", "-m", "600", file, f"{card}:{path}") for path in paths]
        readers = [start("cat", f"{card}:/data/mender/device_type") for _ in range(2)]
        for process in (*edits, *readers):
            out, err = process.communicate()
            assert (process.returncode, err) == (0, b"")
            assert out == (b"device_type=qemu\n" if process in readers else b"")
        for path in paths:
            assert image("cat", f"{card}:{path}").out == file.read_bytes()
    for at in starts[1:]:
        check_ext(card, at)
    assert names(tmp_path) == ["card.img", "file"]


def test_who_waits_is_told(tmp_path: Path) -> None:
    card = tmp_path / "card.img"
    make_small(card)
    told = []
    with card.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        def free(what: str, done: int, total: int) -> None:
            told.append((what, done, total))
            fcntl.flock(other, fcntl.LOCK_UN)

        with image_to_read(card, free) as opened:
            assert len(opened.volumes) == 4
    assert told == [("wait", 0, 1), ("wait", 1, 1)]
