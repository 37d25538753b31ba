"""Is the Mender server there, is it trusted, and may the gateway do there what it must? Nothing is changed on it."""

import asyncio
import datetime as dt
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from uuid import UUID

from mtls_ambassador.mender.client import MenderClient
from mtls_ambassador.mender.transport import Answer
from mtls_ambassador.model.device import AuthSetStatus
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.finding import Finding, Level, fail, ok, warn
from mtls_ambassador.model.reason import Reason, RefusedError
from mtls_ambassador.settings import Settings

PROBE_PATH = "/api/management/v1/useradm/users/me"
"""Without a login Mender answers 401 in its own error shape."""
CLOCK_TOLERANCE = dt.timedelta(minutes=5)
_NOBODY = str(UUID(int=0))
"""No device or auth set has this id."""
_HEADLINES = {
    Reason.UPSTREAM_UNREACHABLE: "check address, port and firewall",
    Reason.UPSTREAM_SLOW: "check the network, or raise MTLS_UPSTREAM_TIMEOUT",
}
_SSL_NOISE = re.compile(r"\[SSL: \w+\] certificate verify failed: |\(_ssl\.c:\d+\)")
_TLS_REMEDIES = {
    "expired": "renew the Mender server's certificate",
    "not yet valid": "check this machine's clock",
    "mismatch": "set MTLS_MENDER_BACKEND to a name that stands in the Mender server's certificate",
    "doesn't match": "set MTLS_MENDER_BACKEND to a name that stands in the Mender server's certificate",
    "self-signed": "give that certificate, or the CA at its top, by MTLS_MENDER_CERT",
    "self signed": "give that certificate, or the CA at its top, by MTLS_MENDER_CERT",
    "issuer certificate": "give the CA it chains to by MTLS_MENDER_CERT, or let the server send its intermediates",
}


async def check_upstream(settings: Settings, now: dt.datetime) -> AsyncIterator[Finding]:
    """From the name to the permissions; the first failure ends it, because the rest would only repeat it."""
    reach = await check_reachable(settings)
    yield reach
    if reach.level is Level.FAIL:
        return
    try:
        async with MenderClient.open(settings) as client:
            answer = await client.transport.call("GET", PROBE_PATH, headers={})
            yield tls_finding(settings)
            yield mender_finding(answer)
            yield clock_finding(answer, now)
            async for finding in check_login(client, settings):
                yield finding
    except RefusedError as error:
        yield refusal_finding("Mender server", error)
    except AmbassadorError as error:
        yield fail("Mender server TLS", str(error), "give a PEM file")


async def check_reachable(settings: Settings) -> Finding:
    """DNS, then TCP."""
    name, upstream = "Mender server", settings.upstream
    loop = asyncio.get_running_loop()
    wait = settings.limits.upstream_connect_timeout
    try:
        found = await asyncio.wait_for(loop.getaddrinfo(upstream.host, upstream.port, type=socket.SOCK_STREAM), wait)
    except TimeoutError:
        return fail(f"{name} name", f"{upstream.host}: no answer from DNS", "check this machine's resolver")
    except OSError as error:
        right = "check the spelling of MTLS_MENDER_BACKEND and this machine's DNS"
        return fail(f"{name} name", f"{upstream.host} has no address: {error.strerror}", right)
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(upstream.host, upstream.port), wait)
    except TimeoutError:
        return fail(f"{name} address", f"{upstream} does not answer in {wait:g} s", "check address, port and firewall")
    except OSError as error:
        return fail(f"{name} address", f"{upstream}: {error}", "check address, port and firewall")
    writer.close()
    addresses = sorted({str(item[4][0]) for item in found})
    return ok(f"{name} address", f"{upstream} accepts connections ({', '.join(addresses)})")


def tls_finding(settings: Settings) -> Finding:
    """What protects the way to a server that has just answered."""
    name = "Mender server TLS"
    if not settings.upstream.is_tls:
        return warn(name, "none, plain http", "use https")
    if settings.upstream_skip_verify:
        return warn(name, "its certificate was not checked", "unset MTLS_INSECURE_SKIP_VERIFY")
    trust = str(settings.upstream_ca) if settings.upstream_ca else "the system's trust store"
    return ok(name, f"its certificate is trusted by {trust}")


def mender_finding(answer: Answer) -> Finding:
    """Whether the answer to a call without login is Mender's."""
    name = "Mender server kind"
    try:
        body = json.loads(answer.body)
    except ValueError:
        body = None
    if answer.status == HTTPStatus.UNAUTHORIZED and isinstance(body, dict) and "error" in body:
        return ok(name, "answers like Mender")
    seen = f"HTTP {answer.status} where Mender answers 401 with its error as JSON"
    return warn(name, seen, "check that MTLS_MENDER_BACKEND is a Mender server and not a page in front of it")


def clock_finding(answer: Answer, now: dt.datetime) -> Finding:
    """The clock of this machine against the Date header (RFC 9110 section 6.6.1): certificates depend on it."""
    try:
        theirs = parsedate_to_datetime(answer.headers.get("Date", ""))
        apart = abs(theirs - now)
    except (ValueError, TypeError):
        return ok("clock", "the Mender server sent no date to compare with")
    if apart > CLOCK_TOLERANCE:
        seen = f"this machine says {now:%Y-%m-%d %H:%M} UTC, the Mender server {theirs:%Y-%m-%d %H:%M}"
        return warn("clock", seen, "set the clock: validity of certificates is judged by it")
    return ok("clock", "agrees with the Mender server's to 5 minutes")


async def check_login(client: MenderClient, settings: Settings) -> AsyncIterator[Finding]:
    """Log in, then ask for each permission with a call that changes nothing."""
    who = "token" if settings.mender_token else f"user {settings.mender_user}"
    if settings.mender_token is None and not (settings.mender_user and settings.mender_password):
        return
    try:
        allowed = await client.may_preauthorize()
    except RefusedError as error:
        yield refusal_finding("Mender login", error)
        return
    yield ok("Mender login", f"{who} is let in")
    if allowed:
        yield ok("Mender permission", "may preauthorize devices")
    else:
        right = "give its role the preauthorization endpoint (RBAC)"
        yield fail("Mender permission", f"{who} may not preauthorize devices, so no new device gets in", right)
    yield await _permission(
        client.get_device(_NOBODY), "read devices", "reasons of refusals and new keys of known devices need it"
    )
    change = client.set_auth_set_status(_NOBODY, _NOBODY, AuthSetStatus.ACCEPTED)
    yield await _permission(change, "change auth sets", "new keys of known devices wait for a person without it")


async def _permission(call: Awaitable[object], what: str, why: str) -> Finding:
    """REFUSED_UPSTREAM means the call got through to a device that does not exist."""
    try:
        await call
    except RefusedError as error:
        if error.reason is Reason.NOT_PERMITTED:
            return warn("Mender permission", f"may not {what}: {why}", "give its role that permission (RBAC)")
        if error.reason is not Reason.REFUSED_UPSTREAM:
            return refusal_finding("Mender permission", error)
    return ok("Mender permission", f"may {what}")


def refusal_finding(name: str, error: RefusedError) -> Finding:
    """A refusal in the words of the person who can mend it."""
    if error.reason is Reason.UPSTREAM_UNTRUSTED:
        detail = error.detail.lower()
        right = next((text for mark, text in _TLS_REMEDIES.items() if mark in detail), "check the server's certificate")
        seen = _SSL_NOISE.sub("", error.detail).strip(" .")
        return fail("Mender server TLS", f"its certificate is not trusted: {seen}", right)
    if error.reason is Reason.LOGIN_REFUSED:
        right = "check MTLS_MENDER_USER and MTLS_MENDER_PASS, or MTLS_MENDER_TOKEN; the user needs a login without 2FA"
        return fail("Mender login", str(error), right)
    return fail(name, str(error), _HEADLINES.get(error.reason, "look into the Mender server's own logs"))
