"""A batch of 2 000, killed (SIGKILL) at each kind of write, one after the other, is finished by the last run."""

from pathlib import Path

from mtls_ambassador.flows.batch_outlet import FolderOutlet
from mtls_ambassador.flows.batch_run import DEPTH
from support.batch import BatchRig

COUNT = 2000
RECORDS = "flows.batch_records:BatchRecords"
PARENT = [
    "store.certificates:reserve:after:1",
    f"{RECORDS}.open:after:1",
    f"{RECORDS}.mark_issued:after:1",
    "store.certificates:mark_issued:after:2",
    "flows.batch_files:remove_part:after:3",
    f"{RECORDS}.void:before:1",
    "pki.journal:Journal.revoked:after:1",
    "store.certificates:mark_void:after:1",
    f"{RECORDS}.void:after:1",
    f"{RECORDS}.mark_issued:after:3",
    "flows.batch_outlet:sync_all:before:1",
    f"{RECORDS}.mark_done:before:1",
    f"{RECORDS}.mark_done:after:1",
]
WORKER = [
    "flows.batch_maker:DeviceMaker.make:after:1",
    "flows.batch_files:_write:after:1",
    "flows.batch_files:_write:before:100",
    "flows.batch_files:_write:after:258",
]
LAST = [
    "flows.provision_batch:write_manifest:before:1",
    "flows.batch_manifest:replace:after:1",
    f"{RECORDS}.finish:before:1",
    f"{RECORDS}.finish:after:1",
]


def test_batch_survives_kill(tmp_path: Path) -> None:
    rig = BatchRig(tmp_path)
    for point in PARENT[:4] + WORKER + PARENT[4:]:
        killed = rig.batch(COUNT, kill_at=point)
        assert killed.returncode == (1 if point in WORKER else -9), (point, killed.stdout, killed.stderr)
        assert not (rig.out / "manifest.jsonl").exists()
    for point in LAST:
        killed = rig.batch(COUNT, kill_at=point)
        assert killed.returncode == -9, (point, killed.stdout, killed.stderr)
    last = rig.batch(COUNT)
    assert last.returncode == 0, last.stderr
    void = rig.check_finished(COUNT)
    # No more is lost with a kill than was in work.
    assert 0 < len(void) <= len(PARENT + WORKER + LAST) * 2 * DEPTH * FolderOutlet.lot
    again = rig.batch(COUNT)
    assert (again.returncode, "nothing to do" in again.stdout) == (0, True)
