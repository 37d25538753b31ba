"""Whether a certificate is denied, by the list that the supervisor keeps in the runtime folder."""

import mmap
import os
from pathlib import Path

from mtls_ambassador.decide.denylist import Packed
from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.reason import Reason, RefusedError


class DeniedCertificates:
    """The list in force; looked up where it lies, a million serials take no memory here."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._status: tuple[int, int] = (0, 0)
        self._packed: Packed | None = None

    def why(self, certificate: DeviceCertificate) -> str:
        """By what kind of denial; empty when by none. Fails closed: raises RefusedError when there is no list."""
        return self._current().why(certificate.issuer, certificate.serial, certificate.not_before)

    def knows(self, issuer: str) -> bool:
        """Whether it is a CA of the bundle. Fails closed: raises RefusedError when there is no list."""
        return self._current().knows(issuer)

    def _current(self) -> Packed:
        try:
            return self._read()
        except (OSError, ValueError) as error:
            raise RefusedError(Reason.INTERNAL, "the denylist cannot be read") from error

    def _read(self) -> Packed:
        status = self._path.stat()
        seen = status.st_ino, status.st_mtime_ns
        if self._packed is None or seen != self._status:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._packed = Packed.read(memoryview(mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)))
            finally:
                os.close(descriptor)
            self._status = seen
        return self._packed
