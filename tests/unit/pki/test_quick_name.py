"""Quick names: byte for byte what the library makes of them."""

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.model.errors import UsageError
from mtls_ambassador.pki.quick_name import quick_name, quick_uri
from mtls_ambassador.pki.subject import OIDS, make_name

PLAIN = st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True)
ANY = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)


@given(st.lists(st.tuples(st.sampled_from(sorted(OIDS)), PLAIN | ANY), max_size=5))
def test_equals_the_library(fields: list[tuple[str, str]]) -> None:
    try:
        name = make_name(tuple(fields))
    except UsageError:
        with pytest.raises(UsageError):
            quick_name(tuple(fields))
        return
    assert quick_name(tuple(fields)) == (name.public_bytes(), name.rfc4514_string())


@given(st.from_regex(r"urn:x:[A-Za-z0-9._:%-]{0,300}", fullmatch=True))
def test_uri_equals_the_library(uri: str) -> None:
    assert quick_uri(uri) == x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]).public_bytes()
