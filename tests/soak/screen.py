"""The dashboard on the demo's world in a terminal, for so long, which now and then does not read what is drawn."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from clawtop.demo.stage import Stage
from tests.soak.samples import Sample, sample
from tests.support.terminals import open_terminal

KEYS = ("2", "3", "4", "5", "w", "\x1b", "j", "j", "\r", "\x1b", "?", "\x1b", "t", "s")


def watch_the_reef(seconds: float, stuck_s: float) -> tuple[list[Sample], bool]:
    """Samples of the dashboard's process, and whether it still draws after the terminal stopped reading."""
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as folder, Stage("reef", 3) as stage:
        told = Path(folder) / "tasks"
        command = [sys.executable, "-m", "tests.soak.counted", str(told), "--state-dir", str(stage.state_dir)]
        with open_terminal(command, emulate=False) as terminal:
            pid = terminal.process.pid
            terminal.wait_for_bytes(b"READ-ONLY", 0, 30.0)
            began, number = time.monotonic(), 0
            stuck_at = began + seconds / 2
            while time.monotonic() - began < seconds:
                if stuck_at and time.monotonic() >= stuck_at:
                    stuck_at = 0.0
                    until = time.monotonic() + stuck_s
                    while time.monotonic() < until:
                        time.sleep(1.0)
                        samples.append(_look(pid, told))
                terminal.send(KEYS[number % len(KEYS)])
                number += 1
                terminal.drain(1.0)
                if number % len(KEYS) == 0:  # each screen has its own tasks: they are counted where the keys begin anew
                    os.kill(pid, signal.SIGUSR1)
                    terminal.drain(0.5)
                del terminal.raw[:-4096]
                samples.append(_look(pid, told))
            del terminal.raw[:]
            terminal.send("?")
            terminal.drain(3.0)
            draws = len(terminal.raw) > 0
            assert os.path.exists(f"/proc/{pid}")  # noqa: PTH110 - procfs
    assert any(one.tasks for one in samples), "the dashboard did not say how many tasks it has"
    return samples, draws


def _look(pid: int, told: Path) -> Sample:
    """A sample, with the tasks if they have just been counted."""
    found = sample(pid, int(told.read_text()) if told.exists() else 0)
    told.unlink(missing_ok=True)
    return found
