"""How the `image` commands are told of files in images: IMAGE:/path, with --partition or --label."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from mtls_ambassador.image.entry import Attributes, Parts
from mtls_ambassador.image.image import Selector
from mtls_ambassador.image.tree import parse_path
from mtls_ambassador.model.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])
SUFFIXES = (".sdimg", ".img", ".uefiimg", ".biosimg", ".gptimg", ".wic", ".mender", ".ext2", ".ext3", ".ext4", ".vfat")
_PACKED = (".gz", ".xz", ".zst", ".bz2", ".zip")
_OCTAL = frozenset("01234567")


@dataclass(frozen=True, slots=True)
class ImagePath:
    """A path in an image."""

    image: Path
    path: Parts
    is_folder: bool
    """Written with a slash at its end."""

    def named(self, name: str) -> Parts:
        """Where a file of this name goes: into the folder, if it was written as one."""
        return (*self.path, name) if self.is_folder else self.path


def split(given: str) -> ImagePath | None:
    """IMAGE:/path; None when no image is named, and the text is a file's own path.

    What stands before a colon is an image if there is such a file, or if its name ends like an image's.
    """
    at = given.find(":")
    while at > 0:
        name = given[:at]
        if Path(name).is_file() or _looks_like_image(name):
            return ImagePath(Path(name), parse_path(given[at + 1 :]), given.endswith("/"))
        at = given.find(":", at + 1)
    return None


def _looks_like_image(name: str) -> bool:
    path = Path(name)
    return path.suffix in SUFFIXES or (path.suffix in _PACKED and path.with_suffix("").suffix in SUFFIXES)


def required(given: str) -> ImagePath:
    """IMAGE:/path. Raises UsageError when it is not."""
    found = split(given)
    if found is None:
        raise UsageError(f"{given}: say IMAGE:/path, such as mender-disk-image.sdimg:/data/mender/mender-cert.pem")
    return found


def partition_options(command: Command) -> Command:
    """`--partition N` and `--label NAME`."""
    label = click.option("--label", help="The path is in the partition with this file system label or GPT name.")
    number = click.option("--partition", type=click.IntRange(min=1), metavar="N", help="The path is in partition N.")
    return number(label(command))


def selector(options: dict[str, Any]) -> Selector:
    """What the two options say."""
    if options["partition"] is not None and options["label"] is not None:
        raise UsageError("--partition and --label exclude each other")
    return Selector(options["partition"], options["label"])


def parse_mode(given: str) -> int:
    """Permission bits: octal whether it begins with 0, 0o or neither, as for chmod."""
    digits = given.removeprefix("0o")
    if not digits or not set(digits) <= _OCTAL or int(digits, 8) > 0o7777:  # noqa: PLR2004 - all permission bits
        raise UsageError(f"-m {given}: a mode is an octal number up to 7777, such as 600")
    return int(digits, 8)


def now() -> int:
    """The time for what changes: SOURCE_DATE_EPOCH where that is set (reproducible-builds.org), else this second."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given and not given.isdecimal():
        raise UsageError(f"SOURCE_DATE_EPOCH={given}: must be seconds since 1970")
    return int(given) if given else int(time.time())


def attributes(mode: int, uid: int = 0, gid: int = 0) -> Attributes:
    """Attributes as of now."""
    return Attributes(mode, uid, gid, now())
