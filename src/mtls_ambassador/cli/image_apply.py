"""`mtls-ambassador image apply`: a device's patch onto a disk or a file, at the flashing station."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mtls_ambassador.cli.pki_store import json_option
from mtls_ambassador.cli.terminal import printable
from mtls_ambassador.model.errors import UsageError

if TYPE_CHECKING:
    from mtls_ambassador.image.target import Disk

EPILOG = """\b
Examples:
  mtls-ambassador image apply order-1/cam-000042.patch golden.sdimg /dev/sdb
  mtls-ambassador image apply order-1/cam-000042.patch golden.sdimg /dev/sdb --patch-only --shred
  mtls-ambassador image apply order-1/cam-000042.patch golden.img.xz cam-000042.img
\b
A disk is refused while it, or a partition of it, is mounted or in use; before it is written you are asked.
"""


@click.command("apply", epilog=EPILOG)
@click.argument("patch", type=click.Path(path_type=Path))
@click.argument("golden", type=click.Path(path_type=Path))
@click.argument("target", metavar="DEVICE|FILE", type=click.Path(path_type=Path))
@click.option("--patch-only", is_flag=True, help="The golden image is there already: write the patch alone.")
@click.option("--yes", is_flag=True, help="Do not ask before a disk is written.")
@click.option(
    "--shred", is_flag=True, help="Overwrite and remove the patch, a copy of the device's private key, after."
)
@json_option
def command(patch: Path, golden: Path, target: Path, **options: Any) -> None:  # noqa: ANN401 - what click read
    """Make DEVICE or FILE the image of the patch's device: GOLDEN with the patch on it.

    First the golden image's hash is compared with the one the patch was made for; afterwards all that was written is
    read back. A file that is there must be a copy of the golden image, and gets the patch alone.
    """
    from mtls_ambassador.cli.image_progress import Bars  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.apply_patch import Request, apply_patch, shred_patch  # noqa: PLC0415 - see above

    with Bars() as bars:

        def confirm(disk: "Disk") -> None:
            if not options["yes"]:
                bars.pause()
                _ask(disk)

        request = Request(patch, golden, target, options["patch_only"], confirm, bars.show)
        applied = apply_patch(request)
    for note in applied.notes:
        click.echo(printable(note), err=True)
    if options["shred"]:
        shred_patch(patch)
    if options["as_json"]:
        facts = {"device": applied.device, "blocks": applied.blocks, "golden_written": applied.is_golden_written}
        click.echo(json.dumps({**facts, "target": str(target), "shredded": options["shred"]}))
        return
    what = "golden image and patch" if applied.is_golden_written else f"patch ({applied.blocks} blocks)"
    if not applied.blocks:
        what = "patch was there already, and"
    click.echo(f"{target}: {applied.device}: {what} read back right")


def _ask(disk: "Disk") -> None:
    if not sys.stdin.isatty():
        raise UsageError(f"{disk.described}: all on it would be lost: say --yes as well")
    click.echo(disk.described, err=True)
    click.confirm("All on it will be lost. Write?", abort=True, err=True)
