"""The golden image: the one all devices start from, with what was found out about it, which is remembered."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

from mtls_ambassador.image.container import Container
from mtls_ambassador.image.digest import sha256_of
from mtls_ambassador.image.mapped import Mapped
from mtls_ambassador.image.overlay import RawFile
from mtls_ambassador.image.progress import Progress, no_progress
from mtls_ambassador.pki.files import PRIVATE, make_folder, replace

_MOST = 64
_SHA256 = re.compile(r"[0-9a-f]{64}")


def golden_sha256(container: Container, on_progress: Progress = no_progress) -> bytes:
    """SHA-256 of the image's bytes.

    Reading 4 GiB takes seconds and a flashing station does it for each device, so it is remembered in the user's cache
    folder for as long as the file's identity, size and times of change (which only the system sets) stay the same.
    """
    image = RawFile(container.descriptor)
    return bytes.fromhex(_remembered(container, "sha256", lambda: sha256_of(image, on_progress).hex()))


def golden_parts(path: Path, container: Container, on_progress: Progress = no_progress) -> Mapped:
    """The parts of the image that count. That a block map beside it is right is found once, and remembered as well.

    Raises AmbassadorError when that is another image's: what it leaves out would be neither written nor checked.
    """
    image = RawFile(container.descriptor)
    mapped = Mapped(path, image)
    if (bmap := mapped.bmap) is not None:

        def digest_of_right_one() -> str:
            bmap.refuse_other(image, on_progress)
            return bmap.digest

        _remembered(container, f"bmap {bmap.digest}", digest_of_right_one)
    return mapped


def _remembered(container: Container, what: str, find: Callable[[], str]) -> str:
    """What `find` finds: a SHA-256 in hexadecimal digits, of this file as it is now."""
    cache, identity = _cache(), container.identity.key
    if cache is None or not identity:
        return find()
    key, known = f"{what} {identity}", _read(cache)
    if key in known:
        return known[key]
    found = find()
    if container.identity.key == identity:  # nobody wrote to it meanwhile
        _remember(cache, known, key, found)
    return found


def _cache() -> Path | None:
    """Where it is remembered; None for a user without a home folder."""
    try:
        folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(folder, "mtls-ambassador", "golden-images.json")


def _read(cache: Path) -> dict[str, str]:
    """What is remembered; nothing where that is missing or not what was written."""
    try:
        values = json.loads(cache.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {key: value for key, value in values.items() if isinstance(value, str) and _SHA256.fullmatch(value)}


def _remember(cache: Path, known: dict[str, str], key: str, found: str) -> None:
    from mtls_ambassador.model.errors import AmbassadorError  # noqa: PLC0415 - only here

    kept = dict(list(known.items())[-_MOST:]) | {key: found}
    try:
        make_folder(cache.parent, 0o700)
        replace(cache, json.dumps(kept).encode(), PRIVATE)
    except AmbassadorError:
        return  # a station whose home folder cannot be written to finds it each time
