"""`mender.conf`: what is set, what stays, and what no client would read as it was meant."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.pki.mender_conf import merge

URL = "https://gateway.example.com"
CERTIFICATE = "/data/mender/mender-cert.pem"
KEY = "/data/mender/mender-cert-private.pem"
OURS = {"HttpsClient": {"Certificate": CERTIFICATE, "Key": KEY}, "Security": {"AuthPrivateKey": KEY}}


def merged(existing: str | None, **changes: str | None) -> str:
    arguments = {"server_url": URL, "certificate_path": CERTIFICATE, "key_path": KEY} | changes
    return merge(existing, **arguments)  # type: ignore[arg-type]  # a test's shorthand


def refusal(existing: str, **changes: str | None) -> str:
    with pytest.raises(AmbassadorError) as caught:
        merged(existing, **changes)
    return str(caught.value)


def test_a_new_file() -> None:
    assert merged(None) == (
        "{\n"
        f'  "ServerURL": "{URL}",\n'
        '  "HttpsClient": {\n'
        f'    "Certificate": "{CERTIFICATE}",\n'
        f'    "Key": "{KEY}"\n'
        "  },\n"
        '  "Security": {\n'
        f'    "AuthPrivateKey": "{KEY}"\n'
        "  }\n"
        "}\n"
    )


def test_the_file_of_menders_page_keeps_its_other_keys_and_their_order() -> None:
    text = merged(
        '{"TenantToken": "TENANT_TOKEN", "ServerURL": "https://hosted.mender.io/", "RetryPollCount": 3,'
        ' "HttpsClient": {"SSLEngine": "", "Key": "old"}, "ArtifactVerifyKeys": ["/a", "/ø"], "DBus": {}}'
    )
    assert list(json.loads(text).items()) == [
        ("TenantToken", "TENANT_TOKEN"),
        ("ServerURL", URL),
        ("RetryPollCount", 3),
        ("HttpsClient", {"SSLEngine": "", "Key": KEY, "Certificate": CERTIFICATE}),
        ("ArtifactVerifyKeys", ["/a", "/ø"]),
        ("DBus", {}),
        ("Security", {"AuthPrivateKey": KEY}),
    ]
    assert "/ø" in text, "text a person wrote stays readable"


def test_token_and_server_certificate_are_set_when_told() -> None:
    conf = json.loads(merged('{"TenantToken": "old"}', tenant_token="new", server_certificate="/etc/mender/server.crt"))
    assert (conf["TenantToken"], conf["ServerCertificate"]) == ("new", "/etc/mender/server.crt")


def test_a_key_in_a_token() -> None:
    uri = "pkcs11:token=device;object=mtls;type=private"
    conf = json.loads(merged("{}", key_path=uri))
    assert (conf["HttpsClient"]["Key"], conf["Security"]["AuthPrivateKey"]) == (uri, uri)


def test_keys_the_go_client_takes_in_any_case_get_the_spelling_the_c_client_needs() -> None:
    text = merged('{"serverurl": "https://x", "httpsclient": {"KEY": "old"}, "security": null, "other": 1}')
    assert list(json.loads(text).items()) == [
        ("ServerURL", URL),
        ("HttpsClient", {"Key": KEY, "Certificate": CERTIFICATE}),
        ("Security", {"AuthPrivateKey": KEY}),
        ("other", 1),
    ]


@pytest.mark.parametrize("listed", ["[]", "null", '[{"ServerURL": "https://hosted.mender.io"}]', '[{"serverurl": ""}]'])
def test_a_list_of_one_server_stays_a_list(listed: str) -> None:
    conf = json.loads(merged(f'{{"Servers": {listed}}}'))
    assert conf == {"Servers": [{"ServerURL": URL}]} | OURS


def test_a_list_of_several_servers_must_name_the_gateway() -> None:
    others = '{"servers": [{"ServerURL": "https://a"}, {"serverurl": "%s/"}]}'
    conf = json.loads(merged(others % URL))
    assert conf == {"Servers": [{"ServerURL": "https://a"}, {"ServerURL": f"{URL}/"}]} | OURS
    assert refusal(others % "https://b") == (
        f"mender.conf: Servers lists 2 servers, {URL} not among them; put it there, or leave one"
    )


@pytest.mark.parametrize("listed", ["[]", "null", '[{"ServerURL": "https://a"}]'])
def test_servers_beside_server_url_are_refused_as_the_client_does(listed: str) -> None:
    assert "has both Servers and ServerURL" in refusal(f'{{"ServerURL": "", "Servers": {listed}}}')


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{\n  "a": 1\n  "b": 2\n}', "mender.conf: line 3, column 3: not JSON: Expecting ',' delimiter"),
        ('{"a": 1,}', "line 1, column"),
        ("", "line 1, column 1"),
        ("\ufeff{}", "line 1, column 1"),
        ("{} x", "line 1, column 4"),
        ('{"a": {"Key": 1, "key": 2}}', 'the key "key" is there twice in one object'),
        ("[]", "must hold one JSON object in braces"),
        ('{"a": NaN}', "NaN is no JSON"),
        ('{"a": 1e999}', "the number 1e999 is too large"),
        ('{"a": ' + "1" * 5000 + "}", "nested too deeply, or a number too long"),
        ('{"a": ' + "[" * 100_000 + "}", "nested too deeply"),
        ('{"a": "\\ud800"}', "half a character"),
        ('{"HttpsClient": []}', "HttpsClient must be an object in braces"),
        ('{"Security": "x"}', "Security must be an object in braces"),
        ('{"Servers": "https://a"}', "Servers must be a list of objects"),
        ('{"Servers": ["https://a"]}', "Servers must be a list of objects"),
    ],
    ids=lambda text: text[:30],
)
def test_what_is_no_configuration_is_refused_with_its_place(text: str, reason: str) -> None:
    assert reason in refusal(text)


def test_the_file_at_fault_is_named() -> None:
    assert refusal("{", source="image/etc/mender/mender.conf").startswith(
        "image/etc/mender/mender.conf: line 1, column 2"
    )


@pytest.mark.parametrize(
    "url",
    [
        "gateway.example.com",
        "http://gateway.example.com",
        "https://",
        "https://:8443",
        "https://user@host",
        "https://host:99999",
        "https://host:x",
        "https://host?x",
        "https://host#x",
        "https://ho st",
        "https://host\n",
        "https://[::1",
    ],
)
def test_an_address_that_is_no_gateway(url: str) -> None:
    with pytest.raises(UsageError, match="right is https://HOST"):
        merged(None, server_url=url)


@pytest.mark.parametrize(
    "changes", [{"certificate_path": "cert.pem"}, {"key_path": ""}, {"server_certificate": "/a\n"}]
)
def test_paths_are_whole(changes: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="must be the whole path on the device"):
        merged(None, **changes)


KEYS = st.text("abcxyzø", min_size=1, max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(KEYS, JSON, max_size=3))
def test_every_other_key_stays_and_a_second_time_changes_nothing(conf: dict[str, object]) -> None:
    once = merged(json.dumps(conf))
    assert list(json.loads(once).items()) == [*conf.items(), ("ServerURL", URL), *OURS.items()]
    assert merged(once) == once
