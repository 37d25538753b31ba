"""Images of devices whose pairs were made before: no CA needed, resumable, a key goes only once its image is safe."""

import hashlib
import json
import os
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
    damage(tmp_path / "out/dev-4.patch")
    said = line.provision("--devices", pairs, out=out, code=1)
    assert "dev-4.patch: is not what was made for dev-4" in said
    assert "put the right one back" in said
    (tmp_path / "out/dev-4.patch").unlink()
    assert "nothing to do" in line.provision("--devices", pairs, out=out), "it was handed over, as by apply --shred"


def damage(image: Path) -> None:
    """One bit of its last byte."""
    with image.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))


def test_an_image_that_is_gone_is_made_anew_before_its_key_goes(line: Line, pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    line.provision("--devices", pairs, out=str(out))
    key = (pairs / "dev-1/mender-cert-private.pem").read_bytes()
    (out / "dev-1.patch").unlink()
    killed = "flows.provision_devices:_append:before:2"  # the new one is written, and the journal knows only the old
    line.provision("--devices", pairs, "--shred", out=str(out), code=-9, kill_at=killed)
    assert (pairs / "dev-1/mender-cert-private.pem").read_bytes() == key
    line.provision("--devices", pairs, "--shred", out=str(out))
    assert not list(pairs.glob("*/mender-cert-private.pem"))
    assert line.read(out / "dev-1.patch", KEY) == key
    lines = [json.loads(text) for text in (out / "manifest.jsonl").read_text().splitlines()]
    assert len(lines) == 20
    for item in lines:
        patch = (out / item["image"]["file"]).read_bytes()
        assert item["image"]["sha256"] == hashlib.sha256(patch).hexdigest()


def test_what_is_no_longer_as_it_was_is_refused_by_name_and_no_key_goes(
    line: Line, pairs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    line.provision("--devices", pairs, out=str(out))
    (pairs / "dev-2/mender-cert.pem").write_bytes((pairs / "dev-3/mender-cert.pem").read_bytes())
    (pairs / "dev-5/mender-cert-private.pem").write_bytes((pairs / "dev-6/mender-cert-private.pem").read_bytes())
    damage(out / "dev-8.patch")
    said = line.provision("--devices", pairs, out=str(out), code=1)
    assert "dev-2/mender-cert.pem: is another certificate than the one in the image of dev-2" in said
    assert "use another --out" in said
    assert "dev-8.patch: is not what was made for dev-8: it was changed, or is damaged; remove it" in said
    assert "dev-5" not in said, "its image holds, and its key stays"
    said = line.provision("--devices", pairs, "--shred", out=str(out), code=1)
    assert "dev-2" in said
    assert "dev-5/mender-cert-private.pem: is another key than the one in the image of dev-5" in said
    assert len(list(pairs.glob("*/mender-cert-private.pem"))) == 20


def test_whole_images_are_measured_and_read_when_a_key_is_to_go(line: Line, pairs: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    for folder in pairs.glob("dev-*"):
        if folder.name not in {"dev-1", "dev-2"}:
            shutil.rmtree(folder)
    words = ("--devices", pairs, "--format", "full")
    line.provision(*words, out=out)
    damage(tmp_path / "out/dev-1.sdimg")
    assert "nothing to do" in line.provision(*words, out=out)
    os.truncate(tmp_path / "out/dev-2.sdimg", 4096)
    said = line.provision(*words, out=out, code=1)
    assert "dev-2.sdimg: is not what was made for dev-2" in said
    assert "dev-1" not in said
    assert "dev-1.sdimg: is not what was made for dev-1" in line.provision(*words, "--shred", out=out, code=1)
    assert len(list(pairs.glob("*/mender-cert-private.pem"))) == 2
    damage(tmp_path / "out/dev-1.sdimg")
    (tmp_path / "out/dev-2.sdimg").unlink()
    line.provision(*words, "--shred", out=out)
    assert not list(pairs.glob("*/mender-cert-private.pem"))


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
    assert "was begun with another golden image (or ending of its name), template, address, CA or format" in said
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
