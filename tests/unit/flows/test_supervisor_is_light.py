"""The supervisor loads nothing it does not need: it lives as long as the gateway, and a start waits for it."""

import subprocess
import sys

HEAVY = ("sqlalchemy", "aiohttp", "alembic", "pkilint", "rich", "opentelemetry", "requests")


def test_what_it_does_not_load() -> None:
    code = (
        "import sys; from mtls_ambassador.cli import main; import mtls_ambassador.cli.run;"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
