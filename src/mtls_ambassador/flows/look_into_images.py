"""Many images looked into at once: what each holds, on all cores."""

import datetime as dt
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mtls_ambassador.flows.golden_image import golden_sha256
from mtls_ambassador.flows.image_facts import image_facts
from mtls_ambassador.flows.read_image import image_to_read
from mtls_ambassador.image.container import opened
from mtls_ambassador.image.image import Image
from mtls_ambassador.image.overlay import RawFile, laid_over
from mtls_ambassador.image.patch import SUFFIX, decode_patch
from mtls_ambassador.image.progress import Progress, no_progress
from mtls_ambassador.model.device_image import DeviceImage
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.device_pem import Measure
from mtls_ambassador.pki.files import read_file

_FEW = 200
"""Images that are looked into sooner than another process starts."""
_CHUNK = 32


@dataclass(frozen=True, slots=True)
class Golden:
    """The image that patches belong to, open in this process."""

    name: str
    path: str
    """At which other processes can open it, also when it is unpacked and has no name."""
    sha256: bytes


@contextmanager
def golden_opened(path: Path, on_progress: Progress) -> Iterator[Golden]:
    """Open the golden image and find its hash."""
    with opened(path, to_write=False, on_progress=on_progress) as container:
        found = golden_sha256(container, on_progress)
        yield Golden(str(path), f"/proc/{os.getpid()}/fd/{container.descriptor}", found)


@dataclass(frozen=True, slots=True)
class NewLooker:
    """All that is needed to look; sent to each process."""

    golden: Golden | None
    authorities: tuple[bytes, ...] = field(repr=False)
    """DER."""
    now: dt.datetime


class Looker:
    """Looks into images and patches, the golden image opened once."""

    def __init__(self, wanted: NewLooker) -> None:
        self._measure = Measure(tuple(map(x509.load_der_x509_certificate, wanted.authorities)), wanted.now)
        self._golden = wanted.golden
        if wanted.golden is not None:
            self._raw = RawFile(os.open(wanted.golden.path, os.O_RDONLY | os.O_CLOEXEC))
            self._image = Image(self._raw, wanted.golden.name, 0)

    def look(self, path: Path, on_progress: Progress = no_progress) -> DeviceImage:
        """What is in one. What is wrong with it is a fact too: nothing is raised."""
        try:
            if is_patch(path):
                return self._look_at_patch(path)
            with image_to_read(path, on_progress) as image:
                return image_facts(image, str(path), self._measure)
        except AmbassadorError as error:
            return DeviceImage(str(path), fault=str(error))
        except Exception as error:  # noqa: BLE001 - one that is damaged in an unforeseen way must not hide the others
            return DeviceImage(str(path), fault=f"could not be looked at: {type(error).__name__}")

    def _look_at_patch(self, path: Path) -> DeviceImage:
        if path.is_fifo():  # which would be waited for
            raise AmbassadorError(f"{path}: is no file")
        patch = decode_patch(read_file(path, "the patch"), str(path))
        if self._golden is None or patch.golden_sha256 != self._golden.sha256:
            name = self._golden.name if self._golden is not None else "any image named here"
            raise AmbassadorError(f"is no patch to {name}, but to another golden image")
        with self._image.again(laid_over(self._raw, patch.blocks)) as image:
            found = image_facts(image, str(path), self._measure)
        if found.fingerprints <= {"", patch.certificate_sha256.hex()}:
            return found  # a certificate that is missing is told anyway
        fault = f"the patch says that it is {patch.device}'s, and puts another certificate into the image"
        return replace(found, faults=(*found.faults, fault))


def is_patch(path: Path) -> bool:
    """Whether a file is a patch, by its name."""
    return path.suffix.lower() == SUFFIX


def new_looker(golden: Golden | None, authorities: tuple[x509.Certificate, ...], now: dt.datetime) -> NewLooker:
    """What is sent to each process."""
    return NewLooker(golden, tuple(item.public_bytes(Encoding.DER) for item in authorities), now)


def look_into_all(files: Sequence[Path], wanted: NewLooker, on_progress: Progress) -> Iterator[DeviceImage]:
    """What is in each, in their order; many of them by as many processes as there are cores."""
    jobs = min(os.cpu_count() or 1, len(files) // _FEW)
    if jobs <= 1:
        looker = Looker(wanted)
        for path in files:
            yield looker.look(path, on_progress)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, spawn, initializer=_begin, initargs=(wanted,)) as pool:
        yield from pool.map(_look, files, chunksize=_CHUNK)


_looker: Looker | None = None


def _begin(wanted: NewLooker) -> None:
    global _looker  # noqa: PLW0603 - what an executor's process has is this module
    _looker = Looker(wanted)


def _look(path: Path) -> DeviceImage:
    if _looker is None:
        raise RuntimeError("the process was not begun")
    return _looker.look(path)
