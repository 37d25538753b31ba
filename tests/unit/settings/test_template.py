import pytest

from mtls_ambassador.settings.template import Placeholder, Rule, parse_template


def test_rules() -> None:
    assert parse_template("mac={cn}, sn=X-{serial}/{o}") == (
        Rule("mac", (Placeholder.CN,)),
        Rule("sn", ("X-", Placeholder.SERIAL, "/", Placeholder.O)),
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not key=pattern"),
        ("mac", "not key=pattern"),
        ("mac=", "not key=pattern"),
        ("={cn}", "not key=pattern"),
        ("mac={cn},", "not key=pattern"),
        ("mac={cn}}", "no partner"),
        ("mac={cn", "no partner"),
        ("mac={{cn}", "no partner"),
        ("mac={}", "not a placeholder"),
        ("mac={CN}", "not a placeholder"),
        ("mac={email}", "known: {cn} {serial} {o} {ou} {san_uri} {san_dns}"),
        ("mac={cn},mac={o}", "appears twice"),
        ("type=router", "would bind nothing"),
    ],
)
def test_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_template(text)
