"""The engine itself over a few histories: no promise (docs/invariants.md 1-8) breaks, and broken engines are noticed.

`python -m tests.sim` plays many.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from clawtop.core.failover import fallback
from clawtop.core.failover.candidate import RETHROWN, FailureKind
from clawtop.core.failover.decision import TimeoutPolicy
from clawtop.core.model import FailureReason, Verdict, VerdictKind
from clawtop.core.session.admission import (
    Admission,
    AdmissionRequest,
    AdmissionStep,
    Ask,
    Granted,
    Holding,
    step_without,
)
from clawtop.engine.drive.driver import EngineSettings
from clawtop.engine.drive.runner import ModelRun
from clawtop.engine.etcd.records import EtcdRecords
from clawtop.engine.prompt import session_lock
from clawtop.engine.providers.errors import ProviderError
from clawtop.store.auth import update
from clawtop.store.auth.json_edit import dump
from clawtop.store.own import holders
from tests.sim.whole import history
from tests.sim.whole.checks import Checks
from tests.sim.whole.history import Act, drawn, play, shrunk
from tests.sim.whole.many import ALL, Report

pytestmark = pytest.mark.sim


def test_a_few_histories_keep_every_promise() -> None:
    assert [(seed, broken) for seed in range(5_000, 5_012) if (broken := play(seed).broken)] == []


def test_what_no_history_met_with_is_named() -> None:
    report = Report(counts=Counter({kind: 1 for kind in ALL if kind != "fault: a lock was stolen"}))
    assert report.unfelt == ("fault: a lock was stolen",)
    assert any("never felt: fault: a lock was stolen" in line for line in report.lines())


def test_a_pid_that_is_given_again_within_a_second_jams_no_store() -> None:
    """OpenClaw dies with the store's lock; a clawtop gets its number 0.8 s later, and lives on."""
    assert play(10_231, REUSED).broken == ""


@pytest.mark.parametrize("etcd", [False, True], ids=["files", "etcd"])
def test_a_seed_replays_exactly(etcd: bool) -> None:
    first, second = play(11, traced=True, etcd=etcd), play(11, traced=True, etcd=etcd)
    assert first == second
    assert len(first.trace) > 5
    assert play(12, traced=True, etcd=etcd).trace != first.trace


def with_a_lease_that_ends(number: int) -> tuple[Act, ...]:
    """Three engines' turns on one session; the lease of one of them ends at its call `number`."""
    return (*(Act(0.0, "drive", pick) for pick in SAME_SESSION), Act(0.0, "lease ends", number))


@pytest.mark.long
def test_a_lease_that_ends_at_any_step_of_whole_turns_breaks_no_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Counter[str]()
    number = 0
    monkeypatch.setitem(history.DOES, "lease ends", lambda played, _chance: ends_at(played, number))
    for number in itertools.count(1):
        outcome = play(3, with_a_lease_that_ends(number), etcd=True)
        assert outcome.broken == "", number
        if number > outcome.lease_steps:
            break
        ended.update(outcome.counts)
    assert ended["fault: a lease was ended"] > 60, "so few steps are no turn"
    assert ended["turn: SessionTakeoverError"] >= 10, "a lease that ended was not noticed"
    assert ended["turn: answered"] > ended["turn: SessionTakeoverError"]


def ends_at(played: history.History, number: int) -> None:
    """The first engine's lease ends between its calls `number` and the next, to etcd or to the disk."""
    next(iter(played.checks.drivers)).lease_ends_in = number


# --- broken engines are noticed -----------------------------------------------------------------------------------


def grants_to_all(state: Admission, dead: frozenset[str], request: AdmissionRequest, now: int) -> AdmissionStep:
    """A registry without a memory of its holder."""
    if isinstance(request, Ask):
        holding = Holding(request.who, now)
        return Admission(state.session_file, holder=holding), (Granted(holding),)
    return step_without(state, dead, request, now)


def always_stale(*_case: object) -> Verdict:
    """A lock rule that takes everybody for dead."""
    return Verdict(VerdictKind.STALE, ("dead-pid",))


REUSED = tuple(
    Act(at, kind, pick)
    for at, kind, pick in (
        (0.0, "drive", 60_286),
        (0.0, "drive", 43_670),
        (2.129, "drive", 62_068),
        (2.312, "drive", 18_734),
        (5.186, "slow disk", 36_945),
        (5.190, "mood", 34_961),
        (5.529, "openclaw marks", 10_520),
        (5.564, "drive", 29_128),
        (6.398, "kill at a call", 30_068),
        (15.556, "drive", 38_806),
        (18.953, "well again", 36_471),
    )
)
SAME_SESSION = (28, 3, 20)
"""Picks with which seed 3 draws one session: for its first engine, its second, and its first once more."""
CROWD = tuple(Act(0.01 * number, "drive", pick) for number, pick in enumerate((1, 2, 3, 5, 8, 13, 21, 34)))
WRITERS = tuple(Act(0.3 * number, "openclaw writes", pick) for number, pick in enumerate(range(12)))
LIMITED = (Act(0.0, "mood", 4), Act(0.0, "mood", 9), Act(0.0, "mood", 23))


def by_time(*acts: Act) -> tuple[Act, ...]:
    return tuple(sorted(acts, key=lambda act: act.at))


def first_broken(acts: tuple[Act, ...], seeds: int, *, etcd: bool = False) -> int:
    return next((outcome.rule for seed in range(seeds) if (outcome := play(seed, acts, etcd=etcd)).broken), -1)


def test_a_registry_that_grants_to_all_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "step_without", grants_to_all)
    assert first_broken(CROWD, 5) == 1


def test_a_lock_rule_that_believes_no_owner_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_lock, "lock_verdict", always_stale)
    assert first_broken(by_time(*WRITERS, *CROWD), 10) == 7


def test_a_run_that_waits_for_its_mark_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: Callable[..., Any] = ModelRun._failed

    async def marks_first(run: ModelRun, profile: Any, error: Any) -> None:
        if profile is not None and error.reason is FailureReason.RATE_LIMIT:
            run._resources.mark(run._turn, profile, run._model, error.reason)
            await run._resources.marks.drained()
        await failed(run, profile, error)

    monkeypatch.setattr(ModelRun, "_failed", marks_first)
    assert first_broken((*LIMITED, *CROWD), 20) == 2


def test_a_mark_that_is_forgotten_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clawtop.engine.drive.marks.Marks._enqueue", lambda _marks, _item: None)
    assert first_broken((*LIMITED, *CROWD), 20) == 2


def test_a_limited_account_that_is_asked_again_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    attempt: Callable[..., Any] = ModelRun._attempt

    async def twice(run: ModelRun, profile: Any) -> Any:
        try:
            return await attempt(run, profile)
        except ProviderError as error:
            if error.reason is not FailureReason.RATE_LIMIT:
                raise
            return await attempt(run, profile)

    monkeypatch.setattr(ModelRun, "_attempt", twice)
    assert first_broken((*LIMITED, *CROWD), 20) == 5


def test_a_chain_that_moves_on_after_a_takeover_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback, "RETHROWN", RETHROWN - {FailureKind.COORDINATION})
    assert first_broken(by_time(*WRITERS, *CROWD), 20) == 3


def test_a_timeout_that_rotates_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "EngineSettings", partial(EngineSettings, timeouts=TimeoutPolicy.ROTATE))
    assert first_broken((*LIMITED, *CROWD), 20) == 4


def test_a_store_that_loses_what_it_does_not_know_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgets(document: dict[str, Any]) -> bytes:
        return dump({key: value for key, value in document.items() if not key.startswith("x")})

    monkeypatch.setattr(update, "dump", forgets)
    assert first_broken((*LIMITED, *CROWD), 20) == 6


def test_a_recovery_beside_a_holder_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "step_without", grants_to_all)
    assert first_broken(by_time(*CROWD, *(Act(0.1 * pick, "recover", pick) for pick in range(9))), 20) in {1, 8}
    monkeypatch.setattr(Checks, "_holders_are_alone", lambda _checks: None)
    assert first_broken(by_time(*CROWD, *(Act(0.1 * pick, "recover", pick) for pick in range(9))), 20) == 8


def test_a_lease_that_nobody_checks_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unchecked(_records: EtcdRecords, _path: str, _token: str) -> None:
        """Believe in the lease."""

    monkeypatch.setattr(EtcdRecords, "assert_held", unchecked)
    monkeypatch.setattr(EtcdRecords, "_tell_lost", lambda _records: None)
    ends = (Act(0.02 * pick, "lease ends", pick) for pick in range(40))
    assert first_broken(by_time(*CROWD, *ends), 40, etcd=True) == 1


def test_a_lease_that_ends_after_its_process_has_another_breaks_nothing() -> None:
    """A thawed process registers again while etcd still keeps its old lease, whose end is then none of its new runs'
    business.
    """
    acts = (Act(12.752, "crowd", 45_966), Act(13.670, "freeze", 1_154), Act(19.252, "crowd", 39_100))
    outcome = play(7_002_985, acts)
    assert outcome.broken == ""
    assert outcome.counts["fault: a lease ran out"]


def test_what_broke_is_shrunk_to_few_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "step_without", grants_to_all)
    seed = next(seed for seed in range(40) if play(seed).rule == 1)
    acts, outcome = shrunk(seed)
    assert len(acts) < len(drawn(seed))
    assert outcome.rule == 1
