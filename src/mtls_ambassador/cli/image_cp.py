"""`mtls-ambassador image cp`: a file into an image, or out of it."""

import sys
from pathlib import Path
from typing import Any

import click

from mtls_ambassador.cli.image_edit import change, read_host_file
from mtls_ambassador.cli.image_path import ImagePath, attributes, partition_options, selector, split
from mtls_ambassador.cli.image_progress import Bars
from mtls_ambassador.model.errors import UsageError

EPILOG = """\b
Examples:
  mtls-ambassador image cp mender-disk-image.sdimg:/etc/mender/mender.conf mender.conf
  mtls-ambassador image cp mender.conf mender-disk-image.sdimg:/etc/mender/mender.conf
  mtls-ambassador image cp - mender-disk-image.sdimg:/etc/issue < issue
"""
_PRIVATE = 0o600


@click.command("cp", epilog=EPILOG)
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("-p", "--parents", is_flag=True, help="Into an image: make the folders above the file.")
@partition_options
def command(source: str, target: str, **options: Any) -> None:  # noqa: ANN401 - what click read
    """Copy a file into an image or out of it, with its permissions; in an image it belongs to root.

    One of FROM and TO is IMAGE:/path; the other a file, or - for standard input (then with mode 600) or output.
    """
    from_image, to_image = split(source), split(target)
    if (from_image is None) == (to_image is None):
        raise UsageError("one of the two must be IMAGE:/path, the other a file")
    if from_image is not None:
        _copy_out(from_image, target, options)
    elif to_image is not None:
        _copy_in(source, to_image, options)


def _copy_in(source: str, at: ImagePath, options: dict[str, Any]) -> None:
    content, name = read_host_file(source)
    wanted = attributes(_PRIVATE if source == "-" else Path(source).stat().st_mode & 0o7777)
    change(
        at,
        selector(options),
        wanted.mtime,
        lambda edit: edit.put(at.named(name), name, content, wanted, parents=options["parents"]),
    )


def _copy_out(at: ImagePath, target: str, options: dict[str, Any]) -> None:
    from mtls_ambassador.flows.read_image import image_to_read, open_file, save  # noqa: PLC0415 - not for --help

    with Bars() as bars, image_to_read(at.image, bars.show) as image:
        bars.pause()
        file = open_file(image, at.path, selector(options))
        if target == "-":
            for chunk in file.chunks():
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
        else:
            save(file, Path(target))
