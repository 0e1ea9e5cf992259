"""`clawtop demo` on a terminal: every key does its real work there. Driving and draining, at both sizes."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from clawtop.ui.widgets.message_editor import TOGETHER_S
from tests.support.terminals import Terminal, clawtop, open_terminal

SIZES = [(120, 30), (80, 24)]

pytestmark = pytest.mark.long


def on_a_session(terminal: Terminal) -> None:
    """The overview, armed, with the cursor on the first session."""
    terminal.wait_for("SESSIONS 6", 30)
    terminal.send("1\ta")
    terminal.wait_for(lambda t: "ARMED" in t.lines[0])


def _holds(text: str, terminal: Terminal) -> bool:
    """Whether this, and nothing else, stands on a line of the dialog."""
    return any(part.strip() == text for line in terminal.lines for part in line.split("│"))


def say(terminal: Terminal, text: str) -> None:
    """Type as a person does, a key after what the last one left on the screen; keys that come closer are a paste."""
    for number, letter in enumerate(text, start=1):
        terminal.send(letter)
        terminal.wait_for(partial(_holds, text[:number].rstrip()))
        time.sleep(4 * TOGETHER_S)
    terminal.send("\r")


@pytest.mark.parametrize(("columns", "lines"), SIZES)
def test_a_session_is_driven_watched_and_left(tmp_path: Path, columns: int, lines: int) -> None:
    command = clawtop("demo", "--scenario", "calm", "--seed", "4")
    environment = {"TMPDIR": str(tmp_path)}
    with open_terminal(command, columns=columns, lines=lines, environment=environment) as terminal:
        on_a_session(terminal)
        terminal.send("D")
        terminal.wait_for("Your message.")
        say(terminal, "Is the tide in?")
        terminal.wait_for("✓ append", 40)
        terminal.wait_for("1 request, ")
        assert "Is the tide in?" in terminal.text
        terminal.send("q")
        terminal.wait_for(lambda t: "1 request, " not in t.text)
        terminal.send("q")
        assert terminal.exit_code() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_session_is_drained_and_that_is_proven(tmp_path: Path) -> None:
    with open_terminal(clawtop("demo", "--scenario", "calm"), environment={"TMPDIR": str(tmp_path)}) as terminal:
        on_a_session(terminal)
        terminal.send("d")
        terminal.wait_for("5. prove it: ")
        terminal.send("y")
        terminal.wait_for("drained, and proven:", 60)
        terminal.send("q")
        terminal.wait_for(lambda t: "drained, and proven:" not in t.text)
        terminal.send("q")
        assert terminal.exit_code() == 0
    assert list(tmp_path.iterdir()) == []


OPERATORS_CONFIG = """\
state_dir = "/srv/reef"
agent = "support"
theme = "paper"
registry = "etcd://127.0.0.1:1"
on_notice = "false"

[labels]
"agent:main:main" = "my own bot"

[sort]
sessions = "-age"
"""


def test_the_look_and_names_that_are_saved_in_a_demo_end_with_it(tmp_path: Path) -> None:
    """The operator's own config is where the demo takes its looks from, and stays as it is."""
    own = tmp_path / "config.toml"
    own.write_text(OPERATORS_CONFIG)
    (tmp_path / "tmp").mkdir()
    environment = {"TMPDIR": str(tmp_path / "tmp"), "CLAWTOP_CONFIG": str(own), "HOME": str(tmp_path)}
    with open_terminal(clawtop("demo", "--scenario", "calm"), environment=environment) as terminal:
        terminal.wait_for("SESSIONS 6", 30)
        assert "my own bot" not in terminal.text
        terminal.send("1T")
        terminal.wait_for("saved in the demo's temporary config: theme paper")
        terminal.send("\tL")
        terminal.wait_for("kept in the demo's own config")
        terminal.send("Ariel")
        terminal.wait_for(partial(_holds, "Ariel"))
        terminal.send("\r")
        terminal.wait_for(lambda t: "kept in the demo's" not in t.text and "Ariel" in t.text)
        (file,) = (tmp_path / "tmp").glob("*/.config/clawtop/config.toml")
        assert tomllib.loads(file.read_text())["theme"] == "paper"
        assert list(tomllib.loads(file.read_text())["labels"].values()) == ["Ariel"]
        terminal.send("q")
        assert terminal.exit_code() == 0
    assert own.read_text() == OPERATORS_CONFIG
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["config.toml", "tmp"]
    assert list((tmp_path / "tmp").iterdir()) == []


def asked(terminal: Terminal) -> None:
    """Leave the run's screen, then the dashboard, and answer yes if it still has something to ask about."""
    terminal.send("q")
    terminal.wait_for(lambda t: "gives up in" not in t.text)
    terminal.send("q")
    terminal.wait_for(lambda t: "it would be cancelled" in t.text or t.process.poll() is not None)
    if terminal.process.poll() is None:
        terminal.send("y")


def interrupted(terminal: Terminal) -> None:
    terminal.send("\x03")


def terminated(terminal: Terminal) -> None:
    terminal.process.terminate()


@pytest.mark.parametrize(("leave", "code"), [(asked, 0), (interrupted, 130), (terminated, 143)])
def test_leaving_in_the_middle_of_a_run_leaves_nothing_behind(
    tmp_path: Path, leave: Callable[[Terminal], None], code: int
) -> None:
    command = clawtop("demo", "--scenario", "duet")
    with open_terminal(command, environment={"TMPDIR": str(tmp_path)}) as terminal:
        on_a_session(terminal)
        terminal.send("D")
        terminal.wait_for("Your message.")
        say(terminal, "Never mind.")
        terminal.wait_for("gives up in")
        leave(terminal)
        assert terminal.exit_code(30) == code
    assert list(tmp_path.iterdir()) == []
