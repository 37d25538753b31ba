"""Children are kept running, and none is left behind; real processes throughout."""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

import pytest

from mtls_ambassador.envoy.process import Pulse
from mtls_ambassador.flows import children
from mtls_ambassador.flows.children import Child
from mtls_ambassador.model.errors import AmbassadorError


async def yes() -> bool:
    return True


def child(code: str, **options: object) -> Child:
    return Child("the child", [sys.executable, "-c", code], yes, **options)  # type: ignore[arg-type] # passed through


async def test_it_is_started_again(tmp_path: Path) -> None:
    record = tmp_path / "starts"
    once = child(f"open({str(record)!r}, 'a').write('x')")
    once.ready.set()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(once.keep_running())
        async with asyncio.timeout(20):
            while once.restarts < 3:  # noqa: ASYNC110 - counted by another task
                await asyncio.sleep(0.01)
        task.cancel()
    await once.reap()
    assert len(record.read_text()) >= 3


@pytest.mark.parametrize("gone", [Pulse.SILENT, Pulse.CLOSED])
async def test_one_that_answers_no_more_is_killed_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: Pulse
) -> None:
    monkeypatch.setattr(children, "WATCH_EVERY", 0.01)
    answering = tmp_path / "answering"
    code = f"import os, signal; open({str(answering)!r}, 'w').close(); os.kill(os.getpid(), signal.SIGSTOP)"

    async def pulse() -> Pulse:
        """Once it has stopped itself, it has answered for the last time."""
        is_new = answering.exists()
        answering.unlink(missing_ok=True)
        return Pulse.ANSWERS if is_new else gone

    stopping = child(code, pulse=pulse)
    stopping.ready.set()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(stopping.keep_running())
        async with asyncio.timeout(20):
            while stopping.restarts < 2:  # noqa: ASYNC110 - counted by another task
                await asyncio.sleep(0.01)
        task.cancel()
    await stopping.reap()


async def test_one_that_never_answered_is_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "WATCH_EVERY", 0.001)
    asked = 0

    async def pulse() -> Pulse:
        nonlocal asked
        asked += 1
        return Pulse.SILENT

    slow = child("import time; time.sleep(60)", pulse=pulse)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(slow.keep_running())
        async with asyncio.timeout(20):
            while asked < 10 * children.SILENCES:  # noqa: ASYNC110 - counted by another task
                await asyncio.sleep(0.01)
        assert slow.restarts == 0
        task.cancel()
    await slow.reap()


async def test_one_that_was_told_to_end_has_the_time_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers no question any more, and is not killed for that."""
    monkeypatch.setattr(children, "WATCH_EVERY", 0.001)
    ended, started = tmp_path / "ended", tmp_path / "started"
    code = (
        "import pathlib, signal, sys, time\n"
        f"end = lambda *_: (time.sleep(0.5), pathlib.Path({str(ended)!r}).touch(), sys.exit())\n"
        f"signal.signal(signal.SIGTERM, end)\npathlib.Path({str(started)!r}).touch()\ntime.sleep(60)"
    )
    answers = iter([Pulse.ANSWERS])

    async def pulse() -> Pulse:
        if not started.exists():
            return Pulse.CLOSED
        if (found := next(answers, None)) is None:
            return Pulse.CLOSED if ending.is_set() else Pulse.ANSWERS
        return found

    ending = asyncio.Event()
    orderly = child(code, pulse=pulse)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(orderly.keep_running())
        async with asyncio.timeout(20):
            while not started.exists():  # noqa: ASYNC110 - made by another process
                await asyncio.sleep(0.01)
        ending.set()
        await orderly.stop(10)
        task.cancel()
    assert ended.exists()


@pytest.mark.parametrize(
    ("code", "how"), [("raise SystemExit(3)", "exit code 3"), ("import os; os.abort()", "signal SIGABRT")]
)
async def test_an_end_before_it_was_ready_is_an_error(code: str, how: str) -> None:
    with pytest.raises(AmbassadorError, match=f"the child ended before it was ready: {how}"):
        await child(code).keep_running()


async def test_its_last_words_are_the_reason() -> None:
    heard: list[bytes] = []
    speaking = child(
        "import sys; sys.exit('no such luck')", on_error=heard.append, last_words=lambda: heard[-1].decode().strip()
    )
    with pytest.raises(AmbassadorError, match="no such luck"):
        await speaking.keep_running()


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    missing = Child("the child", [str(tmp_path / "none")], yes)
    with pytest.raises(AmbassadorError, match="cannot start the child: No such file"):
        await missing.keep_running()


async def test_lines_longer_than_any_buffer_come_in_pieces() -> None:
    heard: list[bytes] = []
    loud = child("import sys; sys.stdout.write('x' * 300000 + '\\nlast'); sys.exit(1)", on_output=heard.append)
    with pytest.raises(AmbassadorError):
        await loud.keep_running()
    assert b"".join(heard) == b"x" * 300000 + b"\nlast"


@pytest.mark.parametrize(("deaf", "restarts"), [(False, 0), (True, 0)])
async def test_stop_ends_it_even_if_it_does_not_listen(tmp_path: Path, *, deaf: bool, restarts: int) -> None:
    up = tmp_path / "up"
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN);" if deaf else ""
    stubborn = child(f"import signal, time, pathlib; {ignore} pathlib.Path({str(up)!r}).touch(); time.sleep(60)")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stubborn.keep_running())
        async with asyncio.timeout(20):
            while not up.exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.01)
        await stubborn.stop(0.2 if deaf else 20)
    assert stubborn.restarts == restarts


async def test_a_signal_to_one_that_is_gone_is_no_error() -> None:
    gone = child("")
    gone.signal(signal.SIGTERM)
    with contextlib.suppress(AmbassadorError):
        await gone.keep_running()
    gone.signal(signal.SIGTERM)
    await gone.reap()
