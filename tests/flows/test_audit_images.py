"""Images audited as they are shipped: each fault put in by hand into a good image, and found."""

import json
import shutil
from pathlib import Path

import pytest

from support.golden import CERTIFICATE, GATEWAY, KEY, Line

CONF = "/etc/mender/mender.conf"


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    line = Line(tmp_path_factory.mktemp("line"))
    line.provision("--count", "4", "--name", "cam-{n}")
    line.run("image", "apply", line.home / "out/cam-1.patch", line.golden, line.home / "cam-1.img")
    line.run("image", "apply", line.home / "out/cam-2.patch", line.golden, line.home / "cam-2.img")
    return line


@pytest.fixture
def image(line: Line, tmp_path: Path) -> Path:
    """A good image to spoil."""
    return Path(shutil.copy(line.home / "cam-1.img", tmp_path / "cam-1.img"))


def findings(line: Line, *images: Path, code: int) -> list[str]:
    audited = line.audit(*images, code=code)
    return [
        f"{item['level']} {item['name']}: {item['seen']}"
        for each in audited.values()
        for item in each["findings"]  # type: ignore[attr-defined]  # JSON
    ]


def test_good_patches_and_images_pass(line: Line) -> None:
    audited = line.audit(line.home / "out", line.home / "cam-2.img", "--server-url", GATEWAY, code=1)
    assert {name: item["verdict"] for name, item in audited.items()} == {
        "cam-1.patch": "ok",
        "cam-2.patch": "fail",
        "cam-3.patch": "ok",
        "cam-4.patch": "ok",
        "cam-2.img": "fail",
    }, "an image and the patch it was made of are one device twice"
    assert line.audit(line.home / "out")["cam-3.patch"]["subject"] == "CN=cam-3"
    assert "4 images: 4 ok, 0 warned, 0 failed" in line.run(
        "image", "audit", line.home / "out", "--golden", line.golden
    )


def test_a_copied_key_is_found(line: Line, image: Path, tmp_path: Path) -> None:
    line.run("image", "cp", f"{image}:{KEY}", tmp_path / "key")
    line.run("image", "cp", f"{image}:{CERTIFICATE}", tmp_path / "cert")
    other = Path(shutil.copy(line.home / "cam-2.img", tmp_path / "cam-2.img"))
    line.run("image", "install", "-m", "600", tmp_path / "key", f"{other}:{KEY}")
    assert findings(line, other, code=1) == [f"fail key: {KEY}: is not the key of {CERTIFICATE}"]
    line.run("image", "install", "-m", "644", tmp_path / "cert", f"{other}:{CERTIFICATE}")
    assert findings(line, other, code=0)[0].startswith("ok image: CN=cam-1")
    told = findings(line, image, other, code=1)
    assert f"fail key: is the same as in {other}" in told
    assert f"fail certificate: is the same as in {image}" in told


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        ("644", f"fail key: {KEY}: mode 0644: others may use it"),
        ("130", f"fail key: {KEY}: mode 0130, as `mender-artifact install -m 600` leaves it"),
    ],
)
def test_modes_of_the_key(mode: str, sentence: str, line: Line, image: Path, tmp_path: Path) -> None:
    line.run("image", "cp", f"{image}:{KEY}", tmp_path / "key")
    line.run("image", "install", "-m", mode, tmp_path / "key", f"{image}:{KEY}")
    (told,) = findings(line, image, code=1)
    assert told.startswith(sentence)


def test_what_is_missing(line: Line, image: Path) -> None:
    for path, sentence in (
        ("/etc/mender/trust.pem", "fail server CA: ServerCertificate names /etc/mender/trust.pem, which is not there"),
        (KEY, f"fail key: {KEY} is not there"),
        (CERTIFICATE, f"fail certificate: {CERTIFICATE} is not there"),
        (CONF, "fail mender.conf: /etc/mender/mender.conf is not there"),
    ):
        line.run("image", "rm", f"{image}:{path}")
        assert sentence in findings(line, image, code=1)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (
            "mender-agent.pem",
            "-----BEGIN RSA PRIVATE KEY-----\nx\n",
            "fail leftover: /data/mender/mender-agent.pem: a key that Mender's client made: all devices",
        ),
        ("mender-store", "x", "fail leftover: /data/mender/mender-store: what Mender's client remembered"),
        (
            "old.key",
            "-----BEGIN PRIVATE KEY-----\nx\n",
            "fail leftover: /data/mender/old.key: a private key that mender.conf does not name",
        ),
        (
            "second.crt",
            "-----BEGIN CERTIFICATE-----\nx\n",
            "warn leftover: /data/mender/second.crt: a certificate mender.conf does not name",
        ),
    ],
)
def test_leftovers(name: str, content: str, sentence: str, line: Line, image: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    line.run("image", "cp", tmp_path / name, f"{image}:/data/mender/{name}")
    told = findings(line, image, code=1 if sentence.startswith("fail") else 0)
    assert [item for item in told if item.startswith(sentence)] == told


def test_a_configuration_nobody_finished(line: Line, image: Path, tmp_path: Path) -> None:
    (tmp_path / "conf").write_text('{"ServerURL": "https://hosted.mender.io", "httpsclient": {"Key": "/nowhere"}}')
    line.run("image", "cp", tmp_path / "conf", f"{image}:{CONF}")
    told = findings(line, image, code=1)
    assert (
        "fail server: 'https://hosted.mender.io': is Mender's own server, which asks no device for a certificate"
        in told
    )
    assert (
        "fail mender.conf: 'httpsclient' is in another case than Mender's: clients 4.x and later do not see it" in told
    )
    assert "fail key: /nowhere is not there" in told
    (tmp_path / "conf").write_text("{")
    line.run("image", "cp", tmp_path / "conf", f"{image}:{CONF}")
    assert any("not JSON" in item for item in findings(line, image, code=1))
    line.run("image", "cp", tmp_path / "conf", f"{image}:{CONF}", "--partition", "3")
    line.run("image", "cp", f"{line.home / 'cam-1.img'}:{CONF}", tmp_path / "good")
    line.run("image", "install", "-m", "600", tmp_path / "good", f"{image}:{CONF}", "--partition", "2")
    assert any(
        item.startswith("fail mender.conf: started from partition 3 (ext4): ") for item in findings(line, image, code=1)
    )


def test_a_certificate_of_another_ca_and_one_that_ends_soon(line: Line, image: Path, tmp_path: Path) -> None:
    other = Line(tmp_path, line.golden)
    assert "was not signed by our CA" in str(other.audit(image, code=1))
    trust = line.home / "state/pki/trust.pem"
    assert other.audit(image, "--ca-file", trust)["cam-1.img"]["verdict"] == "ok"
    assert line.audit(image, "--expiring", "11y")["cam-1.img"]["verdict"] == "warn"


def test_what_is_no_image(line: Line, tmp_path: Path) -> None:
    (tmp_path / "a.img").write_bytes(b"x" * 100_000)
    (tmp_path / "b.patch").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("keep apart from what is shipped")
    audited = line.audit(tmp_path, code=1)
    assert set(audited) == {"a.img", "b.patch", "notes.txt"}
    assert all(item["verdict"] == "fail" for item in audited.values())
    assert "is no image: there is neither a partition table in it nor a file system" in str(audited["a.img"])
    (tmp_path / "empty").mkdir()
    assert "has no image and no patch in it" in line.run("image", "audit", tmp_path / "empty", code=1)
    assert "say --golden GOLDEN" in line.run("image", "audit", line.home / "out", code=2)


def test_the_manifest_is_held_against_the_files(line: Line, tmp_path: Path) -> None:
    out = Path(shutil.copytree(line.home / "out", tmp_path / "out"))
    (out / "cam-1.patch").unlink()
    shutil.copy(out / "cam-3.patch", out / "cam-2.patch")
    shutil.copy(out / "cam-4.patch", out / "stranger.patch")
    audited = line.audit(out, code=1)
    assert audited["cam-1.patch"]["verdict"] == "fail"
    assert "is in the manifest, and is not there" in str(audited["cam-1.patch"])
    assert "says another hash" in str(audited["cam-2.patch"])
    assert "does not know this image" in str(audited["stranger.patch"])
    assert "is the same as in" in str(audited["cam-3.patch"])
    manifest = out / "manifest.jsonl"
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join(json.dumps(json.loads(text) | {"serial": "01"}) for text in lines) + "\n")
    said = line.run("image", "audit", out, "--golden", line.golden, code=1)
    assert "was signed by none of our CAs, or changed after it was signed" in said


def test_many_images_are_told_by_what_is_wrong_with_them(line: Line) -> None:
    line.provision("--count", "12", "--name", "m-{n}", "--no-server-ca", out="many")
    said = line.run("image", "audit", line.home / "many", "--golden", line.golden)
    assert said.count("ServerCertificate is not set") == 1
    assert "and 9 more" in said
    assert "12 images: 0 ok, 12 warned, 0 failed" in said


def test_hundreds_are_looked_into_by_several_processes_with_the_same_result(line: Line, tmp_path: Path) -> None:
    for number in range(420):
        shutil.copy(line.home / f"out/cam-{number % 4 + 1}.patch", tmp_path / f"{number:03}.patch")
    audited = line.audit(tmp_path, code=1)
    assert list(audited) == [f"{number:03}.patch" for number in range(420)]
    for number, item in enumerate(audited.values()):
        assert item["subject"] == f"CN=cam-{number % 4 + 1}"
        assert "and 101 more" in str(item["findings"])
