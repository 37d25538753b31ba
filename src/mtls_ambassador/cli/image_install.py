"""`mtls-ambassador image install`: a file into an image, with mode and owner."""

from typing import Any

import click

from mtls_ambassador.cli.image_edit import change, read_host_file
from mtls_ambassador.cli.image_path import now, parse_mode, partition_options, required, selector
from mtls_ambassador.image.entry import Attributes, Permissions
from mtls_ambassador.model.errors import UsageError

EPILOG = """\b
Examples:
  mtls-ambassador image install -m 600 device-private.key mender-disk-image.sdimg:/data/mender/mender-cert-private.pem
  mtls-ambassador image install -m 644 device-cert.pem mender-disk-image.sdimg:/data/mender/mender-cert.pem
  mtls-ambassador image install -d -m 700 -o 1000 -g 1000 mender-disk-image.sdimg:/data/app
\b
The mode is octal, always. (mender-artifact takes `-m 600` for decimal and leaves mode 0130: `image audit` finds that.)
"""


@click.command("install", epilog=EPILOG)
@click.argument("words", nargs=-1, required=True, metavar="[FILE] IMAGE:/path")
@click.option("-m", "--mode", help="Permissions, octal.  [default with -d: 755]")
@click.option("-o", "--owner", type=click.IntRange(0, 2**32 - 2), metavar="UID", help="Owner, a number.  [default: 0]")
@click.option("-g", "--group", type=click.IntRange(0, 2**32 - 2), metavar="GID", help="Group, a number.  [default: 0]")
@click.option("-d", "--directory", is_flag=True, help="Make a folder, and those above it.")
@click.option("-p", "--parents", is_flag=True, help="Make the folders above the file.")
@partition_options
def command(words: tuple[str, ...], **options: Any) -> None:  # noqa: ANN401 - what click read
    """Put FILE into an image, with mode and owner exactly as said; a file that is there is replaced.

    With -d make a folder. One that is there gets the mode and owner that are said, and keeps those that are not.

    Written are only the blocks that change, then the file system is checked and the file read back; when anything
    fails the image is as it was before.
    """
    is_folder, mode = options["directory"], options["mode"]
    if len(words) != (1 if is_folder else 2):
        raise UsageError("say FILE IMAGE:/path, or with -d IMAGE:/path")
    if mode is None and not is_folder:
        raise UsageError("say the permissions, such as -m 644; `image cp` takes those of the file")
    at, time = required(words[-1]), now()
    said = Permissions(None if mode is None else parse_mode(mode), options["owner"], options["group"])
    if is_folder:
        change(at, selector(options), time, lambda edit: edit.install_folder(at.path, said, time))
        return
    file, wanted = read_host_file(words[0], at), said.over(Attributes(0, 0, 0, time))
    change(at, selector(options), time, lambda edit: file.put(edit, at, wanted, parents=options["parents"]))
