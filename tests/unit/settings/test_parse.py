import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtls_ambassador.settings import BindingMode, IdentityBinding, KeyBinding, Listen, TlsVersion, Upstream, parse


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":8080", "", 8080),
        ("192.0.2.1:443", "192.0.2.1", 443),
        ("[::1]:8443", "::1", 8443),
        ("[::]:8443", "::", 8443),
        ("localhost:80", "127.0.0.1", 80),
    ],
)
def test_listen(text: str, host: str, port: int) -> None:
    assert parse.parse_listen(text) == Listen(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "8080",
        "",
        ":",
        ":0",
        ":65536",
        ":http",
        "::1:80",
        "[::1]",
        "host.example:80",
        "[1:80",
        "[fe80::1%eth0]:80",
        ":٨٠",
        ":-1",
    ],
)
def test_listen_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        parse.parse_listen(text)


@settings(deadline=None)
@given(st.ip_addresses(), st.integers(1, 65535))
def test_listen_reads_what_it_writes(address: object, port: int) -> None:
    listen = Listen(str(address), port)
    assert parse.parse_listen(str(listen)) == listen


@pytest.mark.parametrize(
    ("text", "upstream"),
    [
        ("https://hosted.mender.io", Upstream("https", "hosted.mender.io", 443)),
        ("https://hosted.mender.io/", Upstream("https", "hosted.mender.io", 443)),
        ("https://Mender.LAN:8443", Upstream("https", "mender.lan", 8443)),
        ("http://127.0.0.1:8080", Upstream("http", "127.0.0.1", 8080)),
        ("http://[::1]:80", Upstream("http", "::1", 80)),
    ],
)
def test_upstream(text: str, upstream: Upstream) -> None:
    assert parse.parse_upstream(text) == upstream


@pytest.mark.parametrize(
    "text",
    [
        "hosted.mender.io",
        "ftp://hosted.mender.io",
        "https://",
        "https:///path",
        "https://host/api",
        "https://host?x=1",
        "https://host/?",
        "https://host#part",
        "https://user:secret@host",
        "https://host:0",
        "https://host:99999",
        "https://host:port",
        "https://[::1",
        "https://ho st",
        "https://host\n",
        "https://-bad-.example",
    ],
)
def test_upstream_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        parse.parse_upstream(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True", "yes", "on", "Y"])
def test_true(text: str) -> None:
    assert parse.parse_bool(text) is True


@pytest.mark.parametrize("text", ["0", "f", "F", "FALSE", "false", "no", "off"])
def test_false(text: str) -> None:
    assert parse.parse_bool(text) is False


@pytest.mark.parametrize("text", ["", "2", "tru", "enabled", "-1"])
def test_neither_true_nor_false(text: str) -> None:
    with pytest.raises(ValueError, match="true or false"):
        parse.parse_bool(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("61", 61), ("90.5", 90.5), ("2m", 120), ("1m30s", 90), ("1h", 3600), ("1.5h", 5400), ("61000ms", 61)],
)
def test_seconds(text: str, seconds: float) -> None:
    assert parse.parse_seconds(61, 86_400)(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["60", "60.99", "1m", "0", "-61", "nan", "inf", "1e3", "9" * 400, "61x", "61 s", "m", "", "2d", "٦١"]
)
def test_seconds_refused(text: str) -> None:
    with pytest.raises(ValueError, match="from 61 to 86400 seconds"):
        parse.parse_seconds(61, 86_400)(text)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "101", "", "٣", "9" * 5000, "0x10", " 1"])
def test_int_refused(text: str) -> None:
    with pytest.raises(ValueError, match="whole number from 1 to 100"):
        parse.parse_int(1, 100)(text)


@settings(deadline=None)
@given(st.integers(1, 100))
def test_int(number: int) -> None:
    assert parse.parse_int(1, 100)(str(number)) == number


@pytest.mark.parametrize("text", ["1.0", "1.1"])
def test_old_tls_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(ValueError, match="RFC 8996"):
        parse.parse_tls_version(text)


def test_tls_versions() -> None:
    assert parse.parse_tls_version("1.2") is TlsVersion.TLS_1_2
    assert parse.parse_tls_version("1.3") is TlsVersion.TLS_1_3
    with pytest.raises(ValueError, match=r"must be 1\.2 or 1\.3"):
        parse.parse_tls_version("TLSv1.2")


def test_choice() -> None:
    assert parse.parse_choice(KeyBinding)("Certificate") is KeyBinding.CERTIFICATE
    with pytest.raises(ValueError, match="must be any or certificate"):
        parse.parse_choice(KeyBinding)("both")


def test_identity_binding() -> None:
    assert parse.parse_identity_binding("first-use") == IdentityBinding(BindingMode.FIRST_USE)
    assert parse.parse_identity_binding("OFF") == IdentityBinding(BindingMode.OFF)
    assert parse.parse_identity_binding("mac={cn}") == IdentityBinding(BindingMode.TEMPLATE, "mac={cn}")


@pytest.mark.parametrize("text", ["template", "none", "mac={cm}", "mac=fixed", "=", "mac={cn},mac={o}"])
def test_identity_binding_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be first-use, off, or a template"):
        parse.parse_identity_binding(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("sqlite:////tmp/x.db", "sqlite:////tmp/x.db"),
        ("postgresql://u:p%40ss@db/m", "postgresql+psycopg://u:p%40ss@db/m"),
        ("postgres://u@db/m", "postgresql+psycopg://u@db/m"),
        ("postgresql+psycopg://db/m", "postgresql+psycopg://db/m"),
    ],
)
def test_database_url(text: str, url: str) -> None:
    assert parse.parse_database_url(text).reveal() == url


@pytest.mark.parametrize(
    "text",
    [
        "mysql://u:hunter2@db/m",
        "sqlite:///relative.db",
        "sqlite://",
        "sqlite:///:memory:",
        "hunter2",
        "postgresql://u:hunter2@db:port/m",
        "://hunter2",
    ],
)
def test_database_url_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match="must be like") as caught:
        parse.parse_database_url(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["a\nb", "a\x00", "\x1b[0m"])
def test_control_characters_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        parse.parse_text(text)
    with pytest.raises(ValueError, match="one line"):
        parse.parse_secret(text)


def test_a_user_has_no_colon() -> None:
    assert parse.parse_user("mtls@mender.io") == "mtls@mender.io"
    with pytest.raises(ValueError, match="without a colon"):
        parse.parse_user("mtls:x")


def test_a_path_with_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        parse.parse_path("/a\0b")
