"""A batch's manifest: written and signed, devices' folders compared with it, private keys removed by it."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from mtls_ambassador.flows import batch_files
from mtls_ambassador.flows.batch_files import KEY, Found
from mtls_ambassador.flows.batch_records import BatchRecords, lots
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki import manifest
from mtls_ambassador.pki.files import read_file, replace, shred_files, sync_folder
from mtls_ambassador.pki.issue import PrivateKey
from mtls_ambassador.pki.manifest import FILE_NAME, SIGNATURE_SUFFIX, ImageNote, Line
from mtls_ambassador.pki.order import Order

LOT = 500
MAX_FAULTS = 50


Notes = Callable[[str, bytes | None], ImageNote | None]
"""What the manifest says of a device's image, by the device's name and the image's hash."""


def write_manifest(records: BatchRecords, order: Order, path: Path, key: PrivateKey, note: Notes) -> bytes:
    """Write and sign it, in the order's sequence; the manifest appears only once whole. Returns its SHA-256."""
    lines = (line for lot in lots(order.rows(), LOT) for line in records.lines(lot, note))
    return write_lines(lines, path, key)


def write_lines(lines: Iterable[Line], path: Path, key: PrivateKey | None) -> bytes:
    """Write a manifest, signed if there is a key to do so; it appears only once whole. Returns its SHA-256."""
    staged = path.with_name(f".{path.name}.part")  # of a run that was killed, too: only one is at work on a batch
    try:
        with staged.open("w", encoding="utf-8") as file:
            file.writelines(line.to_json() for line in lines)
            file.flush()
            os.fsync(file.fileno())
        written = manifest.sha256(staged)
        if key is not None:
            replace(path.with_name(path.name + SIGNATURE_SUFFIX), manifest.sign(staged, key))
        staged.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise AmbassadorError(f"{path}: the manifest cannot be written: {error.strerror}") from error
    finally:
        staged.unlink(missing_ok=True)
    return written


@dataclass(slots=True)
class Verdict:
    """What a batch's folder holds, compared with its manifest."""

    devices: int = 0
    whole: int = 0
    shredded: int = 0
    """Certificate there, private key removed."""
    faults: list[str] = field(default_factory=list)
    """The first 50 of them."""
    fault_count: int = 0

    def blame(self, fault: str) -> None:
        """One more fault."""
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)


def verify(out: Path, ca: x509.Certificate) -> Verdict:
    """Compare every device's folder with the manifest. Raises AmbassadorError unless this CA signed the manifest."""
    verdict = Verdict()
    for line in signed_lines(out, ca):
        verdict.devices += 1
        _compare(out, line, verdict)
    present = sum(1 for entry in os.scandir(out) if entry.is_dir())
    if present > verdict.devices:
        _blame_strangers(out, ca, verdict)
    return verdict


def _compare(out: Path, line: Line, verdict: Verdict) -> None:
    if line.image is not None:
        _compare_image(out, line.image, verdict)
        return
    found = batch_files.look(out, line.name, line.certificate_sha256, line.public_key_sha256)
    match found:
        case Found.WHOLE:
            verdict.whole += 1
            mode = (out / line.name / KEY).stat().st_mode & 0o777
            if mode & 0o077:
                verdict.blame(f"{line.name}/{KEY}: mode {mode:o}, should be 600")
        case Found.SHREDDED:
            verdict.shredded += 1
        case Found.OTHER:
            verdict.blame(f"{line.name}: holds another certificate or key than the manifest says")
        case Found.PART:
            verdict.blame(f"{line.name}: a file is missing or cannot be read")


def _compare_image(out: Path, image: ImageNote, verdict: Verdict) -> None:
    path = out / image.file
    if not path.exists():
        verdict.shredded += 1
    elif manifest.sha256(path) != image.sha256:
        verdict.blame(f"{image.file}: is not what was made; it was changed, or is damaged")
    else:
        verdict.whole += 1
        if (mode := path.stat().st_mode & 0o777) & 0o077:
            verdict.blame(f"{image.file}: mode {mode:o}, should be 600")


def _blame_strangers(out: Path, ca: x509.Certificate, verdict: Verdict) -> None:
    names = {line.name for line in signed_lines(out, ca)}
    for entry in os.scandir(out):
        if entry.is_dir() and entry.name not in names:
            verdict.blame(f"{entry.name}: is not in the manifest")


def signed_lines(out: Path, ca: x509.Certificate) -> Iterator[Line]:
    """Each line of the manifest in this folder, after its signature was verified."""
    path = out / FILE_NAME
    if not path.exists():
        raise AmbassadorError(f"{path}: is not there; the batch is not finished: run its command again")
    signature = read_file(out / (FILE_NAME + SIGNATURE_SUFFIX), "the manifest's signature")
    manifest.verify(path, signature, ca)
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            try:
                yield Line.from_json(text)
            except ValueError as error:
                raise AmbassadorError(f"{path}: line {number}: {error}") from error


def shred(out: Path, ca: x509.Certificate, on_progress: Callable[[int], None] = lambda count: None) -> int:  # noqa: ARG005
    """Overwrite and remove every private key, patch or image of the manifest's devices; returns how many there were.

    Overwriting reaches the old bytes only on disks that write in place: flash translation layers, journals,
    copy-on-write file systems, snapshots and backups keep copies that no program can reach.
    """
    count = 0
    folder = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for lot in lots(signed_lines(out, ca), LOT):
            secrets_of = (out / (line.image.file if line.image else f"{line.name}/{KEY}") for line in lot)
            count += shred_files(folder, [path for path in secrets_of if path.is_file() and not path.is_symlink()])
            on_progress(count)
    except OSError as error:
        raise AmbassadorError(f"{error.filename or out}: {error.strerror}; run it again") from error
    finally:
        os.close(folder)
    return count
