"""Images that a run before made, looked at again: what its journal says counts as far as the disk still says so.

A key may be removed only when the image in the folder is the one the journal tells of, and that one holds this key.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mtls_ambassador.flows.batch_files import KEY, Found
from mtls_ambassador.flows.batch_outlet import Outlet
from mtls_ambassador.flows.device_folders import pair_fault
from mtls_ambassador.model.errors import FaultsError
from mtls_ambassador.pki.manifest import Line

_MOST = 20
"""Devices told of at a time."""


@dataclass(frozen=True, slots=True)
class MadeBefore:
    """What the journal is compared with."""

    devices: Path
    """The folder of keys and certificates."""
    out: Path
    outlet: Outlet
    is_shredding: bool
    """Whether keys that are still there are to be removed: then whole images are read as well."""

    def gone(self, lines: Iterable[Line]) -> list[Line]:
        """Those whose images are gone and can be made anew, since their keys are still there.

        Where the key is gone as well, the image was handed over. Raises FaultsError, naming devices, when an image is
        not the one that was made, or is not that of what is in the device's folder now.
        """
        gone, faults = [], []
        for line in lines:
            has_key = os.path.lexists(self.devices / line.name / KEY)
            found = self._look(line, is_key_to_go=has_key and self.is_shredding)
            if found is Found.PART and has_key:
                gone.append(line)
            elif fault := self._fault(line, found, has_key=has_key):
                faults.append(fault)
        if faults:
            raise FaultsError(faults[:_MOST] + (["… and more"] if len(faults) > _MOST else []))
        return gone

    def _look(self, line: Line, *, is_key_to_go: bool) -> Found:
        return (
            Found.PART if line.image is None else self.outlet.compare(line.name, line.image.sha256, wholly=is_key_to_go)
        )

    def _fault(self, line: Line, found: Found, *, has_key: bool) -> str | None:
        image = self.out / self.outlet.file_of(line.name)
        if found is Found.OTHER:
            remedy = "remove it and it is made anew" if has_key else "put the right one back: its key is nowhere else"
            return f"{image}: is not what was made for {line.name}: it was changed, or is damaged; {remedy}"
        if fault := pair_fault(self.devices, line, is_key_to_go=has_key and self.is_shredding):
            return f"{fault}, and {image} was made before; use another --out for a new one"
        return None
