"""What is right and wrong with a mender.conf before it is shipped: facts in, findings out."""

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from mtls_ambassador.model.device_image import ClientConf
from mtls_ambassador.model.finding import Finding, fail, warn

CONF = "mender.conf"
_MENDERS_OWN = ("hosted.mender.io", "eu.hosted.mender.io", "staging.hosted.mender.io", "docker.mender.io")
_EXAMPLES = ("example", "example.com", "example.net", "example.org", "test", "invalid")
"""Reserved by RFC 2606."""
_IN_NAMES = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


def audit_conf(conf: ClientConf, server_url: str) -> Iterator[Finding]:
    """What is to be said of one mender.conf; `server_url` is the gateway's address, or empty when nobody said it."""
    yield from _servers(conf, server_url)
    yield from _pair(conf)
    if conf.is_unverified:
        yield fail(CONF, "SkipVerify is on: the device takes anybody for its server", "remove it")
    if not conf.server_ca:
        yield warn(
            "server CA", "ServerCertificate is not set", "right only if the gateway's certificate is a public CA's"
        )
    for key in conf.misspelt:
        yield fail(CONF, f"{key!r} is in another case than Mender's: clients 4.x and later do not see it")


def _servers(conf: ClientConf, server_url: str) -> Iterator[Finding]:
    if conf.has_both:
        yield fail(CONF, "has both Servers and ServerURL, which the client refuses", "keep one of them")
    if not conf.servers:
        yield fail("server", "mender.conf names no server", "set ServerURL to the gateway's https://HOST")
    for url in conf.servers:
        if fault := url_fault(url):
            yield fail("server", f"{url!r}: {fault}", "set ServerURL to the gateway's https://HOST")
    if server_url and conf.servers and _bare(server_url) not in map(_bare, conf.servers):
        yield fail("server", f"{', '.join(conf.servers)}: is not {server_url}")


def _pair(conf: ClientConf) -> Iterator[Finding]:
    if not conf.certificate or not conf.key:
        yield fail(CONF, "HttpsClient lacks Certificate or Key: the device shows no certificate", "set both")
    if not conf.auth_key:
        right = f"set it to {conf.key or 'the key of the certificate'}"
        yield fail(
            CONF, "Security.AuthPrivateKey is missing: clients 4.x and later sign with a key of their own", right
        )
    elif conf.auth_key != conf.key:
        yield warn(CONF, "Security.AuthPrivateKey is another key than HttpsClient.Key", "two keys to look after")


def _bare(url: str) -> str:
    return url.rstrip("/").lower()


def url_fault(url: str) -> str:
    """Why a device with a certificate cannot reach its gateway at this address; empty when its form is right."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        return f"is no address: {error}"
    if parts.scheme != "https":
        return "must begin with https://"
    if not host or port == 0 or parts.username is not None or parts.query or parts.fragment:
        return "is no address of a server"
    return "has a path; the client adds its own" if parts.path not in {"", "/"} else _host_fault(host)


def _host_fault(host: str) -> str:
    if host in _MENDERS_OWN:
        return "is Mender's own server, which asks no device for a certificate"
    if any(host == name or host.endswith(f".{name}") for name in _EXAMPLES):
        return "is a name for examples, which no device reaches"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        labels = host.split(".")
        is_name = all(label and len(label) < 64 and set(label) <= _IN_NAMES for label in labels)  # noqa: PLR2004 - RFC 1035
        if not is_name:
            return "is no name of a host"
        return "is the device itself" if labels[-1] == "localhost" else ""
    return "is the device itself" if address.is_loopback or address.is_unspecified else ""
