"""Invariants 1, 7 and 8 of docs/invariants.md over many seeds, with crashes, delays, stops and clock jumps.

`CLAWTOP_SIM_SEED=n` replays one seed and prints what happened; `CLAWTOP_SIM_SEEDS` sets how many are played (20,000).
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from clawtop.core.model import LockFile, ProcessEvidence, Verdict, VerdictKind
from clawtop.core.session.admission import (
    Admission,
    AdmissionRequest,
    AdmissionStep,
    Ask,
    Granted,
    Holding,
    OnContention,
    Reap,
    step,
)
from clawtop.core.session.recovery import RecoveryMove, RecoveryPlan
from tests.sim import actors
from tests.sim.world import BrokenInvariantError, Process, Rules, Run, World

pytestmark = [pytest.mark.sim, pytest.mark.long]

SEEDS = int(os.environ.get("CLAWTOP_SIM_SEEDS", "20000"))
CHUNK = 250
QUIET_AFTER_MS = 4_000
LONGEST_MS = 60_000


def play(seed: int, rules: Rules = Rules(), *, traced: bool = False) -> World:  # noqa: B008 - frozen
    """One whole story: some processes, some sessions, fate; then everything comes to rest."""
    world = World(seed, rules, traced)
    sessions = [f"s{number}" for number in range(world.random.randrange(1, 3))]
    for number in range(world.random.randrange(2, 4)):
        actors.start(world, world.start_process(), sessions, f"p{number}")
    world.spawn(actors.fate(world, sessions, QUIET_AFTER_MS))
    world.play(LONGEST_MS)
    assert_rest(world)
    return world


def assert_rest(world: World) -> None:
    """Nobody is left behind: no living holder or waiter, no living process's lock; every session can be taken again."""
    living = {process.member for process in world.processes if process.alive}
    for session, state in world.records.items():
        left = [w.token for w in state.waiters if w.member in living]
        if left or (state.holder is not None and state.holder.who.member in living):
            raise BrokenInvariantError(f"seed {world.seed}: {session} was left with {state.holder} and {left}")
    late = world.start_process()
    late.offset = 24 * 3_600_000
    for session in list(world.records):
        asked = world.apply(late, session, Ask(actors.claimant(world, late, f"late-{session}"), OnContention.RAISE))
        if not isinstance(asked[-1], Granted):
            raise BrokenInvariantError(f"seed {world.seed}: {session} cannot be taken any more")
    for lock in world.locks.values():
        if lock.owner.alive:
            raise BrokenInvariantError(f"seed {world.seed}: {lock.file.path} was left by a living process")
    for session, lines in world.files.items():
        for before, line in zip(["", *lines], lines, strict=False):
            if line.endswith("answers") and before != line.replace("answers", "asks"):
                raise BrokenInvariantError(f"seed {world.seed}: {session} has {line!r} after {before!r}")


def play_chunk(first: int) -> Counter[str]:
    """Plays `CHUNK` seeds; what happened in them, added up."""
    counts = Counter[str]()
    for seed in range(first, first + CHUNK):
        counts.update(play(seed).counts)
    return counts


def test_the_invariants_hold_over_all_seeds() -> None:
    if "CLAWTOP_SIM_SEED" in os.environ:
        world = play(int(os.environ["CLAWTOP_SIM_SEED"]), traced=True)
        print("\n".join(world.trace), world.counts, sep="\n")
        return
    counts = Counter[str]()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=os.cpu_count() or 1, mp_context=context) as pool:
        for chunk in pool.map(play_chunk, range(0, SEEDS, CHUNK)):
            counts.update(chunk)
    print(dict(counts))
    for what in ("run", "crash", "contended", "answered", "takeover", "broken lock", "recovered", "recovered fresh"):
        assert counts[what] > SEEDS // 100, f"{what} hardly ever happens: the simulation proves nothing about it"


def test_a_seed_replays_exactly() -> None:
    first, second = play(7, traced=True), play(7, traced=True)
    assert first.trace == second.trace
    assert first.trace
    assert first.counts == second.counts
    assert play(8, traced=True).trace != first.trace


# --- broken rules are noticed ------------------------------------------------------------------------------------


def grants_to_all(state: Admission, request: AdmissionRequest, now: int) -> AdmissionStep:
    """A registry without a memory of its holder."""
    if isinstance(request, Ask):
        holding = Holding(request.who, now)
        return replace(state, holder=holding), (Granted(holding),)
    return step(state, request, now)


def ignores_death(state: Admission, request: AdmissionRequest, now: int) -> AdmissionStep:
    """A registry that leaves a session to its dead holder."""
    return (state, ()) if isinstance(request, Reap) else step(state, request, now)


def believes_age(file: LockFile, _owner: ProcessEvidence | None, now: int) -> Verdict:
    """A lock rule that takes an old lock for a dead one."""
    stale = now - file.mtime > 1_000
    return Verdict(VerdictKind.STALE if stale else VerdictKind.HELD)


def believes_pids(file: LockFile, owner: ProcessEvidence | None, _now: int) -> Verdict:
    """A lock rule that never finds anybody dead."""
    return Verdict(VerdictKind.HELD)


def never_waits(report: object, holder: object, now: int, **_limits: Any) -> RecoveryPlan:
    """A recovery that does not consult the registry."""
    return RecoveryPlan(RecoveryMove.RELEASE, "impatient")


def first_failure(rules: Rules, seeds: int) -> str:
    for seed in range(seeds):
        try:
            play(seed, rules)
        except BrokenInvariantError as error:
            return str(error)
    return "nothing was noticed"


@pytest.mark.parametrize(
    ("rules", "noticed"),
    [
        (Rules(step=grants_to_all), "(1)"),
        (Rules(step=ignores_death), "cannot be taken"),
        (Rules(verdict=believes_age), "(7)"),
    ],
    ids=["grants to all", "ignores death", "believes age"],
)
def test_a_broken_rule_is_noticed(rules: Rules, noticed: str) -> None:
    assert noticed in first_failure(rules, 200)


def test_a_recovery_that_starts_without_asking_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def starts_anyway(world: World, run: Run, *_wishes: object) -> actors.Waits:
        yield 1
        world.begin(run)
        return True

    asks: Callable[..., actors.Waits] = actors.wait_for_prompt
    monkeypatch.setattr(
        actors,
        "wait_for_prompt",
        lambda world, run, *wishes: (starts_anyway if "recovery" in run.name else asks)(world, run, *wishes),
    )
    assert "(8)" in first_failure(Rules(plan=never_waits), 200)


def test_a_lock_rule_that_proves_nothing_leaves_dead_locks() -> None:
    assert sum(play(seed).counts.get("broken lock", 0) for seed in range(60)) > 0
    assert sum(play(seed, Rules(verdict=believes_pids)).counts.get("broken lock", 0) for seed in range(60)) == 0


def test_processes_reuse_pids_but_not_start_times() -> None:
    world = World(1)
    first = world.start_process()
    world.crash(first)
    others: list[Process] = [world.start_process() for _ in range(20)]
    again = [process for process in others if process.pid == first.pid]
    assert len(again) == 1
    assert again[0].ticks != first.ticks
