"""What the `image` commands that change an image share."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mtls_ambassador.cli.image_path import ImagePath
from mtls_ambassador.cli.image_progress import Bars
from mtls_ambassador.cli.terminal import printable
from mtls_ambassador.image.entry import Attributes, text
from mtls_ambassador.image.image import Selector
from mtls_ambassador.model.errors import AmbassadorError, UsageError

if TYPE_CHECKING:
    from mtls_ambassador.flows.edit_image import Edit

_PRIVATE = 0o600


def change(at: ImagePath, selector: Selector, now: int, act: Callable[["Edit"], None]) -> None:
    """Change an image, and say what a person should know of it."""
    from mtls_ambassador.flows.edit_image import edit_image  # noqa: PLC0415 - not for --help

    with Bars() as bars:
        edit = edit_image(at.image, selector, now, act, bars.show)
    for note in edit.notes():
        click.echo(printable(note), err=True)


@dataclass(frozen=True, slots=True)
class HostFile:
    """A file of this machine."""

    content: bytes = field(repr=False)
    mode: int
    """Permissions."""
    name: str
    """Empty for standard input."""

    def put(self, edit: "Edit", at: ImagePath, wanted: Attributes, *, parents: bool) -> None:
        """Put it into an image: where a folder is, or is meant, under its own name in that."""
        if self.name and not at.is_folder:
            edit.put(at.path, self.name, self.content, wanted, parents=parents)
        else:
            path = (*at.path, self.name) if self.name else at.path
            edit.put_file(path, self.content, wanted, parents=parents)


def read_host_file(word: str, at: ImagePath) -> HostFile:
    """The file that is to be put into an image; `-` is standard input."""
    if word != "-":
        path = Path(word)
        try:
            with path.open("rb") as file:
                return HostFile(file.read(), os.fstat(file.fileno()).st_mode & 0o7777, path.name)
        except OSError as error:
            raise AmbassadorError(f"{path}: {error.strerror}") from error
    if at.is_folder or not at.path:
        raise UsageError(f"{at.image}:{text(at.path)} is a folder; say under which name in it standard input goes")
    if not sys.stdin:
        raise AmbassadorError("standard input is closed: nothing can be read from it")
    try:
        return HostFile(sys.stdin.buffer.read(), _PRIVATE, "")
    except OSError as error:
        raise AmbassadorError(f"standard input cannot be read: {error.strerror}") from error
