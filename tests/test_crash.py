"""The unexpected: one line, a masked report, exit 70; and a machine that has too little of something."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from clawtop import crash, threads
from clawtop.cli import main, status
from clawtop.crash import report_text, shortage, unexpected
from clawtop.redaction import MASK, remember_secrets

KEY = "loaded-credential-0011223344"
SHAPED = "sk-looks-like-a-key-0123456789"


def broken() -> None:
    local = f"{KEY} in a variable"
    try:
        raise KeyError(local.split(maxsplit=1)[0])
    except KeyError as error:
        raise ValueError(f"{KEY}\x1b[2J said\n{SHAPED}") from error


def caught() -> ValueError:
    remember_secrets([KEY])
    with pytest.raises(ValueError, match="said") as found:
        broken()
    return found.value


def test_a_report_tells_where_and_nothing_secret() -> None:
    text = report_text(caught(), "testing")
    assert "while testing" in text
    assert "in broken" in text
    assert "ValueError" in text
    assert "KeyError" in text
    assert MASK in text
    for hidden in (KEY, SHAPED, "\x1b", "in a variable" + '"', os.environ.get("PATH", "-"), str(Path(__file__).parent)):
        assert hidden not in text


def test_a_report_is_written_once_for_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(crash, "_written", {})
    first, second = (unexpected(caught(), "testing") for _ in range(2))
    assert first.report == second.report
    (report,) = tmp_path.iterdir()
    assert report.stat().st_mode & 0o777 == 0o600
    assert str(report) in first.hint
    assert KEY not in str(first) + report.read_text()


def test_no_report_is_no_further_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
    monkeypatch.setattr(crash, "_written", {})
    assert unexpected(caught(), "testing").report is None


@pytest.mark.parametrize("as_json", [False, True])
def test_a_verb_that_breaks_says_one_line_and_exits_70(
    as_json: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = caught()

    def breaks(_args: object) -> int:
        raise error

    monkeypatch.setattr(status, "run", breaks)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(crash, "_written", {})
    assert main.run(["status", *(["--json"] if as_json else [])]) == 70
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    assert KEY not in said.err + said.out
    if as_json:
        assert json.loads(said.out)["exit_code"] == 70


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
        OSError(errno.ENFILE, os.strerror(errno.ENFILE)),
        RuntimeError("can't start new thread"),
        MemoryError(),
    ],
)
def test_too_little_of_something_is_no_fault(error: Exception) -> None:
    wrapper = RuntimeError("something else")
    wrapper.__cause__ = error
    for one in (error, wrapper):
        assert shortage(one)
        assert unexpected(one, "testing").report is None
    assert shortage(ValueError("x")) is None


# --- threads -----------------------------------------------------------------------------------------------------


def test_threads_give_results_and_errors_and_run_at_once() -> None:
    pool = threads.DaemonThreads()
    meeting = threading.Barrier(5)
    futures = [pool.submit(meeting.wait, 10) for _ in range(5)]
    assert sorted(future.result(10) for future in futures) == [0, 1, 2, 3, 4]
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 // 0).result(10)
    many = [pool.submit(pow, 2, number) for number in range(200)]
    assert [future.result(10) for future in many] == [2**number for number in range(200)]


def test_a_thread_that_hangs_keeps_neither_the_loop_nor_the_process() -> None:
    code = """
import asyncio, threading
from clawtop import threads
async def main():
    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
    await asyncio.sleep(0)
    return 7
print(threads.run(main()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "7\n"


BEHIND = """
import asyncio, sys, threading
from clawtop import redaction, threads
from clawtop.cli import process

process.prepared()
redaction.remember_secrets([KEY := "loaded-credential-0011223344"])

def breaks():
    raise ValueError("it said " + KEY)

class Finalized:
    def __del__(self):
        breaks()

async def alone():
    breaks()

async def main():
    loop = asyncio.get_running_loop()
    loop.call_soon(breaks)
    threads.on_signal(10, breaks)
    import signal; signal.raise_signal(10)
    task = asyncio.create_task(alone())
    await asyncio.wait([task])

match sys.argv[1]:
    case "a thread":
        thread = threading.Thread(target=breaks)
        thread.start()
        thread.join()
    case "a loop":
        threads.run(main())
    case "a finalizer":
        Finalized()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("where", "times"), [("a thread", 1), ("a loop", 3), ("a finalizer", 1)])
def test_what_breaks_where_no_caller_sees_it_is_a_masked_line(where: str, times: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEHIND, where],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    lines = done.stderr.splitlines()
    assert len(lines) == times, done.stderr
    assert all(line.startswith("clawtop: unexpected error while working in the background: ") for line in lines)
    told = done.stderr + "".join(report.read_text() for report in tmp_path.iterdir())
    assert "ValueError" in told
    assert "breaks" in told
    assert KEY not in told


def test_namespace_of_a_break_is_not_told() -> None:
    """The place of a crash names clawtop's own line, and not the library's that raised."""
    with pytest.raises(AttributeError) as found:
        status.run(SimpleNamespace())  # type: ignore[arg-type]
    assert crash.place(found.value).startswith("AttributeError in clawtop/")
