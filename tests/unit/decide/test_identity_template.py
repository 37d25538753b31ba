import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtls_ambassador.decide.identity_template import IdentityTemplate
from mtls_ambassador.settings.template import Placeholder

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
FIELDS = st.dictionaries(st.sampled_from([item.value for item in Placeholder]), st.lists(NAMES, max_size=3))


def matches(template: str, identity: dict[str, object], **fields: list[str]) -> bool:
    return IdentityTemplate.parse(template).matches(identity, fields)


def test_one_key() -> None:
    assert matches("mac={cn}", {"mac": "52:54"}, cn=["52:54"])
    assert matches("mac={cn}", {"mac": "52:54", "other": 1}, cn=["52:54"])
    assert not matches("mac={cn}", {"mac": "52:55"}, cn=["52:54"])


@pytest.mark.parametrize("identity", [{}, {"mac": None}, {"mac": 5}, {"mac": ["5"]}, {"mac": ""}, {"MAC": "5"}])
def test_anything_but_the_text_itself_fails_closed(identity: dict[str, object]) -> None:
    assert not matches("mac={cn}", identity, cn=["5"])


def test_a_field_the_certificate_lacks_or_has_empty_fails_closed() -> None:
    assert not matches("mac={cn}", {"mac": ""})
    assert not matches("mac={cn}", {"mac": ""}, cn=[])
    assert not matches("mac={cn}", {"mac": ""}, cn=[""])
    assert not matches("mac=x{cn}", {"mac": "x"}, cn=[""])


def test_every_rule_must_hold() -> None:
    template, names = "mac={cn},maker={o}", {"cn": ["m"], "o": ["Acme"]}
    assert matches(template, {"mac": "m", "maker": "Acme"}, **names)
    assert not matches(template, {"mac": "m", "maker": "Other"}, **names)
    assert not matches(template, {"mac": "m"}, **names)


def test_any_one_of_several_values() -> None:
    assert matches("host={san_dns}", {"host": "b"}, san_dns=["a", "b"])
    assert not matches("host={san_dns}", {"host": "ab"}, san_dns=["a", "b"])


def test_case_counts_but_for_the_hex_of_a_serial() -> None:
    assert not matches("id={cn}", {"id": "DEV"}, cn=["dev"])
    for text in ("abc", "ABC", "0abc", "0ABC"):
        assert matches("id={serial}", {"id": text}, serial=["abc"])
    for text in ("00abc", "abd", "bc", "aBc"):
        assert not matches("id={serial}", {"id": text}, serial=["abc"])


def test_braces_in_a_certificate_are_plain_text() -> None:
    assert matches("id={cn}", {"id": "{serial}"}, cn=["{serial}"], serial=["1"])
    assert not matches("id={cn}", {"id": "1"}, cn=["{serial}"], serial=["1"])


@settings(deadline=None)
@given(NAMES, NAMES)
def test_a_lone_common_name_matches_itself_and_nothing_else(name: str, other: str) -> None:
    assert matches("id={cn}", {"id": name}, cn=[name])
    assert matches("id={cn}", {"id": other}, cn=[name]) is (name == other)


@settings(deadline=None)
@given(FIELDS, st.lists(st.sampled_from(list(Placeholder)), min_size=1, max_size=4), st.data())
def test_every_expansion_matches_and_a_longer_one_does_not(
    fields: dict[str, list[str]], pieces: list[Placeholder], data: st.DataObject
) -> None:
    template = "id=" + "-".join(f"{{{piece}}}" for piece in pieces)
    if any(not fields.get(piece) for piece in pieces):
        assert not matches(template, {"id": "-"}, **fields)
        return
    plain = {**fields, "serial": ["1f"]}
    chosen = "-".join(data.draw(st.sampled_from(plain[piece])) for piece in pieces)
    assert matches(template, {"id": chosen}, **plain)
    longest = "-".join(max(plain[piece], key=len) for piece in pieces)
    assert not matches(
        template, {"id": longest + "\0"}, **{k: [v.replace("\0", "0") for v in vs] for k, vs in plain.items()}
    )
