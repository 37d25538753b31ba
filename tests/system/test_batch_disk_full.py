"""A full disk stops a batch with a reason; once there is room, the same command finishes it."""

import subprocess
import sys
from pathlib import Path

from support.batch import BatchRig

COUNT = 300
SCRIPT = """
set -u
mount -t tmpfs -o size=900k,mode=700 tmpfs "$OUT"
"$@"; echo "first $?"
mount -o remount,size=64m "$OUT"
"$@"; echo "second $?"
cp -a "$OUT" "$COPY"
"""


def test_batch_disk_full(tmp_path: Path) -> None:
    rig = BatchRig(tmp_path)
    disk = tmp_path / "disk"
    disk.mkdir()
    rig.out = disk / "out"
    copy = tmp_path / "copy"
    program = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh", sys.executable, "-m"]
    done = subprocess.run(
        [*program, "mtls_ambassador", *rig.words(COUNT)],
        env=rig.environ | {"OUT": str(disk), "COPY": str(copy)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "first 1\n" in done.stdout, (done.stdout, done.stderr)
    assert "No space left on device" in done.stderr
    assert "second 0\n" in done.stdout, (done.stdout, done.stderr)
    rig.out = copy / "out"
    assert rig.check_finished(COUNT)
