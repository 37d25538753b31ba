"""What the pages read of the store, each in one transaction that keeps no device waiting."""

import datetime as dt
from collections.abc import Mapping

import sqlalchemy as sa

from mtls_ambassador.model.errors import UsageError
from mtls_ambassador.model.fleet_view import (
    BatchRow,
    CertificateRow,
    DeviceDetail,
    DeviceQuery,
    DeviceRow,
    Event,
    FleetCounts,
    Page,
)
from mtls_ambassador.model.refusal import Refusal
from mtls_ambassador.model.storable import storable
from mtls_ambassador.store import (
    fleet_batches,
    fleet_certificates,
    fleet_denials,
    fleet_detail,
    fleet_devices,
    fleet_events,
    fleet_refusals,
)
from mtls_ambassador.web.context import Context
from mtls_ambassador.web.page.series import Count, Range

COUNTED = ("connections", "calls", "auth-requests", "handshakes", "denied-calls")


async def devices(context: Context, asked: DeviceQuery) -> Page[DeviceRow]:
    """A page of devices."""
    return await context.database.read(lambda c: fleet_devices.page(c, asked))


async def device(context: Context, identity_sha256: str) -> DeviceDetail | None:
    """All about one device; None when it has no record."""
    return await context.database.read(lambda c: fleet_detail.read(c, identity_sha256, context.now()))


async def refusals(context: Context, *, cause: str, address: str, serial: str, after: str) -> Page[Refusal]:
    """A page of refusals, the newest first."""
    asked = fleet_refusals.RefusalQuery(cause=cause, address=storable(address), serial=hexadecimal(serial), after=after)
    return await context.database.read(lambda c: fleet_refusals.page(c, asked))


async def events(context: Context, *, event: str, serial: str, after: str) -> Page[Event]:
    """A page of the audit, the newest first."""
    asked = fleet_events.EventQuery(event=storable(event), serial=hexadecimal(serial), after=after)
    return await context.database.read(lambda c: fleet_events.page(c, asked))


async def certificates(
    context: Context, chosen: Mapping[str, str], before: dt.datetime | None, after: str
) -> Page[CertificateRow]:
    """A page of the records of `pki`; with `before` those that end until then, and not those that have ended."""
    serial, batch = hexadecimal(chosen["serial"]), chosen["batch"]
    if not batch.isascii() or (batch and not batch.isdigit()):
        raise UsageError("batch: must be its number")
    asked = fleet_certificates.CertificateQuery(
        name=storable(chosen["name"]),
        serial=int(serial, 16) if serial else None,
        batch_id=min(int(batch), 2**31) if batch else None,
        status=chosen["status"],
        expires_after=context.now() if before else None,
        expires_before=before,
        after=after,
    )
    return await context.database.read(lambda c: fleet_certificates.page(c, asked))


async def batches(context: Context, after: str) -> Page[BatchRow]:
    """A page of batches, the newest first."""
    return await context.costly.read(("batches", after), lambda c: fleet_batches.page(c, after=after))


async def denials(context: Context, after: str) -> Page[fleet_denials.DenialRow]:
    """A page of what was not lifted, the newest first."""
    return await context.database.read(lambda c: fleet_denials.page(c, after=after))


async def numbers(context: Context, span: Range) -> tuple[FleetCounts, dict[str, list[Count]]]:
    """How many there are of what, and counts over time by their kind."""
    now = context.now()
    begin, end = span.begin(now), now + dt.timedelta(seconds=span.stored)

    def work(connection: sa.Connection) -> dict[str, list[Count]]:
        if span.step == fleet_refusals.DAY:
            return {kind: fleet_refusals.tallies_by_day(connection, kind, begin, end) for kind in COUNTED}
        return {kind: fleet_refusals.tallies(connection, kind, begin, end, span.stored) for kind in COUNTED}

    return await context.fleet_counts(), await context.database.read(work)


def hexadecimal(serial: str) -> str:
    """A serial as the store has it: lower case, without colons and leading zeros. Raises UsageError for another."""
    bare = "".join(serial.split()).replace(":", "").removeprefix("0x").removeprefix("0X")
    if not bare:
        return ""
    try:
        number = int(bare, 16)
    except ValueError:
        number = -1
    if not 0 <= number < 2**160:
        raise UsageError("serial: must be hexadecimal digits, of at most 20 octets, such as 4F:1C:9A")
    return f"{number:x}"
