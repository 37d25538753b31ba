"""Standard input or output that is closed, and memory that does not suffice, are told in words; nothing is changed."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.image_cli import image, key, make_small, names, sha256


@pytest.fixture
def card(tmp_path: Path) -> Path:
    make_small(tmp_path / "card.img")
    return tmp_path / "card.img"


def _fails(card: Path, script: str, *words: str | Path) -> str:
    """What a command says that a shell starts; it ends with 1, and all is as before."""
    before, beside = sha256(card), names(card.parent)
    argv = ["sh", "-c", script, "sh", sys.executable, "-m", "mtls_ambassador", "image", *map(str, words)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert (sha256(card), names(card.parent)) == (before, beside)
    return done.stderr


def test_standard_input_that_is_closed_or_cannot_be_read(card: Path) -> None:
    install = ("install", "-m", "600", "-", f"{card}:/data/x")
    for words in (install, ("cp", "-", f"{card}:/data/x")):
        said = _fails(card, '"$@" <&-', *words)
        assert said == "mtls-ambassador: standard input is closed: nothing can be read from it\n"
    said = _fails(card, '"$@" 0> /dev/null', *install)
    assert said == "mtls-ambassador: standard input cannot be read: Bad file descriptor\n"


def test_standard_output_that_is_closed(card: Path) -> None:
    for words in (("cat", f"{card}:/uboot/config.txt"), ("cp", f"{card}:/uboot/config.txt", "-"), ("ls", card)):
        said = _fails(card, '"$@" >&-', *words)
        assert said == "mtls-ambassador: standard output is closed: nothing can be written to it\n"


def test_an_edit_needs_none_of_them(tmp_path: Path, card: Path) -> None:
    """An image that got the number of one of them would be overwritten by what the checkers say, or not be found."""
    for path in (f"{card}:/data/key.pem", f"{card}:/uboot/key.pem"):
        install: list[str | Path] = [
            sys.executable,
            "-m",
            "mtls_ambassador",
            "image",
            "install",
            "-m",
            "600",
            key(tmp_path),
            path,
        ]
        subprocess.run(["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *install], timeout=60, check=True)
        assert image("cat", path).out == key(tmp_path).read_bytes()


def test_a_file_that_memory_does_not_hold(tmp_path: Path, card: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(4 << 30)
    said = _fails(card, 'ulimit -v 2000000; "$@"', "cp", big, f"{card}:/data/x")
    assert said == "mtls-ambassador: not enough memory\n"
