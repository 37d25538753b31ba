"""Where a batch goes: what its workers do with each device, and what their parent does to make that last."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Protocol

from mtls_ambassador.flows import batch_files
from mtls_ambassador.flows.batch_files import DeviceFiles, Format, Found
from mtls_ambassador.flows.batch_workers import Delivered
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.files import sync_disk


class Deliverer(Protocol):
    """In a worker: hands devices over."""

    def deliver(self, devices: list[DeviceFiles]) -> Delivered:
        """Write them out. What is written may not be on the disk yet; `Outlet.sync` sees to that."""


class Outlet(ABC):
    """In the parent."""

    lot = 128
    """Devices a worker makes at a time: what a kill may cost is a few of these."""
    barrier = 4096
    """Devices written between two calls of `sync`."""
    facts: Mapping[str, str] = MappingProxyType({})
    """What makes the same order another one when it changes, such as the image all devices start from."""
    new_deliverer: Callable[[], Deliverer]
    """Sent to each worker."""

    @abstractmethod
    def look(self, name: str, fingerprint: bytes, spki_sha256: bytes) -> tuple[Found, bytes | None]:
        """What a run that was killed left of a device, and the hash of its image."""

    @abstractmethod
    def sync(self) -> None:
        """Wait until all that was delivered is on the disk."""

    def refuse_strangers(self) -> None:  # noqa: B027 - not every outlet has to
        """Raises AmbassadorError when there is already something where a new batch is to go."""

    def remove_part(self, name: str) -> None:  # noqa: B027 - not every outlet has to
        """Take away what `look` called a part."""

    def compare(self, name: str, sha256: bytes, *, wholly: bool) -> Found:
        """Whether a device's image is still the one made, by its hash: WHOLE, PART when it is gone, else OTHER."""
        del name, sha256, wholly
        return Found.PART

    def file_of(self, name: str) -> str:
        """The name of a device's image; empty when it has none."""
        del name
        return ""

    def receive(self, delivered: Delivered) -> None:  # noqa: B027 - not every outlet has to
        """Take what a worker delivered through its parent."""

    def end(self) -> None:  # noqa: B027 - not every outlet has to
        """No more comes in this run."""


@dataclass(frozen=True, slots=True)
class NewFolders:
    """A folder for each device."""

    out: Path
    configuration: bytes | None
    """The mender.conf that goes with each."""

    def __call__(self) -> "FolderDeliverer":
        """In the worker."""
        return FolderDeliverer(self)


class FolderDeliverer:
    """Writes a folder for each device."""

    def __init__(self, wanted: NewFolders) -> None:
        self._out = os.open(wanted.out, os.O_RDONLY | os.O_DIRECTORY)
        self._configuration = wanted.configuration

    def deliver(self, devices: list[DeviceFiles]) -> Delivered:
        """Write them out."""
        for device in devices:
            batch_files.write(self._out, device, self._configuration)
        return Delivered()


class FolderOutlet(Outlet):
    """Folders below one folder."""

    def __init__(self, out: Path, configuration: bytes | None = None) -> None:
        self._out = out
        self.new_deliverer = NewFolders(out, configuration)

    def refuse_strangers(self) -> None:
        """A new batch goes into an empty folder."""
        refuse_strangers(self._out)

    def look(self, name: str, fingerprint: bytes, spki_sha256: bytes) -> tuple[Found, bytes | None]:
        """What is in a device's folder."""
        return batch_files.look(self._out, name, fingerprint, spki_sha256), None

    def remove_part(self, name: str) -> None:
        """Take away what is in a device's folder."""
        batch_files.remove_part(self._out, name)

    def sync(self) -> None:
        """Wait for the disk, once for all files."""
        sync_all(self._out)


def refuse_strangers(out: Path) -> None:
    """Raises AmbassadorError unless the folder is empty."""
    if any(out.iterdir()):
        raise AmbassadorError(f"{out}: is not empty; a new batch goes into a folder of its own")


def sync_all(out: Path) -> None:
    """Wait until all that was written to the folder's file system is on its disk."""
    folder = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync_disk(folder)
    except OSError as error:
        raise AmbassadorError(f"{out}: cannot be written to disk: {error.strerror}") from error
    finally:
        os.close(folder)


@dataclass(frozen=True, slots=True)
class Packer:
    """In a worker: makes what goes into a stream."""

    form: Format
    configuration: bytes | None

    def __call__(self) -> "Packer":
        """In the worker: itself."""
        return self

    def deliver(self, devices: list[DeviceFiles]) -> Delivered:
        """The devices as members of an archive, or as PEM."""
        return Delivered(b"".join(batch_files.packed(device, self.configuration, self.form) for device in devices))


class StreamOutlet(Outlet):
    """One file or pipe for all devices, made for this run."""

    def __init__(self, stream: BinaryIO, form: Format, configuration: bytes | None = None) -> None:
        self._stream, self._form = stream, form
        self.new_deliverer = Packer(form, configuration)

    def look(self, name: str, fingerprint: bytes, spki_sha256: bytes) -> tuple[Found, bytes | None]:
        """What a run that was killed put out is not known to be anywhere."""
        del name, fingerprint, spki_sha256
        return Found.PART, None

    def receive(self, delivered: Delivered) -> None:
        """Into the stream."""
        self._write(delivered.stream)

    def _write(self, data: bytes) -> None:
        try:
            self._stream.write(data)
            self._stream.flush()
        except OSError as error:
            raise AmbassadorError(f"the output cannot be written: {error.strerror}") from error

    def sync(self) -> None:
        """A file goes to disk; a pipe or terminal cannot, and what was taken from it is the reader's."""
        try:
            os.fsync(self._stream.fileno())
        except OSError as error:
            if error.errno not in {22, 95}:  # EINVAL, EOPNOTSUPP: no file
                raise AmbassadorError(f"the output cannot be written to disk: {error.strerror}") from error

    def end(self) -> None:
        """The end of the archive."""
        if self._form is Format.TAR:
            self._write(batch_files.end_of_archive())
