"""The rendered configuration: one golden file in full, every variant as what differs from it, all good for Envoy."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mtls_ambassador.decide.denylist import Denied
from mtls_ambassador.envoy.clusters import decision_connections
from mtls_ambassador.envoy.denylist import DenylistFile
from mtls_ambassador.envoy.material import Material, denylist_resource
from mtls_ambassador.envoy.place import Machine, RuntimePaths
from mtls_ambassador.envoy.process import binary
from mtls_ambassador.envoy.publish import fault
from mtls_ambassador.envoy.render import (
    RESERVED_FILES,
    bootstrap,
    device_connections,
    listeners,
    secrets,
    upstream_connections,
    whole,
)
from mtls_ambassador.envoy.routes import DECISION, LARGEST_AUTH_REQUEST
from mtls_ambassador.flows.compile_denylist import write_denylist
from mtls_ambassador.mender.messages import MAX_BODY
from mtls_ambassador.settings import Collector, Limits, Listen, Settings, TlsVersion, Upstream
from support.pki import Pki

GOLDEN = Path(__file__).parents[2] / "golden"
PLAIN = Settings(
    listen=Listen("", 8080),
    server_certificate=Path("/certs/server.crt"),
    server_key=Path("/certs/server.key"),
    tenant_ca=Path("/certs/ca.pem"),
    upstream=Upstream("https", "hosted.mender.io", 443),
)
HOST = Machine(trust_store=Path("/certs/ca.pem"))
VARIANTS: dict[str, tuple[Settings, Machine]] = {
    "plain": (PLAIN, HOST),
    "upstream-http": (replace(PLAIN, upstream=Upstream("http", "mender.internal", 8080)), HOST),
    "upstream-by-address-with-own-ca": (
        replace(PLAIN, upstream=Upstream("https", "2001:db8::1", 8443), upstream_ca=Path("/certs/ca.pem")),
        HOST,
    ),
    "upstream-not-verified": (replace(PLAIN, upstream_skip_verify=True), HOST),
    "tls-1.3": (replace(PLAIN, tls_minimum=TlsVersion.TLS_1_3), HOST),
    "one-address": (replace(PLAIN, listen=Listen("::1", 443)), HOST),
    "no-ipv6": (PLAIN, replace(HOST, has_ipv6=False)),
    "traces": (
        replace(PLAIN, traces=Collector(Upstream("https", "traces.example.com", 443), "/otlp"), traces_percent=2.5),
        HOST,
    ),
    "few-files": (PLAIN, replace(HOST, file_limit=1024)),
    "other-limits": (
        replace(
            PLAIN,
            limits=Limits(
                max_connections=7,
                max_header_kb=8,
                connection_buffer_kb=16,
                handshake_timeout=1.5,
                header_timeout=2,
                idle_timeout=3,
                stream_idle_timeout=61,
                upstream_connect_timeout=4,
                upstream_timeout=5.25,
                upstream_max_connections=6,
            ),
        ),
        HOST,
    ),
}


RUNTIME = RuntimePaths(Path("/run/gateway"))
MATERIAL = Material(b"chain", b"key", b"authorities", DenylistFile(Path("/run/gateway/denied-1"), 0), None, b"upstream")


def rendered(variant: str, material: Material = MATERIAL, trust_store: Path = HOST.trust_store) -> dict[str, Any]:
    settings, host = VARIANTS[variant]
    return whole(settings, RUNTIME, replace(host, trust_store=trust_store), material)


def live(settings: Settings = PLAIN) -> dict[str, Any]:
    """What Envoy starts with, and the files it then reads."""
    files = {path.name: content for path, content in secrets(settings, RUNTIME, MATERIAL).items()}
    files["listeners.json"] = listeners(settings, RUNTIME, HOST, 3)
    files["denylist.json"] = denylist_resource(MATERIAL)
    return {"envoy.json": bootstrap(settings, RUNTIME, HOST)} | files


def real_material(folder: Path) -> Material:
    pki = Pki(folder)
    denylist = write_denylist(Denied(), {}, RuntimePaths(folder), ignores_end=False)
    chain, key = pki.server.certificate.read_bytes(), pki.server.key.read_bytes()
    ca = pki.ca_file.read_bytes()
    return Material(chain, key, ca, denylist, None, ca)


def flat(value: object, path: str = "") -> dict[str, object]:
    """Every leaf under its path."""
    if isinstance(value, dict) and value:
        return {k: v for key, each in value.items() for k, v in flat(each, f"{path}/{key}").items()}
    if isinstance(value, list) and value:
        return {k: v for index, each in enumerate(value) for k, v in flat(each, f"{path}/{index}").items()}
    return {path: value}


def differences(variant: str) -> dict[str, object]:
    """Leaves that differ from the plain configuration; None where the variant has none."""
    plain, other = flat(rendered("plain")), flat(rendered(variant))
    return {key: other.get(key) for key in sorted(plain | other) if plain.get(key) != other.get(key)}


def golden(name: str, current: object) -> object:
    """What the golden file holds; `UPDATE_GOLDEN=1` writes it anew."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(json.dumps(current, indent=1) + "\n")
    return json.loads(path.read_text())


def test_plain_is_as_recorded() -> None:
    assert rendered("plain") == golden("envoy-plain.json", rendered("plain"))


def test_what_envoy_reads_while_it_runs_is_as_recorded() -> None:
    assert live() == golden("envoy-live.json", live())


def test_a_client_certificate_is_required_of_the_live_listener_too() -> None:
    (chain,) = live()["listeners.json"]["resources"][0]["filter_chains"]
    tls = chain["transport_socket"]["typed_config"]
    assert tls["require_client_certificate"] is True
    assert "validation_context_sds_secret_config" in tls["common_tls_context"]
    assert chain["name"] == "devices-3"
    denylist = chain["filters"][0]["typed_config"]["http_filters"][0]
    assert denylist["name"] == "denylist"
    assert "default_config" not in denylist["config_discovery"], "without its list nobody is let in"


def test_variants_differ_as_recorded() -> None:
    current = {variant: differences(variant) for variant in VARIANTS}
    assert current == golden("envoy-variants.json", current)


@pytest.mark.parametrize("variant", VARIANTS)
def test_envoy_accepts_it(tmp_path: Path, variant: str) -> None:
    config = tmp_path / "envoy.json"
    material = real_material(tmp_path)
    config.write_text(json.dumps(rendered(variant, material, Pki(tmp_path).ca_file)))
    assert fault(binary(PLAIN), config) == ""


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_client_certificate_is_always_required(variant: str) -> None:
    chains = [chain for each in rendered(variant)["static_resources"]["listeners"] for chain in each["filter_chains"]]
    assert len(chains) == 1
    tls = chains[0]["transport_socket"]["typed_config"]
    assert tls["require_client_certificate"] is True
    validation = tls["common_tls_context"]["validation_context"]
    assert set(validation) == {"trusted_ca"}, "nothing may soften the check"
    assert tls["disable_stateless_session_resumption"] is True
    assert tls["disable_stateful_session_resumption"] is True


def test_only_the_decision_is_sent_whole_requests() -> None:
    http = rendered("plain")["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    denylist, buffer, _ = http["http_filters"]
    assert buffer["disabled"] is True
    for route in http["route_config"]["virtual_hosts"][0]["routes"]:
        is_decision = route.get("route", {}).get("cluster") == DECISION
        assert (set(route.get("typed_per_filter_config", {})) == {buffer["name"], denylist["name"]}) == is_decision
        assert ("max_stream_duration" in route.get("route", {})) == is_decision
    assert LARGEST_AUTH_REQUEST > MAX_BODY, "the service's own rule must have its say"


def test_upstream_is_checked_unless_told_otherwise() -> None:
    for variant in VARIANTS:
        cluster = rendered(variant)["static_resources"]["clusters"][0]
        if "transport_socket" not in cluster:
            assert variant == "upstream-http"
            continue
        common = cluster["transport_socket"]["typed_config"]["common_tls_context"]
        assert ("validation_context" in common) == (variant != "upstream-not-verified")


def test_a_collector_is_checked_and_no_device_is_asked_about_traces() -> None:
    whole = rendered("traces")["static_resources"]
    cluster = whole["clusters"][2]
    checked = cluster["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"]
    assert checked["trusted_ca"] == {"filename": "/certs/ca.pem"}
    assert checked["match_typed_subject_alt_names"] == [
        {"san_type": "DNS", "matcher": {"exact": "traces.example.com"}},
    ]
    http = whole["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    assert http["request_id_extension"]["typed_config"]["use_request_id_for_trace_sampling"] is False
    provider = http["tracing"]["provider"]["typed_config"]
    assert provider["http_service"]["http_uri"]["uri"] == "https://traces.example.com/otlp/v1/traces"
    assert provider["sampler"]["typed_config"]["sampling_percentage"] == {"numerator": 25_000, "denominator": "MILLION"}


@pytest.mark.parametrize(
    ("files", "wanted", "given"),
    [
        (1_048_576, 50_000, 50_000),
        (50_000 + 50_000 + RESERVED_FILES, 50_000, 50_000),
        (20_000, 50_000, 7_696),
        (1024, 50_000, 256),
        (64, 10, 10),
        (64, 100, 64),
    ],
)
def test_connections_fit_the_open_files(files: int, wanted: int, given: int) -> None:
    assert device_connections(Limits(max_connections=wanted), Machine(file_limit=files)) == given


@pytest.mark.parametrize("files", [1024, 4_096, 9_216, 20_000, 65_536, 100_000, 1_048_576])
@pytest.mark.parametrize("devices", [100, 5_000, 50_000])
@pytest.mark.parametrize("upstream", [100, 4_096, 50_000])
def test_both_sides_fit_the_open_files(files: int, devices: int, upstream: int) -> None:
    limits, machine = Limits(max_connections=devices, upstream_max_connections=upstream), Machine(file_limit=files)
    accepted, made = device_connections(limits, machine), upstream_connections(limits, machine)
    assert accepted + made + decision_connections(machine) < files
    assert made >= min(accepted, upstream), "every device connected may hold a WebSocket"


def test_by_default_every_device_may_hold_a_websocket() -> None:
    assert Limits().upstream_max_connections >= Limits().max_connections
