"""The shell commands of a documentation page, run as a reader would: in order, in one shell, in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

from support.gateway import clean_environ

DOCS = Path(__file__).parents[2] / "docs"
EXECUTED = (
    DOCS / "factory" / "certificates.md",
    DOCS / "factory" / "hsm.md",
    DOCS / "factory" / "images.md",
    DOCS / "operator" / "revocation.md",
)
"""The pages whose every `sh` block is run by a test."""
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def script_of(text: str) -> str:
    """The `sh` blocks of a page, each at the line it has there, so that what the shell says names the page's lines."""
    lines = [""] * (text.count("\n") + 1)
    for match in _BLOCK.finditer(text):
        if match[1] == "sh":
            first = text.count("\n", 0, match.start(2))
            block = match[2].splitlines()
            lines[first : first + len(block)] = block
    return "\n".join(lines)


def languages_of(text: str) -> set[str]:
    """What the blocks of a page say they are."""
    return {match[1] for match in _BLOCK.finditer(text)}


def run_page(page: Path, folder: Path, **environ: str) -> str:
    """Run a page's commands in `folder`, with this checkout's program; returns what they printed.

    Fails with the line of the page when one of them fails, and with all that was printed.
    """
    script = folder / page.with_suffix(".sh").name
    script.write_text(script_of(page.read_text()))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", str(script)],
        cwd=folder,
        env=clean_environ() | {"PATH": path, "HOME": str(folder), "PS4": "line ${LINENO}: "} | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, f"{page.name} ended with {ran.returncode}\n{ran.stdout[-4000:]}\n{ran.stderr[-4000:]}"
    return ran.stdout
