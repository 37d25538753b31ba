"""A run of 200 images, killed (SIGKILL) at each kind of write, one after the other, is finished by the last run."""

import hashlib
import json
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from support.golden import CERTIFICATE, KEY, Line

COUNT = 200
RECORDS = "flows.batch_records:BatchRecords"
PARENT = [
    "flows.provision_images:common_blocks:after:1",
    f"{RECORDS}.open:after:1",
    f"{RECORDS}.mark_issued:after:1",
    "flows.batch_images:ImageOutlet.remove_part:after:1",
    f"{RECORDS}.void:before:1",
    "store.certificates:mark_void:after:1",
    f"{RECORDS}.mark_issued:after:2",
    "flows.batch_outlet:sync_all:before:1",
    f"{RECORDS}.mark_done:before:1",
]
WORKER = [
    "flows.batch_maker:DeviceMaker.make:after:1",
    "flows.batch_images:ImageDeliverer._own_blocks:after:5",
    "flows.batch_images:ImageDeliverer._write_patch:after:1",
    "flows.batch_images:ImageDeliverer._create:after:40",
]
LAST = ["flows.provision_batch:write_manifest:before:1", "flows.batch_manifest:replace:after:1"]


def test_all_200_are_right_after_kills_everywhere(tmp_path: Path) -> None:
    line = Line(tmp_path)
    order = ("--count", str(COUNT), "--name", "cam-{n:03}", "--jobs", "2")
    for point in PARENT[:3] + WORKER + PARENT[3:] + LAST:
        line.provision(*order, code=1 if point in WORKER else -9, kill_at=point)
    line.provision(*order)
    check(line)
    assert "nothing to do" in line.provision(*order)


def check(line: Line) -> None:
    out = line.home / "out"
    ca = x509.load_pem_x509_certificate((line.home / "state/pki/root/ca-cert.pem").read_bytes())
    made = [json.loads(text) for text in (out / "manifest.jsonl").read_text().splitlines()]
    assert [item["name"] for item in made] == [f"cam-{n:03}" for n in range(1, COUNT + 1)]
    assert sorted(path.name for path in out.glob("*.patch")) == [f"{item['name']}.patch" for item in made]
    assert not list(out.glob(".*"))
    keys = set()
    for item in made:
        patch = out / item["image"]["file"]
        assert hashlib.sha256(patch.read_bytes()).hexdigest() == item["image"]["sha256"]
        certificate = x509.load_pem_x509_certificate(line.read(patch, CERTIFICATE))
        certificate.verify_directly_issued_by(ca)
        assert certificate.serial_number == int(item["serial"], 16)
        key = line.read(patch, KEY)
        assert load_pem_private_key(key, None).public_key() == certificate.public_key()
        keys.add(key)
    assert len(keys) == COUNT
    records = [json.loads(text) for text in line.run("pki", "list", "--json").splitlines()]
    devices = [record for record in records if record["profile"] == "device"]
    assert len({record["serial"] for record in devices}) == len(devices)
    assert sum(record["status"] == "done" for record in devices) == COUNT
    assert all(record["revoked_at"] for record in devices if record["status"] == "void")
    audited = line.audit(out)
    assert {str(item["verdict"]) for item in audited.values()} == {"ok"}
    assert len(audited) == COUNT
