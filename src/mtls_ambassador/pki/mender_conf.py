"""`mender.conf` for a device with a certificate: pure text in, text out.

Decided by what both lines of Mender's client read: the Go client (3.x) takes keys in any case and of two equal keys the
last; the C++ client (4.x and later) takes Mender's own spelling alone, signs with a key of its own unless
`Security.AuthPrivateKey` names another, and refuses `Servers` beside `ServerURL` whatever they hold.
"""

import json
import re
from typing import NoReturn
from urllib.parse import urlsplit

from mtls_ambassador.model.errors import AmbassadorError, UsageError

NAME = "mender.conf"


def merge(  # noqa: PLR0913 - one argument for each key of the file
    existing: str | None,
    *,
    server_url: str,
    certificate_path: str,
    key_path: str,
    tenant_token: str | None = None,
    server_certificate: str | None = None,
    source: str = NAME,
) -> str:
    """`existing` (None: an empty one) with this server and this certificate; every other key, and the order, stay.

    The paths are those on the device; `key_path` may be a `pkcs11:` URI (RFC 7512). None leaves the tenant token, or
    the file of CAs the server is checked by, as they are. A list `Servers` of at most one stays a list; a longer one is
    the user's and must name `server_url` already. `source` names the file in errors.

    Raises UsageError for a URL or path no client could use, and AmbassadorError for what is not one JSON object, with
    line and column, and for what the clients themselves refuse or read in two ways. Nothing is guessed then.
    """
    _check_url(server_url)
    _check_path("certificate", certificate_path)
    if not key_path.startswith("pkcs11:"):
        _check_path("key", key_path)
    conf = {} if existing is None else read_object(existing, source)
    _set_server(conf, server_url, source)
    if tenant_token is not None:
        _set(conf, "TenantToken", tenant_token)
    if server_certificate is not None:
        _check_path("server certificate", server_certificate)
        _set(conf, "ServerCertificate", server_certificate)
    _set_in(conf, "HttpsClient", {"Certificate": certificate_path, "Key": key_path}, source)
    _set_in(conf, "Security", {"AuthPrivateKey": key_path}, source)
    return json.dumps(conf, indent=2, ensure_ascii=False) + "\n"


def _check_url(url: str) -> None:
    if not _usable(url):
        raise UsageError(f'"{url}" is no address of a gateway; right is https://HOST or https://HOST:PORT')


def _usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    extra = parts.username is not None or parts.query or parts.fragment or re.search(r"[^\x21-\x7e]", url)
    return parts.scheme == "https" and bool(parts.hostname) and port != 0 and not extra


def _check_path(what: str, path: str) -> None:
    if not path.startswith("/") or re.search(r"[\x00-\x1f\x7f]", path):
        raise UsageError(
            f'the {what} path "{path}" must be the whole path on the device, such as /data/mender/{what}.pem'
        )


def read_object(text: str, source: str) -> dict[str, object]:
    """The JSON object in a mender.conf. Raises AmbassadorError for what is not one, or is read in two ways."""
    try:
        conf = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number, parse_float=_number)
        text_again = json.dumps(conf, ensure_ascii=False)
        text_again.encode()
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise AmbassadorError(f"{source}: {place}: not JSON: {error.msg}") from None
    except UnicodeEncodeError:
        raise AmbassadorError(f"{source}: a text in it holds half a character (\\ud800 to \\udfff)") from None
    except _RefusedError as error:
        raise AmbassadorError(f"{source}: {error}") from None
    except (RecursionError, ValueError):
        raise AmbassadorError(f"{source}: nested too deeply, or a number too long") from None
    if not isinstance(conf, dict):
        raise AmbassadorError(f"{source}: must hold one JSON object in braces")
    return conf


class _RefusedError(Exception):
    """JSON for Python, not for the clients; the text says what."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    seen: set[str] = set()
    for key, _ in pairs:
        if key.lower() in seen:
            raise _RefusedError(f'the key "{key}" is there twice in one object; keep the one that is meant')
        seen.add(key.lower())
    return dict(pairs)


def _no_number(text: str) -> NoReturn:
    raise _RefusedError(f"{text} is no JSON")


def _number(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _RefusedError(f"the number {text[:40]} is too large")
    return number


def _set_server(conf: dict[str, object], url: str, source: str) -> None:
    servers = _key(conf, "Servers")
    if servers is None:
        _set(conf, "ServerURL", url)
        return
    if _key(conf, "ServerURL") is not None:
        raise AmbassadorError(
            f"{source}: has both Servers and ServerURL, which Mender's client refuses; keep one of them"
        )
    listed = conf[servers]
    entries = listed if isinstance(listed, list) else []
    if (listed is not None and not isinstance(listed, list)) or not all(isinstance(each, dict) for each in entries):
        raise AmbassadorError(f'{source}: Servers must be a list of objects such as {{"ServerURL": "{url}"}}')
    if len(entries) > 1:
        _check_listed(entries, url, source)
        _set(conf, "Servers", entries)
    else:
        entry = dict(entries[0]) if entries else {}
        _set(entry, "ServerURL", url)
        _set(conf, "Servers", [entry])


def _check_listed(entries: list[dict[str, object]], url: str, source: str) -> None:
    """Servers other than the gateway are refused unless the user put the gateway among them: every one of them is shown
    the certificate, and which of them to replace only the user knows.
    """
    for entry in entries:
        if (key := _key(entry, "ServerURL")) is not None:
            _set(entry, "ServerURL", entry[key])
    urls = [str(entry.get("ServerURL", "")).rstrip("/") for entry in entries]
    if url.rstrip("/") not in urls:
        raise AmbassadorError(
            f"{source}: Servers lists {len(entries)} servers, {url} not among them; put it there, or leave one"
        )


def _set_in(conf: dict[str, object], name: str, values: dict[str, str], source: str) -> None:
    """Set members of the object `name`, keeping its others."""
    key = _key(conf, name)
    inner = {} if key is None or conf[key] is None else conf[key]
    if not isinstance(inner, dict):
        raise AmbassadorError(f"{source}: {name} must be an object in braces")
    for member, value in values.items():
        _set(inner, member, value)
    _set(conf, name, inner)


def _set(members: dict[str, object], name: str, value: object) -> None:
    """Set `name` where it stood, in Mender's spelling whatever it was; at the end when it was not there."""
    old = _key(members, name)
    if old is None or old == name:
        members[name] = value
        return
    items = [(name, value) if key == old else (key, kept) for key, kept in members.items()]
    members.clear()
    members.update(items)


def _key(members: dict[str, object], name: str) -> str | None:
    """The key as it is spelt there; None when it is not there in any case."""
    return next((key for key in members if key.lower() == name.lower()), None)
