"""The real program in a pseudo-terminal: start, resize, signals, a closed terminal, poor terminals."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clawtop.clock import SystemClock
from clawtop.core.cooldown.marking import Mark
from clawtop.engine.drive.leftovers import has_leftovers
from clawtop.store.own.mark_spool import MarkSpool
from tests.support.samples import copy, sample
from tests.support.states_made import StateDir
from tests.support.terminals import (
    ENTER_ALTERNATE,
    LEAVE_ALTERNATE,
    MOUSE_OFF,
    OVERVIEW,
    SHOW_CURSOR,
    Terminal,
    clawtop,
    open_terminal,
)

FIRST = "fakeai:one"


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("terminal")
    yield copy(sample("2026.5.20", "rate-limited"), root).state_dir
    shutil.rmtree(root)


def restored(terminal: Terminal) -> bool:
    """Whether the last word was: back to the normal screen, cursor on, mouse off."""
    tail = bytes(terminal.raw)
    left = tail.rfind(LEAVE_ALTERNATE)
    return left > tail.rfind(ENTER_ALTERNATE) and SHOW_CURSOR in tail[left - 200 :] and MOUSE_OFF in tail


def test_it_starts_shows_the_state_and_q_leaves_the_terminal_as_it_was(state_dir: Path) -> None:
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir))) as terminal:
        before = terminal.mode()
        terminal.wait_open(FIRST)
        assert terminal.lines[0].endswith("READ-ONLY")
        assert "B 2026.5.20" in terminal.lines[0]
        terminal.send("q")
        assert terminal.exit_code() == 0
        assert restored(terminal)
        assert terminal.mode() == before


def test_80x24_and_resizing(state_dir: Path) -> None:
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir)), columns=80, lines=24) as terminal:
        terminal.wait_for("▸ 1 one")
        assert terminal.lines[0].endswith(" READ-ONLY")
        assert "Credential" not in terminal.text
        terminal.resize(140, 40)
        terminal.wait_for("Credential")
        terminal.wait_for(lambda t: t.lines[0].endswith(" READ-ONLY") and len(t.lines[0]) > 130)
        terminal.resize(60, 12)
        terminal.wait_for(lambda t: "Credential" not in t.text and t.lines[0].rstrip().endswith(" READ-ONLY"))
        terminal.send("q")
        assert terminal.exit_code() == 0


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(lambda terminal: terminal.send("\x0c"), id="ctrl-l"),
        pytest.param(lambda terminal: terminal.process.send_signal(signal.SIGWINCH), id="a window of another size"),
    ],
)
def test_what_the_terminal_lost_is_painted_again(state_dir: Path, asked: Callable[[Terminal], None]) -> None:
    """What did not change is not written again, so that the program has to be told."""
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir))) as terminal:
        terminal.wait_for(lambda t: FIRST in t.text and "q Quit" in t.lines[-1])
        terminal.screen.erase_in_display(2)
        asked(terminal)
        terminal.wait_for(lambda t: FIRST in t.text and "q Quit" in t.lines[-1])


def test_the_size_that_a_terminal_tells_of_itself_paints_nothing_and_a_later_one_everything(state_dir: Path) -> None:
    """Terminals that tell their size themselves (mode 2048) do so first when they are asked to."""
    size = "\x1b[48;30;120;600;1200t"
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir))) as terminal:
        terminal.wait_open(FIRST)
        terminal.send("p")
        terminal.wait_for("PAUSED")
        start = len(terminal.raw)
        terminal.send("\x1b[?2048;2$y")
        terminal.wait_for_bytes(rb"\x1b\[\?2048h", start)
        terminal.send(size)
        for _ in range(2):  # by then it would have been painted
            terminal.send("p")
            terminal.wait_for(lambda t: "PAUSED" not in t.text)
            terminal.send("p")
            terminal.wait_for("PAUSED")
        assert FIRST.encode() not in terminal.raw[start:]
        terminal.screen.erase_in_display(2)
        terminal.send(size)
        terminal.wait_for(lambda t: FIRST in t.text and "q Quit" in t.lines[-1])


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_with_128_plus_n_and_a_restored_terminal(state_dir: Path, number: signal.Signals) -> None:
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir))) as terminal:
        before = terminal.mode()
        terminal.wait_open(FIRST)
        terminal.process.send_signal(number)
        assert terminal.exit_code() == 128 + number
        assert restored(terminal)
        assert terminal.mode() == before


@pytest.mark.long
def test_a_signal_ends_it_from_within_a_page_too(state_dir: Path) -> None:
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir))) as terminal:
        terminal.wait_open(FIRST)
        terminal.send("?")
        terminal.wait_for("Every key and what it does.")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.exit_code() == 143
        assert restored(terminal)


def test_control_c_leaves(state_dir: Path) -> None:
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir))) as terminal:
        terminal.wait_open(FIRST)
        terminal.send("\x03")
        assert terminal.exit_code() == 130
        assert restored(terminal)


@pytest.mark.long
def test_a_closed_terminal_ends_the_process(state_dir: Path) -> None:
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir))) as terminal:
        terminal.wait_open(FIRST)
        terminal.hang_up()
        assert terminal.exit_code() != 0


@pytest.mark.long
def test_a_closed_terminal_ends_the_process_even_if_no_signal_comes(state_dir: Path) -> None:
    """As under nohup, where SIGHUP is ignored when the program starts."""
    argv = ["/bin/sh", "-c", 'trap "" HUP; exec "$@"', "sh", *clawtop(*OVERVIEW, "--state-dir", str(state_dir))]
    with open_terminal(argv) as terminal:
        terminal.wait_open(FIRST)
        terminal.hang_up()
        assert terminal.exit_code() != 0


@pytest.mark.long
def test_without_a_mouse_the_terminal_keeps_it(state_dir: Path) -> None:
    with open_terminal(clawtop("--no-mouse", *OVERVIEW, "--state-dir", str(state_dir))) as terminal:
        terminal.wait_open(FIRST)
        assert b"\x1b[?1000h" not in terminal.raw
        terminal.send("q")
        terminal.exit_code()


COLOUR = re.compile(rb"\x1b\[[0-9;]*\b(?:3[0-7]|4[0-7]|38|48|9[0-7]|10[0-7])(?:;[0-9;]*)?m")


@pytest.mark.long
def test_no_color_writes_no_colour_and_everything_is_readable(state_dir: Path) -> None:
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir)), environment={"NO_COLOR": "1"}) as terminal:
        terminal.wait_open(FIRST)
        terminal.wait_for("READ-ONLY")
        assert not COLOUR.search(terminal.raw)
        terminal.send("q")
        assert terminal.exit_code() == 0


@pytest.mark.long
def test_a_terminal_of_sixteen_colours_gets_its_own_colours(state_dir: Path) -> None:
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir)), environment={"TERM": "xterm"}) as terminal:
        terminal.wait_open(FIRST)
        assert b"\x1b[38;" not in terminal.raw
        assert b";38;" not in terminal.raw
        assert COLOUR.search(terminal.raw)
        terminal.send("q")
        terminal.exit_code()


@pytest.mark.long
def test_256_colours_are_used_as_such(state_dir: Path) -> None:
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir))) as terminal:
        terminal.wait_open(FIRST)
        assert b"38;5;" in terminal.raw
        assert b"38;2;" not in terminal.raw
        terminal.send("q")
        terminal.exit_code()


@pytest.mark.long
@pytest.mark.parametrize("locale", [{"LANG": "C"}, {"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}])
def test_a_locale_without_glyphs_gets_ascii(state_dir: Path, locale: dict[str, str]) -> None:
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir)), environment=locale) as terminal:
        terminal.wait_open(FIRST)
        assert terminal.text.isascii()
        terminal.send("?")
        terminal.wait_for("Every key and what it does.")
        assert terminal.text.isascii()
        terminal.send("qq")
        assert terminal.exit_code() == 0


def test_a_dumb_terminal_gets_plain_text_and_no_escape(state_dir: Path) -> None:
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir)), environment={"TERM": "dumb"}) as terminal:
        assert terminal.exit_code() == 0
        assert FIRST.encode() in terminal.raw
        assert b"\x1b" not in terminal.raw


@pytest.mark.long
def test_an_idle_dashboard_writes_only_its_clock(state_dir: Path) -> None:
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir))) as terminal:
        terminal.wait_open(FIRST)
        terminal.drain(2.5)
        written = terminal.drain(3.2)
        clocks = re.findall(rb"\d\d:\d\d:\d\d", written)
        assert 2 <= len(clocks) <= 12
        assert len(written) < 6_000
        terminal.send("q")
        terminal.exit_code()


def test_who_only_looks_makes_and_changes_no_file_anywhere(tmp_path: Path) -> None:
    """Nor in a home or a temporary directory, whatever is looked at: every view, help, a detail."""
    here = {"HOME": tmp_path / "home", "TMPDIR": tmp_path / "temporary", "XDG_CACHE_HOME": tmp_path / "cache"}
    for path in here.values():
        path.mkdir()
    state_dir = copy(sample("2026.5.20", "rate-limited"), here["HOME"]).state_dir

    def tree() -> list[tuple[str, int, int]]:
        found = ((path, os.lstat(path)) for path in sorted(tmp_path.rglob("*")))
        return [(str(path), status.st_size, status.st_mtime_ns) for path, status in found]

    before = tree()
    environment = {name: str(path) for name, path in here.items()}
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir)), environment=environment) as terminal:
        terminal.wait_open(FIRST)
        for view, shown in (
            ("2", "▸Tree"),
            ("3", "▸Lanes"),
            ("4", "▸Timeline"),
            ("5", "▸Forecast"),
            ("w", "▸Warnings"),
        ):
            terminal.send(view)
            terminal.wait_for(shown)
        terminal.send("1jj\tt?")
        terminal.wait_for("Every key and what it does.")
        terminal.send("q\rqq")
        assert terminal.exit_code() == 0
    assert tree() == before


def test_ctrl_l_paints_what_another_program_has_written_over(state_dir: Path) -> None:
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir))) as terminal:
        terminal.wait_open(FIRST)
        terminal.screen.reset()
        assert FIRST not in terminal.text
        terminal.send("\x0c")
        terminal.wait_for(FIRST)
        terminal.send("q")
        assert terminal.exit_code() == 0


@pytest.mark.long
def test_arming_lands_the_marks_that_an_ended_clawtop_left_behind(tmp_path: Path) -> None:
    state_dir = copy(sample("2026.5.20", "rate-limited"), tmp_path).state_dir
    path = MarkSpool(state_dir).put(Mark("main", "fakeai:two", "fakeai", 1_000, "billing"))
    left = path.rename(path.with_name("5.4194000-dead.1.json"))
    with open_terminal(clawtop(*OVERVIEW, "--state-dir", str(state_dir))) as terminal:
        terminal.wait_open(FIRST)
        terminal.drain(1.0)
        assert left.exists()
        terminal.send("a")
        terminal.wait_for(lambda _: not has_leftovers(state_dir))
        terminal.wait_for("ARMED")
        terminal.send("q")
        assert terminal.exit_code() == 0


@pytest.mark.long
def test_errors_sent_elsewhere_do_not_take_the_screen_with_them(state_dir: Path, tmp_path: Path) -> None:
    errors = tmp_path / "errors.txt"
    argv = [
        "/bin/sh",
        "-c",
        'to=$1; shift; exec "$@" 2>"$to"',
        "sh",
        str(errors),
        *clawtop(*OVERVIEW, "--state-dir", str(state_dir)),
    ]
    with open_terminal(argv) as terminal:
        terminal.wait_open(FIRST)
        terminal.send("q")
        assert terminal.exit_code() == 0
        assert restored(terminal)
    assert errors.read_bytes() == b""


def test_a_notice_reaches_the_terminal_and_the_operators_command_without_a_secret(tmp_path: Path) -> None:
    """Read from what was written to the terminal, and from the arguments and the environment of the real process. The
    account that comes back has its key as its name.
    """
    secret = "sk-ant-api03-" + "Zq7" * 12
    made, now = StateDir(tmp_path / "home"), SystemClock().now_ms()
    accounts = {
        f"anthropic:{name}": {"type": "api_key", "provider": "anthropic", "key": secret} for name in ("one", secret)
    }
    made.profiles(accounts)
    out, program, config = tmp_path / "out", tmp_path / "notify", tmp_path / "config.toml"
    program.write_text(f'#!/bin/sh\n{{ printf "%s\\n" "$@"; env; }} >> {out}\n')
    program.chmod(0o755)
    config.write_text(f'on_notice = "{program} --to phone"\n')
    environment = {"CLAWTOP_CONFIG": str(config), "HOME": str(tmp_path)}
    argv = clawtop(*OVERVIEW, "--state-dir", str(made.path), "--notify", "--bell")
    with open_terminal(argv, environment=environment) as terminal:
        terminal.wait_open("PROFILES 2/2")
        spent = {"errorCount": 1, "disabledUntil": now + 3_600_000, "disabledReason": "billing", "lastFailureAt": now}
        made.state(usageStats=dict.fromkeys(accounts, spent))
        terminal.wait_for_bytes(rb"\x1b\]9;clawtop: nothing is usable for any agent\x07", 0)
        made.state(usageStats={each: {"errorCount": 0} for each in accounts})
        terminal.wait_for_bytes(rb"\x1b\]9;clawtop: usable again: anthropic:[^\x07]+\x07", 0)
        terminal.wait_for(lambda _: out.exists() and out.read_text().count("CLAWTOP_NOTICE=") == 2)
        terminal.send("q")
        assert terminal.exit_code() == 0
    told = out.read_text()
    assert "--to\nphone\nnothing is usable for any agent\n" in told
    assert "\nCLAWTOP_NOTICE=usable again: anthropic:" in told
    assert secret not in told
    sent = re.findall(rb"\x1b\]9;([^\x07]*)\x07", terminal.raw)
    assert [secret.encode() in each for each in sent] == [False, False]
    assert b"\x07" in re.sub(rb"\x1b\][^\x07]*\x07", b"", terminal.raw), "it rings as well"
