"""Fuzz one of the readers of strangers' bytes with atheris, guided by coverage, until something else than the declared
error is raised. See README.md in this folder.
"""

import sys
from pathlib import Path
from tempfile import mkdtemp

import atheris

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
with atheris.instrument_imports(include=["mtls_ambassador"]):
    from support.fuzz_targets import TARGETS


def main() -> None:
    """`run.py NAME [libFuzzer options]`; without a name, the names."""
    name, *options = [*sys.argv[1:], ""]
    if name not in TARGETS:
        sys.exit("usage: fuzz/run.py NAME [-max_total_time=60 ...], NAME one of:\n  " + "\n  ".join(TARGETS))
    target = TARGETS[name]
    corpus = Path(mkdtemp(prefix="corpus-"))
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *filter(None, options), str(corpus)], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
