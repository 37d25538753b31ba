"""Spans to a collector: in one trace, by TLS when its certificate is right, and those that wait when it ends."""

import asyncio
import ssl
from pathlib import Path

from mtls_ambassador.flows.otlp import Exported
from mtls_ambassador.settings import parse
from support.collector import SERVICE, Collector
from support.pki import Pki

AROUND = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}


async def test_by_tls_and_what_waits_is_sent_at_the_end(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pki.server.certificate, pki.server.key)
    async with Collector.running(tls=tls) as collector:
        url = parse.parse_collector(f"https://localhost:{collector.port}")
        traces = Exported(url, pki.ca_file)
        with traces.of_device("outer", AROUND) as outer, traces.of_ours("inner", {"kind": "own"}) as inner:
            assert outer.headers["traceparent"] != inner.headers["traceparent"]
            inner.fail("a-word")
        await asyncio.to_thread(traces.close)
    first, second = collector.of(SERVICE)
    assert (first.name, second.name, second.parent, first.parent) == ("inner", "outer", "00f067aa0ba902b7", second.id)
    assert {first.trace, second.trace} == {"4bf92f3577b34da6a3ce929d0e0e4736"}
    assert (first.failed, second.failed) == (True, False)
    assert first.facts == {"kind": "own", "error.type": "a-word"}


async def test_what_envoy_did_not_draw_is_not_traced() -> None:
    async with Collector.running() as collector:
        traces = Exported(parse.parse_collector(collector.url), Path("none"))
        not_drawn = {"traceparent": AROUND["traceparent"][:-1] + "0"}
        with traces.of_device("not drawn", not_drawn), traces.of_ours("within", {}) as span:
            flags = int(span.headers["traceparent"].rpartition("-")[2], 16)
            assert not flags & 1, "Mender is told so"
        with traces.of_device("without a trace", {}), traces.of_ours("within", {}):
            pass
        with traces.of_ours("an operator asks", {}):
            pass
        await asyncio.to_thread(traces.close)
    assert collector.spans == []
