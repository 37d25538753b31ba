import gzip
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from mtls_ambassador.sandbox.artifact import ArtifactError, read_artifact

VERSION = b'{"format":"mender","version":3}'
INFO: dict[str, object] = {
    "payloads": [{"type": "script"}],
    "artifact_provides": {"artifact_name": "a"},
    "artifact_depends": {"device_type": ["t"]},
}


def tar_of(members: list[tuple[str, bytes]]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def artifact(path: Path, *, version: bytes = VERSION, info: object = INFO, header: bytes | None = None) -> Path:
    header = gzip.compress(tar_of([("header-info", json.dumps(info).encode())])) if header is None else header
    path.write_bytes(tar_of([("version", version), ("manifest", b""), ("header.tar.gz", header)]))
    return path


@pytest.mark.parametrize("compression", ["gzip", "lzma", "none"])
def test_an_artifact_of_the_real_tool_is_read(tmp_path: Path, compression: str) -> None:
    payload, path = tmp_path / "payload", tmp_path / "a.mender"
    payload.write_bytes(b"payload")
    made = ["mender-artifact", "--compression", compression, "write", "module-image", "-T", "script", "-n", "release 1"]
    subprocess.run([*made, "-t", "one", "-t", "two", "-f", payload, "-o", path], check=True, capture_output=True)
    info = read_artifact(path)
    assert (info.name, info.device_types, info.payload_types) == ("release 1", ("one", "two"), ("script",))
    assert dict(info.provides)["artifact_name"] == "release 1"


@pytest.mark.parametrize(
    "change",
    [
        {"version": b'{"format":"mender","version":2}'},
        {"version": b"{"},
        {"version": b"[]"},
        {"info": []},
        {"info": {}},
        {"info": {**INFO, "artifact_provides": {}}},
        {"info": {**INFO, "artifact_depends": {"device_type": []}}},
        {"header": b""},
        {"header": b"\x1f\x8bnot gzip"},
        {"header": gzip.compress(tar_of([("other", b"")]))},
        {"header": gzip.compress(b"\0" * 100_000_000)},
    ],
)
def test_what_is_no_artifact_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = artifact(tmp_path / "a.mender", **change)  # type: ignore[arg-type]  # each case names one argument
    with pytest.raises(ArtifactError):
        read_artifact(path)


@pytest.mark.parametrize("data", [b"", b"x" * 4096, tar_of([("data", b"x")]), tar_of([("header.tar", b"x")])])
def test_nor_is_any_other_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.mender"
    path.write_bytes(data)
    with pytest.raises(ArtifactError):
        read_artifact(path)


def test_a_whole_one_is_taken(tmp_path: Path) -> None:
    assert read_artifact(artifact(tmp_path / "a.mender")).name == "a"
