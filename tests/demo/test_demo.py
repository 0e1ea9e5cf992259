"""`clawtop demo`: within twenty seconds everything there is to see, and nothing left afterwards, whatever ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clawtop.demo.stage import Stage

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="what is left of a demo is looked for in /proc"),
]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "clawtop", "demo", *words]


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment whose temporary directory is ours; it must be empty in the end."""
    place = tmp_path / "tmp"
    place.mkdir()
    yield {**os.environ, "TMPDIR": str(place)}
    assert list(place.iterdir()) == []


def children_of(directory: str) -> list[int]:
    """Processes that have to do with a directory: they name it, or stand in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"TMPDIR={directory}".encode() in environment.split(b"\0"):
                found.append(int(entry.name))
    return found


def gone(directory: str, within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while children_of(directory):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_twenty_seconds_show_a_limit_a_cooldown_a_held_lock_and_a_crash(temporary: dict[str, str]) -> None:
    held: set[str] = set()
    stale: set[str] = set()
    lines: list[dict[str, Any]] = []
    with subprocess.Popen(
        command("--headless", "18", "--json"), cwd=ROOT, env=temporary, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        for raw in process.stdout:
            lines.append(json.loads(raw))
            for lock in Path(temporary["TMPDIR"]).glob("*/.openclaw/agents/*/sessions/*.lock"):
                try:
                    pid = json.loads(lock.read_text())["pid"]
                except (OSError, ValueError):
                    continue
                (held if Path(f"/proc/{pid}").exists() else stale).add(str(lock))
    assert process.returncode == 0
    *events, summary = lines
    assert summary["type"] == "summary"
    kinds = {event["kind"] for event in events}
    assert {"notice", "run-start", "attempt", "failure", "rotate", "mark", "reply", "wait"} <= kinds
    assert any(event.get("reason") == "rate_limit" and event["kind"] == "failure" for event in events)
    landed = [event for event in events if event["kind"] == "mark" and event.get("reason") == "rate_limit"]
    assert landed[0]["data"]["until"] > landed[0]["at"], "a cooldown that counts down"
    assert held
    assert stale
    assert {event["source"] for event in events} == {"engine", "demo"}
    assert not any("sk-demo" in json.dumps(event) for event in events)
    assert gone(temporary["TMPDIR"])


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + 15), (signal.SIGHUP, 128 + 1)]
)
def test_a_signal_ends_it_and_cleans_up(temporary: dict[str, str], number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        command("--headless", "60"), cwd=ROOT, env=temporary, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    for raw in process.stdout:
        if b"acquire" in raw:
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert b"Traceback" not in err
    assert gone(temporary["TMPDIR"])


def test_the_same_seed_tells_the_same_story(temporary: dict[str, str]) -> None:
    def captions() -> list[str]:
        done = subprocess.run(
            command("--headless", "3", "--json", "--scenario", "storm", "--seed", "5"),
            cwd=ROOT,
            env=temporary,
            capture_output=True,
            check=True,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return [line["text"] for line in lines if line.get("source") == "demo"]

    assert captions() == captions() != []


def test_the_stage_plays_beside_and_is_gone_when_it_closes(
    temporary: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", temporary["TMPDIR"])
    monkeypatch.setattr("tempfile.tempdir", temporary["TMPDIR"])
    with Stage("calm", 1) as stage:
        assert (stage.state_dir / "openclaw.json").is_file()
    assert not stage.state_dir.exists()
    stage.close()
    assert gone(temporary["TMPDIR"])


def test_the_player_does_not_outlive_a_killed_audience(temporary: dict[str, str]) -> None:
    code = "from clawtop.demo.stage import Stage\nwith Stage('calm', 1):\n    print('up', flush=True)\n    input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=temporary, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.kill()
    process.wait()
    process.communicate()
    assert gone(temporary["TMPDIR"])


@pytest.mark.parametrize(
    "words", [("--state-dir", "/x"), ("--at", "2026-01-01T00:00:00Z"), ("--json",), ("--headless", "0"), ()]
)
def test_wrong_command_lines_say_what_is_wrong(temporary: dict[str, str], words: tuple[str, ...]) -> None:
    done = subprocess.run(
        command(*words), cwd=ROOT, env=temporary, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 64
    assert "Traceback" not in done.stderr
    assert done.stderr
