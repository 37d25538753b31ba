"""Where a batch goes: a folder of folders, a new file, or standard output."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mtls_ambassador.flows.batch_files import Format
from mtls_ambassador.flows.batch_outlet import FolderOutlet, Outlet, StreamOutlet
from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.pki.files import make_folder
from mtls_ambassador.pki.manifest import FILE_NAME


@dataclass(frozen=True, slots=True)
class Output:
    """Where the devices go, and where the manifest does."""

    outlet: Outlet
    manifest: Path | None


@contextmanager
def opened_output(out: str, form: Format, manifest: Path | None, configuration: bytes | None) -> Iterator[Output]:
    """What `--out` names; `configuration` is the mender.conf that goes with each device.

    A file has private keys in it, so it is made anew with mode 0600 and never overwritten.

    A file of a batch in which nothing was left to put is removed again.
    """
    if form is Format.FOLDERS:
        if out == "-":
            raise UsageError("--out - needs --format tar or pem")
        folder = Path(out)
        make_folder(folder, 0o700)
        yield Output(FolderOutlet(folder.resolve(), configuration), manifest or folder / FILE_NAME)
    elif out == "-":
        if sys.stdout.isatty():
            raise UsageError("standard output is a terminal, and private keys would go there: use --out FILE or a pipe")
        yield Output(StreamOutlet(sys.stdout.buffer, form, configuration), manifest)
    else:
        path = Path(out)
        with _new_file(path) as stream:
            beside = path.with_name(f"{path.name}.{FILE_NAME}")
            yield Output(StreamOutlet(stream, form, configuration), manifest or beside)
        if not path.stat().st_size:
            path.unlink()


def _new_file(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.fdopen(os.open(path, flags, 0o600), "wb")
    except FileExistsError:
        raise AmbassadorError(
            f"{path}: is there already and is not overwritten; give another --out, the batch goes on in it"
        ) from None
    except OSError as error:
        raise AmbassadorError(f"{path}: {error.strerror}") from error
