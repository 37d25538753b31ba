"""`mtls-ambassador image cp`: a file into an image, or out of it."""

from pathlib import Path
from typing import Any

import click

from mtls_ambassador.cli.image_edit import change, read_host_file
from mtls_ambassador.cli.image_output import write_out
from mtls_ambassador.cli.image_path import ImagePath, attributes, partition_options, selector, split
from mtls_ambassador.cli.image_progress import Bars
from mtls_ambassador.model.errors import UsageError

EPILOG = """\b
Examples:
  mtls-ambassador image cp mender-disk-image.sdimg:/etc/mender/mender.conf mender.conf
  mtls-ambassador image cp mender.conf mender-disk-image.sdimg:/etc/mender/mender.conf
  mtls-ambassador image cp - mender-disk-image.sdimg:/etc/issue < issue
"""


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
    if from_image is not None and to_image is not None:
        raise UsageError("both are in images: copy out to a file, then that into the other image")
    if from_image is not None:
        _copy_out(from_image, target, options)
    elif to_image is not None:
        _copy_in(source, to_image, options)
    else:
        raise UsageError(
            "one of the two must be IMAGE:/path, such as mender-disk-image.sdimg:/etc/mender/mender.conf, and the image"
            " a file that is there"
        )


def _copy_in(source: str, at: ImagePath, options: dict[str, Any]) -> None:
    file = read_host_file(source, at)
    wanted = attributes(file.mode)
    change(at, selector(options), wanted.mtime, lambda edit: file.put(edit, at, wanted, parents=options["parents"]))


def _copy_out(at: ImagePath, target: str, options: dict[str, Any]) -> None:
    from mtls_ambassador.flows.read_image import image_to_read, open_file, save  # noqa: PLC0415 - not for --help

    with Bars() as bars, image_to_read(at.image, bars.show) as image:
        bars.pause()
        file = open_file(image, at.path, selector(options))
        if target == "-":
            write_out(file.chunks())
        else:
            save(file, Path(target), at.path[-1])
