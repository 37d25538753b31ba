"""A small golden image as Mender's builds lay it out, and orders provisioned from it by the command line."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from mtls_ambassador.flows.read_image import find_file, image_to_read
from mtls_ambassador.image.image import Image
from mtls_ambassador.image.overlay import RawFile, laid_over
from mtls_ambassador.image.patch import decode_patch
from mtls_ambassador.image.tree import parse_path
from support.images import BOOT, DATA, MIB, ROOTFS, check_ext, make_disk, run

CONF = '{"ServerURL": "https://hosted.mender.io/", "TenantToken": "TENANT_TOKEN"}\n'
GATEWAY = "https://gateway.acme-devices.io"
KEY, CERTIFICATE = "/data/mender/mender-cert-private.pem", "/data/mender/mender-cert.pem"
_STARTS = (4, 12, 28, 44)
"""First MiB of boot, rootfs A, rootfs B, data."""


def make_golden(path: Path, *, conf: str = CONF, data_options: tuple[str, ...] = ()) -> Path:
    """Boot FAT, two root file systems with a mender.conf, data."""
    files = {**(ROOTFS.files or {}), "etc/mender/mender.conf": conf.encode()}
    rootfs, data = replace(ROOTFS, files=files), replace(DATA, options=data_options)
    starts = make_disk(path, (BOOT, rootfs, rootfs, data))
    assert starts == [start * MIB for start in _STARTS]
    for start in starts[1:3]:
        run("debugfs", "-w", "-R", "sif /etc/mender/mender.conf mode 0100640", f"{path}?offset={start}")
    return path


class Line:
    """A production line: a CA, its records and a golden image in one folder; commands are run as people run them."""

    def __init__(self, home: Path, golden: Path | None = None) -> None:
        self.home = home
        self.golden = golden or make_golden(home / "golden.sdimg")
        self.environ = {
            **os.environ,
            "MTLS_STATE_DIR": str(home / "state"),
            "XDG_CACHE_HOME": str(home / "cache"),
        }
        self.run("pki", "init", "--single", "--no-passphrase")

    def run(self, *words: str | Path, code: int = 0, given: str = "", kill_at: str = "") -> str:
        """What a command says, on both streams; it must end with `code`."""
        kill = Path(__file__).with_name("kill_at.py")
        program = [sys.executable, str(kill)] if kill_at else [sys.executable, "-m", "mtls_ambassador"]
        done = subprocess.run(
            [*program, *map(str, words)],
            cwd=self.home,
            env=self.environ | {"KILL_AT": kill_at},
            input=given,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == code, f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def provision(self, *words: str | Path, out: str = "out", code: int = 0, kill_at: str = "") -> str:
        """`image provision` of the golden image into `out`."""
        given = ("--server-url", GATEWAY, "--out", self.home / out)
        return self.run("image", "provision", self.golden, *words, *given, code=code, kill_at=kill_at)

    def audit(self, *words: str | Path, code: int = 0) -> dict[str, dict[str, object]]:
        """What `image audit --json` says of each image, by its file's name."""
        said = self.run("image", "audit", *words, "--golden", self.golden, "--json", code=code)
        return {Path(item["image"]).name: item for item in json.loads(said)["images"]}

    def read(self, patch: Path, path: str) -> bytes:
        """A file in the image that a patch makes."""
        blocks = decode_patch(patch.read_bytes(), patch.name).blocks
        with self.golden.open("rb") as file, Image(laid_over(RawFile(file.fileno()), blocks), patch.name, 0) as image:
            return _content(image, path)


def read_image(image: Path, path: str) -> bytes:
    """A file in an image."""
    with image_to_read(image) as opened:
        return _content(opened, path)


def _content(image: Image, path: str) -> bytes:
    found = find_file(image, parse_path(path))
    assert found is not None, f"{image.name}:{path} is not there"
    return found.read()


def e2fsck(image: Path, number: int) -> None:
    """The partition's file system must be sound."""
    check_ext(image, _STARTS[number - 1] * MIB)
