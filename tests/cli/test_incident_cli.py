"""record, bundle and replay as processes: files, signals, exit codes, and the dashboard that plays them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from clawtop.cli.main import run
from clawtop.errors import OperationFailedError, StateUnreadableError
from clawtop.store.own.recording import Encoder, embedding, load_recording
from clawtop.view.incident_text import MOST_CHARACTERS, incident_text
from tests.support.samples import ROOT, Sample, copy, sample
from tests.support.terminals import clawtop, open_terminal
from tests.support.worlds import INCIDENT, NOW

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def here(tmp_path: Path) -> Sample:
    """A state directory whose gateway was rate-limited, with its log and a secret that must not leave it."""
    found = copy(sample("2026.5.20", "rate-limited"), tmp_path / "state")
    log = (ROOT / "2026.5.20" / "gateway.log.jsonl").read_text()
    (found.state_dir / "gateway.log").write_text(log)
    return found


def options(here: Sample) -> list[str]:
    return ["--state-dir", str(here.state_dir), "--at", str(here.captured_at)]


def secrets_of(here: Sample) -> list[str]:
    parsed = json.loads((here.state_dir / "agents/main/agent/auth-profiles.json").read_text())
    found = [value for profile in parsed["profiles"].values() for name, value in profile.items() if name == "key"]
    config = json.loads((here.state_dir / "openclaw.json").read_text())
    return [*found, config["gateway"]["auth"]["token"]]


# --- bundle ------------------------------------------------------------------------------------------------------


def test_a_bundle_is_private_readable_redacted_and_replays(
    here: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert run([*options(here), "bundle"]) == 0
    (path,) = tmp_path.glob("clawtop-incident-*.md")
    assert path.name == "clawtop-incident-20261120T223427Z.md"
    assert path.name in capsys.readouterr().out
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    for title in ("Status", "Who waits for whom", "Forecast", "Lanes", "Worst sessions", "Timeline", "Warnings"):
        assert f"## {title}\n" in text
    assert "rate_limit: on to the next profile" in text
    assert "openclaw: 2026.5.20 (generation B)" in text
    assert all(secret not in text for secret in secrets_of(here)), "the recording in it is checked below"
    recording = load_recording(path)
    assert recording.frames[0].snapshot.judged_at == here.captured_at
    assert recording.frames[0].at == here.captured_at
    assert all(secret not in repr(recording) for secret in secrets_of(here))
    assert run(["replay", str(path), "--plain"]) == 0
    assert "at 22:34:27" in capsys.readouterr().out


def test_a_bundle_goes_to_stdout_and_tells_json(
    here: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*options(here), "bundle", "--out", "-"]) == 0
    assert capsys.readouterr().out.startswith("# clawtop incident")
    out = tmp_path / "x.md"
    assert run([*options(here), "bundle", "--json", "--out", str(out)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"schema": 1, "file": str(out), "bytes": out.stat().st_size, "at": here.captured_at}


def test_a_bundle_never_replaces_a_file(here: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "x.md"
    out.write_text("mine")
    assert run([*options(here), "bundle", "--out", str(out)]) == OperationFailedError.exit_code
    assert out.read_text() == "mine"
    assert "exists already" in capsys.readouterr().err


@pytest.mark.long
def test_an_incident_of_any_size_can_be_pasted() -> None:
    sessions = tuple(replace(INCIDENT.sessions[0], key=f"agent:main:{n}", file=f"/s/{n}") for n in range(2_000))
    text = incident_text(replace(INCIDENT, sessions=sessions), NOW, (("clawtop", "9.9"),))
    assert len(text) <= MOST_CHARACTERS
    assert "and 1" in text


# --- record ------------------------------------------------------------------------------------------------------


def started(here: Sample, out: Path, *more: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [*clawtop("--state-dir", str(here.state_dir), "record", "--out", str(out)), *more],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == f"recording to {out}; interrupt to stop\n"
    return process


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "nothing was recorded"
        time.sleep(0.02)


def readable(path: Path) -> bool:
    """Whether a snapshot can be read from a recording that is still written."""
    with suppress(StateUnreadableError):
        return bool(load_recording(path).frames)
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_recording_well(here: Sample, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "tape"
    process = started(here, out)
    wait_for(lambda: readable(out))
    process.send_signal(number)
    assert process.wait(15) == 0
    assert process.stderr is not None
    assert "open it with clawtop replay" in process.stderr.read()
    process.stderr.close()
    recording = load_recording(out)
    assert recording.problem is None
    assert len(recording.frames[0].snapshot.agents) == 2
    assert any(event.source == "gateway-log" for event in recording.events)
    assert out.stat().st_mode & 0o777 == 0o600


def test_a_recording_that_is_killed_can_be_read(here: Sample, tmp_path: Path) -> None:
    out = tmp_path / "tape"
    process = started(here, out)
    wait_for(lambda: readable(out))
    process.kill()
    process.wait(15)
    assert process.stderr is not None
    process.stderr.close()
    recording = load_recording(out)
    assert recording.problem == "the recording is cut short; it is shown as far as it goes"
    assert recording.frames[0].snapshot.sessions


@pytest.mark.long
def test_what_happens_while_it_records_is_in_it(here: Sample, tmp_path: Path) -> None:
    out = tmp_path / "tape"
    process = started(here, out, "--seconds", "60")
    wait_for(lambda: readable(out))
    state = here.state_dir / "agents/main/agent/auth-state.json"
    parsed = json.loads(state.read_text())
    parsed["usageStats"]["fakeai:two"] = {
        "cooldownUntil": int(time.time() * 1000) + 600_000,
        "cooldownReason": "billing",
    }
    state.write_text(json.dumps(parsed))
    wait_for(lambda: "fakeai:two is cooling" in repr(load_recording(out).events))
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert process.stderr is not None
    process.stderr.close()
    recording = load_recording(out)
    last = recording.frames[-1].snapshot
    stats = {p.id: p.stats for a in last.agents[:1] if a.store for p in a.store.profiles}
    assert stats["fakeai:two"].cooldown_reason == "billing"
    assert any("fakeai:two is cooling" in event.text for event in recording.events)
    assert all(secret not in repr(recording) for secret in secrets_of(here))


def test_a_recording_needs_a_state_and_a_new_file(here: Sample, tmp_path: Path) -> None:
    assert run(["--state-dir", str(tmp_path / "missing"), "record", "--out", str(tmp_path / "t")]) == 3
    assert not (tmp_path / "t").exists()
    (tmp_path / "t").write_text("mine")
    assert run([*options(here), "record", "--out", str(tmp_path / "t")]) == OperationFailedError.exit_code
    assert (tmp_path / "t").read_text() == "mine"


def test_a_list_without_a_session_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = copy(sample("2026.9.6", "healthy"), tmp_path)
    assert run(["--state-dir", str(new.state_dir), "drive", "--list"]) == 0
    assert capsys.readouterr() == (
        "",
        "there is no session that clawtop can drive here; clawtop status lists them all\n",
    )


def test_a_recording_is_no_stream(here: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([*options(here), "record", "--out", "-"]) == 64
    assert not (tmp_path / "-").exists()


# --- replay ------------------------------------------------------------------------------------------------------


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """Twenty seconds in three frames."""
    encoder = Encoder(started_at=NOW, clawtop_version="9.9")
    content = b"".join(
        encoder.add(replace(INCIDENT, number=n, taken_at=NOW + n * 10_000, host=f"reef-{n}")) for n in range(3)
    )
    path = tmp_path / "tape.clawtop"
    path.write_bytes(content + encoder.finished())
    return path


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a clawtop recording"),
        (b"\x1f\x8b\x08 not gzip", "is not a clawtop recording"),
        (b"# an incident without its recording", "is not a clawtop recording"),
        (embedding(b"nonsense").encode(), "is not a clawtop recording"),
    ],
)
def test_what_is_no_recording_is_named(
    tmp_path: Path, content: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert run(["replay", str(path)]) == 3
    assert said in capsys.readouterr().err


def test_a_missing_recording_and_a_state_directory_are_refused(tmp_path: Path, tape: Path) -> None:
    assert run(["replay", str(tmp_path / "missing")]) == 3
    assert run(["--state-dir", str(tmp_path), "replay", str(tape)]) == 64


def test_without_a_terminal_the_end_is_printed(tape: Path) -> None:
    done = subprocess.run(
        clawtop("replay", str(tape)), capture_output=True, text=True, check=True, env={**os.environ, "TZ": "UTC"}
    )
    assert "reef-2" in done.stdout.splitlines()[0]
    assert "03:12:27" in done.stdout.splitlines()[0]
    then = subprocess.run(
        clawtop("--at", str(NOW + 1_000), "replay", str(tape)), capture_output=True, text=True, check=True
    )
    assert "reef-0" in then.stdout.splitlines()[0]


def test_the_same_dashboard_plays_it_with_its_own_clock(tape: Path) -> None:
    with open_terminal(clawtop("replay", str(tape), "--paused"), environment={"TZ": "UTC"}) as terminal:
        terminal.wait_for("REPLAY ‖ 00:00/00:20")
        assert "READ-ONLY (locked)" in terminal.lines[0]
        assert "03:12:07" in terminal.lines[0]
        terminal.send(".")
        terminal.wait_for("REPLAY ‖ 00:10/00:20")
        terminal.wait_for("03:12:17")
        terminal.send("]]]] ")
        terminal.wait_for("00:20/00:20 ×16")
        assert re.search(rb"^reading [^\r]*tape.clawtop [.]{3}\r", terminal.raw), "said at once"
        terminal.send("a")
        terminal.wait_for("a recording is being replayed: there is nothing that can be changed")
        terminal.send("<")
        terminal.wait_for("00:10/00:20")
        terminal.send("1q")
        assert terminal.exit_code() == 0


def test_the_dashboard_records_and_saves_with_a_key(here: Sample, tmp_path: Path) -> None:
    command = [
        "/bin/sh",
        "-c",
        'cd "$0" && exec "$@"',
        str(tmp_path),
        *clawtop("--state-dir", str(here.state_dir), "--view", "overview"),
    ]
    with open_terminal(command, environment={"PYTHONPATH": str(REPOSITORY)}) as terminal:
        terminal.wait_for("fakeai:one")
        terminal.send("\x12")
        terminal.wait_for("● REC")
        terminal.send("\x12")
        terminal.wait_for("recorded ")
        terminal.send("b")
        terminal.wait_for("saved ")
        terminal.send("q")
        assert terminal.exit_code() == 0
    (recording,) = (here.state_dir / "clawtop" / "recordings").iterdir()
    assert load_recording(recording).problem is None
    (bundle,) = tmp_path.glob("clawtop-incident-*.md")
    assert load_recording(bundle).frames


def test_reading_a_recording_tells_how_far_it_is(tape: Path) -> None:
    told: list[tuple[int, int]] = []
    load_recording(tape, lambda done, of: told.append((done, of)))
    size = tape.stat().st_size
    assert told[0] == (0, size)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert {of for _, of in told} == {size}


def test_it_starts_without_importing_what_a_screen_needs(tape: Path) -> None:
    code = (
        "import sys; from clawtop.cli.main import run;"
        f"run(['replay', {str(tape)!r}, '--plain']); print(sorted(m for m in ('textual','httpx') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
