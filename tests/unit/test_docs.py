"""The reference pages are what the code says; `make docs` writes them anew."""

from pathlib import Path
from runpy import run_path

import pytest

from mtls_ambassador.settings.foreign import FOREIGN
from mtls_ambassador.settings.table import SETTINGS

ROOT = Path(__file__).parents[2]
PAGES = run_path(str(ROOT / "scripts" / "generate_docs.py"))["PAGES"]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_page_equals_a_fresh_run(name: str) -> None:
    assert (ROOT / "docs" / "reference" / name).read_text() == PAGES[name](), "run `make docs`"


def test_every_name_of_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    names = [name for item in SETTINGS for name in (*item.names, *item.file_names, item.json)]
    names += [name for item in FOREIGN for name in (*item.names, item.json)]
    assert [name for name in names if f"`{name}`" not in page and name] == []
