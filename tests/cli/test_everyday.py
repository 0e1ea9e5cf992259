"""Settings in force, completion, the manual page, names that were mistyped, and output that has nowhere to go."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from clawtop.cli.completion import KINDS, SHELLS, script
from clawtop.cli.main import run, verb_parsers, whole_parser
from clawtop.cli.man import page
from clawtop.cli.version import commit_date
from clawtop.clock import SystemClock
from clawtop.commands import verbs
from clawtop.core.settings import SETTINGS, defaults, toml_of
from clawtop.engine.drive import opening
from clawtop.store.place.environment import foreign_commands
from tests.support.samples import sample
from tests.support.stores import auth_state, make_state_dir
from tests.support.terminals import open_terminal


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "etc" / "clawtop.toml"
    monkeypatch.setenv("CLAWTOP_CONFIG", str(path))
    return path


def state_in(directory: Path) -> Path:
    directory.mkdir()
    return make_state_dir(directory, "B")


# --- settings -----------------------------------------------------------------------------------------------------


def test_config_prints_a_file_that_means_the_same(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config"]) == 0
    printed = capsys.readouterr().out
    assert printed == toml_of(defaults())
    file.parent.mkdir()
    file.write_text(printed.replace("bell = false", "bell = true"))
    assert run(["config"]) == 0
    again = capsys.readouterr().out
    assert tomllib.loads(again) == {**tomllib.loads(printed), "bell": True}


def test_reading_makes_no_file_and_saving_makes_one(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["config"])
    assert not file.parent.exists()
    assert run(["config", "--set", "theme=lobster"]) == 0
    assert tomllib.loads(file.read_text()) == {"theme": "lobster"}
    assert run(["config", "--set", "limits.blocked_minutes=3"]) == 0
    capsys.readouterr()
    assert run(["config", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["settings"]
    assert (found["theme"], found["limits.blocked_minutes"]) == ("lobster", 3.0)


def test_an_entry_of_a_table_is_saved_beside_the_others(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for change in ("sort.sessions=-age", "labels.agent:main:main=the loud one", "sort.locks=agent"):
        assert run(["config", "--set", change]) == 0
    assert run(["config", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["settings"]
    assert found["sort"] == {"sessions": "-age", "locks": "agent"}
    assert found["labels"] == {"agent:main:main": "the loud one"}


CHANGED = {
    "state_dir": '/srv/an "odd" \\ place # 1',
    "agent": "ops",
    "theme": "paper",
    "view": "lanes",
    "read_only": "true",
    "mouse": "no",
    "bell": "on",
    "notify": "1",
    "on_notice": "ntfy send 'a topic'",
    "limits.blocked_minutes": "2.5",
    "limits.lock_wait_seconds": "4",
    "limits.verify_seconds": "0.5",
    "registry": "etcd://127.0.0.1:2379/shared",
    "registry_mounts": "/mnt/a=a",
    "fleet.hosts": "reef,atoll",
    "labels.agent:main:main": 'the "loud" one',
    "sort.sessions": "-age",
}
"""A value of each setting as it is typed, none of them the default."""


def test_every_setting_comes_back_as_it_was_saved(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, typed in CHANGED.items():
        assert run(["config", "--set", f"{name}={typed}"]) == 0, name
    file.write_text(file.read_text() + '\n[columns]\nsessions = ["SESSION", "AGE"]\n')
    assert run(["config", "--json"]) == 0
    saved = json.loads(capsys.readouterr().out)["settings"]
    assert [name for name, value in saved.items() if value == defaults()[name]] == []
    assert run(["config"]) == 0
    file.write_text(capsys.readouterr().out)
    assert run(["config", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"] == saved


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("no-such-program-here --now", "no-such-program-here is not on PATH"),
        ("say 'it", "on_notice is not a command line"),
        ("sh -c true", None),
    ],
)
def test_doctor_tells_of_a_hook_that_cannot_be_run(
    file: Path, capsys: pytest.CaptureFixture[str], command: str, told: str | None
) -> None:
    file.parent.mkdir()
    file.write_text(f"on_notice = {json.dumps(command)}\n")
    run(["doctor", "--state-dir", str(sample("2026.5.20", "healthy").state_dir)])
    printed = capsys.readouterr().out
    assert ("on-notice-unusable" in printed) is (told is not None)
    assert (told or "") in printed


@pytest.mark.parametrize(
    ("content", "change", "told"),
    [
        ("", "thme=x", (64, "did you mean theme?")),
        ("", "theme", (64, "NAME=VALUE")),
        ("", "theme=lobste", (64, "did you mean lobster?")),
        ("", "labels=x", (64, "set labels.NAME=VALUE")),
        ("theme = [", "theme=plain", (1, "edited by hand")),
        ("a b c\n", "theme=plain", (1, "not TOML")),
    ],
)
def test_what_cannot_be_saved_leaves_the_file(
    file: Path, capsys: pytest.CaptureFixture[str], content: str, change: str, told: tuple[int, str]
) -> None:
    code, words = told
    file.parent.mkdir()
    file.write_text(content)
    assert run(["config", "--set", change]) == code
    assert words in capsys.readouterr().err
    assert file.read_text() == content


def test_a_file_with_mistakes_is_told_and_stops_nothing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.parent.mkdir()
    file.write_text("theem = 1\n")
    chosen = sample("2026.5.20", "healthy")
    assert run(["status", "--state-dir", str(chosen.state_dir)]) == 0
    assert "did you mean theme?" in capsys.readouterr().err
    assert run(["config"]) == 64


def test_settings_are_defaults_and_the_command_line_beats_them(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.parent.mkdir()
    file.write_text(f"state_dir = {json.dumps(str(state_in(tmp_path / 'one')))}\n")
    assert run(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state_dir"] == str(tmp_path / "one" / ".openclaw")
    other = state_in(tmp_path / "two")
    assert run(["status", "--json", "--state-dir", str(other)]) == 0
    assert json.loads(capsys.readouterr().out)["state_dir"] == str(other)


# --- one parser: completion, manual, help --------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
def test_a_completion_names_every_verb_and_asks_for_ids(shell: str) -> None:
    text = script(shell)
    assert all(item.verb in text for item in verbs() if item.verb)
    for kind in ("profiles", "sessions", "providers"):
        assert re.search(rf"_clawtop_(list|words) {kind}\b", text)


@pytest.mark.parametrize(("shell", "check"), [("bash", ["-n"]), ("zsh", ["-n"]), ("fish", ["--no-execute"])])
def test_the_shell_itself_loads_it(shell: str, check: list[str], tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here")
    path = tmp_path / f"clawtop.{shell}"
    path.write_text(script(shell))
    subprocess.run([program, *check, str(path)], check=True, capture_output=True)


FISH = ["fish", "--no-config", "-i", "-C", "function fish_prompt; echo 'here> '; end"]
LOADED = {
    "bash, sourced": (["bash", "--norc", "-i"], "source <(clawtop completion bash)"),
    "zsh, sourced": (["zsh", "-f", "-i"], "source <(clawtop completion zsh)"),
    "zsh, evaluated": (["zsh", "-f", "-i"], 'eval "$(clawtop completion zsh)"'),
    "zsh, by fpath": (["zsh", "-f", "-i"], "fpath=($HOME/scripts $fpath); autoload -Uz compinit; compinit -u"),
    "fish, sourced": (FISH, "clawtop completion fish | source"),
    "fish, by its directory": (FISH, "set -p fish_complete_path $HOME/scripts"),
}
"""A shell, and how its completion is loaded there."""


@pytest.mark.parametrize("how", LOADED)
def test_a_shell_completes_verbs_and_ids_at_its_prompt(how: str, tmp_path: Path) -> None:
    """Typed as an operator does: ids have colons, at which bash takes words apart."""
    argv, load = LOADED[how]
    if shutil.which(argv[0]) is None:
        pytest.skip(f"there is no {argv[0]} here")
    state = make_state_dir(tmp_path, "B")
    for name, provider in (("elsewhere", "otherai"), ("else where", "thirdai")):
        (tmp_path / name).mkdir()
        for path in make_state_dir(tmp_path / name, "B").rglob("*.json"):
            path.write_text(path.read_text().replace("fakeai:", f"{provider}:"))
    for name in ("bin", "scripts"):
        (tmp_path / name).mkdir()
    command = tmp_path / "bin" / "clawtop"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m clawtop "$@"\n')
    command.chmod(0o755)
    (tmp_path / "scripts" / "_clawtop").write_text(script("zsh"))
    (tmp_path / "scripts" / "clawtop.fish").write_text(script("fish"))
    environment = {
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "OPENCLAW_STATE_DIR": str(state),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "PS1": "here> ",
    }
    with open_terminal(argv, environment=environment) as terminal:
        terminal.wait_for("here>", 60)
        terminal.send(f"{load}; echo load''ed\r")
        terminal.wait_for("loaded", 60)
        terminal.send("clawtop cle\t")
        terminal.wait_for("clawtop clear", 60)
        terminal.send("fakeai:tw\t")
        terminal.wait_for("clawtop clear fakeai:two", 60)
        terminal.send("--rea\t")
        terminal.wait_for("clawtop clear fakeai:two --reason", 60)
        terminal.send("x\x15clawtop explain profile fakeai:tw\t")
        terminal.wait_for("clawtop explain profile fakeai:two", 60)
        terminal.send("x\x15clawtop --state-dir ~/elsewhere/.openclaw clear otherai:tw\t")
        terminal.wait_for("clear otherai:two", 60)
        for typed in (r"~/else\ where/.openclaw", '~/"else where"/.openclaw', "~/'else where/.openclaw'"):
            terminal.send(f"x\x15clawtop --state-dir {typed} clear thirdai:tw\t")
            terminal.wait_for(f"{typed} clear thirdai:two", 60)


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_listed_and_a_state_that_is_missing_is_silence(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = sample("2026.5.20", "healthy").state_dir
    assert run(["completion", "--list", kind, "--state-dir", str(state)]) == 0
    assert capsys.readouterr().out.split()
    assert run(["completion", "--list", kind, "--state-dir", str(tmp_path / "nothing")]) == 0
    found = capsys.readouterr()
    assert (found.out.strip(), found.err) == ("", "")


def test_the_manual_names_every_option_of_every_verb_and_every_setting() -> None:
    text = page().replace("\\-", "-").replace("\\&", "")
    for one in (whole_parser(), *_subparsers()):
        for action in one._actions:
            told = set(action.option_strings) - {"-h", "--help"} if action.help != argparse.SUPPRESS else set()
            assert all(option in text for option in told)
    assert all(setting.variable in text for setting in SETTINGS if setting.variable)
    assert not [
        line
        for line in page().splitlines()
        if line.startswith(".") and line[1:3].upper() != line[1:3] and line[:3] not in {".nf", ".fi"}
    ]


def test_the_manual_is_dated_by_its_commit_so_that_it_is_the_same_tomorrow() -> None:
    assert page().startswith(f'.TH CLAWTOP 1 "{commit_date()}" ')
    assert "\\" not in commit_date()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("mandoc") is None or not commit_date(), reason="needs mandoc, and a commit")
def test_mandoc_has_nothing_to_warn_of() -> None:
    command = ["mandoc", "-T", "lint", "-W", "warning"]
    done = subprocess.run(command, input=page(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def _subparsers() -> list[argparse.ArgumentParser]:
    return list(verb_parsers(whole_parser()))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["statsu"], "there is no verb statsu: did you mean status?"),
        (["--view", "timelin"], "did you mean timeline?"),
        (["explain", "eror", "x"], "did you mean error?"),
        (["status", "--chekc"], "clawtop status: no such option: --chekc: did you mean --check?"),
        (["clear", "--dyr-run=x", "a:b"], "did you mean --dry-run?"),
        (["fleet", "statsu"], "there is no command statsu: did you mean status?"),
        (["--raed-only"], "clawtop: no such option: --raed-only: did you mean --read-only?"),
        (["status", "now\x1b[2J", "please"], "clawtop status: unknown: now\\x1b[2J please"),
    ],
)
def test_a_mistyped_word_names_the_nearest(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(argv) == 64
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        *(["status", "--agent", "mian"], ["drive", "--list", "--agent", "mian"], ["doctor", "--agent", "mian"]),
        *(["clear", "fakeai:one", "--agent", "mian"], ["drain", "agent:mian:main", "--dry-run"]),
        *(["drive", "--session", "agent:mian:main", "--message", "x"],),
    ],
    ids=" ".join,
)
def test_a_mistyped_agent_is_told_which_one_is_near(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "--state-dir", str(make_state_dir(tmp_path, "B"))]) not in {0, 70}
    told = capsys.readouterr().err
    assert "there is no agent mian" in told
    assert ": did you mean main?" in told


@pytest.mark.parametrize("option", [["--read-only"], ["--view", "tree"], ["--bell"], ["--blocked-minutes", "7"]])
@pytest.mark.parametrize("verb", [["clear", "a:b", "--yes"], ["drive", "--session", "x"], ["status"]])
def test_an_option_of_the_dashboard_is_refused_by_a_verb_that_would_ignore_it(
    verb: list[str], option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*option, *verb]) == 64
    assert f"{option[0]} is for the dashboard; clawtop {verb[0]} has no such option" in capsys.readouterr().err


def test_the_advice_to_name_a_registry_is_a_command_that_works(file: Path) -> None:
    found = re.search(r"clawtop (config [^\"]*registry[^\"]*)\"", Path(opening.__file__).read_text())
    assert found is not None
    file.parent.mkdir()
    assert run(found.group(1).replace("HOST", "localhost").split()) == 0
    assert tomllib.loads(file.read_text())["registry"] == "etcd://localhost:2379"


# --- output that has nowhere to go ----------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "words", [["status"], ["status", "--json"], ["config"], ["man"], ["doctor"], ["--version"], ["--help"]]
)
def test_a_full_disk_behind_stdout_is_told_without_a_traceback(words: list[str]) -> None:
    state = str(sample("2026.5.20", "healthy").state_dir)
    argv = [sys.executable, "-m", "clawtop", *words, *([] if words[0].startswith("--") else ["--state-dir", state])]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert "No space left" in done.stderr
    assert done.returncode == 74


# --- another program of the name -------------------------------------------------------------------------------------


def test_another_clawtop_on_the_path_is_named(tmp_path: Path) -> None:
    ours, theirs, none = (tmp_path / name for name in ("ours", "theirs", "none"))
    for directory, text in (
        (ours, "#!/usr/bin/python3\nfrom clawtop.__main__ import main\n"),
        (theirs, "#!/bin/sh\nhtop\n"),
    ):
        directory.mkdir()
        (directory / "clawtop").write_text(text)
        (directory / "clawtop").chmod(0o755)
    (problem,) = foreign_commands(f"{ours}:{none}:{theirs}:{theirs}")
    assert (problem.code, problem.where) == ("foreign-clawtop", str(theirs / "clawtop"))
    assert "clawtop-tui" in problem.text


# --- the order --------------------------------------------------------------------------------------------------------


def test_an_account_is_paused_and_put_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = make_state_dir(tmp_path, "B")
    options = ["--state-dir", str(state), "--yes", "--verify", "0"]
    assert run(["order", "fakeai", "--without", "fakeai:two", "--dry-run", *options]) == 0
    assert "paused, no longer tried: fakeai:two" in capsys.readouterr().out
    assert "order" not in auth_state(state)
    assert run(["order", "fakeai", "--without", "fakeai:two", *options]) == 0
    assert "fakeai:two" not in auth_state(state)["order"]["fakeai"]
    assert run(["order", "fakeai", "fakeai:two", "fakeai:one", *options]) == 0
    assert auth_state(state)["order"]["fakeai"] == ["fakeai:two", "fakeai:one"]
    assert run(["order", "fakeai", "--reset", *options]) == 0
    assert "order" not in auth_state(state)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["fakeai", "fakeai:tow"], 1, "did you mean fakeai:two?"),
        (["fakeai"], 64, "name profiles in their order"),
        (["fakeai", "fakeai:one", "--reset"], 64, "do not name profiles with it"),
        (["fakeai", "fakeai:one", "--without", "fakeai:one"], 1, "empty order"),
        (["nobody", "x"], 1, "there is no profile of nobody"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, told: str
) -> None:
    state = make_state_dir(tmp_path, "B")
    assert run(["order", *words, "--state-dir", str(state), "--yes"]) == code
    assert told in capsys.readouterr().err
    assert "order" not in auth_state(state)


# --- notices without a dashboard --------------------------------------------------------------------------------------


def test_an_outage_reaches_the_command_while_status_watches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every account goes out between two looks; the command is told once, and again when they are back."""
    state = make_state_dir(tmp_path, "B")
    told: list[str] = []
    monkeypatch.setattr("clawtop.engine.live.hook.NoticeHook.tell", lambda _, text: told.append(text))
    monkeypatch.setenv("CLAWTOP_ON_NOTICE", "send-to-phone")
    path = state / "agents/main/agent/auth-state.json"
    usable = json.loads(path.read_text()) | {"usageStats": {}}
    far = SystemClock().now_ms() + 3_600_000
    names = ("fakeai:one", "fakeai:two", "fakeai:three", "backupai:default")
    out = usable | {"usageStats": {name: {"disabledUntil": far, "disabledReason": "billing"} for name in names}}
    looks = iter([usable, out, out, usable])

    def pause(_self: SystemClock, _seconds: float) -> None:
        following = next(looks, None)
        if following is None:
            raise KeyboardInterrupt
        path.write_text(json.dumps(following))

    monkeypatch.setattr(SystemClock, "pause", pause)
    run(["status", "--watch", "--json", "--no-gateway", "--state-dir", str(state)])
    capsys.readouterr()
    assert [text.partition(":")[0] for text in told] == [
        "usable again",
        "nothing is usable for any agent",
        "usable again",
    ]
