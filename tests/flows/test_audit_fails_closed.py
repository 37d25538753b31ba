"""What an audit must not let pass: in the other root file system, in files named twice, in files with odd names."""

import datetime as dt
import json
import os
import shutil
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mtls_ambassador.flows.look_into_images import Looker, NewLooker
from mtls_ambassador.image.overlay import PAGE
from mtls_ambassador.image.patch import decode_patch
from support.golden import CERTIFICATE, GATEWAY, KEY, Line
from support.image_cli import debugfs, image
from support.images import MIB

CONF, TRUST = "/etc/mender/mender.conf", "/etc/mender/trust.pem"
AGENT = "/data/mender/mender-agent.pem"
B = "started from partition 3 (ext4): "
ROOTFS_B, DATA = 28 * MIB, 44 * MIB
"""First bytes of partitions."""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    line = Line(tmp_path_factory.mktemp("line"))
    line.provision("--count", "2", "--name", "cam-{n}")
    for name in ("cam-1", "cam-2"):
        line.run("image", "apply", line.home / f"out/{name}.patch", line.golden, line.home / f"{name}.img")
        image("cp", f"{line.home / name}.img:{KEY}", line.home / f"{name}.key")
    image("cp", f"{line.home / 'cam-1.img'}:{CONF}", line.home / "conf")
    image("cp", f"{line.home / 'cam-1.img'}:{CERTIFICATE}", line.home / "cert")
    return line


@pytest.fixture
def good(line: Line, tmp_path: Path) -> Path:
    """A good image to spoil."""
    return Path(shutil.copy(line.home / "cam-1.img", tmp_path / "cam-1.img"))


def audit(line: Line, *paths: Path, code: int = 1) -> dict[str, list[str]]:
    """What is said of each, by its file's name."""
    said = image("audit", *paths, "--ca-file", line.home / "state/pki/trust.pem", "--json", code=code)
    return {
        Path(item["image"]).name: [f"{each['level']} {each['name']}: {each['seen']}" for each in item["findings"]]
        for item in json.loads(said.out)["images"]
    }


def put(line: Line, target: Path, *where: str, **changes: object) -> None:
    """A mender.conf with other settings; None takes one out."""
    conf = json.loads((line.home / "conf").read_text()) | changes
    path = target.with_name("conf")
    path.write_text(json.dumps(conf))
    image("install", "-m", "640", path, f"{target}:{CONF}", *where)


def test_a_key_that_was_left_in_b_alone(line: Line, good: Path) -> None:
    image("install", "-m", "600", line.home / "cam-2.key", f"{good}:/etc/mender/old.pem", "--partition", "3")
    assert audit(line, good)["cam-1.img"] == [
        f"fail leftover: {B}/etc/mender/old.pem: a private key that mender.conf does not name"
    ]
    image("install", "-m", "600", line.home / "cam-2.key", f"{good}:/etc/mender/old.pem", "--partition", "2")
    assert audit(line, good)["cam-1.img"] == [
        "fail leftover: /etc/mender/old.pem: a private key that mender.conf does not name"
    ], "what is the same in both is told once"


def test_a_ca_that_b_lacks(line: Line, good: Path) -> None:
    image("rm", f"{good}:{TRUST}", "--partition", "3")
    assert audit(line, good)["cam-1.img"] == [f"fail server CA: {B}ServerCertificate names {TRUST}, which is not there"]


def test_what_the_mender_conf_of_b_names(line: Line, good: Path) -> None:
    put(line, good, "--partition", "3", HttpsClient={"Certificate": "/data/mender/none.pem", "Key": KEY})
    assert audit(line, good)["cam-1.img"] == [
        f"fail certificate: {B}/data/mender/none.pem is not there",
        "warn mender.conf: differs between root file system A and B",
    ], "what A names, on the data partition, is no leftover of B"


def test_a_key_whose_mode_differs_in_b(line: Line, good: Path) -> None:
    own = "/etc/mender/key.pem"
    put(line, good, HttpsClient={"Certificate": CERTIFICATE, "Key": own}, Security={"AuthPrivateKey": own})
    image("install", "-m", "600", line.home / "cam-1.key", f"{good}:{own}")
    image("rm", f"{good}:{KEY}")
    assert audit(line, good, code=0)["cam-1.img"][0].startswith("ok")
    image("install", "-m", "666", line.home / "cam-1.key", f"{good}:{own}", "--partition", "3")
    told = f"{B}{own}: mode 0666: others may use it"
    assert audit(line, good)["cam-1.img"] == [f"fail key: {told}"]


def test_the_key_that_clients_4_sign_with_is_read(line: Line, good: Path, tmp_path: Path) -> None:
    other = Path(shutil.copy(line.home / "cam-2.img", tmp_path / "cam-2.img"))
    for target in (good, other):
        put(line, target, Security={"AuthPrivateKey": AGENT})
    assert f"fail auth key: {AGENT} is not there" in audit(line, good)["cam-1.img"]
    for target in (good, other):
        image("install", "-m", "666", line.home / "cam-2.key", f"{target}:{AGENT}")
    audited = audit(line, good, other)
    assert f"fail auth key: {AGENT}: mode 0666: others may use it" in audited["cam-1.img"]
    assert f"fail key: is the same as in {other}" in audited["cam-1.img"]
    assert f"fail key: is the same as in {good}" in audited["cam-2.img"]


def test_a_private_key_in_a_file_that_is_named_for_something_else(line: Line, good: Path, tmp_path: Path) -> None:
    (tmp_path / "pair").write_bytes((line.home / "cert").read_bytes() + (line.home / "cam-1.key").read_bytes())
    image("install", "-m", "644", tmp_path / "pair", f"{good}:{CERTIFICATE}")
    assert audit(line, good)["cam-1.img"] == [
        f"fail leftover: {CERTIFICATE}: a private key in a file that mender.conf names for something else"
    ]


def test_a_patch_that_says_it_is_another_devices(line: Line, good: Path, tmp_path: Path) -> None:
    first, second = (decode_patch((line.home / f"out/cam-{n}.patch").read_bytes(), "") for n in (1, 2))
    (tmp_path / "head.patch").write_bytes(replace(first, blocks=second.blocks).encoded())
    debugfs(good, "ssv state 2", DATA)
    with good.open("rb") as file:
        file.seek(DATA)
        spoilt = replace(first, blocks=first.blocks | {DATA: file.read(PAGE)})
    (tmp_path / "state.patch").write_bytes(spoilt.encoded())
    good.unlink()
    os.mkfifo(tmp_path / "pipe.patch")
    audited = line.audit(tmp_path, code=1)
    said = "the patch says that it is cam-1's, and puts another certificate into the image"
    assert [item["seen"] for item in audited["head.patch"]["findings"]] == [said]  # type: ignore[attr-defined]  # JSON
    assert "is marked as not clean" in str(audited["state.patch"])
    assert "is no file" in str(audited["pipe.patch"])


def test_what_cannot_be_understood_does_not_hide_the_others(line: Line, good: Path, tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(_of_an_unknown_version((line.home / "cert").read_bytes()))
    image("install", "-m", "644", tmp_path / "odd", f"{good}:{CERTIFICATE}")
    image("install", "-m", "644", tmp_path / "odd", f"{good}:{TRUST}")
    audited = audit(line, good, line.home / "cam-2.img")
    assert audited["cam-1.img"] == [
        f"fail certificate: {CERTIFICATE}: no readable certificate",
        f"fail server CA: {TRUST}: no readable certificate",
    ]
    assert audited["cam-2.img"][0].startswith("ok")
    looker = Looker(NewLooker(None, (), dt.datetime.now(dt.UTC)))
    assert looker.look(Path("a\0.img")).fault == "could not be looked at: ValueError", "what nobody thought of"


def _of_an_unknown_version(pem: bytes) -> bytes:
    certificate = x509.load_pem_x509_certificate(pem)
    known, odd = b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09"  # RFC 5280: 2 means version 3
    der = certificate.public_bytes(Encoding.DER).replace(known, odd, 1)
    return ssl.DER_cert_to_PEM_cert(der).encode()


def test_no_image_is_left_out_because_of_its_name(line: Line, good: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a1.img", "a2.rpi", "A3.IMG", "a4"):
        shutil.copy(good, folder / name)
    (folder / "gone.img").symlink_to("nowhere")
    for name in ("manifest.jsonl.part", "a1.img.bmap", "a1.img.bmap.asc", ".provisioned.jsonl"):
        (folder / name).write_bytes(b"x")
    audited = audit(line, folder)
    assert audited.pop("gone.img")[0].startswith("fail image: ")
    assert set(audited) == {"a1.img", "a2.rpi", "A3.IMG", "a4"}
    assert all("is the same as in" in str(said) for said in audited.values()), audited


def test_whole_images_of_a_golden_one_with_another_ending(line: Line, tmp_path: Path) -> None:
    golden = Path(shutil.copy(line.golden, tmp_path / "golden.rpi"))
    given = ("--server-url", GATEWAY, "--count", "1", "--name", "rpi-{n}", "--format", "full")
    line.run("image", "provision", golden, *given, "--out", tmp_path / "full")
    assert set(audit(line, tmp_path / "full", code=0)) == {"rpi-1.rpi"}


@pytest.mark.parametrize(
    ("command", "at", "sentence"),
    [
        ("feature needs_recovery", DATA, 'fail image: partition 4 (ext4 "data") was not unmounted'),
        ("ssv state 2", ROOTFS_B, "fail image: partition 3 (ext4) is marked as not clean"),
    ],
)
def test_a_file_system_that_the_device_may_see_otherwise(
    command: str, at: int, sentence: str, line: Line, good: Path
) -> None:
    debugfs(good, command, at)
    (said,) = audit(line, good)["cam-1.img"]
    assert said.startswith(sentence)
