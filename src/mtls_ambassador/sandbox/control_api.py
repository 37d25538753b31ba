"""`/sandbox/…`: the sandbox's own controls. Test-only, without any login; Mender has nothing like it.

`GET /sandbox/journal[?path=&method=&limit=]`, `DELETE /sandbox/journal`, `GET /sandbox/counters`,
`GET`, `POST`, `DELETE /sandbox/faults`, `GET /sandbox/connected`, `POST /sandbox/expire`.
"""

from dataclasses import asdict

from aiohttp import web

from mtls_ambassador.sandbox.connect_api import CONNECTIONS
from mtls_ambassador.sandbox.faults import Fault
from mtls_ambassador.sandbox.state import STATE
from mtls_ambassador.sandbox.wire import ApiError, json_response, parse_object, read_json_body

KINDS: dict[str, tuple[type, ...]] = {
    "path": (str,),
    "method": (str,),
    "latency": (int, float),
    "status": (int,),
    "retry_after": (str,),
    "drop": (bool,),
    "after": (bool,),
    "count": (int,),
}
"""What a fault over HTTP may say; meanings as in `faults.Fault`."""
STATUSES = range(400, 600)


def routes() -> list[web.RouteDef]:
    """The routes of this module."""
    return [
        web.get("/sandbox/journal", journal),
        web.delete("/sandbox/journal", clear_journal),
        web.get("/sandbox/counters", counters),
        web.get("/sandbox/faults", list_faults),
        web.post("/sandbox/faults", add_fault),
        web.delete("/sandbox/faults", clear_faults),
        web.get("/sandbox/connected", connected),
        web.post("/sandbox/expire", expire),
    ]


async def journal(request: web.Request) -> web.Response:
    """The last requests, oldest first; `limit` keeps the newest of them."""
    limit = request.query.get("limit", "1000")
    if not limit.isdecimal() or int(limit) < 1:
        raise ApiError(400, "limit: a whole number above 0")
    found = request.app[STATE].journal.find(request.query.get("path", ""), request.query.get("method", ""))
    return json_response([entry.to_json() for entry in found[-int(limit) :]])


async def clear_journal(request: web.Request) -> web.Response:
    """Forget the journal and the counters."""
    request.app[STATE].journal.clear()
    return web.Response(status=204)


async def counters(request: web.Request) -> web.Response:
    """Requests by route, and by route and status."""
    journal = request.app[STATE].journal
    return json_response({"requests": journal.counts, "answers": journal.statuses})


async def list_faults(request: web.Request) -> web.Response:
    """The faults in force."""
    return json_response([asdict(fault) for fault in request.app[STATE].faults.active])


async def add_fault(request: web.Request) -> web.Response:
    """Put one fault in force; 400 names the member that is wrong."""
    body = parse_object(await read_json_body(request), "fault")
    fault = Fault()
    for name, value in body.items():
        if not isinstance(value, KINDS.get(name, ())) or (isinstance(value, bool) and bool not in KINDS[name]):
            known = ", ".join(KINDS)
            raise ApiError(400, f"{name}: not a member of a fault, or of the wrong kind (known: {known})")
        setattr(fault, name, value)
    if fault.status is not None and fault.status not in STATUSES:
        raise ApiError(400, "status: 400 to 599")
    if fault.latency < 0 or (fault.count is not None and fault.count < 1):
        raise ApiError(400, "latency: 0 or more seconds; count: 1 or more requests")
    if not fault.ends_request and not fault.latency:
        raise ApiError(400, "a fault needs latency, status or drop")
    request.app[STATE].faults.add(fault)
    return json_response(asdict(fault), status=201)


async def clear_faults(request: web.Request) -> web.Response:
    """End all faults."""
    request.app[STATE].faults.clear()
    return web.Response(status=204)


async def connected(request: web.Request) -> web.Response:
    """Ids of the devices whose WebSocket is open."""
    return json_response(request.app[CONNECTIONS].connected)


async def expire(request: web.Request) -> web.Response:
    """`{"what": "logins"}` or `{"what": "device-tokens"}`: end them all at once."""
    what = parse_object(await read_json_body(request), "expire").get("what")
    state = request.app[STATE]
    if what == "logins":
        state.users.expire_logins()
    elif what == "device-tokens":
        state.devauth.revoke_all_tokens()
    else:
        raise ApiError(400, "what: logins or device-tokens")
    return web.Response(status=204)
