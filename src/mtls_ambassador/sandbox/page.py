"""The page at `/`: devices with status, identity, inventory, last seen; buttons for a person's decision.

Plain HTML that needs nothing from elsewhere. Everything a device said is escaped, and the content security policy
forbids scripts. A form carries a token, so that another site cannot press the buttons.
"""

import hashlib
import hmac
import json
from html import escape
from string import Template

from aiohttp import web

from mtls_ambassador.sandbox.connect_api import CONNECTIONS
from mtls_ambassador.sandbox.devauth import AuthSet, DevAuthError, Device, Status
from mtls_ambassador.sandbox.state import STATE, SandboxState
from mtls_ambassador.sandbox.wire import ApiError

SHOWN = 200
"""Devices on the page."""
REFRESH = 3
"""Seconds."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
DECISIONS = {"accept": Status.ACCEPTED, "reject": Status.REJECTED}

PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Mender sandbox</title>
<meta http-equiv="refresh" content="$refresh"><meta name="viewport" content="width=device-width">
<style>
body{font:15px/1.4 system-ui,sans-serif;margin:1.5rem;color:#222;background:#fff}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}
.warn{background:#fff3cd;border:1px solid #e0c36a;padding:.5rem .8rem;display:inline-block}
.accepted{color:#176b2c}.rejected,.decommissioning{color:#a11}.pending,.preauthorized{color:#8a5a00}
code{font-size:.9em;overflow-wrap:anywhere}form{display:inline}button{font:inherit}
</style></head><body>
<h1>Mender sandbox</h1>
<p class="warn">For demos and tests only: a stand-in for a Mender server. It forgets everything when it ends.</p>
<p>$summary</p>
<table><thead><tr><th>Device</th><th>Status</th><th>Identity</th><th>Inventory</th><th>Deployment</th><th>Last seen</th>
<th>Your decision</th></tr></thead><tbody>
$rows
</tbody></table></body></html>
""")


def routes() -> list[web.RouteDef]:
    """The routes of this module."""
    return [web.get("/", show), web.post("/sandbox/devices/{id}", decide)]


async def show(request: web.Request) -> web.Response:
    """The page."""
    state = request.app[STATE]
    devices = state.devauth.devices()
    connected = set(request.app[CONNECTIONS].connected)
    counts = ", ".join(f"{state.devauth.count(s)} {s}" for s in reversed(Status) if state.devauth.count(s))
    summary = f"{len(devices)} devices: {counts}" if devices else "No devices yet."
    if len(devices) > SHOWN:
        summary += f". The first {SHOWN} are shown."
    rows = "\n".join(_row(state, device, online=device.id in connected) for device in devices[:SHOWN])
    text = PAGE.substitute(refresh=REFRESH, summary=escape(summary), rows=rows)
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(text=text, content_type="text/html", headers=headers)


async def decide(request: web.Request) -> web.Response:
    """A button was pressed: accept or reject an auth set, or decommission the device; back to the page."""
    state = request.app[STATE]
    form = await request.post()
    if not hmac.compare_digest(str(form.get("token", "")).encode(), _token(state).encode()):
        raise ApiError(403, "this form is not from this page; reload it")
    action, device_id = form.get("action"), request.match_info["id"]
    try:
        if action == "decommission":
            state.devauth.decommission(device_id)
        elif isinstance(action, str) and action in DECISIONS:
            state.devauth.set_status(device_id, str(form.get("auth_set", "")), DECISIONS[action])
        else:
            raise ApiError(400, "action: accept, reject or decommission")
    except DevAuthError as error:
        raise ApiError(409, str(error)) from None
    return web.Response(status=303, headers={"Location": "/"})


def _row(state: SandboxState, device: Device, *, online: bool) -> str:
    status = "decommissioning" if device.decommissioning else device.status.value
    seen = device.check_in.strftime("%H:%M:%S") if device.check_in else "never"
    cells = [
        f"<code>{escape(device.id[:8])}</code>",
        f'<span class="{status}">{status}</span>',
        f"<code>{escape(device.identity.canonical)}</code>",
        _inventory(state, device.id),
        _deployment(state, device.id),
        seen + (" (connected)" if online else ""),
        "" if device.decommissioning else _buttons(state, device),
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _inventory(state: SandboxState, device_id: str) -> str:
    known = state.inventory.get(device_id)
    if known is None:
        return "none"
    lines = "".join(
        f"<br><code>{escape(name)}: {escape(value if isinstance(value, str) else json.dumps(value))}</code>"
        for name, value in sorted(known.attributes.items())
    )
    return f"<details><summary>{len(known.attributes)} attributes</summary>{lines}</details>"


def _deployment(state: SandboxState, device_id: str) -> str:
    parts = [(d, d.devices[device_id]) for d in state.deployments.deployments.values() if device_id in d.devices]
    return "<br>".join(escape(f"{deployment.artifact_name}: {part.status}") for deployment, part in parts[-3:])


def _buttons(state: SandboxState, device: Device) -> str:
    sets = "<br>".join(_set_buttons(state, device, auth_set) for auth_set in device.auth_sets.values())
    return sets + ("<br>" if sets else "") + _form(state, device, "", ["decommission"])


def _set_buttons(state: SandboxState, device: Device, auth_set: AuthSet) -> str:
    key = hashlib.sha256(auth_set.pubkey.encode()).hexdigest()[:8]
    actions = {
        Status.PENDING: ["accept", "reject"],
        Status.REJECTED: ["accept"],
        Status.ACCEPTED: ["reject"],
    }.get(auth_set.status, [])
    return f"key <code>{key}</code> {auth_set.status} {_form(state, device, auth_set.id, actions)}"


def _form(state: SandboxState, device: Device, auth_id: str, actions: list[str]) -> str:
    buttons = "".join(f'<button name="action" value="{action}">{action}</button> ' for action in actions)
    hidden = f'<input type="hidden" name="token" value="{_token(state)}">'
    if auth_id:
        hidden += f'<input type="hidden" name="auth_set" value="{escape(auth_id)}">'
    return f'<form method="post" action="/sandbox/devices/{escape(device.id)}">{hidden}{buttons}</form>'


def _token(state: SandboxState) -> str:
    return hmac.new(state.secret, b"page form", hashlib.sha256).hexdigest()
