"""Recovery at every phase of a run: the registry has the last word, so there are never two holders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from clawtop.clock import SystemClock
from clawtop.core.generations import SEMANTICS
from clawtop.core.model import Attention, Event, EventKind
from clawtop.core.session.admission import Close, Closing, ForeignHolder
from clawtop.core.session.attention import SessionActivity, WorkKind
from clawtop.core.session.recovery import RecoveryMove
from clawtop.engine.prompt.holder import HeldPrompt
from clawtop.engine.prompt.recoverer import Recoverer, SessionWork
from clawtop.engine.prompt.registry import PromptRegistry
from tests.engine.other_process import other_process
from tests.support.clocks import ManualClock
from tests.support.holders import read_holders
from tests.support.registries import holder_records
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

RULES = SEMANTICS["5.x"].attention
LIMITS = Attention(warn_ms=1_000, abort_ms=3_000)
STALLED = SessionActivity(WorkKind.EMBEDDED_RUN, progress="stream:chunk", progress_age_ms=10_000, has_run=True)
PHASES = ["locking", "prompting", "streaming", "appending", "compacting", "releasing"]


@pytest.fixture
def session(tmp_path: Path) -> Path:
    path = tmp_path / "sessions" / "s1.jsonl"
    path.parent.mkdir()
    path.write_text('{"type":"session","id":"s1"}\n')
    return path


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[PromptRegistry]:
    async with PromptRegistry(tmp_path, clock=SystemClock()) as registry:
        yield registry


def recoverer(registry: PromptRegistry, max_wait_ms: int = 30_000, **wishes: object) -> Recoverer:
    return Recoverer(registry, clock=SystemClock(), rules=RULES, limits=LIMITS, max_wait_ms=max_wait_ms, **wishes)  # type: ignore[arg-type]


def work(session: Path, activity: SessionActivity = STALLED) -> SessionWork:
    return SessionWork(session, run_id="again", lane="channel", age_ms=10_000, activity=activity, queue_depth=1)


async def run_until(registry: PromptRegistry, session: Path, phase: str) -> HeldPrompt:
    holder = await registry.acquire(session, lane="main", run_id="stuck")
    for passed in PHASES[: PHASES.index(phase) + 1]:
        holder.set_phase(passed)
    return holder


def held_files(session: Path) -> list[str]:
    return [holder.session_file for holder in read_holders(session.parent.parent)]


@pytest.mark.parametrize("phase", PHASES)
async def test_a_holder_that_ends_in_time_is_waited_for(registry: PromptRegistry, session: Path, phase: str) -> None:
    stuck = await run_until(registry, session, phase)
    recovering = asyncio.create_task(recoverer(registry).recover(work(session)))
    while not (holder := read_holders(session.parent.parent)[0]).waiters:
        await asyncio.sleep(0.001)
    assert (holder.run_id, holder.phase) == ("stuck", phase)
    await stuck.release("error")
    recovered = await recovering
    assert recovered.plan.plan is RecoveryMove.WAIT
    assert recovered.holder is not None
    async with recovered.holder as again:
        assert again.session_file == session.resolve()
        assert held_files(session) == [str(session.resolve())]


@pytest.mark.parametrize("phase", PHASES)
async def test_a_holder_that_stays_is_left_behind(registry: PromptRegistry, session: Path, phase: str) -> None:
    async with await run_until(registry, session, phase):
        recovered = await recoverer(registry, max_wait_ms=20).recover(work(session))
        assert recovered.plan.plan is RecoveryMove.FORK
        assert recovered.holder is not None
        async with recovered.holder as fresh:
            assert fresh.forked_from == session.resolve()
            assert sorted(held_files(session)) == sorted({str(session.resolve()), str(fresh.session_file)})


class SetBackClock(SystemClock):
    """A wall clock that somebody sets back by an hour after each look at it."""

    def __init__(self) -> None:
        self._hours = 0

    def now_ms(self) -> int:
        self._hours += 1
        assert self._hours < 100, "it looks again and again"
        return super().now_ms() - self._hours * 3_600_000


async def test_the_wait_for_a_holder_ends_whatever_the_wall_clock_is_set_to(
    registry: PromptRegistry, session: Path
) -> None:
    async with await run_until(registry, session, "prompting"):
        looks = list[Event]()
        waiting = Recoverer(
            registry, clock=SetBackClock(), rules=RULES, limits=LIMITS, max_wait_ms=20, journal=looks.append
        )
        recovered = await waiting.recover(work(session))
        assert recovered.plan.plan is RecoveryMove.FORK
        assert recovered.holder is not None
        await recovered.holder.release()
        assert len(looks) == 2, "it waits, and then it moves on"


async def test_a_holder_in_another_process_counts(registry: PromptRegistry, session: Path) -> None:
    async with other_process(session.parent.parent) as other:
        assert (await other.ask(f"acquire {session} wait")).startswith("acquired")
        recovered = await recoverer(registry, max_wait_ms=20).recover(work(session))
        assert recovered.plan.plan is RecoveryMove.FORK
        assert recovered.holder is not None
        await recovered.holder.release()
        recovering = asyncio.create_task(recoverer(registry).recover(work(session)))
        await until(lambda: read_holders(session.parent.parent)[0].waiters)
        await other.kill()
        recovered = await recovering
        assert recovered.holder is not None
        assert recovered.holder.forked_from is None, "a killed process holds nothing"
        await recovered.holder.release()


async def test_an_openclaw_run_counts(registry: PromptRegistry, session: Path) -> None:
    run = ForeignHolder("the gateway's run", "status")
    recovered = await recoverer(registry, max_wait_ms=20, foreign=lambda _path: run).recover(work(session))
    assert recovered.plan.plan is RecoveryMove.FORK
    assert recovered.holder is not None
    await recovered.holder.release()


async def test_without_a_holder_the_stuck_work_may_go_on_at_once(registry: PromptRegistry, session: Path) -> None:
    recovered = await recoverer(registry).recover(work(session, SessionActivity()))
    assert recovered.plan.plan is RecoveryMove.RELEASE
    assert recovered.holder is not None
    assert recovered.holder.session_file == session.resolve()
    await recovered.holder.release()


async def test_a_session_that_a_drain_keeps_closed_is_not_entered(registry: PromptRegistry, session: Path) -> None:
    now = SystemClock().now_ms()
    closing = Closing("d1", holder_records(registry).presence.member, 1, now, now + 600_000)
    holder_records(registry).apply(str(session.resolve()), Close(closing), now)
    recovered = await recoverer(registry, max_wait_ms=20).recover(work(session, SessionActivity()))
    assert recovered.plan.plan is RecoveryMove.FORK
    assert recovered.holder is not None
    await recovered.holder.release()


@pytest.mark.parametrize(
    ("held", "activity"),
    [(True, SessionActivity(WorkKind.EMBEDDED_RUN, progress_age_ms=10, has_run=True)), (False, STALLED)],
    ids=["a run within its thresholds", "work that has no holder yet"],
)
async def test_what_is_not_stuck_is_left_alone(
    registry: PromptRegistry, session: Path, held: bool, activity: SessionActivity
) -> None:
    stuck = await run_until(registry, session, "streaming") if held else None
    recovered = await recoverer(registry).recover(work(session, activity))
    assert (recovered.plan.plan, recovered.holder) == (RecoveryMove.NOTHING, None)
    if stuck is not None:
        await stuck.release()


async def test_one_recovery_of_a_session_at_a_time(registry: PromptRegistry, session: Path) -> None:
    stuck, recovering = await run_until(registry, session, "streaming"), recoverer(registry)
    first = asyncio.create_task(recovering.recover(work(session)))
    await asyncio.sleep(0.01)
    second = await recovering.recover(work(session))
    assert (second.plan.plan, second.holder) == (RecoveryMove.NOTHING, None)
    await stuck.release()
    holder = (await first).holder
    assert holder is not None
    await holder.release()


async def test_many_recoverers_and_runs_at_once_never_share_a_session(registry: PromptRegistry, session: Path) -> None:
    inside = dict[Path, int]()

    async def use(holder: HeldPrompt) -> None:
        async with holder:
            inside[holder.session_file] = inside.get(holder.session_file, 0) + 1
            assert inside[holder.session_file] == 1
            await asyncio.sleep(0.002)
            inside[holder.session_file] -= 1

    async def run(number: int) -> None:
        await use(await registry.acquire(session, lane="main", run_id=f"run-{number}"))

    async def recover(number: int) -> None:
        activity = STALLED if number % 2 else SessionActivity()
        recovered = await recoverer(registry, max_wait_ms=5 * number).recover(work(session, activity))
        if recovered.holder is not None:
            await use(recovered.holder)

    await asyncio.gather(*(run(number) for number in range(10)), *(recover(number) for number in range(10)))
    assert len(inside) > 1


async def test_warnings_come_ever_more_rarely_and_stop_with_the_trouble(tmp_path: Path, session: Path) -> None:
    events: list[Event] = []
    async with PromptRegistry(tmp_path, clock=SystemClock()) as registry:
        watcher = recoverer(registry, journal=events.append)
        ages = [500, 1_000, 1_500, 2_000, 3_000, 4_000, 8_000]
        for age in ages:
            watcher.assess(replace(work(session), age_ms=age))
        assert [(event.kind, event.duration_ms) for event in events] == [
            (EventKind.STUCK, age) for age in (1_500, 3_000, 8_000)
        ]
        assert watcher.assess(replace(work(session), age_ms=10)) is None
        watcher.assess(replace(work(session), age_ms=1_200))
        assert events[-1].duration_ms == 1_200


async def test_the_watcher_restarts_stuck_work_under_its_holder(tmp_path: Path, session: Path) -> None:
    clock, restarted = ManualClock(), list[str]()
    looks = [[], [work(session, SessionActivity())], []]

    async def restart(found: SessionWork, holder: HeldPrompt) -> None:
        async with holder:
            restarted.append(f"{found.run_id} under {holder.run_id}")

    async with PromptRegistry(tmp_path, clock=SystemClock()) as registry:
        watcher = Recoverer(registry, clock=clock, rules=RULES, limits=LIMITS)
        watching = asyncio.create_task(watcher.watch(lambda: looks.pop(0) if looks else [], restart))
        for _ in range(3):
            await clock.advance(30)
        watching.cancel()
        await asyncio.wait({watching})
    assert restarted == ["again under again"]
