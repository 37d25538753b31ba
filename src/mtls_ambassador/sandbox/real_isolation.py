"""How Mender's own programs come to see a private folder at the fixed paths they read.

With CAP_SYS_ADMIN each program gets a mount namespace where the folder lies over those paths: nothing on the machine
changes, and several devices run side by side. Without it, as in most containers, links from those paths into the folder
are put up where there is nothing, and taken away after: one device at a time.
"""

import contextlib
import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from mtls_ambassador.model.errors import AmbassadorError

Links: TypeAlias = tuple[tuple[str, str], ...]

DYING = ("setpriv", "--pdeathsig", "KILL")
"""Before a program: it ends with us."""
PARTED = ("unshare", "--mount", "--propagation", "private")
OVERLAY = 'while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 1; shift 2; done; shift; exec "$@"'
"""Shell: pairs of folder and path up to `--`, then the program."""
OVERLAYS = (
    ("etc", "/etc/mender"),
    ("identity", "/usr/share/mender/identity"),
    ("inventory", "/usr/share/mender/inventory"),
    ("hosts", "/etc/hosts"),
)
LINKS = (
    ("etc/artifact_info", "/etc/mender/artifact_info"),
    ("identity/mender-device-identity", "/usr/share/mender/identity/mender-device-identity"),
    ("inventory/mender-inventory-demo", "/usr/share/mender/inventory/mender-inventory-demo"),
)
"""All that cannot be said by option or configuration, but for `/etc/hosts`."""


@functools.cache
def may_mount() -> bool:
    """Whether this process may have mount namespaces."""
    trial = [*PARTED, "mount", "--bind", "/etc/hosts", "/etc/hosts"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0  # noqa: S603 - fixed words


def isolated(command: list[str], folder: Path) -> list[str]:
    """The command line that runs `command` so that it sees `folder`, where mounts may be had."""
    if not may_mount():
        return [*DYING, *command]
    pairs = [word for source, target in OVERLAYS for word in (str(folder / source), target)]
    return [*DYING, *PARTED, "sh", "-c", OVERLAY, "sh", *pairs, "--", *command]


@contextlib.contextmanager
def links_into(folder: Path, links: Links | None = None) -> Iterator[None]:
    """While the block runs, the links (source in `folder`, path); by default those needed where no mounts may be had.

    Raises AmbassadorError when something is there already: this machine is a Mender device, or one more runs here.
    """
    with contextlib.ExitStack() as stack:
        for source, target in _needed() if links is None else links:
            _put_up(Path(target), folder / source)
            stack.callback(Path(target).unlink, missing_ok=True)
        yield


def _needed() -> Links:
    return () if may_mount() else LINKS


def _put_up(link: Path, to: Path) -> None:
    if link.is_symlink() and not link.exists():
        link.unlink()
    try:
        link.symlink_to(to)
    except FileExistsError:
        raise AmbassadorError(
            f"{link} exists: without mount namespaces (CAP_SYS_ADMIN) only one Mender client can run on a machine"
        ) from None
    except OSError as error:
        raise AmbassadorError(f"{link}: {error.strerror}") from error
