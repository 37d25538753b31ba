"""Images of devices whose pairs were made before: no CA needed, resumable, a key goes only once its image is safe."""

import json
import shutil
from pathlib import Path

import pytest

from mtls_ambassador.flows.provision_devices import JOURNAL
from support.golden import CERTIFICATE, KEY, Line

PAIR = {"mender-cert.pem": CERTIFICATE, "mender-cert-private.pem": KEY}


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    line = Line(tmp_path_factory.mktemp("line"))
    rows = "".join(f"dev-{n},x1,{n}\n" for n in range(20))
    (line.home / "order.csv").write_text("name,device_type,identity.sn\n" + rows)
    line.run("pki", "batch", line.home / "order.csv", "--out", line.home / "pairs")
    return line


@pytest.fixture
def pairs(line: Line, tmp_path: Path) -> Path:
    return Path(shutil.copytree(line.home / "pairs", tmp_path / "pairs"))


def test_each_gets_its_own_pair_and_what_its_manifest_said(line: Line, pairs: Path, tmp_path: Path) -> None:
    line.provision("--devices", pairs, out=str(tmp_path / "out"))
    for folder in sorted(pairs.glob("dev-*")):
        patch = tmp_path / "out" / f"{folder.name}.patch"
        for file, path in PAIR.items():
            assert line.read(patch, path) == (folder / file).read_bytes()
        assert line.read(patch, "/data/mender/identity") == f"sn={folder.name[4:]}\n".encode()
        assert line.read(patch, "/data/mender/device_type") == b"device_type=x1\n"
    lines = [json.loads(text) for text in (tmp_path / "out/manifest.jsonl").read_text().splitlines()]
    made = {item["name"]: item for item in map(json.loads, (pairs / "manifest.jsonl").read_text().splitlines())}
    assert sorted(made) == [item["name"] for item in lines]
    for item in lines:
        same = ("serial", "certificate_sha256", "public_key_sha256", "not_after", "identity", "device_type")
        assert {key: item[key] for key in same} == {key: made[item["name"]][key] for key in same}
    assert "nothing to do" in line.provision("--devices", pairs, out=str(tmp_path / "out"))


def test_keys_go_once_their_images_are_on_the_disk(line: Line, pairs: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    line.provision("--devices", pairs, "--shred", out=out)
    assert not list(pairs.glob("*/mender-cert-private.pem"))
    assert len(list(pairs.glob("*/mender-cert.pem"))) == 20
    assert "nothing to do" in line.provision("--devices", pairs, "--shred", out=out)
    said = line.provision("--devices", pairs, out=str(tmp_path / "again"), code=1)
    assert "mender-cert-private.pem: No such file" in said


def test_killed_anywhere_it_goes_on_and_no_key_is_lost(line: Line, pairs: Path, tmp_path: Path) -> None:
    """With --shred: a key is gone only when the journal, on the disk, says that its image is."""
    out = tmp_path / "out"
    expected = {folder.name: (folder / "mender-cert-private.pem").read_bytes() for folder in pairs.glob("dev-*")}
    for point in (
        "flows.provision_devices:_append:after:1",
        "flows.batch_images:ImageDeliverer._write_patch:after:7",
        "flows.batch_outlet:sync_all:before:1",
        "flows.provision_devices:_append:before:1",
        "flows.provision_devices:_append:after:1",
        "pki.files:sync_disk:after:1",
        "flows.provision_devices:write_lines:before:1",
    ):
        is_worker = "ImageDeliverer" in point
        line.provision("--devices", pairs, "--shred", out=str(out), code=1 if is_worker else -9, kill_at=point)
        journal = (out / JOURNAL).read_text()
        for name in expected:
            assert (pairs / name / "mender-cert-private.pem").exists() or f'"name":"{name}"' in journal
    line.provision("--devices", pairs, "--shred", out=str(out))
    assert not list(pairs.glob("*/mender-cert-private.pem"))
    for name, key in expected.items():
        assert line.read(out / f"{name}.patch", KEY) == key


def test_two_devices_with_one_key_are_refused(line: Line, pairs: Path, tmp_path: Path) -> None:
    for file in PAIR:
        shutil.copy(pairs / "dev-3" / file, pairs / "dev-8" / file)
    said = line.provision("--devices", pairs, out=str(tmp_path / "out"), code=1)
    assert "has the same key as dev-" in said
    assert "each device needs its own" in said
    assert not (tmp_path / "out/manifest.jsonl").exists()


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("mender-cert-private.pem", None, "the key is not that of the certificate"),
        ("mender-cert-private.pem", b"no key", "no readable private key"),
        ("mender-cert.pem", b"no certificate", "no readable certificate"),
    ],
)
def test_a_pair_that_is_none_is_told(
    file: str, content: bytes | None, said: str, line: Line, pairs: Path, tmp_path: Path
) -> None:
    (pairs / "dev-5" / file).write_bytes((pairs / "dev-6" / file).read_bytes() if content is None else content)
    told = line.provision("--devices", pairs, out=str(tmp_path / "out"), code=1)
    assert said in told
    assert "dev-5" in told


def test_a_folder_begun_with_other_settings_is_not_gone_on_with(line: Line, pairs: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    line.provision("--devices", pairs, out=out)
    said = line.provision("--devices", pairs, "--no-server-ca", out=out, code=1)
    assert "was begun with another golden image, template, address, CA or format" in said
    (tmp_path / "full").mkdir()
    (tmp_path / "full/stranger").touch()
    assert "is not empty" in line.provision("--devices", pairs, out=str(tmp_path / "full"), code=1)


def test_no_ca_is_needed(line: Line, pairs: Path, tmp_path: Path) -> None:
    """A station that only makes images has no CA and no records, just the certificates the device checks servers by."""
    trust = line.home / "state/pki/trust.pem"
    line.environ, environ = line.environ | {"MTLS_STATE_DIR": str(tmp_path / "nothing")}, line.environ
    try:
        assert "trust.pem: the CA of the gateway" in line.provision("--devices", pairs, out=str(tmp_path / "a"), code=1)
        line.provision("--devices", pairs, "--server-ca", trust, out=str(tmp_path / "b"))
    finally:
        line.environ = environ
    assert line.read(tmp_path / "b/dev-1.patch", "/etc/mender/trust.pem") == trust.read_bytes()
    assert not (tmp_path / "nothing").exists()
