"""The reference pages are what the code says; `make docs` writes them anew."""

import re
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


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md")), ids=lambda p: p.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_the_readme_names_the_two_commands_the_makefile_has() -> None:
    targets = (ROOT / "Makefile").read_text()
    for command in ("demo", "test"):
        assert f"make {command}" in (ROOT / "README.md").read_text()
        assert f"\n{command}: " in targets
