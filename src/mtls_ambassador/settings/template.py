"""The grammar of an identity template: `key=pattern` pairs joined by commas, such as `mac={cn}` or `sn=X-{serial}`.

A pattern is literal text with placeholders in braces. Commas, braces and, in keys, equal signs cannot be literal
text. What a template means for an identity is decided in `decide/identity_template.py`.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

_PIECE = re.compile(r"\{([^{}]*)\}|([^{}]+)|([{}])")


class Placeholder(StrEnum):
    """A field of the device certificate that a pattern may name."""

    CN = "cn"
    """Subject common name."""
    SERIAL = "serial"
    """Serial number, hexadecimal."""
    O = "o"  # noqa: E741 - the X.520 name of the attribute
    """Subject organization."""
    OU = "ou"
    """Subject organizational unit."""
    SAN_URI = "san_uri"
    """A URI of the subject alternative name."""
    SAN_DNS = "san_dns"
    """A DNS name of the subject alternative name."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One member of the identity and what its value must be: literal texts and placeholders, in order."""

    key: str
    pattern: tuple[str | Placeholder, ...]


def parse_template(text: str) -> tuple[Rule, ...]:
    """The rules of a template; ValueError says which part is wrong.

    Fails closed: a template without any placeholder would bind nothing to the certificate and is refused.
    """
    rules = tuple(_parse_rule(part) for part in text.split(","))
    keys = [rule.key for rule in rules]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f'"{key}" appears twice')
    if not any(isinstance(piece, Placeholder) for rule in rules for piece in rule.pattern):
        raise ValueError("names no placeholder, so it would bind nothing to the certificate")
    return rules


def _parse_rule(text: str) -> Rule:
    key, equals, pattern = text.partition("=")
    if not (equals and key.strip() and pattern.strip()):
        raise ValueError(f'"{text.strip()}" is not key=pattern')
    return Rule(key.strip(), tuple(_parse_pieces(pattern.strip())))


def _parse_pieces(pattern: str) -> list[str | Placeholder]:
    pieces: list[str | Placeholder] = []
    for match in _PIECE.finditer(pattern):
        name, literal, stray = match.groups()
        if stray:
            raise ValueError(f'a "{stray}" in "{pattern}" has no partner')
        pieces.append(literal if name is None else _placeholder(name))
    return pieces


def _placeholder(name: str) -> Placeholder:
    try:
        return Placeholder(name)
    except ValueError:
        known = " ".join(f"{{{item}}}" for item in Placeholder)
        raise ValueError(f"{{{name}}} is not a placeholder; known: {known}") from None
