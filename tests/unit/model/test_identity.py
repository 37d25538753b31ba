"""The identity is the one Mender's Go code makes: vectors written by Go's own encoding/json (map in, map out)."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.model.identity import Identity

VECTORS = json.loads((Path(__file__).parents[2] / "golden" / "identities-by-go.json").read_text())
REFUSED_HERE = {"null", "{}"}


@pytest.mark.parametrize(("id_data", "by_go"), VECTORS)
def test_same_text_as_go(id_data: str, by_go: str | None) -> None:
    if by_go is None or id_data in REFUSED_HERE:
        with pytest.raises(ValueError, match=r"\S"):
            Identity.parse(id_data)
        return
    canonical = Identity.parse(id_data).canonical
    assert canonical == by_go


@pytest.mark.parametrize("id_data", ['{"\\ud800":1,"\\udc00":2}', '{"a":' * 40 + "1" + "}" * 40, '{"a":' * 99999])
def test_refuses_what_mender_may_read_otherwise(id_data: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Identity.parse(id_data)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, min_size=1, max_size=4))
def test_canonical_form_is_a_fixed_point_and_spelling_does_not_matter(value: dict[str, object]) -> None:
    identity = Identity.parse(json.dumps(value, indent=2))
    assert Identity.parse(identity.canonical) == identity
    assert Identity.parse(json.dumps(value, ensure_ascii=False)).sha256 == identity.sha256
    assert json.loads(identity.canonical, parse_int=float) == value


@given(st.text())
def test_never_raises_anything_else(text: str) -> None:
    with contextlib.suppress(ValueError):
        Identity.parse(text)
