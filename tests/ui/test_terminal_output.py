"""A terminal that stops reading or goes away holds up neither the writer nor the program."""

from __future__ import annotations

import io
import os
import re
import select
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clawtop.ui.terminal_file import BUFFER_BYTES, CANCEL, TerminalOutput
from tests.support.samples import copy, sample
from tests.support.terminals import LEAVE_ALTERNATE, OVERVIEW, Terminal, clawtop, open_terminal

MORE_THAN_A_TERMINAL_HOLDS = "x" * 200_000
FIRST = "fakeai:one"


class Pair:
    """Both sides of a pseudo-terminal, and an output on one of them."""

    def __init__(self) -> None:
        self.reader, child = os.openpty()
        self.file = io.TextIOWrapper(os.fdopen(child, "wb"), encoding="utf-8", write_through=True)
        self.resumed = 0
        self.output = TerminalOutput(self.file, self._resume)

    def _resume(self) -> None:
        self.resumed += 1

    def read_all(self) -> bytes:
        os.set_blocking(self.reader, False)
        out = b""
        while True:
            try:
                out += os.read(self.reader, 65536)
            except BlockingIOError:
                return out


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setattr("clawtop.ui.terminal_file.STALL_S", 0.05)
    made = Pair()
    yield made
    made.output.close()
    made.file.close()


def test_what_is_written_arrives_at_the_flush(pair: Pair) -> None:
    pair.output.write("one ")
    pair.output.write("two é")
    assert pair.read_all() == b""
    pair.output.flush()
    assert pair.read_all() == "one two é".encode()
    assert pair.resumed == 0


def test_much_text_does_not_wait_for_the_flush(pair: Pair) -> None:
    pair.output.write("y" * BUFFER_BYTES)
    assert pair.read_all().startswith(b"yyy")


def test_a_terminal_that_does_not_read_loses_text_and_is_told_when_it_reads_again(pair: Pair) -> None:
    for _ in range(40):  # more often than Textual's queue is long
        pair.output.write(MORE_THAN_A_TERMINAL_HOLDS)
        pair.output.flush()
    assert pair.resumed == 0
    pair.read_all()
    pair.output.write("anew")
    pair.output.flush()
    assert pair.resumed == 1
    assert pair.read_all() == CANCEL + b"anew"
    pair.output.write("next")
    pair.output.flush()
    assert pair.resumed == 1
    assert pair.read_all() == b"next"


def test_what_the_terminal_takes_at_once_needs_no_thread(pair: Pair) -> None:
    assert pair.output.write_now("frame é") is None
    assert pair.read_all() == "frame é".encode()


def test_what_it_does_not_take_at_once_is_left_to_the_thread_in_order(pair: Pair) -> None:
    text = "".join(f"{number:06}é" for number in range(20_000))
    rest = pair.output.write_now(text)
    assert rest == ""
    assert pair.output.write_now("second") == "second"  # not before the first
    read = pair.read_all()
    for handed_on in (rest, "second"):
        pair.output.write(handed_on)
    flushing = threading.Thread(target=pair.output.flush)
    flushing.start()
    while flushing.is_alive() or select.select([pair.reader], [], [], 0)[0]:
        read += pair.read_all()
    assert read == (text + "second").encode()
    assert pair.output.write_now("third") is None


def test_nothing_is_written_at_once_while_it_does_not_read(pair: Pair) -> None:
    pair.output.write(MORE_THAN_A_TERMINAL_HOLDS)
    pair.output.flush()
    assert pair.output.write_now("later") == "later"


def test_a_terminal_that_is_gone_takes_nothing_and_nothing_fails(pair: Pair) -> None:
    os.close(pair.reader)
    for _ in range(40):
        pair.output.write("frame")
        pair.output.flush()
    assert pair.resumed == 0


def test_the_given_descriptor_stays_blocking(pair: Pair) -> None:
    assert os.get_blocking(pair.file.fileno())


def test_a_terminal_that_may_not_be_opened_again_is_written_to_as_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("clawtop.ui.terminal_file.os.open", refuse)
    pair = Pair()
    pair.output.write("as given")
    pair.output.flush()
    pair.output.close()
    assert pair.read_all() == b"as given"
    os.close(pair.reader)
    pair.output.write("nobody")
    pair.output.flush()
    pair.file.close()


# --- the program itself ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy(sample("2026.5.20", "rate-limited"), tmp_path_factory.mktemp("stalled")).state_dir


def without_numbers(terminal: Terminal) -> str:
    return re.sub(r"\d+", "", terminal.text)


def test_a_signal_ends_a_dashboard_whose_terminal_stopped_reading(state_dir: Path) -> None:
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir))) as terminal:
        terminal.wait_open(FIRST)
        for _ in range(400):  # far more than a terminal takes unread: every page paints the whole window
            terminal.send("?")
            terminal.send("\x1b")
        terminal.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 60
        while terminal.process.poll() is None:  # nothing is read meanwhile
            assert time.monotonic() < deadline, "still running"
            time.sleep(0.05)
        assert terminal.process.returncode == 143


@pytest.mark.long
def test_the_screen_comes_back_whole_after_a_stall(state_dir: Path) -> None:
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir))) as terminal:
        terminal.wait_open(FIRST)
        terminal.drain(2.0)
        whole = without_numbers(terminal)
        for _ in range(30):
            terminal.send("?")
            time.sleep(0.05)
            terminal.send("\x1b")
            time.sleep(0.05)
        time.sleep(2.0)  # unread for longer than its patience
        terminal.drain(2.5)
        terminal.wait_for(lambda t: without_numbers(t) == whole)
        terminal.send("q")
        assert terminal.exit_code() == 0
        assert LEAVE_ALTERNATE in terminal.raw
