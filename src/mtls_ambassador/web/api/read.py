"""Handlers of what is read."""

import datetime as dt
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

import sqlalchemy as sa

from mtls_ambassador import __version__
from mtls_ambassador.model.fleet_view import DeviceQuery
from mtls_ambassador.model.storable import storable
from mtls_ambassador.settings.shown import in_force
from mtls_ambassador.store import (
    fleet_batches,
    fleet_certificates,
    fleet_denials,
    fleet_detail,
    fleet_devices,
    fleet_events,
    fleet_refusals,
)
from mtls_ambassador.web.api.answers import (
    Batches,
    Certificates,
    DenialAnswer,
    Denials,
    DeviceAnswer,
    Devices,
    Events,
    Inputs,
    Overview,
    Refusals,
    SettingAnswer,
    SettingsAnswer,
    Tallies,
    Tally,
)
from mtls_ambassador.web.api.endpoint import Call, RefusalError

T = TypeVar("T")
_FIRST, _LAST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.datetime(9000, 1, 1, tzinfo=dt.UTC)
_DAYS = {60: 1, 3600: 30}
"""Of counts that are told when nobody says since when, by their step."""


def moment(time: dt.datetime | None) -> dt.datetime | None:
    """As every database has it: times before 1970 and after 9000 are those."""
    return (
        None
        if time is None
        else min(max(time.replace(tzinfo=dt.UTC) - (time.utcoffset() or dt.timedelta()), _FIRST), _LAST)
    )


def serial_of(text: str | None) -> str:
    """Lower-case hex without leading zeros; empty for none."""
    return f"{int(text, 16):x}" if text else ""


async def overview(call: Call) -> Overview:
    """Is it well, and how much is there."""
    now = call.context.now()
    state = await call.context.readiness()
    counts = await call.context.fleet_counts()
    return Overview(state.is_ready, state.parts, __version__, now, counts)


async def devices(call: Call) -> Devices:
    """A page of devices."""
    q = call.query
    asked = DeviceQuery(storable(q.text), q.standing, moment(q.silent_since), q.limit, q.after)
    page = await _read(call, lambda c: fleet_devices.page(c, asked))
    return Devices(list(page.items), page.next)


async def device(call: Call) -> DeviceAnswer:
    """All about one device."""
    now = call.context.now()
    found = await _read(call, lambda c: fleet_detail.read(c, call.path["identity"], now))
    if found is None:
        raise RefusalError(HTTPStatus.NOT_FOUND, "no device with this identity has a record here")
    return DeviceAnswer.of(found, now)


async def certificates(call: Call) -> Certificates:
    """A page of certificates."""
    q = call.query
    asked = fleet_certificates.CertificateQuery(
        storable(q.name),
        int(q.serial, 16) if q.serial else None,
        q.batch,
        q.status or "",
        moment(q.expires_after),
        moment(q.expires_before),
        q.limit,
        q.after,
    )
    page = await _read(call, lambda c: fleet_certificates.page(c, asked))
    return Certificates(list(page.items), page.next)


async def batches(call: Call) -> Batches:
    """A page of batches."""
    q = call.query
    key = "batches", q.limit, q.after
    page = await call.context.costly.read(key, lambda c: fleet_batches.page(c, limit=q.limit, after=q.after))
    return Batches(list(page.items), page.next)


async def events(call: Call) -> Events:
    """A page of the audit."""
    q = call.query
    asked = fleet_events.EventQuery(
        storable(q.event), q.identity or "", serial_of(q.serial), moment(q.since), q.limit, q.after
    )
    page = await _read(call, lambda c: fleet_events.page(c, asked))
    return Events(list(page.items), page.next)


async def refusals(call: Call) -> Refusals:
    """A page of refusals."""
    q = call.query
    asked = fleet_refusals.RefusalQuery(
        q.kind,
        storable(q.cause),
        storable(q.address),
        serial_of(q.serial),
        q.key or "",
        q.identity or "",
        moment(q.since),
        q.limit,
        q.after,
    )
    page = await _read(call, lambda c: fleet_refusals.page(c, asked))
    return Refusals(list(page.items), page.next)


async def denials(call: Call) -> Denials:
    """A page of denials."""
    q, now = call.query, call.context.now()
    page = await _read(call, lambda c: fleet_denials.page(c, with_past=q.with_past, limit=q.limit, after=q.after))
    items = [DenialAnswer.of(item.denial, now, item.lifted_at, item.lifted_by) for item in page.items]
    return Denials(items, page.next)


async def tallies(call: Call) -> Tallies:
    """Counts over time."""
    q, step = call.query, int(call.query.step)
    until = moment(q.until) or call.context.now() + dt.timedelta(seconds=step)
    since = moment(q.since) or max(until - dt.timedelta(days=_DAYS[step]), _FIRST)
    rows = await _read(call, lambda c: fleet_refusals.tallies(c, q.kind, since, until, step))
    return Tallies(q.kind, step, [Tally(*row) for row in rows])


async def inputs(call: Call) -> Inputs:
    """Whether the gateway is ready, and the files it watches."""
    state = await call.context.readiness()
    return Inputs(state.is_ready, state.parts, call.context.inputs())


async def settings(call: Call) -> SettingsAnswer:
    """All settings in force."""
    loaded = call.context.loaded
    items = [SettingAnswer(item.name, item.value, item.origin, item.help) for item in in_force(loaded)]
    return SettingsAnswer(items, list(loaded.warnings))


async def _read(call: Call, work: Callable[[sa.Connection], T]) -> T:
    return await call.context.database.read(work)
