"""The verbs as an operator types them: exit codes, JSON, dry runs, what is asked and what is refused."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from clawtop.cli.main import run
from clawtop.core.model import Generation
from tests.support.lock_files import publish
from tests.support.samples import unpacked
from tests.support.stores import COOLING, VERSIONS, auth_state, credentials, make_state_dir, state, tree, write_store

ROOT = Path(__file__).resolve().parents[2]
DEAD_PID = 2**22 - 7


@pytest.fixture(autouse=True)
def private_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return make_state_dir(tmp_path)


def clawtop(directory: Path, *words: str) -> int:
    return run([*words, "--state-dir", str(directory)])


def stats(directory: Path, profile: str = "fakeai:one") -> dict[str, Any]:
    found: dict[str, Any] = auth_state(directory)["usageStats"][profile]
    return found


def test_clear_does_what_it_says(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert clawtop(directory, "clear", "fakeai:one", "--yes", "--reason", "stuck") == 0
    assert "cooldownUntil" not in stats(directory)
    out = capsys.readouterr().out
    assert out.startswith("done: Clear fakeai:one in the store of agent main\n")
    at = r"2096-10-0\d \d\d:\d\d \S+"  # in the machine's zone
    assert re.search(rf"cooldownUntil: 4000000000000 \({at}\) -> absent$", out, re.MULTILINE)
    assert re.search(r"^  undo +clawtop undo \S+$", out, re.MULTILINE)


def test_clear_and_undo_by_id_in_json(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert clawtop(directory, "clear", "--provider", "fakeai", "--yes", "--json") == 0
    receipt = json.loads(capsys.readouterr().out)["receipt"]
    assert receipt["gateway"]["state"] in {"no gateway", "written"}
    assert {change["key"] for change in receipt["changes"]} == {"fakeai:one"}
    assert clawtop(directory, "undo", receipt["undo"], "--yes", "--json") == 0
    assert stats(directory) == COOLING
    assert clawtop(directory, "undo", receipt["undo"], "--yes") == 1


def test_a_dry_run_touches_nothing(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(directory)
    for words in (("clear", "fakeai:one"), ("rotate", "fakeai"), ("clear", "fakeai:two")):
        assert clawtop(directory, *words, "--dry-run", "--json") == 0
        plan = json.loads(capsys.readouterr().out)
        assert plan["dry_run"] is True
        assert clawtop(directory, *words, "--dry-run") == 0
        shown = capsys.readouterr().out
        assert shown.startswith(plan["plan"]["title"])
        assert plan["plan"]["plan_id"] == plan["plan"]["fingerprint"]
        assert f"plan id    {plan['plan']['plan_id']}\n" in shown
    assert "nothing to do" in shown
    assert tree(directory) == before


def test_a_plan_that_is_no_longer_the_one_shown_is_refused(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert clawtop(directory, "clear", "fakeai:one", "--dry-run", "--json") == 0
    shown = json.loads(capsys.readouterr().out)["plan"]["plan_id"]
    changing = auth_state(directory)
    changing["usageStats"]["fakeai:one"]["errorCount"] += 1
    path = directory / "agents/main/agent/auth-state.json"
    path.write_text(json.dumps(changing))
    assert clawtop(directory, "clear", "fakeai:one", "--yes", "--plan", shown) == 1
    assert "the plan is no longer the one shown" in " ".join(capsys.readouterr().err.split())
    assert auth_state(directory) == changing
    assert clawtop(directory, "clear", "fakeai:one", "--dry-run", "--json") == 0
    shown = json.loads(capsys.readouterr().out)["plan"]["plan_id"]
    assert clawtop(directory, "clear", "fakeai:one", "--yes", "--plan", shown) == 0
    assert "cooldownUntil" not in stats(directory)


def test_ids_come_out_exact_and_go_in_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = make_state_dir(tmp_path)
    odd = "fakeai:\x1b[31m-ü-\u202e"
    profiles = {**credentials(), odd: credentials()["fakeai:one"]}
    changing = state()
    changing["usageStats"][odd] = dict(COOLING)
    write_store(directory, "main", "B", profiles, changing)
    assert clawtop(directory, "clear", odd, "--dry-run", "--json") == 0
    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    assert clawtop(directory, "clear", json.loads(out)["plan"]["target"], "--yes") == 0
    assert "\x1b" not in capsys.readouterr().out
    assert stats(directory, odd)["errorCount"] == 0


def test_rotate_and_reset(directory: Path) -> None:
    assert clawtop(directory, "rotate", "fakeai", "--yes") == 0
    assert auth_state(directory)["order"]["fakeai"] == ["fakeai:three", "fakeai:one", "fakeai:two"]
    assert clawtop(directory, "rotate", "fakeai", "--reset", "--yes") == 0
    assert "order" not in auth_state(directory)


@pytest.mark.parametrize("generation", [Generation.C, Generation.D])
def test_a_directory_without_its_databases_has_nothing_to_clear(
    generation: Generation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = make_state_dir(tmp_path, generation.value)
    for name in ("auth-profiles.json", "auth-state.json"):
        (directory / "agents/main/agent" / name).unlink()
    before = tree(directory)
    assert clawtop(directory, "clear", "fakeai:one", "--yes") == 1
    assert "there is no profile fakeai:one" in capsys.readouterr().err
    assert tree(directory) == before


def test_an_unproven_generation_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = make_state_dir(tmp_path)
    (directory / "openclaw.json").write_text("{}")
    (directory / "agents/main/agent/auth-state.json").unlink()
    assert clawtop(directory, "rotate", "fakeai", "--yes") == 1
    assert "is not known" in capsys.readouterr().err
    assert not (directory / "clawtop").exists()


def test_several_stores_need_the_agent(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_store(directory, "ops", "B", {"fakeai:one": credentials()["fakeai:one"]}, state())
    assert clawtop(directory, "clear", "fakeai:one", "--yes") == 1
    assert "--agent" in capsys.readouterr().err
    assert clawtop(directory, "--agent", "ops", "clear", "fakeai:one", "--yes") == 0
    assert "cooldownUntil" not in auth_state(directory, "ops")["usageStats"]["fakeai:one"]
    assert stats(directory) == COOLING


def test_without_a_terminal_yes_is_needed(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(directory)
    assert clawtop(directory, "clear", "fakeai:one") == 1
    assert "use --yes" in capsys.readouterr().err
    assert tree(directory) == before


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1), ("", 1)])
def test_on_a_terminal_it_asks(answer: str, code: int, directory: Path) -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "clawtop", "--state-dir", str(directory), "clear", "fakeai:one"]
    with subprocess.Popen(command, cwd=ROOT, stdin=slave, stdout=subprocess.PIPE, stderr=slave) as process:
        os.close(slave)
        asked = b""
        while b"Do it? [y/N]" not in asked:
            asked += os.read(master, 4096)
        os.write(master, answer.encode() + b"\n")
        assert process.wait(30) == code
    os.close(master)
    assert b"cooldownUntil" in asked
    assert ("cooldownUntil" in stats(directory)) == bool(code)


def test_a_lock_that_stays_taken_is_exit_2_and_names_its_holder(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = directory / "agents/main/agent/auth-profiles.json.lock"
    assert publish(str(lock), {"pid": os.getpid(), "createdAt": "2026-05-20T12:00:00.000Z"})
    assert clawtop(directory, "clear", "fakeai:one", "--yes", "--wait", "0.1") == 2
    assert f"pid {os.getpid()}" in capsys.readouterr().err
    assert clawtop(directory, "clear", "fakeai:one", "--yes", "--wait", "0.1", "--json") == 2
    assert f"pid {os.getpid()}" in json.loads(capsys.readouterr().out)["error"]["holder"]
    assert stats(directory) == COOLING
    assert lock.exists()


def test_a_dead_owners_store_lock_is_broken_on_the_way_and_named(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = directory / "agents/main/agent/auth-profiles.json.lock"
    assert publish(str(lock), {"pid": DEAD_PID, "createdAt": "2026-05-20T12:00:00.000Z"})
    assert clawtop(directory, "clear", "fakeai:one", "--yes", "--json") == 0
    receipt = json.loads(capsys.readouterr().out)["receipt"]
    assert "proven dead (owner is dead)" in receipt["lock"]["broke"]
    assert not lock.exists()


@pytest.mark.long
def test_unlock_by_session_by_path_and_not_from_elsewhere(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = directory / "agents/main/sessions/s1.jsonl.lock"
    for target in ("s1", str(lock), os.path.relpath(lock)):
        assert publish(str(lock), {"pid": DEAD_PID, "createdAt": "2026-05-20T12:00:00.000Z"})
        assert clawtop(directory, "unlock", target, "--yes") == 0
        assert not lock.exists()
    elsewhere = tmp_path / "s1.jsonl.lock"
    assert publish(str(elsewhere), {"pid": DEAD_PID, "createdAt": "2026-05-20T12:00:00.000Z"})
    assert clawtop(directory, "unlock", str(elsewhere), "--yes") == 1
    assert "not a file of a known kind" in capsys.readouterr().err
    assert elsewhere.exists()


@pytest.mark.parametrize("place", ["agents/main/agent/auth-profiles.json.lock", "agents/main/sessions/s1.jsonl.lock"])
def test_a_lock_that_names_nobody_is_removed_if_it_is_older_than_the_boot_and_that_is_told(
    directory: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    lock = directory / place
    lock.write_text("")
    before_boot = psutil.boot_time() - 86_400
    os.utime(lock, (before_boot, before_boot))
    assert clawtop(directory, "status", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["locks"]
    assert (found["verdict"], found["reasons"]) == ("stale", ["older-than-boot"])
    assert clawtop(directory, "status", "-o", "wide") == 0
    assert "✗ stale older than the boot" in capsys.readouterr().out
    assert clawtop(directory, "unlock", str(lock), "--yes", "--json") == 0
    receipt = json.loads(capsys.readouterr().out)["receipt"]
    assert "lock that names no owner" in receipt["title"]
    assert receipt["gateway"]["how"] == "proof: older than the boot"
    assert not lock.exists()


def test_a_lock_that_names_nobody_and_is_younger_than_the_boot_stays(directory: Path) -> None:
    lock = directory / "agents/main/sessions/s1.jsonl.lock"
    lock.write_text("")
    assert clawtop(directory, "unlock", str(lock), "--yes") == 1
    assert lock.exists()


def test_unlock_refuses_what_is_alive_or_unknown(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = directory / "agents/main/sessions/s1.jsonl.lock"
    assert publish(str(lock), {"pid": os.getpid(), "createdAt": "2099-05-20T12:00:00.000Z"})
    assert clawtop(directory, "unlock", "s1", "--yes") == 1
    lock.write_text("99999\nvm\n12345\n")
    assert clawtop(directory, "unlock", "s1", "--yes") == 1
    assert "not readable as a lock" in capsys.readouterr().err
    assert lock.exists()


def test_a_judged_state_is_read_only(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(directory)
    assert clawtop(directory, "--at", "1795214067763", "clear", "fakeai:one", "--yes") == 1
    assert "--at" in capsys.readouterr().err
    assert tree(directory) == before


def test_many_operators_at_once_do_it_once(directory: Path) -> None:
    command = [sys.executable, "-m", "clawtop", "--state-dir", str(directory), "clear", "fakeai:one", "--yes", "--json"]
    operators = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(5)]
    answers = [(json.loads(each.communicate()[0]), each.returncode) for each in operators]
    did = [answer for answer, code in answers if code == 0 and answer["receipt"]["changes"]]
    late = [answer for answer, code in answers if code == 0 and not answer["receipt"]["changes"]]
    refused = [answer for answer, code in answers if code == 1]
    assert len(did) == 1
    assert len(did) + len(late) + len(refused) == 5
    assert all("changed" in answer["error"]["title"] for answer in refused)
    assert stats(directory)["errorCount"] == 0
    assert sorted(entry.name for entry in (directory / "agents/main/agent").iterdir()) == [
        "auth-profiles.json",
        "auth-state.json",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("clear",),
        ("clear", "fakeai:one", "--provider", "fakeai"),
        ("clear", "--provider", "fakeai", "--model", "m"),
        ("clear", "fakeai:one", "--wait", "soon"),
        ("clear", "fakeai:one", "--wait", "-1"),
        ("clear", "fakeai:one", "--wait", "nan"),
        ("rotate",),
        ("unlock",),
        ("clear", "fakeai:one", "--nonsense"),
    ],
)
def test_a_wrong_command_line_is_exit_64(words: tuple[str, ...], directory: Path) -> None:
    before = tree(directory)
    assert clawtop(directory, *words) == 64
    assert tree(directory) == before


@pytest.mark.parametrize(
    "content",
    ['{"version":1,"usageStats":{"fakeai:one":{"errorCount":1,"errorCount":2}}}', "{", ""],
)
def test_a_file_that_could_lose_something_is_left_alone(content: str, directory: Path) -> None:
    path = directory / "agents/main/agent/auth-state.json"
    path.write_text(content)
    assert clawtop(directory, "rotate", "fakeai", "--yes") in {1, 3}
    assert path.read_text() == content
    assert not path.with_name("auth-profiles.json.lock").exists()


def test_surrogates_and_odd_numbers_survive(directory: Path) -> None:
    path = directory / "agents/main/agent/auth-state.json"
    path.write_text(
        '{"version": 1, "note": "\\ud800 and \\u00fc", "usageStats": {"fakeai:one": {"cooldownUntil": 4e12,'
        ' "cooldownReason": "rate_limit", "errorCount": 1e0}, "other:x": {"lastUsed": 1e2}}}'
    )
    assert clawtop(directory, "clear", "fakeai:one", "--yes") == 0
    text = path.read_text()
    assert '"note": "\\ud800 and ü"' in text
    assert '"lastUsed": 1e2' in text
    assert stats(directory) == {"errorCount": 0}


def test_every_generation_of_the_table_is_known() -> None:
    assert set(VERSIONS) == {item.value for item in Generation}


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("clear", "fakeai:oen"), "fakeai:one"),
        (("clear", "--provider", "fakai"), "fakeai"),
        (("rotate", "fakai"), "fakeai"),
        (("order", "fakai", "--reset"), "fakeai"),
        (("order", "fakeai", "fakeai:oen"), "fakeai:one"),
        (("drain", "agent:main:mian", "--dry-run"), "agent:main:main"),
        (("recover", "agent:main:mian", "--dry-run"), "agent:main:main"),
        (("unpin", "agent:main:mian"), "agent:main:main"),
    ],
    ids=lambda item: " ".join(item) if isinstance(item, tuple) else "",
)
def test_a_mistyped_id_is_answered_with_the_one_that_was_meant(
    directory: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], meant: str
) -> None:
    sessions = directory / "agents" / "main" / "sessions"
    sessions.mkdir(parents=True, exist_ok=True)
    (sessions / "sessions.json").write_text(json.dumps({"agent:main:main": {"sessionId": "s", "updatedAt": 1}}))
    assert clawtop(directory, *words, "--no-gateway") == 1
    said = capsys.readouterr().err
    assert f": did you mean {meant}? " in said


def test_a_lock_goes_by_its_name_in_status_and_only_what_has_one_is_suggested_or_completed(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions = directory / "agents" / "main" / "sessions"
    sessions.mkdir(parents=True, exist_ok=True)
    rows = {f"agent:main:{name}": {"sessionId": name, "updatedAt": 1} for name in ("locked", "free")}
    (sessions / "sessions.json").write_text(json.dumps(rows))
    lock = sessions / "locked.jsonl.lock"
    broken = directory / "agents" / "main" / "agent" / "auth-profiles.json.lock"
    broken.write_text("")
    for name in ("locked", "locked.jsonl.lock"):
        assert publish(str(lock), {"pid": DEAD_PID, "createdAt": "2026-05-20T12:00:00.000Z"})
        assert clawtop(directory, "status", "-o", "wide", "--no-gateway") == 0
        assert f" {lock}\n" in capsys.readouterr().out
        assert clawtop(directory, "completion", "--list", "locks", "--no-gateway") == 0
        words = capsys.readouterr().out.split()
        assert "agent:main:locked" in words
        assert "agent:main:free" not in words
        assert clawtop(directory, "unlock", "agent:main:lokced") == 1
        assert "did you mean agent:main:locked?" in capsys.readouterr().err
        assert clawtop(directory, "unlock", name, "--yes") == 0
        assert "proof: owner is dead" in capsys.readouterr().out
        assert not lock.exists()
    assert clawtop(directory, "unlock", "agent:main:fere") == 1
    assert "did you mean" not in capsys.readouterr().err
    assert clawtop(directory, "unlock", "main: auth store") == 1
    assert "only then remove it by hand" in capsys.readouterr().err


def test_options_stand_anywhere_among_the_arguments(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    titles = set()
    for words in (
        ("order", "fakeai", "fakeai:two", "fakeai:one", "--dry-run"),
        ("order", "fakeai", "--dry-run", "fakeai:two", "fakeai:one"),
        ("order", "fakeai", "fakeai:two", "--dry-run", "fakeai:one"),
        ("order", "--dry-run", "fakeai", "fakeai:two", "fakeai:one"),
    ):
        assert clawtop(directory, *words) == 0
        titles.add(capsys.readouterr().out)
    assert len(titles) == 1
    assert clawtop(directory, "order", "fakeai", "--dryrun", "fakeai:two") == 64
    assert "--dry-run" in capsys.readouterr().err


def test_nothing_to_do_is_said_once(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert clawtop(directory, "clear", "fakeai:two", "--yes") == 0
    said = capsys.readouterr().out
    assert said.startswith("nothing to do: Clear fakeai:two")
    assert said.count("\n") == 1


def test_help_is_a_word_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["help"]) == 0
    whole = capsys.readouterr().out
    assert run(["--help"]) == 0
    assert capsys.readouterr().out == whole
    assert run(["help", "order"]) == 0
    assert "usage: clawtop order" in capsys.readouterr().out


def test_a_version_that_is_none_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "error", "429", "--openclaw", "foo"]) == 64
    said = capsys.readouterr().err
    assert "foo" in said
    assert "2026.9.6" in said


def test_another_directory_is_asked_for_where_one_was_named(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert clawtop(directory / "none", "clear", "fakeai:two") == 3
    assert "Name another one with --state-dir" in capsys.readouterr().err


def test_a_mistyped_operation_is_answered_with_the_one_that_was_meant(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert clawtop(directory, "clear", "--provider", "fakeai", "--yes", "--json") == 0
    done = json.loads(capsys.readouterr().out)["receipt"]["undo"]
    assert clawtop(directory, "undo", f"{done}x", "--yes") == 1
    assert f"did you mean {done}? " in capsys.readouterr().err


def test_a_mistyped_session_is_named_where_no_gateway_could_be_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state_dir = unpacked("2026.9.6", "rate-limited", tmp_path / "packed").state_dir
    assert clawtop(state_dir, "drive", "--session", "agent:main:mian", "--message", "hi", "--no-gateway") == 1
    said = capsys.readouterr().err
    assert "did you mean agent:main:main?" in said
    assert "does the same" not in said
