"""The words for why somebody was refused, by kind and code; one list with log, metric and `device why`."""

from dataclasses import dataclass
from functools import cache

from mtls_ambassador.model.reason import Reason, Verdict
from mtls_ambassador.model.refusal import CallCause, HandshakeCause, RefusalKind

WHERE = {
    RefusalKind.HANDSHAKE: "TLS handshake",
    RefusalKind.CALL: "a call",
    RefusalKind.AUTH_REQUEST: "auth request",
}


@dataclass(frozen=True, slots=True)
class Words:
    """A cause for people."""

    text: str
    hint: str = ""


@cache
def words(kind: str, code: str) -> Words:
    """What it means and what to do; a code of another version stands for itself."""
    return _known().get((kind, code)) or Words(code[:64] or "unknown")


def where(kind: str) -> str:
    """What the device was doing."""
    return WHERE[RefusalKind(kind)]


def verdict_of(code: str) -> Verdict:
    """What an auth request's reason meant for the device."""
    found = Reason.with_code(code)
    return found.verdict if found else Verdict.REFUSED


def choices() -> dict[str, list[tuple[str, str]]]:
    """Every cause by where it shows, for the filter: code and words."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for (kind, code), said in _known().items():
        groups.setdefault(WHERE[RefusalKind(kind)], []).append((code, said.text))
    return groups


def hint(code: str) -> str:
    """What to do about a cause, whatever it kept a device from."""
    return next((said.hint for (_, known), said in _known().items() if known == code and said.hint), "")


@cache
def _known() -> dict[tuple[str, str], Words]:
    found = {(RefusalKind.HANDSHAKE.value, item.code): Words(item.text, item.hint) for item in HandshakeCause}
    calls = {(RefusalKind.CALL.value, item.code): Words(item.text) for item in CallCause}
    asked = {
        (RefusalKind.AUTH_REQUEST.value, item.code): Words(item.text, item.hint)
        for item in Reason
        if item.verdict is not Verdict.GRANTED
    }
    return found | calls | asked
