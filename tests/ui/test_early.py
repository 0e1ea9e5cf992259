"""The first frame: what Textual draws stands there before, in the same place, and the terminal is always given back."""

from __future__ import annotations

import os
import re
import signal
import termios
from collections.abc import Callable, Iterator
from datetime import UTC
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pyte
import pytest
from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style
from textual._compositor import LayoutUpdate
from textual.color import Color

from clawtop.commands import Arming
from clawtop.core.model import Snapshot
from clawtop.ui.colours import Depth, depth_of, looks_of_paint
from clawtop.ui.early import CellRow, EarlyScreen, Painter, early_screen
from clawtop.ui.painting import Canvas, looks_of
from clawtop.ui.palettes import PALETTES, THEMES, Paint
from clawtop.view.columns import Env
from clawtop.view.facts import Facts
from clawtop.view.line import text_of
from clawtop.view.overview import FrameWishes, first_frame
from clawtop.view.tour import Tour
from tests.support.golden import assert_golden
from tests.support.hostile import everywhere
from tests.support.samples import copy, sample
from tests.support.screens import make_app
from tests.support.terminals import (
    ENTER_ALTERNATE,
    LEAVE_ALTERNATE,
    LISTENS,
    SHOW_CURSOR,
    Terminal,
    clawtop,
    open_terminal,
    with_textual,
)
from tests.support.worlds import CALM, EMPTY, INCIDENT, NOW, OUT

GOLDEN = Path(__file__).parent / "golden"
SYSTEMS = {Depth.SOME: ColorSystem.EIGHT_BIT, Depth.ALL: ColorSystem.TRUECOLOR, Depth.FEW: ColorSystem.STANDARD}
FIRST = "fakeai:one"


# --- what Textual draws ------------------------------------------------------------------------------------------


def drawn_early(
    snapshot: Snapshot, size: tuple[int, int], theme: str, depth: Depth, wishes: FrameWishes, *, ascii_glyphs: bool
) -> list[CellRow]:
    env = Env(Facts(snapshot, NOW), NOW, UTC)
    painter = Painter(theme, depth, ascii_glyphs=ascii_glyphs)
    return [painter.row(row) for row in first_frame(env, *size, wishes)]


SCROLL_BAR = re.compile(r"\x1b\[\d+;\d+H(?:\x1b\[[0-9;]*m)?[ ▁▂▃▄▅▆▇]")


@pytest.mark.anyio
@pytest.mark.parametrize("size", [(160, 48), (120, 30), (80, 24), (60, 20)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(("name", "snapshot"), [("incident", INCIDENT), ("calm", CALM), ("out", OUT), ("empty", EMPTY)])
async def test_textual_finds_nothing_to_change_but_scroll_bars(
    name: str, snapshot: Snapshot, size: tuple[int, int]
) -> None:
    app, _, _ = make_app(snapshot)
    wishes = FrameWishes()
    left = await changes_by_textual(app, drawn_early(snapshot, size, "lobster", Depth.SOME, wishes, ascii_glyphs=False))
    assert SCROLL_BAR.sub("", left).replace("\x1b[0m", "") == "", name


async def changes_by_textual(
    app: object, early: list[CellRow], depth: Depth = Depth.SOME, size: tuple[int, int] | None = None
) -> str:
    """The bytes that the app's first frame still takes where the early one is on the terminal."""
    from clawtop.ui.app import ClawtopApp

    assert isinstance(app, ClawtopApp)
    size = size or (len(early[0].glyphs), len(early))
    console = Console(force_terminal=True, color_system="256", width=size[0], _environ={})
    console._color_system = SYSTEMS[depth]
    canvas = Canvas()
    canvas.adopt(size, ((row.certain, row.looks) for row in early))
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        update = app.screen._compositor.render_full_update()
        assert isinstance(update, LayoutUpdate)
        return canvas.paint(update, console)


@pytest.mark.anyio
@pytest.mark.parametrize("depth", [Depth.SOME, Depth.ALL])
@pytest.mark.parametrize("theme", THEMES)
async def test_in_every_theme_and_depth_of_colour(theme: str, depth: Depth) -> None:
    app, _, _ = make_app(CALM, theme=theme, ascii_glyphs=True)
    early = drawn_early(CALM, (120, 30), theme, depth, FrameWishes(scroll_bars=False), ascii_glyphs=True)
    assert await changes_by_textual(app, early, depth) == ""


@pytest.mark.anyio
async def test_as_the_operator_wants_it() -> None:
    tour = Tour()
    wishes = FrameWishes(Arming.LOCKED, sorting={"profiles": "-state"}, tour=tour.lines(120), scroll_bars=False)
    app, _, _ = make_app(INCIDENT, read_only=True, ascii_glyphs=True, tour=Tour(), sorting={"profiles": "-state"})
    early = drawn_early(INCIDENT, (120, 30), "lobster", Depth.SOME, wishes, ascii_glyphs=True)
    assert await changes_by_textual(app, early) == ""


@pytest.mark.anyio
async def test_what_was_not_drawn_is_drawn_by_textual() -> None:
    """Else the tests above could not fail."""
    app, _, _ = make_app(CALM)
    early = drawn_early(CALM, (120, 30), "lobster", Depth.SOME, FrameWishes(Arming.LOCKED), ascii_glyphs=False)
    assert "READ-ONLY" in await changes_by_textual(app, early)


@pytest.mark.parametrize("depth", list(Depth))
def test_colours_are_those_that_textual_makes_of_them(depth: Depth) -> None:
    for palette in PALETTES:
        if depth is Depth.FEW and not palette.ansi:
            continue
        for colour in {value for value in palette if isinstance(value, str) and value.startswith(("#", "ansi_"))}:
            theirs = looks_of(Style(color=Color.parse(colour).rich_color), SYSTEMS[depth])
            assert looks_of_paint(Paint(colour), depth) == theirs, colour


@pytest.mark.parametrize("environment", [{"TERM": "xterm"}, {"TERM": "xterm-256color"}, {"TERM": "xterm-kitty"}])
@pytest.mark.parametrize("more", [{}, {"COLORTERM": "truecolor"}, {"COLORTERM": "24bit"}, {"COLORTERM": "yes"}])
def test_the_depth_is_what_rich_takes_it_for(environment: dict[str, str], more: dict[str, str]) -> None:
    system = Console(force_terminal=True, _environ=environment | more)._color_system
    assert SYSTEMS[depth_of(environment | more)] is system


def test_before_sessions_are_read_nothing_is_said_of_them() -> None:
    env = Env(Facts(INCIDENT, NOW), NOW, UTC)
    frame = first_frame(env, 120, 30, FrameWishes(), whole=False)
    text = "\n".join("".join(text_of(stretch.line) for stretch in row).rstrip() for row in frame[:-1])
    assert_golden(GOLDEN / "accounts-alone-120x30.txt", text + "\n")


@pytest.mark.parametrize(
    ("environment", "theme"),
    [({"TERM": "xterm"}, "lobster"), ({"TERM": "linux"}, "paper")],
    ids=["16 colours", "a console, and a theme that it cannot show"],
)
def test_where_it_would_look_otherwise_it_is_not_drawn(environment: dict[str, str], theme: str) -> None:
    assert early_screen(theme, environment, ascii_glyphs=False) is None


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(
    "snapshot", [INCIDENT, CALM, everywhere(INCIDENT, "漢{}".format)], ids=["incident", "calm", "wide glyphs"]
)
def test_the_whole_state_takes_few_bytes_after_the_accounts(
    monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot, size: tuple[int, int]
) -> None:
    """Of the lines that change, only the words: and what stands there is what a frame on an empty screen shows."""
    written: list[str] = []
    monkeypatch.setattr(EarlyScreen, "_write", lambda _self, text: written.append(text))
    env = Env(Facts(snapshot, NOW), NOW, UTC)
    accounts, whole = (first_frame(env, *size, FrameWishes(), whole=whole) for whole in (False, True))
    twice, once = (EarlyScreen(Painter("lobster", Depth.SOME)) for _ in range(2))
    twice.draw(accounts, size)
    twice.draw(whole, size)
    once.draw(whole, size)
    first, second, alone = written
    assert shown(first + second, size) == shown(alone, size)
    assert len(second) < 0.5 * len(alone), (len(first), len(second), len(alone))
    twice.draw(whole, size)
    assert written[-1] == ""


def shown(text: str, size: tuple[int, int]) -> list[pyte.screens.Char]:
    """Every cell as a terminal shows it: of a blank, the background."""
    screen = pyte.Screen(*size)
    pyte.Stream(screen).feed(text)
    cells = (screen.buffer[y][x] for y in range(size[1]) for x in range(size[0]))
    return [cell._replace(fg="default", bold=False) if cell.data == " " else cell for cell in cells]


# --- the terminal ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy(sample("2026.5.20", "rate-limited"), tmp_path_factory.mktemp("early")).state_dir


HANGS = "import signal\nwhile True: signal.pause()\n"
"""Textual that is never imported to the end."""


@pytest.fixture
def waiting(state_dir: Path, tmp_path: Path) -> Iterator[Terminal]:
    """A dashboard with its first frame, for which Textual does not come."""
    argv = clawtop("--view", "overview", "--state-dir", str(state_dir))
    with open_terminal(argv, environment=with_textual(tmp_path, HANGS)) as terminal:
        terminal.before = terminal.mode()  # type: ignore[attr-defined]
        terminal.wait_for(lambda t: FIRST in t.text and "q Quit" in t.lines[-1] and "READING" not in t.text)
        yield terminal


def given_back(terminal: Terminal) -> bool:
    raw = bytes(terminal.raw)
    same: bool = terminal.mode() == terminal.before  # type: ignore[attr-defined]
    return same and raw.rfind(LEAVE_ALTERNATE) > raw.rfind(ENTER_ALTERNATE) and SHOW_CURSOR in raw


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_before_textual_is_there_gives_the_terminal_back(waiting: Terminal, number: signal.Signals) -> None:
    waiting.process.send_signal(number)
    assert waiting.exit_code() == 128 + number
    assert given_back(waiting)


def test_an_end_while_the_terminal_is_being_taken_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    main, side = os.openpty()
    before = termios.tcgetattr(side)
    with os.fdopen(side, "w", closefd=False) as file, monkeypatch.context() as patched:
        patched.setattr("clawtop.ui.early.screen_file", lambda: file)
        patched.setattr(signal, "signal", Mock(side_effect=KeyboardInterrupt))
        for call in ("tcgetattr", "tcsetattr"):
            patched.setattr(termios, call, partial(_of, getattr(termios, call), side))
        screen = EarlyScreen(Painter("lobster", Depth.SOME))
        with pytest.raises(KeyboardInterrupt):
            screen.draw(first_frame(Env(Facts(CALM, NOW), NOW, UTC), 80, 24, FrameWishes()), (80, 24))
        assert termios.tcgetattr(side) != before
        screen.give_back()
    assert termios.tcgetattr(side) == before
    os.close(main)
    os.close(side)


def _of(call: Callable[..., object], descriptor: int, _standard_input: int, *more: object) -> object:
    return call(descriptor, *more)


def test_control_c_too_and_control_z_and_keys_show_nothing(waiting: Terminal) -> None:
    shown = waiting.text
    waiting.send("jj\x1azz\r")
    waiting.send("\x03")
    assert waiting.exit_code() == 130
    assert given_back(waiting)
    raw = bytes(waiting.raw)
    assert not re.search(rb"jj|zz|\^", raw)
    assert FIRST in shown


@pytest.mark.parametrize(
    ("code", "words"),
    [("raise RuntimeError('x')\n", "clawtop: "), ("raise SystemExit(9)\n", "")],
    ids=["an error", "an exit"],
)
def test_what_breaks_the_import_is_told_on_the_terminal_as_it_was(
    state_dir: Path, tmp_path: Path, code: str, words: str
) -> None:
    argv = clawtop("--view", "overview", "--state-dir", str(state_dir))
    with open_terminal(argv, environment=with_textual(tmp_path, code)) as terminal:
        before = terminal.mode()
        assert terminal.exit_code() != 0
        assert terminal.mode() == before
        raw = bytes(terminal.raw)
        assert raw.count(ENTER_ALTERNATE) == 1
        assert words.encode() in raw[raw.rfind(LEAVE_ALTERNATE) :]


def test_it_is_there_before_textual_which_takes_the_terminal_as_it_is(state_dir: Path) -> None:
    """And what was typed before is not lost: `?` opens the help, `q` closes it, `q` leaves."""
    with open_terminal(clawtop("--view", "overview", "--state-dir", str(state_dir))) as terminal:
        before = terminal.mode()
        terminal.send("?")
        terminal.wait_for("Every key and what it does.")
        raw = bytes(terminal.raw)
        assert 0 < raw.find(b"READ-ONLY") < raw.find(LISTENS)
        assert raw.count(ENTER_ALTERNATE) == 1
        terminal.send("q")
        terminal.wait_for(lambda t: "Every key" not in t.text)
        terminal.send("q")
        assert terminal.exit_code() == 0
        assert bytes(terminal.raw).count(LEAVE_ALTERNATE) == 1
        assert terminal.mode() == before


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (("--view", "tree"), {}),
        ((), {"TERM": "xterm", "CLAWTOP_CONFIG": "{theme}"}),
    ],
    ids=["another view", "a theme of more colours than there are"],
)
def test_where_it_cannot_be_drawn_textual_draws_alone(
    state_dir: Path, tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    chosen = tmp_path / "config.toml"
    chosen.write_text('theme = "lobster"\n')
    given = {name: value.format(theme=chosen) for name, value in environment.items()}
    with open_terminal(clawtop(*arguments, "--state-dir", str(state_dir)), environment=given) as terminal:
        terminal.wait_for("READ-ONLY")
        raw = bytes(terminal.raw)
        assert 0 < raw.find(LISTENS) < raw.find(b"READ-ONLY")
        terminal.send("q")
        assert terminal.exit_code() == 0


def test_a_window_that_changes_in_between_is_painted_anew(state_dir: Path, tmp_path: Path) -> None:
    """Textual comes when the window has changed."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    waits = (
        "import importlib, sys\n"
        f"open({str(gate)!r}).read()\n"
        f"sys.path.remove({str(tmp_path)!r})\n"
        "del sys.modules['textual']\n"
        "sys.modules['textual'] = importlib.import_module('textual')\n"
    )
    argv = clawtop("--view", "overview", "--state-dir", str(state_dir))
    with open_terminal(argv, environment=with_textual(tmp_path, waits)) as terminal:
        terminal.wait_for(lambda t: FIRST in t.text and "q Quit" in t.lines[-1] and "READING" not in t.text)
        terminal.resize(100, 28)
        terminal.screen.erase_in_display(2)
        gate.write_text("now")
        terminal.wait_for(lambda t: "▸ 1 one" in t.text and "q Quit" in t.lines[27])
        terminal.send("q")
        assert terminal.exit_code() == 0
