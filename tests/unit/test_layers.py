"""Imports point down only: the rule of CONTRIBUTING.md, read from the source."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "mtls_ambassador"
LEVELS = [
    {"__main__"},
    {"cli"},
    {"web", "sandbox"},
    {"flows"},
    {"envoy", "store", "mender", "image"},
    {"decide", "pki"},
    {"settings"},
    {"model"},
]
LEVEL_OF = {part: number for number, parts in enumerate(LEVELS) for part in parts}
BANNED_IN_PURE = {"asyncio", "aiohttp", "sqlalchemy", "os", "socket", "subprocess", "time", "logging", "structlog"}


def imports_of(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            base = node.module or ""
            found += [f"{base}.{alias.name}" for alias in node.names]
    return found


def part_of(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


MODULES = [path for path in sorted(SRC.rglob("*.py")) if path.parent != SRC or path.stem == "__main__"]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SRC)))
def test_imports_point_down_only(path: Path) -> None:
    own = part_of(path)
    for name in imports_of(path):
        package, _, rest = name.partition(".")
        target = rest.split(".")[0]
        if package != "mtls_ambassador" or target in {own, "__version__"}:
            continue
        assert LEVEL_OF[target] > LEVEL_OF[own], f"{own} must not import {name}"


@pytest.mark.parametrize("path", [p for p in MODULES if part_of(p) in {"model", "decide"}], ids=lambda p: p.name)
def test_pure_parts_do_no_io(path: Path) -> None:
    assert not BANNED_IN_PURE & {name.partition(".")[0] for name in imports_of(path)}
    assert "open" not in {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def test_no_file_grew_past_its_budget() -> None:
    long = {str(p): n for p in SRC.rglob("*.py") if (n := len(p.read_text().splitlines())) > 400}
    assert not long
