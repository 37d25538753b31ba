"""Devices: a list to search, and everything about one of them."""

import datetime as dt

from aiohttp import web

from mtls_ambassador.model.device import Standing
from mtls_ambassador.model.fleet_view import DeviceDetail, DeviceQuery
from mtls_ambassador.model.reason import Reason
from mtls_ambassador.model.refusal import Refusal
from mtls_ambassador.web.access import operator_of
from mtls_ambassador.web.context import CONTEXT
from mtls_ambassador.web.page import query, reads
from mtls_ambassador.web.page.site import render

SILENCES = (("", "any time"), ("1h", "an hour"), ("1d", "a day"), ("7d", "a week"), ("30d", "30 days"))
SPANS = {"1h": dt.timedelta(hours=1), **{f"{days}d": dt.timedelta(days=days) for days in (1, 7, 30)}}
MOVES = {Reason.IDENTITY_TAKEN.code}
"""Reasons that an approval of the move would end."""


async def show_list(request: web.Request) -> web.Response:
    """`GET /devices`."""
    operator_of(request)
    context = request.app[CONTEXT]
    text, after = query.text(request, "q", 300), query.text(request, "after")
    standing = query.choice(request, "standing", [item.value for item in Standing])
    silent = query.choice(request, "silent", SPANS)
    asked = DeviceQuery(
        text=text,
        standing=Standing(standing) if standing else None,
        silent_since=context.now() - SPANS[silent] if silent else None,
        after=after,
    )
    found = await reads.devices(context, asked)
    return render(
        request,
        "devices.html",
        devices=found,
        q=text,
        standing=standing,
        silent=silent,
        standings=[item.value for item in Standing],
        silences=SILENCES,
        pages=query.pages("/devices", {"q": text, "standing": standing, "silent": silent}, after, found.next),
    )


async def show_one(request: web.Request) -> web.Response:
    """`GET /devices/{identity}`: of the store alone; what Mender says is asked for by the browser, afterwards."""
    operator_of(request)
    found = await find(request)
    return render(request, "device.html", device=found, moves=moves_of(found))


async def find(request: web.Request) -> DeviceDetail:
    """The device that the address names. Raises HTTPNotFound."""
    found = await reads.device(request.app[CONTEXT], request.match_info["identity"])
    if found is None:
        raise web.HTTPNotFound(text="No device with this identity has a record here.")
    return found


def moves_of(found: DeviceDetail) -> list[Refusal]:
    """Certificates that were refused because the identity is another one's: the last time of each."""
    held = {pin.spki_sha256 for pin in found.pins}
    asked = [item for item in found.refusals if item.cause in MOVES and item.spki_sha256 not in held]
    return list({item.spki_sha256: item for item in reversed(asked)}.values())[::-1]
