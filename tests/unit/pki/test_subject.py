"""Subject templates, as they are written on the command line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.model.errors import UsageError
from mtls_ambassador.pki.subject import fill, make_name, parse_subject, text_of


def test_a_template_is_read_and_filled() -> None:
    fields = parse_subject("CN={name}, O=My\\, Organization,emailAddress={name}@example.com")
    assert fill(fields, "n") == (("CN", "n"), ("O", "My, Organization"), ("emailAddress", "n@example.com"))


def test_a_name_is_never_taken_for_a_template() -> None:
    assert fill((("CN", "{name}"), ("OU", "{other}")), r"{name}\1") == (("CN", r"{name}\1"), ("OU", "{other}"))


@pytest.mark.parametrize("text", ["", "CN", "CN=", "XX=a", "=a", "CN=a,,O=b", "CN=a,"])
def test_what_is_no_template_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="FIELD=VALUE"):
        parse_subject(text)


@pytest.mark.parametrize("field", [("C", "NOR"), ("CN", "a" * 65), ("CN", ""), ("CN", "a\nb"), ("XX", "a")])
def test_values_x509_does_not_allow_are_told(field: tuple[str, str]) -> None:
    with pytest.raises(UsageError):
        make_name((field,))


@given(st.text(min_size=1, max_size=70), st.sampled_from(["CN", "C", "serialNumber", "emailAddress", "O", "DC"]))
def test_any_value_makes_a_name_or_a_usage_error(value: str, short: str) -> None:
    try:
        name = make_name(((short, value),))
    except UsageError:
        return
    assert text_of(name).startswith(f"{short}=")
