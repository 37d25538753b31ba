"""Templates on a real image: permissions as they were there, no file twice, nothing written in part counts."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mtls_ambassador.flows.batch_files import DeviceFiles
from mtls_ambassador.flows.batch_images import Form, ImageOutlet
from mtls_ambassador.flows.provision_images import Plan, image_outlet
from mtls_ambassador.image.entry import Entry
from mtls_ambassador.image.image import Image
from mtls_ambassador.image.overlay import RawFile, laid_over
from mtls_ambassador.image.patch import decode_patch
from mtls_ambassador.image.progress import no_progress
from mtls_ambassador.image.template import Rule, Source, Template
from mtls_ambassador.image.tree import parse_path
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.order import counted_order
from support.image_cli import debugfs, make_small
from support.images import run

DEVICE = DeviceFiles("k-1", b"CERTIFICATE", b"KEY", certificate_sha256=bytes(32))
PAIR = (
    Rule(("data", "id", "key.pem"), Source.KEY),
    Rule(("data", "id", "cert.pem"), Source.CERTIFICATE),
)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    make_small(tmp_path / "golden.img")
    return tmp_path / "golden.img"


def plan(*rules: Rule, form: Form = Form.PATCH) -> Plan:
    return Plan(Template(rules), None, None, form, 1_700_000_000)


@contextmanager
def outlet(golden: Path, wanted: Plan) -> Iterator[ImageOutlet]:
    out = golden.parent / "out"
    out.mkdir(exist_ok=True)
    with image_outlet(golden, wanted, counted_order(1, "k-{n}"), out, no_progress) as opened:
        yield opened


def test_without_a_mode_a_file_is_as_it_was_in_the_image(golden: Path, tmp_path: Path) -> None:
    data = make_small(golden)[3]
    (tmp_path / "old").write_bytes(b"old")
    debugfs(golden, "mkdir id", data)
    for name in ("key.pem", "cert.pem", "label", "script"):
        debugfs(golden, f"write {tmp_path / 'old'} id/{name}", data)
        for field, value in (("mode", "0100755"), ("uid", "5"), ("gid", "6")):
            debugfs(golden, f"sif id/{name} {field} {value}", data)
    label, script = Rule(("data", "id", "label"), text="{name}"), Rule(("data", "id", "script"), fixed=b"#!/bin/sh\n")
    with outlet(golden, plan(*PAIR, label, script)) as opened:
        opened.new_deliverer().deliver([DEVICE])
    patch = decode_patch((tmp_path / "out/k-1.patch").read_bytes(), "k-1")
    with golden.open("rb") as file, Image(laid_over(RawFile(file.fileno()), patch.blocks), "k-1", 0) as image:
        found = {name: entry(image, f"/data/id/{name}") for name in ("key.pem", "cert.pem", "label", "script")}
    assert {name: (entry.mode, entry.uid, entry.gid) for name, entry in found.items()} == {
        "key.pem": (0o600, 5, 6),
        "cert.pem": (0o755, 5, 6),
        "label": (0o755, 5, 6),
        "script": (0o755, 5, 6),
    }


def entry(image: Image, path: str) -> Entry:
    (place,) = image.places(parse_path(path))
    found = image.system(place.volume).entry(place.path)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [("/data/mender/k.pem", "/var/lib/mender/k.pem"), ("/uboot/Label", "/uboot/LABEL")],
    ids=["link", "FAT"],
)
def test_two_paths_to_one_file_are_refused(golden: Path, one: str, other: str) -> None:
    rules = Rule(parse_path(one), text="{name}"), Rule(parse_path(other), text="{serial}")
    with pytest.raises(AmbassadorError, match="the same file in this image") as caught, outlet(golden, plan(*rules)):
        pass
    assert f"{golden}:{other} and {one} are the same file" in str(caught.value)


def test_another_file_of_the_template_makes_other_images_and_is_not_shown() -> None:
    one, other = (plan(*PAIR, Rule(("a",), fixed=content)) for content in (b"secret 1", b"secret 2"))
    assert one.facts != other.facts
    assert one.facts == plan(*PAIR, Rule(("a",), fixed=b"secret 1")).facts
    assert "secret" not in repr(one)


def test_another_ending_makes_other_images(golden: Path) -> None:
    other = golden.with_suffix(".sdimg")
    for form, is_same in ((Form.FULL, False), (Form.PATCH, True)):
        with outlet(golden, plan(*PAIR, form=form)) as opened:
            facts = opened.facts
        run("cp", "--sparse=always", golden, other)
        with outlet(other, plan(*PAIR, form=form)) as opened:
            assert (opened.facts == facts) is is_same


@pytest.mark.parametrize("name", [".k-1.img.part", "k-1.img.bmap", "k-1.patch"])
def test_a_write_the_disk_took_a_part_of_is_told(
    golden: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a disk that is full, or of a signal."""
    run("bmaptool", "create", "-o", tmp_path / "golden.img.bmap", golden)
    pwrite, write = os.pwrite, os.write

    def taken(file: int, data: bytes) -> bytes:
        return data[:-1] if Path(f"/proc/self/fd/{file}").readlink().name == name else data

    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: pwrite(file, taken(file, data), offset))
    monkeypatch.setattr(os, "write", lambda file, data: write(file, taken(file, data)))
    form = Form.PATCH if name.endswith(".patch") else Form.FULL
    with outlet(golden, plan(*PAIR, form=form)) as opened:
        maker = opened.new_deliverer()
        with pytest.raises(AmbassadorError, match="not written whole; is the disk full"):
            maker.deliver([DEVICE])
    assert not (tmp_path / "out/k-1.img").exists()
