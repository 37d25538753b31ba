"""Folders of devices: what a manifest beside them says is held to the rules of an order before it goes into images."""

import datetime as dt
import json
from pathlib import Path

import pytest

from mtls_ambassador.flows.device_folders import folder_order
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.manifest import Line

WHEN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def devices(folder: Path, **said: object) -> Path:
    """Two of them; the manifest says this of the second."""
    lines = []
    for name in ("dev-1", "dev-2"):
        (folder / name).mkdir()
        (folder / name / "mender-cert.pem").touch()
        lines.append(json.loads(Line(name, 1, bytes(32), bytes(32), WHEN, WHEN, WHEN).to_json()))
    lines[1] |= said
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_what_the_manifest_says_goes_with_each(tmp_path: Path) -> None:
    order = folder_order(devices(tmp_path, identity={"mac": "52:54", "sn": "a b"}, device_type="pi4"))
    assert [(row.name, row.identity, row.device_type) for row in order.rows()] == [
        ("dev-1", (), ""),
        ("dev-2", (("mac", "52:54"), ("sn", "a b")), "pi4"),
    ]


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"identity": {"mac": "1\nmac=2"}}, r"mac: '1\nmac=2' has a character that cannot be printed"),
        ({"identity": {"a=b": "1"}}, "'identity.a=b' is no name of a value"),
        ({"identity": {"a\nb": "1"}}, r"'identity.a\nb' is no name of a value"),
        ({"identity": {"sn": 7}}, "identity: each value must be a text in quotes"),
        ({"device_type": "pi 4"}, "device_type: 'pi 4' has a blank in it"),
        ({"device_type": "pi4\nx=1"}, r"device_type: 'pi4\nx=1' has a character that cannot be printed"),
    ],
)
def test_what_no_order_could_say_is_refused_with_its_line(said: dict[str, object], fault: str, tmp_path: Path) -> None:
    with pytest.raises(AmbassadorError) as caught:
        folder_order(devices(tmp_path, **said))
    assert str(caught.value).startswith(f"{tmp_path / 'manifest.jsonl'}: line 2: {fault}")
