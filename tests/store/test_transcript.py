"""The end of a trajectory and of a transcript, however long the files are, and no more than that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clawtop.core.session.disk_witness import TrajectoryRun
from clawtop.store.sessions.tail import MAX_TAIL_BYTES, TAIL_BYTES, last_lines
from clawtop.store.sessions.trajectory import trajectory_path, trajectory_runs
from clawtop.store.sessions.transcript_end import transcript_exchanges

AT = 1_795_214_095_782
EVENT = {"type": "session.ended", "ts": "2026-11-20T22:34:55.782Z", "data": {"status": "success"}}
STARTED = {
    "type": "session.started",
    "ts": "2026-11-20T22:34:50.000Z",
    "runId": "r",
    "provider": "fakeai",
    "modelId": "fake-model",
    "data": {"trigger": "cron"},
}
END = (TrajectoryRun(AT, "session.ended", "success"),)


def written(path: Path, *lines: object) -> str:
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    return str(path)


def test_the_place_beside_the_transcript() -> None:
    assert trajectory_path("/s/x.jsonl") == "/s/x.trajectory.jsonl"


def test_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.trajectory.jsonl"
    assert trajectory_runs(str(path)) == ()
    assert trajectory_runs(written(path, {"type": "session.started"}, EVENT)) == END
    with path.open("a") as file:
        file.write('{"type": "session.started", "ts": "2026-1')
    assert trajectory_runs(str(path)) == END, "a line that is being written does not count yet"


def test_a_run_has_one_start_for_each_attempt(tmp_path: Path) -> None:
    failed = EVENT | {"runId": "r", "data": {"status": "error"}}
    again = STARTED | {"ts": "2026-11-20T22:34:57.000Z", "provider": "backupai"}
    (run,) = trajectory_runs(written(tmp_path / "x", STARTED, failed, again))
    assert (run.is_open, run.attempts, run.provider, run.trigger) == (True, 2, "backupai", "cron")
    assert run.since == AT - 5_782


def test_an_id_that_is_used_again_is_a_new_run(tmp_path: Path) -> None:
    before, run = trajectory_runs(
        written(tmp_path / "x", STARTED, EVENT | {"runId": "r"}, STARTED | {"ts": "2026-11-20T22:35:57.000Z"})
    )
    assert before.status == "success"
    assert (run.is_open, run.attempts, run.since) == (True, 1, AT + 61_218)


@pytest.mark.parametrize(
    ("outcome", "status", "exhausted"),
    [("next_fallback", "error", False), ("chain_exhausted", "error", True), ("succeeded", "success", False)],
)
def test_a_step_of_the_chain_is_no_attempt_that_goes_on(
    tmp_path: Path, outcome: str, status: str, exhausted: bool
) -> None:
    step = STARTED | {"type": "model.fallback_step", "data": {"fallbackStepFinalOutcome": outcome}}
    (waited,) = trajectory_runs(written(tmp_path / "x", step))
    assert (waited.is_open, waited.status, waited.exhausted, waited.attempts) == (False, status, exhausted, 0)
    failed = EVENT | {"runId": "r", "data": {"status": "error", "externalAbort": True}}
    (run,) = trajectory_runs(written(tmp_path / "x", STARTED, failed, step | {"ts": "2026-11-20T22:34:56.782Z"}))
    assert (run.is_open, run.status, run.aborted, run.at, run.attempts) == (False, status, True, AT + 1_000, 1)
    again = trajectory_runs(written(tmp_path / "x", step, STARTED))[-1]
    assert again.is_open, "the next model's attempt follows"


def test_two_runs_at_once(tmp_path: Path) -> None:
    other = STARTED | {"runId": "q", "ts": "2026-11-20T22:34:51.000Z"}
    runs = trajectory_runs(written(tmp_path / "x", STARTED, other, EVENT | {"runId": "q"}))
    assert {run.run_id: run.is_open for run in runs} == {"r": True, "q": False}


@pytest.mark.parametrize("size", [10, TAIL_BYTES - 200, TAIL_BYTES, TAIL_BYTES * 5])
def test_long_lines_before_it_and_long_lines_last(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x.trajectory.jsonl"
    assert trajectory_runs(written(path, {"data": "x" * size}, EVENT)) == END
    assert trajectory_runs(written(path, {"data": "x" * size}, EVENT | {"more": "y" * size}))[-1].at == AT


def test_of_a_long_event_the_head_is_enough(tmp_path: Path) -> None:
    compiled = STARTED | {"type": "context.compiled", "data": {"prompt": "x" * TAIL_BYTES}}
    (run,) = trajectory_runs(written(tmp_path / "x", STARTED, compiled))
    assert (run.is_open, run.type, run.run_id, run.since) == (True, "context.compiled", "r", AT - 5_782)


def test_a_line_longer_than_is_read_is_unknown(tmp_path: Path) -> None:
    path = written(tmp_path / "x.trajectory.jsonl", EVENT, EVENT | {"more": "y" * (MAX_TAIL_BYTES * 4)})
    assert trajectory_runs(path) == ()


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"no json\n", b"[1]\n", b'{"type": 5}\n', b'{"ts": "never"}\n', b"\xff\n", b"[" * 3_000]
)
def test_nonsense_is_unknown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.trajectory.jsonl"
    path.write_bytes(content)
    assert trajectory_runs(str(path)) == ()
    assert transcript_exchanges(str(path)) == ()


def test_things_that_are_no_files(tmp_path: Path) -> None:
    assert last_lines(str(tmp_path)) == []
    assert last_lines("/nul\0") == []
