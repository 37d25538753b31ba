"""How devices are shown."""

import datetime as dt
from dataclasses import asdict, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from mtls_ambassador.cli.terminal import printable
from mtls_ambassador.model.denial import Denial
from mtls_ambassador.model.revocation import serial_hex

if TYPE_CHECKING:
    from mtls_ambassador.model.fleet_view import DeviceDetail, DeviceRow, SeenCertificate

LONGEST = 200
"""Characters of a text that a device sent."""


def row_line(row: "DeviceRow") -> str:
    """One device of a list, for people."""
    last = f"last seen {moment(row.last_at)} from {row.last_address}" if row.last_at else "no connection on record"
    return printable(f"{row.standing.value:9} {row.identity[:LONGEST]}  {row.certificate_subject[:LONGEST]}  {last}")


def detail_lines(found: "DeviceDetail") -> list[str]:
    """All about one device, for people."""
    row = found.row
    lines = [
        f"identity     {row.identity[:LONGEST]}",
        f"hash         {row.identity_sha256}",
        f"standing     {row.standing.value} since {moment(row.updated_at)}; first accepted {moment(row.enrolled_at)}",
        f"in Mender    {row.device_id or 'not known'}",
        f"last seen    {moment(row.last_at)}{f' from {row.last_address}' if row.last_address else ''}",
    ]
    lines += [f"key          {pin.spki_sha256} {pin.state.value}: {pin.subject[:LONGEST]}" for pin in found.pins]
    lines += map(_certificate, found.certificates)
    lines += [
        f"denied       {denial.number}: {denial.what}, {denial.reason}, by {denial.by} {moment(denial.at)}"
        for denial in found.denials
    ]
    lines += [
        f"event        {moment(event.at)} {event.event}: {event.reason} {event.detail[:LONGEST]}".rstrip()
        for event in found.events
    ]
    lines += [
        f"refused      {moment(item.at)} {item.kind.value}: {item.cause}, {item.count} times" for item in found.refusals
    ]
    return list(map(printable, lines))


def _certificate(item: "SeenCertificate") -> str:
    seen = item.contact
    told = f"{seen.connections} connections, the last {moment(seen.at)}, {seen.tls_version}" if seen else "no contact"
    return f"certificate  {item.serial}: {item.subject[:LONGEST]}, first {moment(item.first_at)}; {told}"


def moment(time: dt.datetime | None) -> str:
    """In UTC; `never` for none."""
    return f"{time:%Y-%m-%d %H:%M}Z" if time else "never"


def as_json(value: Any) -> Any:  # noqa: ANN401 - what JSON can hold
    """A value of the store, for scripts."""
    if isinstance(value, Denial):
        value = asdict(value) | {
            "what": value.what,
            "serial": None if value.serial is None else serial_hex(value.serial),
        }
    elif is_dataclass(value) and not isinstance(value, type):
        value = {name: getattr(value, name) for name in value.__dataclass_fields__}
    match value:
        case dict():
            return {name: as_json(item) for name, item in value.items()}
        case list() | tuple():
            return [as_json(item) for item in value]
        case dt.datetime():
            return value.isoformat()
        case Enum():
            return value.value
        case _:
            return value
