"""Keys wake their thread, and nothing else does while all is decided."""

from __future__ import annotations

import os
import pty
import queue
import select
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from textual import events
from textual.app import App
from textual.message import Message

from clawtop.ui.terminal_input import AGAIN_S, SleepingInput

pytestmark = pytest.mark.anyio

WAIT_S = 20.0


class Driver(SleepingInput):
    """Reads from a pseudo-terminal of its own and keeps what was typed."""

    def __init__(self, app: App[object]) -> None:
        super().__init__(app)
        self.typed: queue.Queue[Message] = queue.Queue()
        self.keyboard, self.fileno = pty.openpty()

    def release(self) -> None:
        for descriptor in (self.keyboard, self.fileno, self._woken, self._wake):
            os.close(descriptor)

    def write(self, data: str) -> None:
        pass

    def process_message(self, message: Message) -> None:
        self.typed.put(message)

    def key(self) -> str:
        """The next one."""
        message = self.typed.get(timeout=WAIT_S)
        assert isinstance(message, events.Key)
        return message.key


@pytest.fixture
async def driver(anyio_backend: str) -> AsyncIterator[Driver]:
    numbers = (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)
    handlers = [signal.getsignal(number) for number in numbers]
    made = Driver(App())
    yield made
    made.release()
    for number, handler in zip(numbers, handlers, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """How long each look at the terminal was ready to wait."""
    told: list[float | None] = []
    selected = select.select

    def noted(*sides: Any) -> Any:
        told.append(sides[-1])
        return selected(*sides)

    monkeypatch.setattr(select, "select", noted)
    return told


@pytest.fixture
def thread(driver: Driver, waits: list[float | None]) -> Iterator[threading.Thread]:
    driver._key_thread = threading.Thread(target=driver.run_input_thread)
    driver._key_thread.start()
    yield driver._key_thread
    driver.disable_input()


async def test_it_sleeps_until_a_key(driver: Driver, thread: threading.Thread, waits: list[float | None]) -> None:
    for key in "jkü":
        os.write(driver.keyboard, f"{key}\n".encode())  # the terminal is as a shell leaves it: by lines
        assert driver.key() == key
        assert driver.key() in {"enter", "ctrl+j"}
    assert set(waits) == {None}


async def test_an_escape_that_nothing_follows_is_a_key(
    driver: Driver, thread: threading.Thread, waits: list[float | None]
) -> None:
    os.write(driver.keyboard, b"\x1b\x04")  # the end of what is typed, not of a line
    assert driver.key() == "escape"
    assert AGAIN_S in waits


async def test_input_is_ended_at_once_and_can_begin_again(driver: Driver, thread: threading.Thread) -> None:
    driver.disable_input()
    assert not thread.is_alive()
    again = driver._key_thread = threading.Thread(target=driver.run_input_thread)
    again.start()
    os.write(driver.keyboard, b"q\n")
    assert driver.key() == "q"
