"""A job of a real shell: stopped, by a key too, sent to the background, called back; with the first frame and with the
dashboard.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clawtop import stopping
from clawtop.ui.terminal import JobControl
from tests.support.samples import copy, sample
from tests.support.terminals import (
    ENTER_ALTERNATE,
    LEAVE_ALTERNATE,
    LISTENS,
    OVERVIEW,
    SHOW_CURSOR,
    Terminal,
    clawtop,
    open_terminal,
    with_textual,
)

PROMPT = "ready> "
HANGS = "import time\nwhile True: time.sleep(0.01)\n"
"""Textual that is never imported to the end. A signal just before `signal.pause` would be handled at the next one."""


class Job:
    """clawtop as a job of an interactive shell.

    Attributes:
        ends: the key that ends it.
        mark: where the output begins that follows the last line given to the shell.
    """

    def __init__(self, terminal: Terminal, folder: Path, argv: list[str], *, early: bool) -> None:
        self.terminal = terminal
        self.ends = "\x03" if early else "q"
        self._folder = folder
        self._asked = 0
        self.mark = 0
        terminal.wait_for_bytes(PROMPT.encode(), 0)
        self.settings = self.stty()
        number = folder / "pid"
        script = f'echo $$ > {shlex.quote(str(number))}; exec "$@"'
        self.send(shlex.join(["sh", "-c", script, "sh", *argv]))
        self.wait_until_drawn()
        if not early:
            terminal.wait_for_bytes(re.escape(LISTENS), self.mark)
        self.pid = int(number.read_text())

    def send(self, line: str) -> None:
        """Give the shell a line; what comes after it is looked for from here."""
        self.mark = len(self.terminal.raw)
        self.terminal.send(line + "\n")

    def stop(self, number: signal.Signals) -> bytes:
        """Stop it; what was written until the shell asks for the next command."""
        start = len(self.terminal.raw)
        os.kill(self.pid, number)
        self.wait_for_prompt(start)
        return bytes(self.terminal.raw[start:])

    def wait_for_prompt(self, start: int) -> None:
        self.terminal.wait_for_bytes(PROMPT.encode(), start)

    def wait_until_drawn(self) -> None:
        """Until the screen was taken, and all of the overview written, since the last line: its parts in any order."""
        self.terminal.wait_for_bytes(b"(?s)" + re.escape(ENTER_ALTERNATE) + b"(?=.*READ-ONLY)(?=.*Quit)", self.mark)

    def stty(self) -> str:
        """The terminal's settings, as a program that the shell starts has them."""
        self._asked += 1
        said = self._folder / f"stty.{self._asked}"
        start = len(self.terminal.raw)
        self.send(f"stty -g > {shlex.quote(str(said))}")
        self.terminal.wait_for(lambda _: said.exists() and said.read_text().endswith("\n"))
        self.wait_for_prompt(start)
        return said.read_text()

    def end(self) -> bytes:
        """End it by its key; what was written until the shell asks for the next command."""
        start = len(self.terminal.raw)
        self.terminal.send(self.ends)
        self.wait_for_prompt(start)
        return bytes(self.terminal.raw[start:])


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy(sample("2026.5.20", "rate-limited"), tmp_path_factory.mktemp("suspending")).state_dir


@pytest.fixture(params=["first frame", "dashboard"])
def job(request: pytest.FixtureRequest, state_dir: Path, tmp_path: Path) -> Iterator[Job]:
    early = request.param == "first frame"
    environment = {"PS1": PROMPT, "ENV": "", **(with_textual(tmp_path, HANGS) if early else {})}
    with open_terminal(["/bin/sh", "-i"], environment=environment) as terminal:
        job = Job(terminal, tmp_path, clawtop(*OVERVIEW, "--state-dir", str(state_dir)), early=early)
        yield job
        with contextlib.suppress(ProcessLookupError):
            os.kill(job.pid, signal.SIGKILL)


def left(written: bytes) -> bool:
    """Whether the last word was: back to the normal screen, cursor on."""
    return written.rfind(LEAVE_ALTERNATE) > written.rfind(ENTER_ALTERNATE) and SHOW_CURSOR in written


def test_it_stops_with_the_terminal_given_back_and_takes_it_again_in_the_foreground(job: Job) -> None:
    for _ in range(2):
        assert left(job.stop(signal.SIGTSTP))
        assert job.stty() == job.settings
        job.send("fg")
        job.wait_until_drawn()
    assert left(job.end())
    assert job.stty() == job.settings


def test_in_the_background_it_waits_to_be_called(job: Job) -> None:
    job.stop(signal.SIGTSTP)
    start = len(job.terminal.raw)
    job.send("bg")
    job.wait_for_prompt(start)
    assert job.stty() == job.settings
    assert ENTER_ALTERNATE not in job.terminal.raw[start:]
    job.send("fg")
    job.wait_until_drawn()
    assert left(job.end())
    assert job.stty() == job.settings


def test_what_others_did_to_the_terminal_while_it_was_stopped_is_undone(job: Job) -> None:
    """SIGSTOP gives nobody a chance to give the terminal back; afterwards all is as if it had not been."""
    for _ in range(3):
        job.stop(signal.SIGSTOP)
        job.send("fg")
        job.wait_until_drawn()
    assert left(job.stop(signal.SIGTSTP))
    assert job.stty() == job.settings
    job.send("fg")
    job.wait_until_drawn()
    assert left(job.end())
    assert job.stty() == job.settings


@pytest.fixture(autouse=True)
def holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks that other tests in this process left behind delay no stop here."""
    monkeypatch.setattr(stopping, "_state", stopping._Stop())


# --- continued before it has stopped ---------------------------------------------------------------------------------


class Slow:
    """A terminal that is given back so slowly that the process is continued meanwhile."""

    def __init__(self) -> None:
        self.job = JobControl(self.give_back, lambda: self.done.append("took again"))
        self.done: list[str] = []

    def give_back(self) -> None:
        self.done.append("gave back")
        self.job._handle(signal.SIGCONT, None)


def test_a_stop_that_was_taken_back_before_it_came_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("stopped, with nobody to continue it"))
    slow = Slow()
    slow.job._handle(signal.SIGTSTP, None)
    assert slow.done == ["gave back", "took again"]


def test_its_key_stops_all_of_its_group_in_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that waits for it too: its shell may continue both as soon as that one is stopped."""
    done: list[str] = []
    before = signal.getsignal(signal.SIGTSTP)

    def killpg(_group: int, number: int) -> None:
        assert number == signal.SIGTSTP
        assert signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL
        done.append("all stopped")

    monkeypatch.setattr(os, "killpg", killpg)
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("stopped once more, with nobody to continue it"))
    try:
        JobControl(lambda: done.append("gave back"), lambda: done.append("took again")).suspend()
    finally:
        signal.signal(signal.SIGTSTP, before)
    assert done == ["gave back", "all stopped", "took again"]


# --- while it holds a lock ---------------------------------------------------------------------------------------

HOLDER = """
import sys, threading
from clawtop import stopping
from clawtop.__main__ import main
stopping.holding("a lock")
path = sys.argv.pop(1)
def release():
    open(path).read()
    stopping.let_go("a lock")
threading.Thread(target=release, daemon=True).start()
main()
"""


def test_a_stop_from_outside_waits_for_its_lock(state_dir: Path, tmp_path: Path) -> None:
    releases = tmp_path / "releases"
    os.mkfifo(releases)
    argv = [sys.executable, "-c", HOLDER, str(releases), *OVERVIEW, "--state-dir", str(state_dir)]
    with open_terminal(["/bin/sh", "-i"], environment={"PS1": PROMPT, "ENV": ""}) as terminal:
        job = Job(terminal, tmp_path, argv, early=False)
        os.kill(job.pid, signal.SIGTSTP)
        for _ in range(2):  # it goes on, and draws
            terminal.send("?")
            terminal.wait_for("Every key and what it does.")
            terminal.send("q")
            terminal.wait_for(lambda t: "Every key and what it does" not in t.text and "READ-ONLY" in t.text)
        start = len(terminal.raw)
        with releases.open("w") as file:
            file.write("now")
        job.wait_for_prompt(start)
        assert left(bytes(terminal.raw[start:]))
        assert job.stty() == job.settings
        job.send("fg")
        job.wait_until_drawn()
        assert left(job.end())
        assert job.stty() == job.settings


# --- by its own key ----------------------------------------------------------------------------------------------

CTRL_Z = "\x1a"
IN_A_SCRIPT = ["sh", "-c", '"$@"; true', "sh"]
"""A wrapper that does not `exec`: the shell waits for it, not for clawtop."""


@pytest.fixture(params=[[], IN_A_SCRIPT], ids=["by itself", "in a script"])
def dashboard(request: pytest.FixtureRequest, state_dir: Path, tmp_path: Path) -> Iterator[Job]:
    with open_terminal(["/bin/sh", "-i"], environment={"PS1": PROMPT, "ENV": ""}) as terminal:
        argv = [*request.param, *clawtop(*OVERVIEW, "--state-dir", str(state_dir))]
        job = Job(terminal, tmp_path, argv, early=False)
        yield job
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)


@pytest.mark.parametrize("over", ["", "?"], ids=["overview", "page"])
def test_its_key_returns_to_the_shell_and_the_shell_calls_it_back(dashboard: Job, over: str) -> None:
    terminal = dashboard.terminal
    for _ in range(2):
        if over:
            terminal.send(over)
            terminal.wait_for("Every key and what it does.")
        start = len(terminal.raw)
        terminal.send(CTRL_Z)
        dashboard.wait_for_prompt(start)
        assert left(bytes(terminal.raw[start:]))
        assert dashboard.stty() == dashboard.settings
        dashboard.send("fg")
        if over:
            terminal.wait_for_bytes(
                b"(?s)" + re.escape(ENTER_ALTERNATE) + b".*Every key and what it does", dashboard.mark
            )
            terminal.send("q")
            terminal.wait_for(lambda t: "Every key and what it does" not in t.text and "READ-ONLY" in t.text)
        else:
            dashboard.wait_until_drawn()
    assert left(dashboard.end())
    assert dashboard.stty() == dashboard.settings


def test_where_no_shell_waits_its_key_says_so_and_nothing_stops(state_dir: Path) -> None:
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir))) as terminal:
        terminal.wait_open("READ-ONLY")
        terminal.send(CTRL_Z)
        terminal.wait_for("Suspend: no shell waits for clawtop in this terminal")
        terminal.send("q")
        assert terminal.exit_code() == 0
