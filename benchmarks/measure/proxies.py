"""The proxies compared: ours, a bare Envoy, nginx, HAProxy and Go's ReverseProxy; each on one core, all asked alike.

All demand a client certificate of the same CA, resume no session, prefer the same cipher, keep connections to the same
upstream open, and write no log of calls.
"""

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure.crl import crl_of
from measure.devices import open_port
from measure.gateway import Files, gateway
from measure.processes import SERVICE_CORE, Workshop, children, cpu_seconds, free_port, pss_megabytes, running
from mtls_ambassador.decide.denylist import Denied
from mtls_ambassador.envoy import tls
from mtls_ambassador.envoy.material import Material
from mtls_ambassador.envoy.place import RuntimePaths
from mtls_ambassador.envoy.process import binary
from mtls_ambassador.flows.compile_denylist import write_denylist
from mtls_ambassador.settings import Listen, Settings, Upstream

OURS = {"ours": True, "ours, no CRL": False}
"""With a denylist and the ledger; and whether with a CRL, that every handshake then asks."""
NAMES = (*OURS, "bare Envoy", "Go ReverseProxy", "nginx", "HAProxy")
PACKAGES = {"nginx": "nginx-light", "HAProxy": "haproxy"}
POLICY = Path("/usr/sbin/policy-rc.d")
GO_SOURCE = Path(__file__).parents[1] / "peers" / "reverseproxy.go"
CIPHERS = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
"""The cheapest first, as Envoy and Go choose by themselves."""
HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
UPSTREAM_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
CORES = 1
STRANGERS, REVOKED = 10_000, 100
"""Serials in the denylist, and in the CRL."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """One that runs."""

    name: str
    port: int
    pids: dict[str, int]
    """By part, where it has parts."""

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU so far, by part."""
        return {part: cpu_seconds(pid) for part, pid in self.pids.items()}

    def kilobytes(self) -> float:
        """Proportional set size of all parts."""
        return sum(pss_megabytes(pid) for pid in self.pids.values()) * 1000


@dataclass(frozen=True, slots=True)
class Bench:
    """What all proxies are given."""

    workshop: Workshop
    files: Files
    upstream: int

    @asynccontextmanager
    async def proxy(self, name: str) -> AsyncIterator[Proxy]:
        """Start one on the measured core; it is gone afterwards."""
        if name in OURS:
            async with self._gateway(name) as ours:
                yield ours
            return
        port = free_port()
        folder = self.workshop.folder / f"proxy-{port}"
        folder.mkdir()
        log = folder / "log"
        argv = _COMMANDS[name](self, folder, port)
        async with running(
            argv, self.workshop.environ({"GOMAXPROCS": str(CORES)}), core=SERVICE_CORE, log=log
        ) as process:
            open_port(port, log)
            pids = [process.pid, *children(process.pid)]
            yield Proxy(name, port, {str(number): pid for number, pid in enumerate(pids)})

    @asynccontextmanager
    async def _gateway(self, name: str) -> AsyncIterator[Proxy]:
        folder = self.files.folder
        (folder / "denied").write_text("".join(f"{number:040x}\n" for number in range(1, STRANGERS + 1)))
        more = {"MTLS_BLACKLIST_PATH": str(folder / "denied")}
        if OURS[name]:
            (folder / "crl.pem").write_bytes(crl_of(self.files.ca, list(range(1, REVOKED + 1))))
            more["MTLS_CRL_PATH"] = str(folder / "crl.pem")
        state = folder / f"state-{free_port()}"
        upstream = f"http://127.0.0.1:{self.upstream}"
        async with gateway(self.workshop, self.files, upstream, state, more, core=SERVICE_CORE) as at:
            port = int(at.url.rpartition(":")[2])
            yield Proxy(name, port, at.parts())


def install() -> None:
    """Get nginx and HAProxy by apt, where they are not and we may; they are not started as services of the machine."""
    missing = [package for name, package in PACKAGES.items() if _program(name) is None]
    if not missing or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    print(f"installing {' '.join(missing)} by apt, not started as services of the machine", flush=True)
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with _no_service_starts():
        subprocess.run(["apt-get", "update", "-qq"], env=environ, check=False)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, check=False)


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Debian starts what it installs, unless this file says no (invoke-rc.d(8)); one that is there is left alone."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    try:
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink()


def can_run(name: str) -> bool:
    """Whether the program is here, or can be built here."""
    return name in {*OURS, "bare Envoy"} or _program(name) is not None


def _program(name: str) -> str | None:
    """Debian keeps servers where only root looks."""
    program = {"Go ReverseProxy": "go"}.get(name, name.lower())
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/go/bin")


def _nginx(bench: Bench, folder: Path, port: int) -> list[str]:
    text = f"""
daemon off; master_process on; worker_processes {CORES}; worker_rlimit_nofile 16384; pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000; keepalive_timeout 600s;
  upstream mender {{ server 127.0.0.1:{bench.upstream}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {bench.files.folder}/crt.pem; ssl_certificate_key {bench.files.folder}/key.pem;
    ssl_client_certificate {bench.files.folder}/ca.pem; ssl_verify_client on;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off; ssl_session_tickets off;
    ssl_prefer_server_ciphers on; ssl_conf_command Ciphersuites {CIPHERS};
    location /api/devices/ {{
      proxy_pass http://mender; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_max_temp_file_size 0;
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
"""
    (folder / "nginx.conf").write_text(text)
    return [_program("nginx") or "nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]


def _haproxy(bench: Bench, folder: Path, port: int) -> list[str]:
    pair = folder / "pair.pem"
    pair.touch(mode=0o600)
    pair.write_bytes(b"".join((bench.files.folder / f"{part}.pem").read_bytes() for part in ("crt", "key")))
    text = f"""
global
  nbthread {CORES}
  maxconn 8000
  tune.ssl.cachesize 0
  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
  ssl-default-bind-ciphersuites {CIPHERS}
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  http-reuse always
frontend devices
  bind 127.0.0.1:{port} ssl crt {pair} ca-file {bench.files.folder}/ca.pem verify required
  option forwardfor
  default_backend mender
backend mender
  server mender 127.0.0.1:{bench.upstream}
"""
    (folder / "haproxy.cfg").write_text(text)
    return [_program("HAProxy") or "haproxy", "-db", "-f", str(folder / "haproxy.cfg")]


def _go(bench: Bench, folder: Path, port: int) -> list[str]:
    program, source = bench.workshop.folder / "reverseproxy", GO_SOURCE
    if not program.exists():
        environ = os.environ | {"GOCACHE": str(folder / "go"), "GOFLAGS": "-mod=mod", "GO111MODULE": "off"}
        subprocess.run([_program("Go ReverseProxy") or "go", "build", "-o", program, source], env=environ, check=True)
    keys = [str(bench.files.folder / f"{part}.pem") for part in ("crt", "key", "ca")]
    return [str(program), f"127.0.0.1:{port}", f"http://127.0.0.1:{bench.upstream}", *keys]


def _bare_envoy(bench: Bench, folder: Path, port: int) -> list[str]:
    """What it takes to demand a certificate and pass calls on; our TLS parameters."""
    path = folder / "envoy.json"
    path.write_text(json.dumps(_bare(bench, folder, port)))
    argv = [str(binary(_SETTINGS)), "-c", str(path), "--concurrency", str(CORES), "--disable-hot-restart"]
    return [*argv, "--log-level", "error"]


_SETTINGS = Settings(
    listen=Listen("127.0.0.1", 1),
    server_certificate=Path("crt"),
    server_key=Path("key"),
    tenant_ca=Path("ca"),
    upstream=Upstream("http", "127.0.0.1", 1),
)


def _bare(bench: Bench, folder: Path, port: int) -> dict[str, Any]:
    paths = RuntimePaths(folder / "runtime")
    paths.directory.mkdir()
    read = {name: (bench.files.folder / f"{name}.pem").read_bytes() for name in ("crt", "key", "ca")}
    nobody = write_denylist(Denied(frozenset()), {}, paths, ignores_end=False)
    material = Material(read["crt"], read["key"], read["ca"], nobody)
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "mender", "timeout": "0s"}}]
    manager = {
        "@type": HTTP,
        "stat_prefix": "devices",
        "route_config": {"virtual_hosts": [{"name": "devices", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": ROUTER}}],
    }
    listener = {
        "address": _socket(port),
        "filter_chains": [
            {
                "transport_socket": tls.device_side(_SETTINGS, material, paths),
                "filters": [{"name": "http", "typed_config": manager}],
            }
        ],
    }
    endpoint = {"lb_endpoints": [{"endpoint": {"address": _socket(bench.upstream)}}]}
    cluster = {
        "name": "mender",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "mender", "endpoints": [endpoint]},
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _socket(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


_COMMANDS = {"nginx": _nginx, "HAProxy": _haproxy, "Go ReverseProxy": _go, "bare Envoy": _bare_envoy}
