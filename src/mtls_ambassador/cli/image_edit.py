"""What the `image` commands that change an image share."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mtls_ambassador.cli.image_path import ImagePath
from mtls_ambassador.cli.image_progress import Bars
from mtls_ambassador.image.image import Selector
from mtls_ambassador.model.errors import AmbassadorError

if TYPE_CHECKING:
    from mtls_ambassador.flows.edit_image import Edit


def change(at: ImagePath, selector: Selector, now: int, act: Callable[["Edit"], None]) -> None:
    """Change an image, and say what a person should know of it."""
    from mtls_ambassador.flows.edit_image import edit_image  # noqa: PLC0415 - not for --help

    with Bars() as bars:
        edit = edit_image(at.image, selector, now, act, bars.show)
    for note in edit.notes():
        click.echo(note, err=True)


def read_host_file(word: str) -> tuple[bytes, str]:
    """Content and name of a file of this machine; `-` is standard input."""
    if word == "-":
        return sys.stdin.buffer.read(), "stdin"
    path = Path(word)
    try:
        return path.read_bytes(), path.name
    except OSError as error:
        raise AmbassadorError(f"{path}: {error.strerror}") from error
