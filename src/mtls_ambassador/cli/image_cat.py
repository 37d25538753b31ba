"""`mtls-ambassador image cat`: a file of an image, on standard output."""

from typing import Any

import click

from mtls_ambassador.cli.image_output import write_out
from mtls_ambassador.cli.image_path import partition_options, required, selector
from mtls_ambassador.cli.image_progress import Bars

EPILOG = """\b
Examples:
  mtls-ambassador image cat mender-disk-image.sdimg:/etc/mender/mender.conf
  mtls-ambassador image cat mender-disk-image.img.xz:/data/mender/mender-cert.pem | openssl x509 -noout -text
"""


@click.command("cat", epilog=EPILOG)
@click.argument("file", metavar="IMAGE:/path")
@partition_options
def command(file: str, **options: Any) -> None:  # noqa: ANN401 - what click read
    """Print a file of an image, whole. Links are followed within the image; of two root file systems A is read."""
    from mtls_ambassador.flows.read_image import image_to_read, open_file  # noqa: PLC0415 - not for --help

    at = required(file)
    with Bars() as bars, image_to_read(at.image, bars.show) as image:
        bars.pause()
        write_out(open_file(image, at.path, selector(options)).chunks())
