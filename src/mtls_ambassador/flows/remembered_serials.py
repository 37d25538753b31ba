"""What `MTLS_BLACKLIST_PATH` has listed, remembered in the state folder: an older file cannot let anybody in silently.

Sorted, 40 lower-case digits each, nothing between them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.files import PRIVATE, make_folder, replace
from mtls_ambassador.pki.serial_file import WIDTH

FILE_NAME = "denylist-file.seen"
USED = "denylist-file.restored.json"
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the state folder has."""

    serials: frozenset[bytes] = field(default=frozenset(), repr=False)
    """Listed, and not restored since."""
    used: Mapping[str, float] = field(default_factory=dict)
    """When each serial was restored last, in seconds since 1970: it counts once, and not after it is listed anew."""


def load_remembered(state_dir: Path) -> Remembered:
    """Nothing where nothing was remembered. Fails closed: raises AmbassadorError when that is damaged."""
    content = _content(state_dir / FILE_NAME)
    if len(content) % WIDTH or (content and not content.isalnum()):
        raise AmbassadorError(
            f"{state_dir / FILE_NAME}: is damaged: put it back from a backup, or remove it to deny nobody by it"
        )
    serials = frozenset(content[at : at + WIDTH] for at in range(0, len(content), WIDTH))
    path = state_dir / USED
    try:
        used = {str(serial): float(at) for serial, at in json.loads(_content(path) or b"{}").items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise AmbassadorError(f"{path}: is damaged: put it back from a backup, or remove it") from error
    return Remembered(serials, used)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise AmbassadorError(f"{path}: cannot be read: {error.strerror}") from error


def remember(state_dir: Path, before: Remembered, after: Remembered) -> None:
    """From now on these. Raises AmbassadorError."""
    if not state_dir.is_dir():
        make_folder(state_dir, 0o700)
    if after.used != before.used:
        replace(state_dir / USED, json.dumps(dict(after.used)).encode(), PRIVATE)
    if after.serials != before.serials:
        replace(state_dir / FILE_NAME, b"".join(sorted(after.serials)), PRIVATE)


def fault_of(gone: frozenset[bytes], path: Path | None) -> str:
    """What is to be said of serials that the file lists no more; empty for none."""
    if not gone:
        return ""
    shown = ", ".join(serial.lstrip(b"0").decode() or "0" for serial in sorted(gone)[:SHOWN])
    more = f" and {len(gone) - SHOWN} more" if len(gone) > SHOWN else ""
    where = f"{path} no longer lists" if path else "it is not set any more, and listed"
    return (
        f"MTLS_BLACKLIST_PATH: {where} {shown}{more}: they stay denied. Is it an older file? Put them back into it, or"
        f" let them in by `mtls-ambassador device restore --serial {shown.split(',', 1)[0]}`"
    )
