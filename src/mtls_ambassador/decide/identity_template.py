"""May a certificate speak for an identity by the operator's template? The grammar is `settings/template.py`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mtls_ambassador.settings.template import Placeholder, Rule, parse_template


@dataclass(frozen=True, slots=True)
class IdentityTemplate:
    """A parsed template: parse once, ask often."""

    rules: tuple[Rule, ...]

    @classmethod
    def parse(cls, text: str) -> "IdentityTemplate":
        """Read `key=pattern[,key=pattern...]`; ValueError says what is wrong."""
        return cls(parse_template(text))

    def matches(self, identity: Mapping[str, object], certificate: Mapping[str, Sequence[str]]) -> bool:
        """Whether every rule holds: the identity has the key, as text, and the text is what the certificate gives.

        Fails closed: a missing key, a value that is not text, a field the certificate lacks or has empty: no match.
        A field with several values (two DNS names) may match with any one of them. Case counts, because two
        spellings are two devices for Mender, except in `{serial}`, whose hexadecimal digits are the same number in
        either case, with or without a leading zero.
        """
        return all(_rule_holds(rule, identity, certificate) for rule in self.rules)


def _rule_holds(rule: Rule, identity: Mapping[str, object], certificate: Mapping[str, Sequence[str]]) -> bool:
    value = identity.get(rule.key)
    if not isinstance(value, str):
        return False
    positions = {0}
    for piece in rule.pattern:
        texts = _texts(piece, certificate)
        positions = {at + len(text) for at in positions for text in texts if value.startswith(text, at)}
    return len(value) in positions


def _texts(piece: str | Placeholder, certificate: Mapping[str, Sequence[str]]) -> Iterable[str]:
    if not isinstance(piece, Placeholder):
        return [piece]
    texts = {text for text in certificate.get(piece, ()) if text}
    if piece is Placeholder.SERIAL:
        return {form for text in texts for form in _serial_forms(text)}
    return texts


def _serial_forms(text: str) -> set[str]:
    """The usual ways to write one number: either case, as digits or as whole octets."""
    digits = text.lstrip("0") or "0"
    octets = digits.zfill(len(digits) + len(digits) % 2)
    return {form for plain in (digits, octets) for form in (plain.lower(), plain.upper())}
