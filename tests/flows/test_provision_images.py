"""Images of an order: what each device gets, what stays as it was, and what a second run does."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mtls_ambassador.image.patch import decode_patch
from support.golden import CERTIFICATE, GATEWAY, KEY, Line, e2fsck, make_golden, read_image
from support.images import BOOT, make_system

ORDER = "name,device_type,identity.mac,O\n" + "".join(
    f"cam-{n},raspberrypi4,52:54:00:00:00:{n:02x},Acme {'x' * (n % 7)}\n" for n in range(1, 31)
)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    line = Line(tmp_path_factory.mktemp("line"))
    (line.home / "order.csv").write_text(ORDER)
    line.provision("--order", line.home / "order.csv")
    return line


def test_every_device_has_a_pair_of_its_own_and_the_rest_in_common(line: Line) -> None:
    patches = sorted((line.home / "out").glob("*.patch"))
    assert len(patches) == 30
    ca = x509.load_pem_x509_certificate((line.home / "state/pki/root/ca-cert.pem").read_bytes())
    keys = set()
    for patch in patches:
        assert patch.stat().st_mode & 0o777 == 0o600
        certificate = x509.load_pem_x509_certificate(line.read(patch, CERTIFICATE))
        certificate.verify_directly_issued_by(ca)
        assert f"CN={patch.stem}" in certificate.subject.rfc4514_string()
        key = line.read(patch, KEY)
        private = load_pem_private_key(key, None)
        assert private.public_key() == certificate.public_key()
        keys.add(key)
        number = int(patch.stem.removeprefix("cam-"))
        assert line.read(patch, "/data/mender/device_type") == b"device_type=raspberrypi4\n"
        assert line.read(patch, "/data/mender/identity") == f"mac=52:54:00:00:00:{number:02x}\n".encode()
        conf = json.loads(line.read(patch, "/etc/mender/mender.conf"))
        assert conf == {
            "ServerURL": GATEWAY,
            "TenantToken": "TENANT_TOKEN",
            "ServerCertificate": "/etc/mender/trust.pem",
            "HttpsClient": {"Certificate": CERTIFICATE, "Key": KEY},
            "Security": {"AuthPrivateKey": KEY},
        }
        assert line.read(patch, "/etc/mender/trust.pem") == (line.home / "state/pki/trust.pem").read_bytes()
    assert len(keys) == 30
    assert max(patch.stat().st_size for patch in patches) < 40_000


def test_the_manifest_knows_each_patch_and_is_signed(line: Line) -> None:
    lines = [json.loads(text) for text in (line.home / "out/manifest.jsonl").read_text().splitlines()]
    assert [item["name"] for item in lines] == [f"cam-{n}" for n in range(1, 31)]
    golden = hashlib.sha256(line.golden.read_bytes()).hexdigest()
    for item in lines:
        patch = (line.home / "out" / item["image"]["file"]).read_bytes()
        assert item["image"] == {
            "file": f"{item['name']}.patch",
            "sha256": hashlib.sha256(patch).hexdigest(),
            "golden_sha256": golden,
        }
        assert (item["device_type"], item["identity"]["mac"][:8]) == ("raspberrypi4", "52:54:00")
    assert "30 whole" in line.run("pki", "batch", "--verify", line.home / "out")


def test_applied_to_a_copy_each_file_system_is_sound_and_modes_are_exact(line: Line, tmp_path: Path) -> None:
    device = tmp_path / "device.img"
    line.run("image", "apply", line.home / "out/cam-7.patch", line.golden, device)
    for number in (2, 3, 4):
        e2fsck(device, number)
    listed = {entry["name"]: entry for entry in json.loads(line.run("image", "ls", "--json", f"{device}:/data/mender"))}
    modes = {name: (entry["mode"], entry["uid"], entry["gid"]) for name, entry in listed.items()}
    assert modes == {
        "mender-cert-private.pem": ("0600", 0, 0),
        "mender-cert.pem": ("0644", 0, 0),
        "device_type": ("0644", 0, 0),
        "identity": ("0644", 0, 0),
    }
    (conf,) = json.loads(line.run("image", "ls", "--json", f"{device}:/etc/mender/mender.conf"))
    assert conf["mode"] == "0640", "as it was in the golden image"
    assert line.golden.stat().st_size == device.stat().st_size


def test_a_second_run_makes_nothing_and_another_image_is_another_order(line: Line, tmp_path: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in (line.home / "out").iterdir()}
    assert "nothing to do" in line.provision("--order", line.home / "order.csv")
    assert before == {path.name: path.stat().st_mtime_ns for path in (line.home / "out").iterdir()}
    other = make_golden(tmp_path / "other.sdimg", conf="{}")
    line.golden, golden = other, line.golden
    said = line.provision("--order", line.home / "order.csv", code=1)
    line.golden = golden
    assert "had another order" in said


def test_full_images_share_all_but_the_device(line: Line, tmp_path: Path) -> None:
    line.provision("--count", "3", "--name", "full-{n}", "--format", "full", out="full")
    lines = [json.loads(text) for text in (line.home / "full/manifest.jsonl").read_text().splitlines()]
    assert [item["image"]["file"] for item in lines] == [f"full-{n}.sdimg" for n in (1, 2, 3)]
    for item in lines:
        image = line.home / "full" / item["image"]["file"]
        assert hashlib.sha256(image.read_bytes()).hexdigest() == item["image"]["sha256"]
        certificate = x509.load_pem_x509_certificate(read_image(image, CERTIFICATE))
        assert certificate.serial_number == int(item["serial"], 16)
        for number in (2, 3, 4):
            e2fsck(image, number)
    line.run("pki", "batch", "--shred", line.home / "full", "--yes")
    assert not list((line.home / "full").glob("*.sdimg"))
    assert "3 without private key" in line.run("pki", "batch", "--verify", line.home / "full")
    del tmp_path


@pytest.mark.parametrize(
    "options",
    [
        ("-O", "inline_data"),
        ("-b", "1024"),
        ("-b", "4096", "-O", "^has_journal"),
        ("-O", "^metadata_csum"),
        ("-O", "bigalloc"),
    ],
    ids=" ".join,
)
def test_data_partitions_of_other_kinds(options: tuple[str, ...], line: Line, tmp_path: Path) -> None:
    """With inline_data an Ed25519 key stands in the inode, so that every device's file system is checked by itself."""
    line.golden, golden = make_golden(tmp_path / "golden.img", data_options=options), line.golden
    try:
        out = "-".join(options)
        line.provision("--count", "5", "--name", "k-{n}", "--batch", out, "--key-type", "ed25519", out=out)
        for n in (1, 5):
            line.run("image", "apply", line.home / out / f"k-{n}.patch", line.golden, tmp_path / f"{n}.img")
            e2fsck(tmp_path / f"{n}.img", 4)
            assert b"PRIVATE KEY" in read_image(tmp_path / f"{n}.img", KEY)
    finally:
        line.golden = golden


def test_the_patch_says_whose_it_is_and_nothing_secret_in_its_head(line: Line) -> None:
    data = (line.home / "out/cam-3.patch").read_bytes()
    kind, head, _ = data.split(b"\n", 2)
    assert kind == b"mtls-ambassador patch 1"
    assert set(json.loads(head)) == {"device", "golden_sha256", "golden_size", "certificate_sha256"}
    assert decode_patch(data, "x").device == "cam-3"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--count", "1", "--name", "x-{n}", "--format", "tar"), "Invalid value for '--format'"),
        (("--devices", "nowhere"), "nowhere: No such file or directory"),
        (("--devices", "out", "--count", "1"), "exclude each other"),
        (("--count", "1", "--name", "x-{n}", "--shred"), "--shred goes with --devices"),
        (("--count", "1", "--name", "x-{n}", "--server-ca", "a", "--no-server-ca"), "exclude each other"),
        (("--count", "1", "--name", "x-{n}", "--server-ca", "nowhere.pem"), "nowhere.pem: the CA of the gateway"),
        (
            ("--count", "1", "--name", "x-{n}", "--server-ca", "order.csv"),
            "order.csv: the CA of the gateway (--server-ca",
        ),
        (
            ("--count", "1", "--name", "x-{n}", "--server-ca", "state/pki/root/ca-private.key"),
            "ca-private.key: the CA of the gateway (--server-ca, --no-server-ca) has a private key in it",
        ),
        (("--count", "1", "--name", "x-{n}", "--template", "nowhere.toml"), "nowhere.toml: the template"),
    ],
)
def test_wrong_words_are_told_and_nothing_is_made(words: tuple[str, ...], said: str, line: Line) -> None:
    code = 2 if "exclude" in said or "goes with" in said or "Invalid" in said else 1
    assert said in line.provision(*words, out="wrong", code=code)
    assert not list(line.home.glob("wrong/*.patch"))


def test_an_address_no_device_can_use_is_refused(line: Line) -> None:
    words = ("image", "provision", line.golden, "--count", "1", "--name", "y-{n}", "--out", line.home / "y")
    assert "is no address of a gateway" in line.run(*words, "--server-url", "http://gateway", code=2)
    assert "say --server-url" in line.run(*words, code=2)


TEMPLATE = """
[partitions]
rootfs = [2]
data = 4

[[file]]
path = "/data/id/key.pem"
content = "key"
mode = "440"
gid = 1000

[[file]]
path = "/data/id/cert.pem"
content = "certificate"
mode = "444"

[[file]]
path = "/data/id/label"
text = "{name}/{serial}/{identity.sn}"

[[file]]
path = "/etc/mender/mender.conf"
content = "mender.conf"

[[file]]
path = "/usr/share/mender/identity/mender-device-identity"
file = "identity.sh"
mode = "755"
"""


def test_a_template_says_it_otherwise(line: Line, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(TEMPLATE)
    (tmp_path / "identity.sh").write_text("#!/bin/sh\ncat /data/id/label\n")
    (tmp_path / "o.csv").write_text("name,identity.sn\nt-1,77\nt-2,78\n")
    words = ("--order", tmp_path / "o.csv", "--template", tmp_path / "t.toml")
    line.provision(*words, out="template")
    device = tmp_path / "device.img"
    line.run("image", "apply", line.home / "template/t-2.patch", line.golden, device)
    serial = json.loads((line.home / "template/manifest.jsonl").read_text().splitlines()[1])["serial"]
    assert read_image(device, "/data/id/label") == f"t-2/{serial}/78".encode()
    conf = json.loads(read_image(device, "/etc/mender/mender.conf"))
    assert conf["HttpsClient"] == {"Certificate": "/data/id/cert.pem", "Key": "/data/id/key.pem"}
    assert "ServerCertificate" not in conf, "the template has no place for it"
    listed = json.loads(line.run("image", "ls", "--json", f"{device}:/data/id"))
    modes = {entry["name"]: (entry["mode"], entry["gid"]) for entry in listed}
    assert modes == {"key.pem": ("0440", 1000), "cert.pem": ("0444", 0), "label": ("0600", 0)}
    assert read_image(device, "/usr/share/mender/identity/mender-device-identity").startswith(b"#!/bin/sh")
    said = line.run("image", "cat", f"{device}:/etc/mender/mender.conf", "--partition", "3")
    assert "hosted.mender.io" in said, "B was not named"
    (tmp_path / "o2.csv").write_text("name,identity.sn\nt-1,77\nt-2,\n")
    said = line.provision("--order", tmp_path / "o2.csv", "--template", tmp_path / "t.toml", out="template2", code=1)
    assert "t-2: has no identity.sn, which /data/id/label needs" in said
    assert not list(line.home.glob("template2/*"))


def test_a_golden_image_that_cannot_be_changed_is_told_before_anything_is_made(line: Line, tmp_path: Path) -> None:
    golden, line.golden = line.golden, make_golden(tmp_path / "dirty.sdimg", conf="[]")
    try:
        said = line.provision("--count", "1", "--name", "d-{n}", out="dirty", code=1)
        assert f"{line.golden}:/etc/mender/mender.conf: must hold one JSON object" in said
        device = f"{line.golden}?offset={44 << 20}"
        subprocess.run(["debugfs", "-w", "-R", "feature needs_recovery", device], check=True, capture_output=True)
        said = line.provision(
            "--count", "1", "--name", "d-{n}", "--template", _without_conf(tmp_path), out="dirty", code=1
        )
        assert 'partition 4 (ext4 "data") was not unmounted: its journal must be replayed first' in said
    finally:
        line.golden = golden
    assert not list(line.home.glob("dirty/*.patch"))


def _without_conf(folder: Path) -> Path:
    path = folder / "pair.toml"
    pair = TEMPLATE.split("[[file]]")[1:3]
    path.write_text("".join(f"[[file]]{part}" for part in pair))
    return path


def test_full_images_of_a_golden_image_with_a_block_map_have_one_that_bmaptool_trusts(
    line: Line, tmp_path: Path
) -> None:
    bmap = line.golden.with_suffix(".bmap")
    subprocess.run(["bmaptool", "create", "-o", bmap, line.golden], check=True, capture_output=True)
    try:
        line.provision("--count", "2", "--name", "map-{n}", "--format", "full", out="mapped")
    finally:
        bmap.unlink()
    for n in (1, 2):
        image, target = line.home / f"mapped/map-{n}.sdimg", tmp_path / f"{n}.img"
        done = subprocess.run(["bmaptool", "copy", image, target], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "block map format" in done.stderr, "it found the map by itself"
        for path in (KEY, CERTIFICATE, "/etc/mender/mender.conf"):
            assert read_image(target, path) == read_image(image, path)
        for number in (2, 3, 4):
            e2fsck(target, number)


def test_a_private_key_is_not_put_on_fat(line: Line, tmp_path: Path) -> None:
    golden, line.golden = line.golden, tmp_path / "card.img"
    make_system(line.golden, BOOT)
    try:
        said = line.provision("--count", "1", "--name", "fat-{n}", out="fat", code=1)
    finally:
        line.golden = golden
    assert "is on FAT, which keeps no permissions" in said
    assert "say what to make: --order ORDER.csv" in line.provision(code=2)
