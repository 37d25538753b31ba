"""The golden image: the one all devices start from, with its hash, which is found once and remembered."""

import json
import os
import time
from pathlib import Path

from mtls_ambassador.image.digest import sha256_of
from mtls_ambassador.image.overlay import RawFile
from mtls_ambassador.image.progress import Progress, no_progress
from mtls_ambassador.pki.files import PRIVATE, make_folder, replace

_MOST = 64
_SETTLED = 2 * 10**9
"""Nanoseconds after which a change would show in the file's times."""


def golden_sha256(path: Path, raw: RawFile, on_progress: Progress = no_progress) -> bytes:
    """SHA-256 of the image's bytes.

    Reading 4 GiB takes seconds and a flashing station does it for each device, so it is remembered in the user's cache
    folder for as long as the file's identity, size and times of change (which only the system sets) stay the same.
    """
    status = path.stat()
    is_settled = status.st_ctime_ns < time.time_ns() - _SETTLED
    key = f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"
    cache = _cache()
    known = _read(cache)
    if is_settled and key in known:
        return bytes.fromhex(known[key])
    found = sha256_of(raw, on_progress)
    if is_settled:
        _remember(cache, known, key, found)
    return found


def _cache() -> Path:
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder, "mtls-ambassador", "golden-images.json")


def _read(cache: Path) -> dict[str, str]:
    """What is remembered; nothing where that is missing or not what was written."""
    try:
        values = json.loads(cache.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {key: value for key, value in values.items() if isinstance(value, str) and len(value) == 64}  # noqa: PLR2004 - SHA-256


def _remember(cache: Path, known: dict[str, str], key: str, found: bytes) -> None:
    from mtls_ambassador.model.errors import AmbassadorError  # noqa: PLC0415 - only here

    kept = dict(list(known.items())[-_MOST:]) | {key: found.hex()}
    try:
        make_folder(cache.parent, 0o700)
        replace(cache, json.dumps(kept).encode(), PRIVATE)
    except AmbassadorError:
        return  # a station without a home folder hashes each time
