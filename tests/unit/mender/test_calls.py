"""Every call that the client makes has a name of its own where calls are counted."""

import pytest

from mtls_ambassador.mender.calls import NAMES, OTHER, name_of

DEVICES = "/api/management/v2/devauth/devices"


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/api/devices/v1/authentication/auth_requests", "auth-request"),
        ("POST", "/api/management/v1/useradm/auth/login", "login"),
        ("POST", DEVICES, "preauthorize"),
        ("GET", f"{DEVICES}?page=1&per_page=500", "list-devices"),
        ("POST", f"{DEVICES}/search?page=1", "search-devices"),
        ("GET", f"{DEVICES}/count?status=accepted", "count-devices"),
        ("GET", f"{DEVICES}/5f3e", "get-device"),
        ("DELETE", f"{DEVICES}/5f3e", "decommission"),
        ("PUT", f"{DEVICES}/5f3e/auth/77aa/status", "set-status"),
        ("GET", "/api/management/v2/devauth/limits/max_devices", "get-limit"),
        ("PATCH", DEVICES, OTHER),
        ("GET", "/api/management/v2/devauth/devices/a/b", OTHER),
    ],
)
def test_a_call_has_its_name(method: str, path: str, name: str) -> None:
    assert name_of(method, path) == name
    assert name in NAMES
