"""Process 1 of a container made by container.py: mounts its root, gives up every right, becomes the command."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

NOBODY = 65534
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
LAST_CAPABILITY = 40
FROM_ETC = ("passwd", "group", "hosts", "resolv.conf", "nsswitch.conf", "ssl")


def main(spec: dict[str, object]) -> None:
    root = Path(str(spec["root"]))
    binds, environ, argv, prefixes, volume = (spec[name] for name in ("binds", "environ", "argv", "prefixes", "volume"))
    assert isinstance(binds, dict)
    assert isinstance(environ, dict)
    assert isinstance(argv, list)
    assert isinstance(prefixes, list)
    assert isinstance(volume, list)
    mount("--make-rprivate", "/")
    mount("--bind", root, root)
    make_system(root, prefixes)
    for inside, outside in binds.items():
        bind(Path(outside), root / inside[1:])
    bind(Path(volume[1]), root / volume[0][1:])
    for name in ("tmp", "proc"):
        (root / name).mkdir(exist_ok=True)
    mount("-o", "remount,bind,ro", root)
    for inside in (*prefixes, *binds):
        mount("-o", "remount,bind,ro", f"{root}{inside}")
    mount("-t", "tmpfs", "-o", "mode=1777,size=16m,nosuid,nodev,noexec", "tmpfs", root / "tmp")
    mount("-t", "proc", "proc", root / "proc")
    os.chroot(root)
    os.chdir("/")
    give_up_rights()
    os.execvpe(argv[0], argv, environ)  # noqa: S606 - to become the command is what this is for


def make_system(root: Path, prefixes: list[str]) -> None:
    for prefix in prefixes:
        bind(Path(prefix), root / prefix[1:])
    for name in ("bin", "sbin", "lib", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            (root / name).symlink_to(path.readlink())
        elif path.exists():
            bind(path, root / name)
    bind(Path("/dev"), root / "dev")
    (root / "etc").mkdir(exist_ok=True)
    for name in FROM_ETC:
        path = Path("/etc", name)
        if path.is_dir():
            shutil.copytree(path, root / "etc" / name, ignore=shutil.ignore_patterns("private"))
        elif path.exists():
            shutil.copy(path, root / "etc" / name)


def bind(outside: Path, inside: Path) -> None:
    inside.parent.mkdir(parents=True, exist_ok=True)
    if outside.is_dir():
        inside.mkdir(exist_ok=True)
    else:
        inside.touch()
    mount("--bind", outside, inside)


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def give_up_rights() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(LAST_CAPABILITY + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
