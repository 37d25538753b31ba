import json
from dataclasses import fields
from pathlib import Path

import pytest

from mtls_ambassador.model.errors import FaultsError
from mtls_ambassador.settings import Limits, Listen, Secret, Settings, StoreSettings, TlsVersion, Upstream
from mtls_ambassador.settings.load import load, load_store
from mtls_ambassador.settings.table import SETTINGS

from .conftest import Faults, Load


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(0o600)
    return path


def test_the_seeds_variables_and_defaults(load_with: Load) -> None:
    loaded = load_with(MTLS_DEBUG_LOG="true")
    assert loaded.settings.listen == Listen("", 8080)
    assert loaded.settings.upstream == Upstream("https", "hosted.mender.io", 443)
    assert loaded.settings.mender_password == Secret("password")
    assert loaded.settings.debug_log
    assert loaded.warnings == ()
    assert loaded.origins["debug_log"] == "MTLS_DEBUG_LOG"
    assert loaded.origins["listen"] == "default"


def test_defaults_are_those_of_the_values() -> None:
    defaults = {item.field: item.parse(item.default) for item in SETTINGS if item.default}
    own = {
        item.name: item.default for item in fields(Settings) if item.name in defaults and item.name not in NO_DEFAULT
    }
    limits = {f"limits.{item.name}": item.default for item in fields(Limits)}
    assert {name: value for name, value in defaults.items() if name not in NO_DEFAULT} == own | limits


NO_DEFAULT = {"listen", "server_certificate", "server_key", "tenant_ca"}


def test_every_field_is_a_setting() -> None:
    declared = [item.field for item in SETTINGS]
    expected = {item.name for item in fields(Settings)} - {"limits"} | {
        f"limits.{item.name}" for item in fields(Limits)
    }
    assert len(declared) == len(set(declared))
    assert set(declared) == expected


def test_every_name_is_used_once() -> None:
    names = [name for item in SETTINGS for name in (*item.names, *item.file_names)]
    assert len(names) == len(set(names))


GATEWAY = {
    "Features": {
        "ArtifactsProxy": {
            "Enabled": True,
            "GatewayURL": "https://gateway.mender.io",
            "DomainWhitelist": ["s3.amazonaws.com", "s3.my-min.io"],
            "ArtifactsCache": {
                "Enabled": True,
                "Path": "/var/cache/mender-gateway",
                "SignatureSecret": "KDbQ+Z9asYtPdRQoakM5lGs6xgkWyNx4",
                "LinkExpireDuration": "30m",
            },
        },
        "mTLS": {
            "Enabled": True,
            "CACertificate": "ca.pem",
            "MenderUsername": "gateway@mender.io",
            "MenderPassword": "password123",
        },
        "DeviceSystem": {
            "Enabled": False,
            "SystemID": "REPLACE_WITH_YOUR_UNIQUE_SYSTEM_ID",
            "DefaultInventory": [{"Name": "region", "Value": "eu"}],
        },
    },
    "HTTP": {"Enabled": False, "Listen": ":80"},
    "HTTPS": {
        "Enabled": True,
        "Listen": ":443",
        "MinimumTLSVersion": "1.2",
        "ServerCertificate": "server.crt",
        "ServerKey": "server.key",
    },
    "UpstreamServer": {"URL": "https://hosted.mender.io", "CACertificate": "ca.pem", "InsecureSkipVerify": False},
}
"""The sample of Mender's documentation, but for its denylist."""


def gateway_file(tmp_path: Path, environ: dict[str, str]) -> Path:
    assert environ
    text = json.dumps(GATEWAY)
    for name in ("ca.pem", "server.crt", "server.key"):
        text = text.replace(f'"{name}"', f'"{tmp_path / name}"')
    return write(tmp_path / "mender-gateway.conf", text)


def test_the_gateways_sample_file_loads(tmp_path: Path, environ: dict[str, str]) -> None:
    path = gateway_file(tmp_path, environ)
    for loaded in (load({}, config_file=path), load({}, default_file=path)):
        assert loaded.settings.listen == Listen("", 443)
        assert loaded.settings.tls_minimum is TlsVersion.TLS_1_2
        assert loaded.settings.tenant_ca == tmp_path / "ca.pem"
        assert loaded.settings.upstream_ca == tmp_path / "ca.pem"
        assert loaded.settings.mender_user == "gateway@mender.io"
        assert loaded.settings.mender_password == Secret("password123")
        assert loaded.origins["listen"] == f"{path}: HTTPS.Listen"
        assert [text.partition(": ")[2].split(":")[0] for text in loaded.warnings] == [
            "Features.ArtifactsProxy.Enabled",
            "Features.ArtifactsProxy.ArtifactsCache.Enabled",
        ]


def test_the_gateways_denylist(tmp_path: Path, environ: dict[str, str]) -> None:
    path = gateway_file(tmp_path, environ)
    content = json.loads(path.read_text())
    listed = tmp_path / "mtls-blacklist.txt"
    listed.touch()
    content["Features"]["mTLS"]["BlacklistPath"] = str(listed)
    write(path, content)
    assert load({}, config_file=path).settings.blacklist == listed, "one that is empty names nobody"


def test_the_gateways_variables(load_with: Load, environ: dict[str, str]) -> None:
    loaded = load_with(
        MTLS_SERVER_CERT=None,
        MTLS_SERVER_KEY=None,
        MTLS_TENANT_CA_PEM=None,
        MTLS_MENDER_BACKEND=None,
        MTLS_MENDER_USER=None,
        MTLS_MENDER_PASS=None,
        HTTPS_ENABLED="true",
        HTTPS_LISTEN=":8443",
        HTTPS_MINIMUM_TLS_VERSION="1.3",
        HTTPS_SERVER_CERTIFICATE=environ["MTLS_SERVER_CERT"],
        HTTPS_SERVER_KEY=environ["MTLS_SERVER_KEY"],
        MTLS_ENABLED="1",
        MTLS_ENABLE_CACHE="true",
        MTLS_CA_CERTIFICATE=environ["MTLS_TENANT_CA_PEM"],
        MTLS_MENDER_USERNAME="gateway@mender.io",
        MTLS_MENDER_PASSWORD="password",
        UPSTREAM_SERVER_URL="https://eu.hosted.mender.io",
        METRICS_LISTEN="127.0.0.1:9999",
    )
    assert loaded.warnings == ()
    assert loaded.settings.listen.port == 8443
    assert loaded.settings.admin_listen.port == 9999
    assert loaded.settings.tls_minimum is TlsVersion.TLS_1_3
    assert loaded.settings.upstream.host == "eu.hosted.mender.io"
    assert loaded.settings.mender_user == "gateway@mender.io"


def test_the_environment_wins_over_the_file(load_with: Load, tmp_path: Path) -> None:
    path = write(tmp_path / "g.conf", {"HTTPS": {"Listen": ":443", "MinimumTLSVersion": "1.3"}})
    loaded = load_with(path, MTLS_LISTEN=":9000")
    assert loaded.settings.listen.port == 9000
    assert loaded.settings.tls_minimum is TlsVersion.TLS_1_3


def test_the_files_keys_may_have_any_case_as_in_go(load_with: Load, tmp_path: Path) -> None:
    assert load_with(write(tmp_path / "g.conf", {"https": {"listen": ":443"}})).settings.listen.port == 443


def test_an_empty_variable_counts_as_unset(load_with: Load) -> None:
    assert load_with(MTLS_LISTEN="", MTLS_BLACKLIST_PATH=" ").settings.listen.port == 8080


def test_all_faults_at_once_each_naming_its_variable(faults_of: Faults) -> None:
    wrong = {
        "MTLS_LISTEN": "8080",
        "MTLS_MENDER_BACKEND": "hosted.mender.io",
        "MTLS_HTTPS_TLS_VERSION_MIN": "1.0",
        "MTLS_INSECURE_SKIP_VERIFY": "maybe",
        "MTLS_DEBUG_LOG": "loud",
        "MTLS_LOG_FORMAT": "xml",
        "MTLS_ADMIN_LISTEN": "x",
        "MTLS_KEY_BINDING": "none",
        "MTLS_IDENTITY_BINDING": "mac={nope}",
        "MTLS_ENVOY_WORKERS": "-1",
        "MTLS_DATABASE_URL": "mongodb://x",
        "MTLS_STATE_DIR": "/a\0b",
        **{f"MTLS_{item.name.upper()}": "-1" for item in fields(Limits)},
    }
    faults = faults_of(**wrong)
    assert len(faults) == len(wrong)
    for name in wrong:
        assert any(fault.startswith(name) and "must" in fault for fault in faults), name


@pytest.mark.parametrize(
    ("one", "first", "other", "second"),
    [
        ("MTLS_LISTEN", ":1", "HTTPS_LISTEN", ":2"),
        ("MTLS_MENDER_USER", "a@x", "MTLS_MENDER_USERNAME", "b@x"),
        ("MTLS_MENDER_BACKEND", "https://a", "UPSTREAM_SERVER_URL", "https://b"),
        ("UPSTREAM_SERVER", "https://a", "UPSTREAM_SERVER_URL", "https://hosted.mender.io"),
        ("MTLS_INSECURE_SKIP_VERIFY", "true", "MTLS_InsecureSkipVerify", "false"),
        ("MTLS_ADMIN_LISTEN", "127.0.0.1:1", "METRICS_LISTEN", "127.0.0.1:2"),
    ],
)
def test_two_names_that_disagree_are_one_fault_naming_both(
    faults_of: Faults, one: str, first: str, other: str, second: str
) -> None:
    (fault,) = faults_of(**{one: first, other: second})
    assert one in fault
    assert other in fault or "MTLS_MENDER_BACKEND" in fault
    assert "differ" in fault


def test_two_names_that_agree_are_fine(load_with: Load) -> None:
    assert load_with(MTLS_LISTEN=":81", HTTPS_LISTEN=":81").settings.listen.port == 81
    assert load_with(UPSTREAM_SERVER_URL="https://hosted.mender.io:443/").settings.upstream.port == 443


@pytest.mark.parametrize("name", ["MTLS_SERVER_CERT", "MTLS_SERVER_KEY", "MTLS_TENANT_CA_PEM", "MTLS_MENDER_CERT"])
def test_a_file_missing_empty_or_a_directory(faults_of: Faults, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").touch()
    assert faults_of(**{name: str(tmp_path / "no")}) == [f"{name}: file {tmp_path / 'no'} does not exist"]
    assert faults_of(**{name: str(tmp_path / "empty")}) == [f"{name}: file {tmp_path / 'empty'} is empty"]
    (fault,) = faults_of(**{name: str(tmp_path)})
    assert fault.startswith(f"{name}: file {tmp_path} is a directory")
    assert "mount" in fault


def test_a_missing_default_file_names_the_variable_and_the_path(faults_of: Faults) -> None:
    (fault,) = faults_of(MTLS_SERVER_CERT=None)
    assert fault == "MTLS_SERVER_CERT is not set and its default /etc/mtls/certs/server/server.crt does not exist"


def test_nothing_given_names_everything_needed(tmp_path: Path) -> None:
    with pytest.raises(FaultsError) as caught:
        load({}, default_file=tmp_path / "none")
    text = str(caught.value)
    for name in ("MTLS_MENDER_BACKEND", "MTLS_MENDER_USER", "MTLS_MENDER_TOKEN", "MTLS_SERVER_KEY"):
        assert name in text


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"MTLS_BLACKLIST_PATH": "/x"}, "MTLS_BLACKLIST_PATH: file /x does not exist"),
        ({"MTLS_CRL_PATH": "/x"}, "MTLS_CRL_PATH: file /x does not exist"),
        ({"MTLS_CRL_GRACE": "soon"}, "must be `forever`, or a time such as 24h"),
        ({"HTTPS_ENABLED": "false"}, "the mutual TLS listener is all"),
        ({"MTLS_ADMIN_LISTEN": "0.0.0.0:8080"}, "need different ports"),
        ({"MTLS_MENDER_PASS": None}, "MTLS_MENDER_USER: a user without a password"),
        ({"MTLS_MENDER_USER": None}, "MTLS_MENDER_PASS: a password without a user"),
        ({"MTLS_MENDER_TOKEN": "x"}, "keep one way to log in"),
    ],
)
def test_what_would_be_unsafe_or_unclear_stops_the_gateway(
    faults_of: Faults, changes: dict[str, str | None], part: str
) -> None:
    (fault,) = faults_of(**changes)
    assert part in fault


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"MTLS_LISEN": ":1"}, "MTLS_LISEN is not a setting and has no effect; did you mean MTLS_LISTEN?"),
        ({"UPSTREAM_URL": "x"}, "UPSTREAM_URL is not a setting"),
        ({"HTTPS_PORT_X": "x"}, "HTTPS_PORT_X is not a setting"),
        ({"MTLS_ENABLED": "false"}, "MTLS_ENABLED: mutual TLS is always on"),
        ({"MTLS_ENABLE_CACHE": "false"}, "MTLS_ENABLE_CACHE"),
        ({"HTTP_ENABLED": "true"}, "no plain HTTP listener"),
        ({"METRICS_ENABLED": "false"}, "metrics stay on"),
        ({"ARTIFACTS_PROXY_ENABLED": "true"}, "artifacts are not proxied"),
        ({"DEVICE_SYSTEM_ENABLED": "yes"}, "inventory is forwarded as it is"),
        ({"HTTPS_PROXY": "http://u:hunter2@proxy"}, "not through this proxy"),
        ({"MTLS_INSECURE_SKIP_VERIFY": "true"}, "certificate is not checked"),
        ({"MTLS_MENDER_BACKEND": "http://mender"}, "plain http"),
        ({"MTLS_IDENTITY_BINDING": "off"}, "any certified device may claim any identity"),
        ({"MTLS_ADMIN_LISTEN": ":9102"}, "can be reached from other machines"),
    ],
)
def test_what_should_be_known_is_a_warning(load_with: Load, changes: dict[str, str], part: str) -> None:
    (warning,) = load_with(**changes).warnings
    assert part in warning
    assert "hunter2" not in warning


def test_what_kubernetes_adds_for_a_service_is_not_warned_about(load_with: Load) -> None:
    names = ["PORT", "SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTPS", "PORT_443_TCP", "PORT_443_TCP_ADDR"]
    assert load_with(**{f"MTLS_AMBASSADOR_{name}": "x" for name in names}).warnings == ()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ('{"HTTPS": \n  {,}}', "line 2, column 4"),
        ("[]", "one JSON object"),
        ('{"HTTPS": {"Listen": ":1", "listen": ":2"}}', '"listen" twice'),
        ('{"HTTPS": {"Listen": [":1"]}}', "HTTPS.Listen must be a text"),
        ('{"HTTPS": 5}', "HTTPS must be an object"),
        ('{"HTTPS": {"Listen": "x"}}', "HTTPS.Listen='x': must"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_understood(faults_of: Faults, tmp_path: Path, content: str, part: str) -> None:
    (fault,) = faults_of(write(tmp_path / "g.conf", content))
    assert str(tmp_path / "g.conf") in fault
    assert part in fault


def test_a_file_that_is_not_there_or_not_text(faults_of: Faults, tmp_path: Path) -> None:
    assert faults_of(tmp_path / "no.conf") == [f"configuration file {tmp_path / 'no.conf'} does not exist"]
    (tmp_path / "g.conf").write_bytes(b"\xff\xfe{}")
    assert faults_of(tmp_path / "g.conf") == [f"configuration file {tmp_path / 'g.conf'} is not UTF-8 text"]


def test_unknown_keys_are_warned_about(load_with: Load, tmp_path: Path) -> None:
    content = {"HTTPS": {"Listn": ":1"}, "Nonsense": {"Listen": 1}, "HTTP": None}
    warnings = load_with(write(tmp_path / "g.conf", content)).warnings
    assert len(warnings) == 2
    assert "HTTPS.Listn is not known and has no effect; did you mean HTTPS.Listen?" in warnings[0]
    assert "Nonsense" in warnings[1]


def test_numbers_and_booleans_of_the_file(load_with: Load, tmp_path: Path) -> None:
    content = {"HTTPS": {"MinimumTLSVersion": 1.3}, "UpstreamServer": {"InsecureSkipVerify": True}}
    settings = load_with(write(tmp_path / "g.conf", content)).settings
    assert settings.tls_minimum is TlsVersion.TLS_1_3
    assert settings.upstream_skip_verify


def test_the_store_needs_no_setting_of_the_gateway(tmp_path: Path) -> None:
    state = tmp_path / "state"
    store = load_store({"MTLS_STATE_DIR": str(state), "MTLS_LISTEN": "nonsense"})
    assert store == StoreSettings(state, None, state / "pki")
    elsewhere = load_store({"MTLS_PKI_DIR": str(tmp_path), "MTLS_DATABASE_URL": "postgresql://db/name"})
    assert elsewhere.pki_dir == tmp_path
    assert elsewhere.database_url == Secret("postgresql+psycopg://db/name")


def test_a_wrong_setting_of_the_store_is_named_and_not_shown() -> None:
    with pytest.raises(FaultsError, match="MTLS_DATABASE_URL: must be like") as caught:
        load_store({"MTLS_DATABASE_URL": "mysql://user:hidden@host/db"})
    assert "hidden" not in str(caught.value)
