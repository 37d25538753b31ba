"""The `pki` commands as people run them: processes with a state folder of their own."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.gateway import clean_environ


@dataclass(frozen=True, slots=True)
class PkiCli:
    """Commands run in `folder`, with the state in it."""

    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = (sys.executable, "-m", "mtls_ambassador")

    @property
    def pki(self) -> Path:
        """The folder of the CAs."""
        return self.folder / "state" / "pki"

    def start(self, *args: str | Path, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """A command, started."""
        given = {"MTLS_STATE_DIR": str(self.folder / "state"), **self.environ}
        return subprocess.Popen(
            [*prefix, *self.program, "pki", *map(str, args)],
            cwd=self.folder,
            env=clean_environ() | given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *args: str | Path, code: int = 0, prefix: tuple[str, ...] = ()) -> str:
        """What a command says, on both streams; it must end with `code`."""
        process = self.start(*args, prefix=prefix)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, f"pki {args}: exit {process.returncode}\n{out}{err}"
        return out + err

    def json(self, *args: str | Path) -> Any:  # noqa: ANN401 - any JSON
        """What a command answers to --json."""
        process = self.start(*args, "--json")
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, f"pki {args}: exit {process.returncode}\n{out}{err}"
        return json.loads(out)

    def records(self) -> list[dict[str, Any]]:
        """Every record, oldest first."""
        process = self.start("list", "--json")
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return [json.loads(line) for line in out.splitlines()]


def openssl(*args: str | Path, code: int = 0) -> str:
    """What openssl says, on both streams; it must end with `code`."""
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, check=False)
    assert done.returncode == code, f"openssl {args}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr
