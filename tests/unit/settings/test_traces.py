"""Where traces go, and how many: what is taken, what is refused, and what is said when the library is not there."""

import subprocess
import sys

import pytest

from mtls_ambassador.settings import Collector, Upstream, parse
from mtls_ambassador.settings.shown import in_force

from .conftest import Faults, Load

LOCAL = Upstream("http", "127.0.0.1", 4318)


@pytest.mark.parametrize(
    ("text", "collector", "sent_to"),
    [
        ("http://127.0.0.1:4318", Collector(LOCAL), "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/", Collector(LOCAL), "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/v1/traces", Collector(LOCAL), "http://127.0.0.1:4318/v1/traces"),
        (
            "https://traces.example.com/otlp/",
            Collector(Upstream("https", "traces.example.com", 443), "/otlp"),
            "https://traces.example.com/otlp/v1/traces",
        ),
    ],
)
def test_taken(text: str, collector: Collector, sent_to: str) -> None:
    assert parse.parse_collector(text) == collector
    assert str(collector) == sent_to


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:4318",
        "grpc://127.0.0.1:4317",
        "http://",
        "http://host:port",
        "http://host:99999",
        "http://[::1",
        "http://user:secret@host",
        "http://host/?key=secret",
        "http://host/#secret",
        "http://host/a%20b",
        "http://host/a b",
        "http://host//x\n",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        parse.parse_collector(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("text", "percent"), [("100", 100.0), ("0.5", 0.5), ("0.0001", 0.0001)])
def test_percent(text: str, percent: float) -> None:
    assert parse.parse_percent(text) == percent


@pytest.mark.parametrize("text", ["0", "0.0000", "101", "100.1", "-1", "nan", "inf", "1e1", "50%", "0.00001", "\u0665"])
def test_percent_refused(text: str) -> None:
    with pytest.raises(ValueError, match="above 0 and up to 100"):
        parse.parse_percent(text)


def test_off_unless_asked_for(load_with: Load) -> None:
    assert load_with().settings.traces is None
    assert load_with(MTLS_TRACES_URL=" ").settings.traces is None


def test_shown_as_it_is_sent_to(load_with: Load) -> None:
    loaded = load_with(MTLS_TRACES_URL="http://127.0.0.1:4318")
    shown = {item.name: item.value for item in in_force(loaded)}
    assert (shown["MTLS_TRACES_URL"], shown["MTLS_TRACES_PERCENT"]) == ("http://127.0.0.1:4318/v1/traces", "100")
    assert not loaded.warnings


@pytest.mark.parametrize(
    ("url", "warned"),
    [("http://localhost:4318", False), ("https://traces.example.com", False), ("http://traces.example.com", True)],
)
def test_warned_of_plain_http_to_another_machine(load_with: Load, url: str, *, warned: bool) -> None:
    warnings = load_with(MTLS_TRACES_URL=url).warnings
    assert [text.partition(":")[0] for text in warnings] == ["MTLS_TRACES_URL"] * warned


@pytest.mark.parametrize("missing", ["opentelemetry", "opentelemetry.sdk"])
def test_without_the_packages(faults_of: Faults, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)  # one that another test loaded is found without being looked for
    monkeypatch.setitem(sys.modules, missing, None)
    (fault,) = faults_of(MTLS_TRACES_URL="http://127.0.0.1:4318")
    assert fault.startswith("MTLS_TRACES_URL: ")
    assert fault.endswith("pip install 'mtls-ambassador[traces]'")


def test_looking_for_the_packages_loads_none_of_them() -> None:
    code = (
        "import sys; from mtls_ambassador.settings.consistency import _can_trace; assert _can_trace();"
        "print(*[name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'requests', 'google'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
