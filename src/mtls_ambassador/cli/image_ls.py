"""`mtls-ambassador image ls`: what is in an image."""

import datetime as dt
import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mtls_ambassador.cli.image_path import ImagePath, partition_options, selector, split
from mtls_ambassador.cli.image_progress import Bars
from mtls_ambassador.cli.pki_store import json_option, printable

if TYPE_CHECKING:
    from mtls_ambassador.image.entry import Entry
    from mtls_ambassador.image.image import Image

EPILOG = """\b
Examples:
  mtls-ambassador image ls mender-disk-image.sdimg
  mtls-ambassador image ls mender-disk-image.sdimg:/data/mender
"""
_TYPES = {"file": stat.S_IFREG, "folder": stat.S_IFDIR, "link": stat.S_IFLNK, "other": 0}


@click.command("ls", epilog=EPILOG)
@click.argument("place", metavar="IMAGE[:/path]")
@partition_options
@json_option
def command(place: str, **options: Any) -> None:  # noqa: ANN401 - what click read
    """List a folder or file of an image; without a path its partitions, and which part each plays for Mender."""
    from mtls_ambassador.flows.read_image import image_to_read, listed  # noqa: PLC0415 - not for --help

    at = split(place) or ImagePath(Path(place), (), is_folder=False)
    is_whole = ":" not in place or Path(place).is_file()
    with Bars() as bars, image_to_read(at.image, bars.show) as image:
        bars.pause()
        if is_whole and not selector(options).is_given:
            _tell_partitions(image, as_json=options["as_json"])
            return
        entries = listed(image, at.path, selector(options))
    if options["as_json"]:
        click.echo(json.dumps([_facts(entry) for entry in entries], indent=2))
        return
    for entry in entries:
        click.echo(_line(entry))


def _facts(entry: "Entry") -> dict[str, object]:
    facts: dict[str, object] = {
        "name": entry.name.encode(errors="surrogateescape").decode(errors="replace"),
        "type": entry.kind.value,
        "mode": f"{entry.mode:04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "size": entry.size,
        "mtime": entry.mtime,
    }
    return facts | ({"target": entry.target} if entry.target else {})


def _line(entry: "Entry") -> str:
    mode = stat.filemode(_TYPES[entry.kind] | entry.mode)
    time = dt.datetime.fromtimestamp(entry.mtime, dt.UTC).strftime("%Y-%m-%d %H:%M")
    target = f" -> {printable(entry.target)}" if entry.target else ""
    return f"{mode} {entry.uid:>5} {entry.gid:>5} {entry.size:>9} {time} {printable(entry.name)}{target}"


def _tell_partitions(image: "Image", *, as_json: bool) -> None:
    rows = [
        {
            "number": volume.partition.number,
            "start": volume.partition.start,
            "size": volume.partition.size,
            "type": volume.partition.type,
            "name": volume.partition.name,
            "file_system": volume.system.type if volume.system else "",
            "label": volume.system.label if volume.system else "",
            "role": image.layout.role(volume),
            "write_fault": volume.system.write_fault() if volume.system else "",
        }
        for volume in image.volumes
    ]
    if as_json:
        facts = {"table": image.table.kind, "partitions": rows, "faults": list(image.table.faults)}
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo(f"{'no':>2} {'start':>12} {'size':>12}  {'type':<8} {'system':<8} {'label':<12} part")
    for row in rows:
        label = printable(str(row["label"] or row["name"]))
        kind = str(row["type"])[:8]
        head = f"{row['number']:>2} {row['start']:>12} {row['size']:>12}  {kind:<8} {row['file_system']:<8} {label:<12}"
        click.echo(f"{head} {row['role']}".rstrip())
    for fault in image.table.faults:
        click.echo(f"warning: {fault}", err=True)
    for row in rows:
        if row["write_fault"] and row["file_system"] in {"ext2", "ext3", "ext4", "vfat"}:
            click.echo(f"warning: partition {row['number']} {row['write_fault']}", err=True)
