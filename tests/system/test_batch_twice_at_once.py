"""Two processes run one batch at once: together they make what was ordered, none twice."""

from pathlib import Path

import pytest

from support.batch import BatchRig
from support.postgres import Postgres

COUNT = 600


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_batch_twice_at_once(tmp_path: Path, kind: str) -> None:
    if kind == "sqlite":
        run_both(BatchRig(tmp_path))
        return
    with Postgres.running() as server:
        run_both(BatchRig(tmp_path, url=server.database()))


def run_both(rig: BatchRig) -> None:
    both = [running.finish() for running in [rig.start(*rig.words(COUNT)) for _ in range(2)]]
    for done in both:
        assert done.returncode == 0 or "another process is at work on this batch" in done.stderr, done.stderr
    assert any(done.returncode == 0 for done in both)
    assert rig.check_finished(COUNT) == []
