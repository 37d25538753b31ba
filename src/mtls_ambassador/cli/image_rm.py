"""`mtls-ambassador image rm`: a file out of an image."""

from typing import Any

import click

from mtls_ambassador.cli.image_edit import change
from mtls_ambassador.cli.image_path import now, partition_options, required, selector
from mtls_ambassador.model.errors import UsageError

EPILOG = """\b
Examples:
  mtls-ambassador image rm mender-disk-image.sdimg:/data/mender/mender-agent.pem
  mtls-ambassador image rm -r mender-disk-image.sdimg:/data/old
"""


@click.command("rm", epilog=EPILOG)
@click.argument("file", metavar="IMAGE:/path")
@click.option("-r", "--recursive", is_flag=True, help="A folder with all in it.")
@partition_options
def command(file: str, **options: Any) -> None:  # noqa: ANN401 - what click read
    """Remove a file, a link or a folder of an image; in the root file system from A and B."""
    at = required(file)
    if not at.path:
        raise UsageError(f"{file}: the root folder is not removed")
    change(at, selector(options), now(), lambda edit: edit.remove(at.path, recursive=options["recursive"]))
