"""`mtls-ambassador image overlay`: a folder's files over an image's, in one edit."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mtls_ambassador.cli.image_edit import change
from mtls_ambassador.cli.image_path import ImagePath, attributes, partition_options, selector, split
from mtls_ambassador.image.entry import Attributes, Parts
from mtls_ambassador.model.errors import AmbassadorError, UsageError

if TYPE_CHECKING:
    from mtls_ambassador.flows.edit_image import Edit

EPILOG = """\b
Examples:
  install -D -m 600 device.key overlay/data/mender/mender-cert-private.pem
  install -D -m 644 device.crt overlay/data/mender/mender-cert.pem
  install -D -m 644 mender.conf overlay/etc/mender/mender.conf
  mtls-ambassador image overlay overlay mender-disk-image.sdimg
"""


@click.command("overlay", epilog=EPILOG)
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("image", metavar="IMAGE[:/path]")
@click.option("-o", "--owner", type=click.IntRange(0, 2**32 - 2), default=0, show_default=True, metavar="UID")
@click.option("-g", "--group", type=click.IntRange(0, 2**32 - 2), default=0, show_default=True, metavar="GID")
@partition_options
def command(folder: Path, image: str, **options: Any) -> None:  # noqa: ANN401 - what click read
    """Put all files of FOLDER into an image, each where its path in FOLDER says, with its own permissions.

    All are put, or none. Folders that are missing are made, with their permissions in FOLDER; those that are there stay
    as they are.
    """
    at = split(image) or ImagePath(Path(image), (), is_folder=True)
    items = list(_items(folder, (), options))
    if not items:
        raise UsageError(f"{folder}: is empty; put into it what the image is to have, at the paths it has there")

    def act(edit: "Edit") -> None:
        for item in items:
            path = (*at.path, *item.path)
            if item.content is None:
                edit.make_folder(path, item.wanted)
            else:
                edit.put_file(path, item.content, item.wanted, parents=True)

    change(at, selector(options), items[0].wanted.mtime, act)


@dataclass(frozen=True, slots=True)
class Item:
    """A file or folder of an overlay."""

    path: Parts
    content: bytes | None = field(repr=False)
    """None for a folder."""
    wanted: Attributes


def _items(folder: Path, above: Parts, options: dict[str, Any]) -> Iterator[Item]:
    """All that is in a folder, each folder before what is in it. Raises AmbassadorError for what is neither."""
    try:
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 - names, not paths
            file, path = folder / name, (*above, name)
            content, mode = _read(file)
            yield Item(path, content, attributes(mode, options["owner"], options["group"]))
            if content is None:
                yield from _items(file, path, options)
    except OSError as error:
        raise AmbassadorError(f"{error.filename or folder}: {error.strerror}") from error


def _read(file: Path) -> tuple[bytes | None, int]:
    """Content, None for a folder, and permissions."""
    mode = file.lstat().st_mode
    if stat.S_ISDIR(mode):
        return None, stat.S_IMODE(mode)
    if not stat.S_ISREG(mode):
        what = "a symbolic link" if stat.S_ISLNK(mode) else "no file"
        raise AmbassadorError(f"{file}: is {what}; only files and folders are put into images; nothing was changed")
    return file.read_bytes(), stat.S_IMODE(mode)
