"""What a call to the Mender server is called where calls are counted and traced: a few fixed words, never an id."""

import re
from typing import Final

OTHER: Final = "other"
_DEVICES = r"/api/management/v2/devauth/devices"
_ID = "[^/]+"
_NAMES: Final = tuple(
    (name, method, re.compile(path))
    for name, method, path in (
        ("auth-request", "POST", r"/api/devices/v1/authentication/auth_requests"),
        ("login", "POST", r"/api/management/v1/useradm/auth/login"),
        ("preauthorize", "POST", _DEVICES),
        ("search-devices", "POST", _DEVICES + "/search"),
        ("list-devices", "GET", _DEVICES),
        ("count-devices", "GET", _DEVICES + "/count"),
        ("get-limit", "GET", r"/api/management/v2/devauth/limits/max_devices"),
        ("set-status", "PUT", f"{_DEVICES}/{_ID}/auth/{_ID}/status"),
        ("decommission", "DELETE", f"{_DEVICES}/{_ID}"),
        ("get-device", "GET", f"{_DEVICES}/{_ID}"),
    )
)
NAMES: Final = (*(name for name, _, _ in _NAMES), OTHER)


def name_of(method: str, path: str) -> str:
    """One of NAMES; the query does not matter."""
    bare = path.partition("?")[0]
    return next((name for name, verb, form in _NAMES if verb == method and form.fullmatch(bare)), OTHER)


def template_of(method: str, path: str) -> str:
    """Its path as Mender documents it, with `{id}` for each id and without query; "other" when it is none of these."""
    bare = path.partition("?")[0]
    forms = (form for _, verb, form in _NAMES if verb == method and form.fullmatch(bare))
    return next((form.pattern.replace(_ID, "{id}") for form in forms), OTHER)
