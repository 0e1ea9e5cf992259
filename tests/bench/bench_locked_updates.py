"""Locked updates a second: 8 clawtop processes and 8 Node processes with OpenClaw's lock, doing the same, in one run.

Each update reads the state,
counts up one field, and renames a new version into place; with and without 5 ms of work under the lock, and with
everything flushed to the disk. Then four writers of each kind for some seconds on one store: what is left for OpenClaw.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.harness import Bench, Figure, Limit, Row, Skipped
from tests.interop.openclaw_install import VERSION, OpenClaw, installed, why_not_here, why_skipped
from tests.interop.talker import Talker
from tests.support.stores import auth_state, make_state_dir

WRITERS = 8
UPDATES = 50
"""By each process, as in the measured figures of OpenClaw (363 and 45 a second on 2026.5.20)."""

SIDE_BY_SIDE_S = 6.0
TARGET_RATIO, LEFT_TO_OPENCLAW = 2.7, 0.25
LONGEST_WAIT_MS = 2_000
NODE_PROFILE, OUR_PROFILE = "fakeai:two", "fakeai:three"


@dataclass(frozen=True, slots=True)
class Writer:
    """What one process says it did."""

    done: int
    failed: int
    longest_ms: float
    seconds: float

    @property
    def per_second(self) -> float:
        return self.done / self.seconds


@dataclass(frozen=True, slots=True)
class Writers:
    """One run of some writers of one kind. `lost`: done, but not on the disk."""

    per_second: float
    lost: int
    failed: int
    longest_ms: float


def writer(kind: str, openclaw: OpenClaw, agent: Path, *, updates: int, work_ms: int, flush: int) -> Talker:
    """A writer that waits for the start. `update()` is the product's own: checked, flushed, read back."""
    numbers = (str(updates), str(work_ms), str(flush))
    if kind == "node":
        files = (str(agent / "auth-state.json"), str(agent / "auth-profiles.json"))
        return Talker(openclaw.script("writer.mjs", *files, NODE_PROFILE, *numbers))
    module = {"clawtop": "tests.bench.locked_writer", "update()": "tests.interop.python_writer"}[kind]
    return Talker([sys.executable, "-m", module, str(agent), OUR_PROFILE, *numbers])


def together(writers: Sequence[Talker], *, seconds: float = 0.0) -> list[Writer]:
    """Let all go at once; what each did. With `seconds` they are stopped then, else they end by themselves."""
    for each in writers:
        each.say("go")
    if seconds:
        time.sleep(seconds)
        for each in writers:
            each.say_no_more()
    results = [json.loads(each.hear()) for each in writers]
    for each in writers:
        each.stop()
    return [Writer(each["done"], each["failed"], each["longestMs"], each["seconds"]) for each in results]


def measured(kind: str, openclaw: OpenClaw, *, updates: int, work_ms: int, flush: int) -> Writers:
    """8 writers of one kind on a fresh store; updates a second until the last of them is done."""
    with tempfile.TemporaryDirectory() as root:
        agent = make_state_dir(Path(root)) / "agents/main/agent"
        rows = together(
            [writer(kind, openclaw, agent, updates=updates, work_ms=work_ms, flush=flush) for _ in range(WRITERS)]
        )
        stats = auth_state(agent.parents[2])["usageStats"]
        counted = sum(stats.get(profile, {}).get("errorCount", 0) for profile in (NODE_PROFILE, OUR_PROFILE))
        done = sum(row.done for row in rows)
        failed = sum(row.failed for row in rows)
        return Writers(
            done / max(row.seconds for row in rows), done - counted, failed, max(row.longest_ms for row in rows)
        )


def side_by_side(openclaw: OpenClaw, ours: int, theirs: int, seconds: float) -> tuple[float, float, int, float]:
    """Updates a second of ours and theirs, theirs that failed, and the longest wait of ours, on one store."""
    with tempfile.TemporaryDirectory() as root:
        agent = make_state_dir(Path(root)) / "agents/main/agent"
        kinds = ["clawtop"] * ours + ["node"] * theirs
        writers = [writer(kind, openclaw, agent, updates=0, work_ms=0, flush=0) for kind in kinds]
        rows = together(writers, seconds=seconds)
        mine, others = rows[:ours], rows[ours:]
        stats = auth_state(agent.parents[2])["usageStats"]
        assert stats.get(OUR_PROFILE, {}).get("errorCount", 0) == sum(row.done for row in mine)
        assert stats[NODE_PROFILE]["errorCount"] == sum(row.done for row in others)
        return (
            sum(row.per_second for row in mine),
            sum(row.per_second for row in others),
            sum(row.failed for row in others),
            max((row.longest_ms for row in mine), default=0.0),
        )


def median(rows: Sequence[Writers]) -> Writers:
    return Writers(
        statistics.median(row.per_second for row in rows),
        sum(row.lost for row in rows),
        sum(row.failed for row in rows),
        max(row.longest_ms for row in rows),
    )


def figures(quick: bool) -> Iterator[Row]:
    """Rows of the same work, node's and ours in turn; then both kinds on one store."""
    why = why_not_here(VERSION)
    if why:
        yield Skipped("locked updates by 8 processes", why)
        return
    openclaw = installed()
    for title, work_ms, flush, least in (
        ("as fast as it goes", 0, 0, 1.0),
        ("5 ms of work inside", 5, 0, TARGET_RATIO),
        ("flushed to the disk", 0, 1, 0.0),
    ):
        yield from _compared(openclaw, title, (work_ms, flush), least, 1 if quick else 3)
    alone = side_by_side(openclaw, 0, 4, 3.0 if quick else SIDE_BY_SIDE_S)[1]
    ours, theirs, failed, longest = side_by_side(openclaw, 4, 4, 3.0 if quick else SIDE_BY_SIDE_S)
    note = f"4 of theirs beside 4 of ours, which made {ours:.0f}/s; peer: 4 of theirs alone; {failed} gave up"
    yield Figure("OpenClaw's writers beside ours", theirs, "/s", LEFT_TO_OPENCLAW, Limit.MORE, peer=alone, note=note)
    yield Figure("longest wait of ours beside OpenClaw's", longest, "ms", LONGEST_WAIT_MS)


def _compared(openclaw: OpenClaw, title: str, how: tuple[int, int], least: float, rounds: int) -> Iterator[Figure]:
    """`how`: ms of work inside, whether it is flushed."""
    work_ms, flush = how
    kinds = ("node", "clawtop", "update()") if flush else ("node", "clawtop")
    runs: dict[str, list[Writers]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind in kinds:
            runs[kind].append(measured(kind, openclaw, updates=UPDATES, work_ms=work_ms, flush=flush))
    theirs = median(runs["node"])
    for kind in kinds[1:]:
        row = median(runs[kind])
        assert not row.lost, f"{title}: {row.lost} updates of {kind} are lost"
        assert not row.failed, f"{title}: {row.failed} updates of {kind} failed"
        what = f"locked updates, {title}" + (", checked and read back" if kind == "update()" else "")
        note = f"longest wait {row.longest_ms:.0f} ms; peer: OpenClaw's lock, lost {theirs.lost} of its own"
        on = Limit.MORE if least else Limit.NONE
        yield Figure(what, row.per_second, "/s", least, on, peer=theirs.per_second, samples=rounds, note=note)


@pytest.mark.interop
def test_the_work_is_real() -> None:
    reason = why_skipped()
    if reason:
        pytest.skip(reason)
    openclaw = installed()
    for kind in ("node", "clawtop", "update()"):
        row = measured(kind, openclaw, updates=5, work_ms=0, flush=0)
        assert (row.lost, row.failed) == (0, 0)
        assert row.per_second > 0


BENCHES = (Bench("locked", "locked updates beside OpenClaw's lock", 75, 25, figures),)
