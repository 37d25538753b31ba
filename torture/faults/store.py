"""The store and the disk under it: full, locked, read-only, corrupted."""

import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from support.revocation import swap
from torture.machine import change_attributes, lacks_immutable_files, lacks_mounts, mounted
from torture.scenario import ALL_GOES_ON, CALLS_GO_ON, scenario
from torture.world import Place, Setting, World

BLOCK = 4096
SQLITE_HEADER = 100


def _on_small_disk(place: Place) -> None:
    mounted("8m", place.state)


@scenario(promise=CALLS_GO_ON, setting=Setting(prepare=_on_small_disk), lacks=lacks_mounts)
async def disk_full(world: World) -> AsyncIterator[None]:
    """The state folder's disk is full."""
    filler = world.place.state / "filler"
    _fill(filler)
    yield
    filler.unlink()


def _runtime_on_small_disk(place: Place) -> None:
    mounted("8m", place.folder / "run")


SMALL_RUNTIME = Setting(prepare=_runtime_on_small_disk, environ=lambda place: {"TMPDIR": str(place.folder / "run")})


@scenario(promise=ALL_GOES_ON, setting=SMALL_RUNTIME, lacks=lacks_mounts)
async def runtime_disk_full(world: World) -> AsyncIterator[None]:
    """The runtime folder's disk is full while the denylist changes; it is in force once there is room."""
    taken = len(world.gateway.events("taken"))
    filler = world.place.folder / "run" / "filler"
    _fill(filler)
    swap(world.blacklist, world.blacklist.read_bytes() + b"abc\n")
    yield
    if len(world.gateway.events("taken")) > taken:
        world.notes.append("there was room enough")
    filler.unlink()
    await world.gateway.event("taken", taken + 1)


@scenario(lasts=8, promise=CALLS_GO_ON)
async def store_locked(world: World) -> AsyncIterator[None]:
    """Another program holds a lock on the store."""
    other = sqlite3.connect(world.store, isolation_level=None, timeout=5)
    other.execute("BEGIN EXCLUSIVE")
    yield
    other.execute("ROLLBACK")
    other.close()


@scenario(promise=CALLS_GO_ON, lacks=lacks_immutable_files)
async def store_read_only(world: World) -> AsyncIterator[None]:
    """The store's files become read-only (chattr +i)."""
    files = tuple(world.store.parent.glob("ambassador.db*"))
    change_attributes("+i", *files)
    yield
    change_attributes("-i", *files)


@scenario(promise=replace(CALLS_GO_ON, forgets=True))
async def store_corrupted(world: World) -> AsyncIterator[None]:
    """The store is overwritten with garbage; then a backup is put in its place."""
    backup = _backup(world.store)
    _scribble(world.store)
    yield
    _restore(world.store, backup)


@scenario(promise=replace(CALLS_GO_ON, forgets=True))
async def store_corrupted_and_service_killed(world: World) -> AsyncIterator[None]:
    """The store is overwritten with garbage and the decision service killed; then a backup is put in its place."""
    backup = _backup(world.store)
    _scribble(world.store)
    os.kill(world.gateway.child("service"), signal.SIGKILL)
    yield
    _restore(world.store, backup)


@scenario(lasts=0.0, promise=replace(CALLS_GO_ON, forgets=True))
async def store_restored(world: World) -> AsyncIterator[None]:
    """A backup is renamed into the store's place while it is used; the old one's log is left beside it."""
    _backup(world.store).replace(world.store)
    yield


@scenario(promise=CALLS_GO_ON)
async def store_gone(world: World) -> AsyncIterator[None]:
    """The store's files are moved away, and put back."""
    aside = {path: path.with_name(f"{path.name}.aside") for path in world.store.parent.glob("ambassador.db*")}
    for path, other in aside.items():
        path.rename(other)
    yield
    for path, other in aside.items():
        other.replace(path)


@scenario(promise=CALLS_GO_ON)
async def store_gone_and_service_killed(world: World) -> AsyncIterator[None]:
    """The store's files are moved away and the decision service killed; then they are put back."""
    aside = {path: path.with_name(f"{path.name}.aside") for path in world.store.parent.glob("ambassador.db*")}
    for path, other in aside.items():
        path.rename(other)
    os.kill(world.gateway.child("service"), signal.SIGKILL)
    yield
    for path, other in aside.items():
        other.replace(path)


def _fill(path: Path) -> None:
    """Until not a byte more goes in."""
    with path.open("wb", buffering=0) as file:
        for size in (BLOCK * 16, BLOCK, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue


def _backup(store: Path) -> Path:
    """As an operator makes it: with SQLite's own way, while it is used."""
    path = store.with_name("backup.db")
    with sqlite3.connect(store) as source, sqlite3.connect(path) as target:
        source.backup(target)
    source.close()
    target.close()
    return path


def _restore(store: Path, backup: Path) -> None:
    """As an operator does it."""
    for end in ("-wal", "-shm"):
        store.with_name(f"{store.name}{end}").unlink(missing_ok=True)
    backup.replace(store)


def _scribble(store: Path) -> None:
    """Over every page but the header's, and over what was not yet moved into the store."""
    for path in (store, store.with_name("ambassador.db-wal")):
        with path.open("r+b") as file:
            file.seek(SQLITE_HEADER if path == store else 0)
            file.write(b"\xa5garbage" * (path.stat().st_size // 8))
