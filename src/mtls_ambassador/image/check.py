"""Whether a file system is sound, asked of its own checker, which changes nothing: e2fsck -fn, fsck.vfat -n."""

import os
import re
import subprocess

from mtls_ambassador.image.layout import Volume
from mtls_ambassador.image.overlay import RawFile, Readable
from mtls_ambassador.image.partition_table import Partition
from mtls_ambassador.image.superblock import Ext, Fat
from mtls_ambassador.model.errors import AmbassadorError

_UNSOUND = "? no"
"""What e2fsck answers itself when it would have repaired something; its exit code does not always tell."""
_NOISE = re.compile(
    r"e2fsck \d.*|fsck\.fat \d.*|Pass \d.*|.*: \d+/\d+ files \(.*|.*\*\*\* WARNING: Filesystem still has errors.*"
    r"|Leaving filesystem unchanged\."
)
"""What the checkers say besides what is wrong."""
_ANSWER = re.compile(r"\s*[A-Z][\w ]*\? no$")
_COULD_NOT = 8
"""Exit codes of e2fsck from here on say that it could not check (e2fsck(8))."""
_END_OF_TIME = str(2**32 - 1)


def faults_of(image: Readable, volume: Volume) -> list[str]:
    """What the checker complains of; nothing when the file system is sound.

    Fails closed: raises AmbassadorError when the checker is missing or cannot check, and what it says that is not
    understood is a fault.
    """
    try:
        return _faults_of(image, volume)
    except AmbassadorError as error:
        raise AmbassadorError(f"{volume.where} cannot be checked: {error}") from error
    except OSError as error:
        raise AmbassadorError(
            f"{volume.where} cannot be checked: a copy of it in the folder for temporary files (TMPDIR):"
            f" {error.strerror}"
        ) from error


def _faults_of(image: Readable, volume: Volume) -> list[str]:
    partition = volume.partition
    if not isinstance(volume.system, Ext | Fat):
        raise AmbassadorError("only ext2, ext3, ext4 and FAT have a checker here")
    if isinstance(volume.system, Ext):
        if isinstance(image, RawFile):
            return _e2fsck(image.descriptor, partition.start)
        if _is_sound_without_files(image, partition):
            return []
    import tempfile  # noqa: PLC0415 - slow to load, and not needed for a file's own ext

    with tempfile.TemporaryFile(prefix="check-") as copy:
        image.copy_to(copy.fileno(), partition.start, partition.size)
        if isinstance(volume.system, Ext):
            return _e2fsck(copy.fileno(), 0)
        return _fsck_vfat(copy.fileno())


def _is_sound_without_files(image: Readable, partition: Partition) -> bool:
    """Whether e2fsck finds nothing in a copy without the files' contents, which it does not look at anyway.

    e2image makes such a copy in a tenth of the time, or not at all; whatever goes wrong here, a whole copy decides.
    """
    import tempfile  # noqa: PLC0415 - see above

    with tempfile.TemporaryFile(prefix="check-") as copy:
        source, target = image.raw.descriptor, copy.fileno()
        argv = ["e2image", "-r", "-o", str(partition.start), f"/proc/self/fd/{source}", f"/proc/self/fd/{target}"]
        code, _ = _run(argv, [source, target], "e2fsprogs")
        if code:
            return False
        os.ftruncate(target, partition.size)
        image.lay_over(target, partition.start, partition.size)
        try:
            return not _e2fsck(target, 0)
        except AmbassadorError:
            return False


def _e2fsck(descriptor: int, offset: int) -> list[str]:
    # By descriptor, since e2fsck takes what follows a question mark in a name for options.
    code, said = _run(["e2fsck", "-fn", f"/proc/self/fd/{descriptor}?offset={offset}"], [descriptor], "e2fsprogs")
    if code < 0 or code >= _COULD_NOT:
        raise AmbassadorError("; ".join([f"e2fsck ended with {code}", *_complaints(said)]))
    is_sound = not code and not any(_UNSOUND in line for line in said)
    return [] if is_sound else _complaints(said) or [f"e2fsck ended with {code}"]


def _fsck_vfat(descriptor: int) -> list[str]:
    code, said = _run(["fsck.vfat", "-n", f"/proc/self/fd/{descriptor}"], [descriptor], "dosfstools")
    return (_complaints(said) or [f"fsck.vfat ended with {code}"]) if code else []


def _complaints(said: list[str]) -> list[str]:
    lines = (_ANSWER.sub("", line) for line in said if not _NOISE.fullmatch(line))
    return [line for line in lines if line]


def _run(argv: list[str], descriptors: list[int], package: str) -> tuple[int, list[str]]:
    """Exit code and lines of a checker, which has nobody's configuration, and a clock ahead of all images' times."""
    environ = {
        "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
        "LC_ALL": "C",
        "E2FSCK_CONFIG": os.devnull,
        "E2FSCK_TIME": _END_OF_TIME,
    }
    try:
        done = subprocess.run(  # noqa: S603 - no shell, our own words
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            pass_fds=descriptors,
            env=environ,
        )
    except FileNotFoundError:
        raise AmbassadorError(f"{argv[0]} is needed for that (Debian package {package})") from None
    said = done.stdout.decode(errors="replace").replace(argv[-1].split("?", 1)[0], "it")
    return done.returncode, [line.strip() for line in said.splitlines() if line.strip()]
