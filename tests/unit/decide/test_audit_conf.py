"""mender.conf before shipping: every way to keep a device out has its own sentence."""

from typing import Any

import pytest

from mtls_ambassador.decide.audit_conf import audit_conf, url_fault
from mtls_ambassador.model.device_image import ClientConf

KEY = "/data/mender/mender-cert-private.pem"
GOOD = ClientConf(
    servers=("https://gw.acme.io",),
    certificate="/data/mender/mender-cert.pem",
    key=KEY,
    auth_key=KEY,
    server_ca="/ca.pem",
)


def said(server_url: str = "", **changes: Any) -> list[str]:  # noqa: ANN401 - fields of any type
    values = {name: getattr(GOOD, name) for name in GOOD.__slots__} | changes
    return [f"{item.level} {item.name}: {item.seen}" for item in audit_conf(ClientConf(**values), server_url)]


def test_a_good_one_is_passed_in_silence() -> None:
    assert said() == said("https://gw.acme.io/") == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"servers": ()}, "FAIL server: mender.conf names no server"),
        ({"has_both": True}, "FAIL mender.conf: has both Servers and ServerURL, which the client refuses"),
        ({"is_unverified": True}, "FAIL mender.conf: SkipVerify is on: the device takes anybody for its server"),
        (
            {"certificate": ""},
            "FAIL mender.conf: HttpsClient lacks Certificate or Key: the device shows no certificate",
        ),
        ({"key": "", "auth_key": ""}, "FAIL mender.conf: HttpsClient lacks Certificate or Key"),
        ({"auth_key": ""}, "FAIL mender.conf: Security.AuthPrivateKey is missing: clients 4.x and later sign with"),
        ({"auth_key": "/other.pem"}, "warn mender.conf: Security.AuthPrivateKey is another key than HttpsClient.Key"),
        ({"server_ca": ""}, "warn server CA: ServerCertificate is not set"),
        ({"misspelt": ("httpsclient",)}, "FAIL mender.conf: 'httpsclient' is in another case than Mender's"),
    ],
)
def test_each_fault_is_told(changes: dict[str, Any], sentence: str) -> None:
    assert any(item.startswith(sentence) for item in said(**changes)), said(**changes)


def test_the_address_must_be_the_gateways_when_that_is_known() -> None:
    assert said("https://gw2.acme.io") == ["FAIL server: https://gw.acme.io: is not https://gw2.acme.io"]
    assert said("https://GW.acme.io") == []


@pytest.mark.parametrize(
    "url", ["https://gw.acme.io", "https://gw:8443/", "https://10.0.0.7", "https://[2001:db8::7]:443", "https://gw"]
)
def test_addresses_a_device_can_reach(url: str) -> None:
    assert url_fault(url) == ""


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://gw.acme.io", "must begin with https://"),
        ("gw.acme.io", "must begin with https://"),
        ("https://", "is no address of a server"),
        ("https://gw:0", "is no address of a server"),
        ("https://gw:99999", "is no address: "),
        ("https://user@gw", "is no address of a server"),
        ("https://gw/?a=b", "is no address of a server"),
        ("https://gw/api/devices", "has a path; the client adds its own"),
        ("https://hosted.mender.io", "is Mender's own server"),
        ("https://docker.mender.io/", "is Mender's own server"),
        ("https://gw.example.com", "is a name for examples"),
        ("https://test", "is a name for examples"),
        ("https://localhost:8443", "is the device itself"),
        ("https://127.0.0.1", "is the device itself"),
        ("https://[::1]", "is the device itself"),
        ("https://0.0.0.0", "is the device itself"),
        ("https://my_gateway", "is no name of a host"),
        ("https://gw..io", "is no name of a host"),
        (f"https://{'a' * 64}.io", "is no name of a host"),
        ("https://[::", "is no address: "),
    ],
)
def test_addresses_no_device_can_reach(url: str, fault: str) -> None:
    assert url_fault(url).startswith(fault)
