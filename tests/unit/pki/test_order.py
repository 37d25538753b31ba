"""Counted orders: names by a template."""

import pytest

from mtls_ambassador.model.errors import FaultsError
from mtls_ambassador.pki.order import counted_order


def test_counted() -> None:
    order = counted_order(3, "dev-{n:06}", first=9)
    assert [row.name for row in order.rows()] == ["dev-000009", "dev-000010", "dev-000011"]
    assert order.digest != counted_order(4, "dev-{n:06}", first=9).digest


@pytest.mark.parametrize(
    "template", ["dev", "dev-{n}-{n}", "dev-{m}", "dev/{n}", "{n:06x}", "{n.real}", "a" * 64 + "{n}"]
)
def test_counted_refuses(template: str) -> None:
    with pytest.raises(FaultsError, match="--name"):
        counted_order(3, template)
    with pytest.raises(FaultsError, match="--count"):
        counted_order(0, "dev-{n}")
