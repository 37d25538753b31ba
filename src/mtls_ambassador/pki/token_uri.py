"""`pkcs11:` URIs (RFC 7512), as far as they name a key and the module that reaches it."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, unquote_to_bytes

from mtls_ambassador.model.errors import AmbassadorError, UsageError

_PATH = {"token", "object", "id", "serial", "type", "manufacturer", "model"}
_QUERY = {"module-path", "pin-source"}


@dataclass(frozen=True, slots=True)
class TokenUri:
    """What a URI says; empty where it says nothing."""

    text: str
    token: str = ""
    serial: str = ""
    object: str = ""
    id: bytes = b""
    module: str = ""
    """The path of the module's shared library."""
    pin_source: str = ""


def parse_token_uri(text: str) -> TokenUri:
    """What the URI names. Raises UsageError; a PIN inside it is refused, and not repeated."""
    scheme, colon, rest = text.partition(":")
    path, _, query = rest.partition("?")
    if not colon or scheme != "pkcs11":
        raise UsageError(f"{text!r} is no pkcs11: URI; right is pkcs11:token=NAME;object=NAME?module-path=/PATH.so")
    if "pin-value" in query:
        raise UsageError("a pkcs11: URI must not hold a PIN, which others would see; use pin-source= or MTLS_CA_PIN")
    values = _pairs(text, path, ";", _PATH) | _pairs(text, query, "&", _QUERY)
    if not values.get("module-path"):
        raise UsageError(f"{text!r} must end in ?module-path=/PATH.so, the library that speaks to the token")
    if "object" not in values and "id" not in values:
        raise UsageError(f"{text!r} must name the key by object= or id=")
    if not values.get("token") and not values.get("serial"):
        raise UsageError(f"{text!r} must name the token by token= or serial=")
    return TokenUri(
        text=text,
        token=unquote(values.get("token", "")),
        serial=unquote(values.get("serial", "")),
        object=unquote(values.get("object", "")),
        id=unquote_to_bytes(values.get("id", "")),
        module=unquote(values["module-path"]),
        pin_source=unquote(values.get("pin-source", "")),
    )


def with_module(text: str, module: str) -> str:
    """The URI with the module's path in it, unless it names one."""
    if not module or "module-path=" in text:
        return text
    return f"{text}{'&' if '?' in text else '?'}module-path={quote(module, safe='/')}"


def pin_from_source(uri: TokenUri) -> str | None:
    """The PIN in the file of `pin-source=`; None when the URI has none. Raises AmbassadorError."""
    if not uri.pin_source:
        return None
    path = Path(uri.pin_source.removeprefix("file://").removeprefix("file:"))
    try:
        return path.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise AmbassadorError(f"pin-source={path}: cannot be read: {error}") from error


def _pairs(text: str, part: str, separator: str, known: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in filter(None, part.split(separator)):
        name, equals, value = item.partition("=")
        if not equals or name in found:
            raise UsageError(f"{text!r}: {item!r} must be NAME=VALUE, each name once")
        if name not in known:
            raise UsageError(f"{text!r}: {name} is not understood; these are: {', '.join(sorted(known))}")
        found[name] = value
    return found
