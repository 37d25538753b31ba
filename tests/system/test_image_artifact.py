"""Mender artifacts: what `image` writes the real mender-artifact validates and reads, and the other way round."""

import hashlib
import re
import stat
from pathlib import Path

import pytest

from mtls_ambassador.image.container import opened
from mtls_ambassador.model.errors import AmbassadorError
from support.packed import NOISE, image, make_rootfs, names, run

KEY = b"not a key\n"
FORMATS = ("gzip", "lzma", "none")


def make_artifact(path: Path, *options: str | Path, compression: str = "gzip", rootfs: Path | None = None) -> Path:
    """With all that an artifact may have."""
    rootfs = rootfs or make_rootfs(path.with_name("rootfs.ext4"))
    script = path.with_name("ArtifactInstall_Enter_01")
    script.write_text("#!/bin/sh\nexit 0\n")
    words = ["-n", "release-1", "-t", "raspberrypi4", "-t", "beaglebone", "-g", "stable", "--software-version", "v1"]
    head = ["mender-artifact", "--compression", compression, "write", "rootfs-image"]
    run(*head, *words, "-d", "artifact_name:release-0", "-s", script, *options, "-f", rootfs, "-o", path)
    return path


def said_of(artifact: Path) -> str:
    """All that the real tool reads, less what must differ: checksums of the payload, its time."""
    text = run("mender-artifact", "read", artifact).decode()
    return re.sub(r"(checksum|modified): .*", "", text)


@pytest.mark.parametrize("compression", FORMATS)
def test_the_real_tool_reads_what_we_write(tmp_path: Path, compression: str) -> None:
    artifact = make_artifact(tmp_path / "a.mender", compression=compression)
    artifact.chmod(0o664)
    before, read = names(tmp_path), said_of(artifact)
    key = tmp_path / "key.pem"
    key.write_bytes(KEY)
    image("install", "-m", "600", key, f"{artifact}:/etc/mender/key.pem")
    assert names(tmp_path) == before | {"key.pem"}
    assert stat.S_IMODE(artifact.stat().st_mode) == 0o664
    run("mender-artifact", "validate", artifact)
    assert said_of(artifact) == read
    assert KEY in run("mender-artifact", "cat", f"{artifact}:/etc/mender/key.pem")
    run("mender-artifact", "cp", f"{artifact}:/etc/noise", tmp_path / "noise")
    assert (tmp_path / "noise").read_bytes() == NOISE
    checksums = set(re.findall(r"checksum: (\w{64})", run("mender-artifact", "read", artifact).decode()))
    assert len(checksums) == 1  # of the payload, as the device will compare it


@pytest.mark.parametrize("compression", FORMATS)
def test_we_read_what_the_real_tool_wrote_over_ours(tmp_path: Path, compression: str) -> None:
    artifact = make_artifact(tmp_path / "a.mender", compression=compression)
    image("install", "-d", f"{artifact}:/etc/new")
    (tmp_path / "file").write_bytes(NOISE[::-1])
    run("mender-artifact", "cp", tmp_path / "file", f"{artifact}:/etc/new/file")
    image("cp", f"{artifact}:/etc/new/file", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == NOISE[::-1]
    image("rm", "-r", f"{artifact}:/etc/new")
    run("mender-artifact", "validate", artifact)


def test_zstandard_as_newer_tools_write_it(tmp_path: Path) -> None:
    """The tool of Debian 12 does not know it: taken apart, compressed, and after the edit put together again for it."""
    artifact = make_artifact(tmp_path / "a.mender", compression="none")
    repacked(artifact, "", ".zst", "zstd -q -c")
    image("install", "-d", f"{artifact}:/etc/new")
    assert run("tar", "-tf", artifact).split() == [b"version", b"manifest", b"header.tar.zst", b"data/0000.tar.zst"]
    repacked(artifact, ".zst", "", "zstd -q -d -c")
    run("mender-artifact", "validate", artifact)
    assert b"new" in run("debugfs", "-R", "ls /etc", payload_of(artifact, tmp_path))


def repacked(artifact: Path, old: str, new: str, command: str) -> None:
    """Its header and payload go through the command."""
    folder = artifact.with_name("parts")
    (folder / "data").mkdir(parents=True, exist_ok=True)
    run("tar", "-xf", artifact, "-C", folder)
    for part in ("header.tar", "data/0000.tar"):
        packed = folder / f"{part}{old}"
        (folder / f"{part}{new}").write_bytes(run(*command.split(), packed))
    checksum = hashlib.sha256((folder / f"header.tar{new}").read_bytes()).hexdigest()
    manifest = folder / "manifest"
    header = re.compile(rf"\w{{64}}  header.tar{old}$", re.MULTILINE)
    manifest.write_text(header.sub(f"{checksum}  header.tar{new}", manifest.read_text()))
    run("tar", "-cf", artifact, "version", "manifest", f"header.tar{new}", f"data/0000.tar{new}", folder=folder)


def test_a_signature_goes_and_the_person_is_told(tmp_path: Path) -> None:
    key, public = tmp_path / "private.key", tmp_path / "public.key"
    run("openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", key)
    run("openssl", "ec", "-in", key, "-pubout", "-out", public)
    artifact = make_artifact(tmp_path / "a.mender", "-k", key)
    image("ls", f"{artifact}:/etc")
    run("mender-artifact", "validate", "-k", public, artifact)
    assert "mender-artifact sign" in image("install", "-d", f"{artifact}:/etc/new")
    run("mender-artifact", "validate", artifact)
    run("mender-artifact", "validate", "-k", public, artifact, code=4)
    run("mender-artifact", "sign", artifact, "-k", key)
    run("mender-artifact", "validate", "-k", public, artifact)
    assert b"new" in run("debugfs", "-R", "ls /etc", payload_of(artifact, tmp_path))


def payload_of(artifact: Path, folder: Path) -> Path:
    """The file system, by tar alone."""
    run("tar", "-xf", artifact, "-C", folder, "--wildcards", "data/0000.tar*")
    run("tar", "-xf", next((folder / "data").glob("0000.tar*")), "-C", folder / "data")
    return folder / "data" / "rootfs.ext4"


@pytest.mark.parametrize("path", ["/data/x", "/data", "/uboot/x", "/boot/efi/x", "/boot/grub/x"])
def test_paths_to_other_partitions_are_refused(tmp_path: Path, path: str) -> None:
    artifact = make_artifact(tmp_path / "a.mender")
    before = artifact.read_bytes()
    assert "root file system only" in image("cp", "-p", tmp_path / "rootfs.ext4", f"{artifact}:{path}", code=1)
    assert "root file system only" in image("cat", f"{artifact}:{path}", code=1)
    assert artifact.read_bytes() == before


def refused(artifact: Path, why: str) -> None:
    before = artifact.read_bytes()
    assert why in image("install", "-d", f"{artifact}:/etc/new", code=1)
    assert artifact.read_bytes() == before


def test_payloads_of_other_kinds_are_refused(tmp_path: Path) -> None:
    module = tmp_path / "module.mender"
    (tmp_path / "file").write_text("x")
    words = ("-n", "m-1", "-t", "raspberrypi4", "-f", str(tmp_path / "file"), "-o", str(module))
    run("mender-artifact", "write", "module-image", "-T", "single-file", *words)
    refused(module, "payload single-file")
    squashfs = tmp_path / "rootfs.squashfs"
    squashfs.write_bytes(b"hsqs" + bytes(1 << 20))
    refused(make_artifact(tmp_path / "s.mender", rootfs=squashfs), "squashfs")


def test_artifacts_that_are_damaged_are_refused(tmp_path: Path) -> None:
    artifact = make_artifact(tmp_path / "a.mender", compression="none")
    whole = artifact.read_bytes()
    artifact.write_bytes(whole[: len(whole) // 2])
    refused(artifact, "cut off")
    artifact.write_bytes(whole.replace(NOISE[:1000], NOISE[1000:2000]))
    refused(artifact, "rootfs.ext4 is not what its manifest says")
    artifact.write_bytes(whole.replace(b"beaglebone", b"beaglebane"))
    refused(artifact, "header.tar is not what its manifest says")
    artifact.write_bytes(whole + b"more")
    refused(artifact, "would be lost")


def test_killed_while_it_is_written_anew_it_is_the_old_one(tmp_path: Path) -> None:
    artifact = make_artifact(tmp_path / "a.mender")
    before, known = artifact.read_bytes(), names(tmp_path)
    for point in ("image.artifact:_add:after:3", "image.artifact:_add:after:4", "image.staged:Staged.commit:before:1"):
        image("install", "-d", f"{artifact}:/etc/new", code=-9, kill_at=point)
        assert artifact.read_bytes() == before
    image("install", "-d", f"{artifact}:/etc/new")
    assert names(tmp_path) == known
    run("mender-artifact", "validate", artifact)


def test_who_needs_a_disk_is_given_no_artifact(tmp_path: Path) -> None:
    artifact = make_artifact(tmp_path / "a.mender")
    with pytest.raises(AmbassadorError, match="a disk image is needed"), opened(artifact, to_write=False):
        pass
