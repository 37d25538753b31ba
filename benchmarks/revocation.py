"""How soon a denylist and a CRL are in force, what memory they take, and what the denylist costs a device call.

    python benchmarks/revocation.py [--serials 100000 1000000] [--entries 100000] [--calls 1500] [--json FILE]

Takes about three minutes on two cores.
"""

import argparse
import asyncio
import json
import os
import secrets
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import uvloop
from cryptography import x509

from measure.crl import crl_of
from measure.gateway import Files, gateway, validity
from measure.processes import Workshop, cpu_seconds, free_port, pss_megabytes, running, script
from measure.report import Report
from mtls_ambassador.decide.denylist import Denied
from mtls_ambassador.envoy.material import Material
from mtls_ambassador.envoy.place import Machine, RuntimePaths
from mtls_ambassador.envoy.process import binary
from mtls_ambassador.envoy.render import whole
from mtls_ambassador.flows.compile_denylist import write_denylist
from mtls_ambassador.pki.issue import Pair, make_device
from mtls_ambassador.settings import Listen, Settings, Upstream

CALL = b"GET /api/devices/v1/x HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"
ROUNDS = 6
REFUSED = "refused"
COST_GOAL = 5
"""Per cent."""


@dataclass(frozen=True, slots=True)
class InForce:
    """What a change of many entries took."""

    what: str
    entries: int
    seconds: float
    """From the rename of the file to the first call of the listed device that is refused."""
    envoy_mb: float
    supervisor_mb: float


def context_of(files: Files, pair: Pair) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=files.ca.certificate_pem.decode())
    path = files.folder / f"device-{secrets.token_hex(4)}.pem"
    path.touch(mode=0o600)
    path.write_bytes(pair.certificate_pem + pair.key_pem)
    context.load_cert_chain(path)
    return context


async def status(port: int, context: ssl.SSLContext) -> int | str:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        writer.write(CALL)
        line = await reader.readline()
        writer.transport.abort()
        return int(line.split()[1]) if line else REFUSED
    except (ssl.SSLError, ConnectionError):
        return REFUSED


async def in_force(workshop: Workshop, files: Files, what: str, count: int) -> InForce:
    """A list that names nobody is swapped for one that names `count` strangers and one device."""
    device = make_device(files.ca, "listed", validity())
    serial = x509.load_pem_x509_certificate(device.certificate_pem).serial_number
    path, new = files.folder / f"{what}-{count}", files.folder / "new"
    serials = [*(int.from_bytes(secrets.token_bytes(19)) for _ in range(count)), serial]
    if what == "CRL":
        path.write_bytes(crl_of(files.ca, []))
        new.write_bytes(crl_of(files.ca, serials))
    else:
        path.touch()
        new.write_text("".join(f"{one:x}\n" for one in serials))
    setting = "MTLS_CRL_PATH" if what == "CRL" else "MTLS_BLACKLIST_PATH"
    port = free_port()
    async with running(script("instant_upstream.py", str(port)), os.environ, log=files.folder / "upstream.log"):
        state = workshop.folder / f"state-{what}-{count}"
        async with gateway(workshop, files, f"http://127.0.0.1:{port}", state, {setting: str(path)}) as at:
            listening = int(at.url.rsplit(":", 1)[1])
            context = context_of(files, device)
            await until(lambda: status(listening, context), lambda seen: seen == 200)
            began = time.perf_counter()
            new.replace(path)
            await until(lambda: status(listening, context), lambda seen: seen != 200)
            seconds = time.perf_counter() - began
            await asyncio.sleep(2)
            parts = at.parts()
            return InForce(what, count, seconds, pss_megabytes(parts["Envoy"]), pss_megabytes(parts["supervisor"]))


async def until(ask: Callable[[], Awaitable[int | str]], is_so: Callable[[int | str], bool]) -> None:
    async with asyncio.timeout(120):
        while not is_so(await ask()):  # noqa: ASYNC110 - another program makes it so, no event tells
            await asyncio.sleep(0.01)


async def cost(workshop: Workshop, files: Files, count: int, calls: int) -> dict[str, float]:
    """CPU of Envoy per call on a fresh connection, without the filter and with a list of `count`; rounds alternate."""
    port = free_port()
    found: dict[str, list[float]] = {"without": [], "with": []}
    async with running(script("instant_upstream.py", str(port)), os.environ, log=files.folder / "upstream.log"):
        context = context_of(files, make_device(files.ca, "caller", validity()))
        ports = {name: free_port() for name in found}
        configs = {name: config(workshop, files, name, ports[name], port, count) for name in found}
        async with envoy(configs["without"], files) as one, envoy(configs["with"], files) as other:
            pids = {"without": one, "with": other}
            for name in found:
                await until(lambda name=name: status(ports[name], context), lambda seen: seen == 200)  # type: ignore[misc]  # bound now
            for _ in range(ROUNDS):
                for name, pid in pids.items():
                    before = cpu_seconds(pid)
                    for _ in range(calls):
                        if await status(ports[name], context) != 200:
                            raise SystemExit("a good device was refused")
                    found[name].append((cpu_seconds(pid) - before) / calls * 1e6)
    best = {name: sorted(values)[len(values) // 2] for name, values in found.items()}
    return best | {"ratio": best["with"] / best["without"]}


@asynccontextmanager
async def envoy(path: Path, files: Files) -> AsyncIterator[int]:
    """An Envoy of its own; yields its process id."""
    argv = [str(binary(SETTINGS)), "-c", str(path), "--concurrency", "1", "--disable-hot-restart"]
    async with running([*argv, "--log-level", "error"], os.environ, log=files.folder / f"{path.stem}.log") as process:
        yield process.pid


SETTINGS = Settings(
    listen=Listen("127.0.0.1", 1),
    server_certificate=Path("crt"),
    server_key=Path("key"),
    tenant_ca=Path("ca"),
    upstream=Upstream("http", "127.0.0.1", 1),
)


def config(workshop: Workshop, files: Files, name: str, port: int, upstream: int, count: int) -> Path:
    """A whole configuration of Envoy, with the denylist's filter or without."""
    paths = RuntimePaths(workshop.folder / name)
    paths.directory.mkdir()
    serials = frozenset(secrets.token_hex(19).rjust(40, "0").encode() for _ in range(count))
    denylist = write_denylist(Denied(serials), {}, paths, ignores_end=False)
    read = {key: (files.folder / f"{key}.pem").read_bytes() for key in ("crt", "key", "ca")}
    material = Material(read["crt"], read["key"], read["ca"], denylist)
    settings = replace(SETTINGS, listen=Listen("127.0.0.1", port), upstream=Upstream("http", "127.0.0.1", upstream))
    made = whole(settings, paths, Machine(has_ipv6=False), material)
    if name == "without":
        http = made["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        http["http_filters"] = [item for item in http["http_filters"] if item["name"] != "denylist"]
        for route in http["route_config"]["virtual_hosts"][0]["routes"]:
            route.get("typed_per_filter_config", {}).pop("denylist", None)
    path = workshop.folder / f"{name}.json"
    path.write_text(json.dumps(made))
    return path


async def measure(options: argparse.Namespace) -> Report:
    report = Report({"in_force": []})
    with Workshop.opened() as workshop:
        files = Files.make(workshop.folder)
        wanted = [("denylist", count) for count in options.serials] + [("CRL", count) for count in options.entries]
        for what, count in wanted:
            found = await in_force(workshop, files, what, count)
            goal = 3 if count >= 1_000_000 else 1
            good = found.seconds <= goal
            report.row(f"{what} of {count} in force", f"{found.seconds:.2f} s", f"<= {goal} s", good=good)
            report.note(f"Envoy {found.envoy_mb:.0f} MB, supervisor {found.supervisor_mb:.0f} MB")
            report.values["in_force"].append(asdict(found))
        report.values["cost"] = per_call = await cost(workshop, files, options.serials[0], options.calls)
        more = 100 * (per_call["ratio"] - 1)
        name = f"a call on a fresh connection, denylist of {options.serials[0]}"
        report.row(name, f"{more:.1f} % more", "<= 5 %", good=more <= COST_GOAL)
        report.note(f"Envoy's CPU: {per_call['without']:.0f} µs without the filter, {per_call['with']:.0f} µs with it")
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serials", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--entries", type=int, nargs="*", default=[100_000])
    parser.add_argument("--calls", type=int, default=1500)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    uvloop.run(measure(options)).save(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
