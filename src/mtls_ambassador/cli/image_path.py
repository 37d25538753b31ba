"""How the `image` commands are told of files in images: IMAGE:/path, with --partition or --label."""

import os
import re
import stat
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
_MODE = re.compile(r"(?:0o)?0*([0-7]{1,4})")
_EPOCH = re.compile(r"[0-9]{1,10}")
_LAST_TIME = 2**32 - 1
"""What ext2 and FAT can hold as well."""


@dataclass(frozen=True, slots=True)
class ImagePath:
    """A path in an image."""

    image: Path
    path: Parts
    is_folder: bool
    """Written with a slash at its end."""


def split(given: str) -> ImagePath | None:
    """IMAGE:/path; None when no image is named, and the text is a file's own path.

    What stands before a colon is an image if there is such a file, else if its name ends like an image's; not when the
    whole is a file that is there.
    """
    if _is_file(given):
        return None
    colons = [at for at, char in enumerate(given) if char == ":" and at]
    for is_image in (_is_file, _looks_like_image):
        for at in colons:
            if is_image(given[:at]):
                return ImagePath(Path(given[:at]), parse_path(given[at + 1 :]), given.endswith("/"))
    return None


def _is_file(name: str) -> bool:
    """Or a disk, whose image can be read as well."""
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116 - Path forgets a slash at the end
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(mode) or stat.S_ISBLK(mode)


def _looks_like_image(name: str) -> bool:
    path = Path(name)
    return path.suffix in SUFFIXES or (path.suffix in _PACKED and path.with_suffix("").suffix in SUFFIXES)


def required(given: str) -> ImagePath:
    """IMAGE:/path, whatever IMAGE is. Raises UsageError when no path is said."""
    found = split(given)
    if found is None:
        name, colon, path = given.partition(":")
        if not name or not colon:
            raise UsageError(f"{given}: say IMAGE:/path, such as mender-disk-image.sdimg:/data/mender/mender-cert.pem")
        found = ImagePath(Path(name), parse_path(path), path.endswith("/"))
    return found


def partition_options(command: Command) -> Command:
    """`--partition N` and `--label NAME`."""
    label = click.option("--label", help="The path is in the partition with this file system label or GPT name.")
    number = click.option("--partition", type=click.IntRange(min=1), metavar="N", help="The path is in partition N.")
    return number(label(command))


def selector(options: dict[str, Any]) -> Selector:
    """What the two options say."""
    if options["partition"] is not None and options["label"] is not None:
        raise UsageError("--partition and --label exclude each other: name the partition by one of them")
    return Selector(options["partition"], options["label"])


def parse_mode(given: str) -> int:
    """Permission bits: octal whether it begins with 0, 0o or neither, as for chmod."""
    found = _MODE.fullmatch(given)
    if found is None:
        raise UsageError(f"-m {given}: a mode is an octal number up to 7777, such as 600")
    return int(found[1], 8)


def now() -> int:
    """The time for what changes: SOURCE_DATE_EPOCH where that is set (reproducible-builds.org), else this second."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not given:
        return int(time.time())
    if not _EPOCH.fullmatch(given) or int(given) > _LAST_TIME:
        raise UsageError(f"SOURCE_DATE_EPOCH={given}: must be seconds since 1970, and at most {_LAST_TIME} (year 2106)")
    return int(given)


def attributes(mode: int, uid: int = 0, gid: int = 0) -> Attributes:
    """Attributes as of now."""
    return Attributes(mode, uid, gid, now())
