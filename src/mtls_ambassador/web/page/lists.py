"""What is a table and no more: refusals, events, certificates, batches, denials."""

import datetime as dt

from aiohttp import web

from mtls_ambassador.web.access import operator_of
from mtls_ambassador.web.context import CONTEXT
from mtls_ambassador.web.page import causes, query, reads
from mtls_ambassador.web.page.site import render

SPANS = (("", "any time"), ("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "a year"))
STATUSES = ("reserved", "issued", "done", "void", "revoked")


async def refusals(request: web.Request) -> web.Response:
    """`GET /refusals`."""
    operator_of(request)
    after = query.text(request, "after")
    choices = causes.choices()
    codes = [code for group in choices.values() for code, _ in group]
    chosen = {
        "cause": query.choice(request, "cause", codes),
        "address": query.text(request, "address", 64),
        "serial": query.text(request, "serial", 128),
    }
    found = await reads.refusals(request.app[CONTEXT], **chosen, after=after)
    return render(
        request,
        "refusals.html",
        refusals=found,
        chosen=chosen,
        choices=choices,
        hint=causes.hint(chosen["cause"]),
        pages=query.pages("/refusals", chosen, after, found.next),
    )


async def events(request: web.Request) -> web.Response:
    """`GET /events`."""
    operator_of(request)
    after = query.text(request, "after")
    chosen = {"event": query.text(request, "event", 40), "serial": query.text(request, "serial", 128)}
    found = await reads.events(request.app[CONTEXT], **chosen, after=after)
    pages = query.pages("/events", chosen, after, found.next)
    return render(request, "events.html", events=found, chosen=chosen, pages=pages)


async def certificates(request: web.Request) -> web.Response:
    """`GET /certificates`."""
    operator_of(request)
    context = request.app[CONTEXT]
    after = query.text(request, "after")
    chosen = {
        "name": query.text(request, "name", 200),
        "serial": query.text(request, "serial", 128),
        "status": query.choice(request, "status", STATUSES),
        "ends": query.choice(request, "ends", [value for value, _ in SPANS if value]),
        "batch": query.text(request, "batch", 20),
    }
    before = context.now() + dt.timedelta(days=int(chosen["ends"])) if chosen["ends"] else None
    found = await reads.certificates(context, chosen, before, after)
    return render(
        request,
        "certificates.html",
        certificates=found,
        chosen=chosen,
        is_filtered=any(chosen.values()),
        statuses=STATUSES,
        spans=SPANS,
        pages=query.pages("/certificates", chosen, after, found.next),
    )


async def batches(request: web.Request) -> web.Response:
    """`GET /batches`."""
    operator_of(request)
    after = query.text(request, "after")
    found = await reads.batches(request.app[CONTEXT], after)
    return render(request, "batches.html", batches=found, pages=query.pages("/batches", {}, after, found.next))


async def denials(request: web.Request) -> web.Response:
    """`GET /denials`."""
    operator_of(request)
    after = query.text(request, "after")
    found = await reads.denials(request.app[CONTEXT], after)
    return render(request, "denials.html", denials=found, pages=query.pages("/denials", {}, after, found.next))
