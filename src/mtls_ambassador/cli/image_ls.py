"""`mtls-ambassador image ls`: what is in an image."""

import datetime as dt
import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mtls_ambassador.cli.image_output import write_out
from mtls_ambassador.cli.image_path import partition_options, selector, split
from mtls_ambassador.cli.image_progress import Bars
from mtls_ambassador.cli.pki_store import json_option
from mtls_ambassador.cli.terminal import printable
from mtls_ambassador.image.superblock import Ext, Fat

if TYPE_CHECKING:
    from mtls_ambassador.image.entry import Entry
    from mtls_ambassador.image.image import Image
    from mtls_ambassador.image.layout import Volume

EPILOG = """\b
Examples:
  mtls-ambassador image ls mender-disk-image.sdimg
  mtls-ambassador image ls mender-disk-image.sdimg:/data/mender
"""
_HEAD = f"{'no':>2} {'start':>12} {'size':>12}  {'type':<8} {'system':<8} {'label':<12} part"
_TYPES = {"file": stat.S_IFREG, "folder": stat.S_IFDIR, "link": stat.S_IFLNK, "other": 0}


@click.command("ls", epilog=EPILOG)
@click.argument("place", metavar="IMAGE[:/path]")
@partition_options
@json_option
def command(place: str, **options: Any) -> None:  # noqa: ANN401 - what click read
    """List a folder or file of an image; without a path its partitions, and which part each plays for Mender."""
    from mtls_ambassador.flows.read_image import image_to_read, listed  # noqa: PLC0415 - not for --help

    chosen = selector(options)
    at = split(place)
    with Bars() as bars, image_to_read(at.image if at else Path(place), bars.show) as image:
        bars.pause()
        if at is None and not chosen.is_given:
            _tell_partitions(image, as_json=options["as_json"])
            return
        entries = listed(image, at.path if at else (), chosen)
    if options["as_json"]:
        _print(json.dumps([_facts(entry) for entry in entries], indent=2))
    else:
        _print(*map(_line, entries))


def _print(*lines: str) -> None:
    write_out(f"{line}\n".encode() for line in lines)


def _facts(entry: "Entry") -> dict[str, object]:
    facts: dict[str, object] = {
        "name": _text(entry.name),
        "type": entry.kind.value,
        "mode": f"{entry.mode:04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "size": entry.size,
        "mtime": entry.mtime,
    }
    return facts | ({"target": _text(entry.target)} if entry.target else {})


def _text(name: str) -> str:
    """What JSON can hold of a name whose bytes are no UTF-8."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _line(entry: "Entry") -> str:
    mode = stat.filemode(_TYPES[entry.kind] | entry.mode)
    time = dt.datetime.fromtimestamp(entry.mtime, dt.UTC).strftime("%Y-%m-%d %H:%M")
    target = f" -> {printable(entry.target)}" if entry.target else ""
    return f"{mode} {entry.uid:>5} {entry.gid:>5} {entry.size:>9} {time} {printable(entry.name)}{target}"


def _tell_partitions(image: "Image", *, as_json: bool) -> None:
    rows = [_partition(image, volume) for volume in image.volumes]
    if as_json:
        _print(json.dumps({"table": image.table.kind, "partitions": rows, "faults": image.table.faults}, indent=2))
        return
    _print(_HEAD, *map(_row, rows))
    inside = [item for item in image.volumes if item.partition.end <= image.overlay.size]  # others are faults already
    known = [volume for volume in inside if isinstance(volume.system, Ext | Fat)]
    warnings = [f"{volume.where} {fault}" for volume in known if (fault := image.write_fault(volume))]
    for warning in (*image.table.faults, *warnings):
        click.echo(f"warning: {warning}", err=True)


def _partition(image: "Image", volume: "Volume") -> dict[str, object]:
    partition, system = volume.partition, volume.system
    return {
        "number": partition.number,
        "start": partition.start,
        "size": partition.size,
        "type": partition.type,
        "name": partition.name,
        "file_system": system.type if system else "",
        "label": system.label if system else "",
        "role": image.layout.role(volume),
        "write_fault": image.write_fault(volume),
    }


def _row(row: dict[str, object]) -> str:
    label, kind = printable(str(row["label"] or row["name"])), str(row["type"])[:8]
    place = f"{row['number'] or '-':>2} {row['start']:>12} {row['size']:>12}"
    return f"{place}  {kind:<8} {row['file_system']:<8} {label:<12} {row['role']}".rstrip()
