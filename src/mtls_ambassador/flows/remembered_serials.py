"""What `MTLS_BLACKLIST_PATH` has listed, remembered in the state folder: an older file cannot let anybody in silently.

Sorted, 40 lower-case digits each, nothing between them.
"""

from pathlib import Path

from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.files import PRIVATE, make_folder, replace
from mtls_ambassador.pki.serial_file import WIDTH

FILE_NAME = "denylist-file.seen"
SHOWN = 3


def load_remembered(state_dir: Path) -> frozenset[bytes]:
    """The serials; none where nothing was remembered. Fails closed: raises AmbassadorError when that is damaged."""
    path = state_dir / FILE_NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise AmbassadorError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) % WIDTH or (content and not content.isalnum()):
        raise AmbassadorError(f"{path}: is damaged: put it back from a backup, or remove it to deny nobody by it")
    return frozenset(content[at : at + WIDTH] for at in range(0, len(content), WIDTH))


def remember(state_dir: Path, serials: frozenset[bytes]) -> None:
    """From now on these. Raises AmbassadorError."""
    if not state_dir.is_dir():
        make_folder(state_dir, 0o700)
    replace(state_dir / FILE_NAME, b"".join(sorted(serials)), PRIVATE)


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
