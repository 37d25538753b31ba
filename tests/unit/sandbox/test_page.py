import re

import pytest

from mtls_ambassador.pki.issue import make_key
from support.sandbox_caller import Caller

ATTRIBUTES = "/api/devices/v1/inventory/device/attributes"
KEY = make_key()


def form(page: str, action: str) -> tuple[str, dict[str, str]]:
    """Where the first form with this button goes and what it sends."""
    for target, inside in re.findall(r'<form method="post" action="([^"]+)">(.*?)</form>', page):
        if f'value="{action}"' in inside:
            hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', inside)
            return target, {**dict(hidden), "action": action}
    pytest.fail(f"no button {action}")


async def test_it_says_what_it_is_and_needs_nothing_from_elsewhere(caller: Caller) -> None:
    answer = await caller.call("GET", "/")
    assert "For demos and tests only" in answer.text
    assert "No devices yet." in answer.text
    assert "script" not in answer.text
    assert not re.search(r"(src|href)=", answer.text)
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


async def test_everything_a_device_says_is_escaped(caller: Caller) -> None:
    device = await caller.enrol('{"<b>":"</td>\\"\'<img>"}')
    items = [{"name": "<i>", "value": "<u>"}, {"name": "list", "value": ["<s>"]}]
    await caller.as_device("PUT", ATTRIBUTES, device.token, json=items)
    text = (await caller.call("GET", "/")).text
    assert not re.search(r"<(b|img|i|u|s)>", text)
    assert "&lt;i&gt;: &lt;u&gt;" in text
    assert "2 attributes" in text
    assert "1 devices: 1 accepted" in text


async def test_a_person_decides_with_buttons(caller: Caller) -> None:
    await caller.authorize('{"mac":"1"}', KEY)
    (device,) = caller.sandbox.state.devauth.devices()
    for action, status in [("accept", "accepted"), ("reject", "rejected"), ("accept", "accepted")]:
        target, data = form((await caller.call("GET", "/")).text, action)
        answer = await caller.call("POST", target, data=data, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        assert device.status == status
    target, data = form((await caller.call("GET", "/")).text, "decommission")
    await caller.call("POST", target, data=data, allow_redirects=False)
    assert caller.sandbox.state.devauth.devices() == []
    assert (await caller.call("POST", target, data=data)).status == 409


async def test_a_form_from_elsewhere_is_refused(caller: Caller) -> None:
    device = await caller.enrol()
    for token in ("", "x", "ü"):
        data = {"action": "decommission", "token": token}
        assert (await caller.call("POST", f"/sandbox/devices/{device.id}", data=data)).status == 403
    target, data = form((await caller.call("GET", "/")).text, "reject")
    assert (await caller.call("POST", target, data={**data, "action": "nix"})).status == 400
    assert (await caller.as_device("GET", "/api/devices/v1/sandbox/blob?bytes=1", device.token)).status == 200
