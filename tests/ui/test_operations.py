"""Operations from the screen: preview, confirmation, progress, receipt; and everything that speaks against them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from clawtop.commands import Target, TargetKind
from clawtop.core.model import Snapshot, plain_text
from clawtop.core.operations.plan import Plan, PlanKind
from clawtop.core.operations.receipt import Receipt, Sight
from clawtop.errors import ClawtopError, LockNotObtainedError, RefusedError
from clawtop.ui.app import ClawtopApp
from clawtop.ui.jobs import Jobs
from clawtop.ui.ports import JobPorts, StoreHolder
from clawtop.ui.screens.confirm import ConfirmScreen
from clawtop.ui.screens.overview import OverviewScreen
from clawtop.ui.screens.reading import ReadingScreen
from clawtop.view.row_plans import PLANNERS, plan_for
from tests.support.clocks import ManualClock
from tests.support.golden import assert_golden
from tests.support.live_dashboard import until
from tests.support.screens import make_app, screen_lines, screen_text
from tests.support.worlds import GATEWAY_PID, INCIDENT, LOCKS, NOW, agent, cooling, profile

pytestmark = pytest.mark.anyio
GOLDEN = Path(__file__).parent / "golden"
SIZE = (120, 40)


def receipt(**facts: Any) -> Receipt:
    """What an execution gives back."""
    told: dict[str, Any] = {
        "id": "op-1",
        "kind": PlanKind.CLEAR,
        "title": "Clear anthropic:max-reef",
        "target": "anthropic:max-reef",
        "agent": "main",
        "file": "/x",
        "changes": (),
        "at": NOW,
        "by": "somebody",
        "sight": Sight.NO_GATEWAY,
        "sight_how": "the next gateway reads it when it starts",
        "undo": "op-1",
    }
    return Receipt(**told | facts)


@dataclass
class Executions:
    """Stands in for the engine: remembers plans, ends when it is told to."""

    outcome: Receipt | ClawtopError = field(default_factory=receipt)
    plans: list[Plan] = field(default_factory=list)
    tell: Callable[[StoreHolder], None] | None = None
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False

    async def __call__(self, plan: Plan, snapshot: Snapshot, on_wait: Callable[[StoreHolder], None]) -> Receipt:
        self.plans.append(plan)
        self.tell = on_wait
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if isinstance(self.outcome, ClawtopError):
            raise self.outcome
        return self.outcome


@dataclass
class Holder:
    """Who has the store's lock."""

    text: str
    pid: int | None


def holder(pid: int) -> Holder:
    return Holder(f"pid {pid} (node openclaw), since 3 s, alive", pid)


def started(executions: Executions, snapshot: Snapshot = INCIDENT, **options: Any) -> Any:
    return make_app(snapshot, execute=executions, **options)


async def test_the_preview_shows_file_change_effect_and_loss() -> None:
    executions = Executions()
    app, _, _ = started(executions)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("a", "c")
        await pilot.pause()
        lines = [line[12:108].rstrip() for line in screen_lines(app)[1:-1]]
        assert_golden(GOLDEN / "preview.txt", "\n".join(lines) + "\n")
        assert executions.plans == []


@pytest.mark.parametrize("keys", [["n"], ["q"], ["escape"], ["enter"]])
async def test_leaving_changes_nothing(keys: list[str]) -> None:
    executions = Executions()
    app, _, _ = started(executions)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("a", "c")
        await pilot.press(*keys)
        await pilot.pause()
        assert isinstance(app.screen, OverviewScreen)
        assert executions.plans == []


@pytest.mark.parametrize("keys", [["y"], ["tab", "enter"], ["right", "enter"]])
async def test_confirming_carries_exactly_the_shown_plan_out(keys: list[str]) -> None:
    executions = Executions()
    app, source, _ = started(executions)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await pilot.press("a", "c")
        await pilot.press(*keys)
        executions.go_on.set()
        await until(pilot, lambda: "z undoes it" in screen_text(app))
        assert [(plan.kind, plan.target, plan.agent) for plan in executions.plans] == [
            ("clear", "anthropic:max-reef", "main")
        ]
        assert isinstance(app.screen, OverviewScreen)
        assert "done: Clear anthropic:max-reef" in screen_lines(app)[-1]
        assert "no gateway: the next gateway" in screen_text(app)
        assert "z undoes it" in screen_text(app)
        assert source.pokes == 1


async def test_the_screen_shows_no_hope_only_the_next_snapshot() -> None:
    executions = Executions()
    executions.go_on.set()
    app, source, _ = started(executions)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("a", "c", "y")
        await pilot.pause()
        assert "1 max-reef         ◐ cooling" in screen_text(app)
        cleared = (profile("anthropic:max-reef"), *INCIDENT.agents[0].store.profiles[1:])  # type: ignore[union-attr]
        source.tell(replace(INCIDENT, agents=(agent("main", cleared),)))
        await pilot.pause()
        assert "max-reef         ● usable" in screen_text(app)


async def test_a_row_that_moves_under_the_cursor_changes_nothing() -> None:
    """The target is pinned when the dialog opens."""
    executions = Executions()
    executions.go_on.set()
    app, source, _ = started(executions)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("a", "c")
        reordered = (*INCIDENT.agents[0].store.profiles[1:], INCIDENT.agents[0].store.profiles[0])  # type: ignore[union-attr]
        source.tell(replace(INCIDENT, agents=(agent("main", reordered),)))
        await pilot.press("y")
        await pilot.pause()
        assert [plan.target for plan in executions.plans] == ["anthropic:max-reef"]


async def test_a_state_that_moved_on_refuses_the_plan() -> None:
    executions = Executions()
    app, source, _ = started(executions)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("a", "c")
        worse = (profile("anthropic:max-reef", cooling(90_000, errors=2)),)
        source.tell(replace(INCIDENT, agents=(agent("main", worse),)))
        await pilot.pause()
        app._tick()
        await pilot.pause()
        assert "The state has changed since this preview." in screen_text(app)
        await pilot.press("y")
        await pilot.pause()
        assert executions.plans == []
        assert "nothing was changed" in screen_text(app)


async def test_a_dashboard_that_disarmed_itself_meanwhile_does_nothing() -> None:
    executions = Executions()
    app, _, clock = started(executions)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("a", "c")
        clock.pause(301.0)
        app._tick()
        await pilot.press("y")
        await pilot.pause()
        assert executions.plans == []
        assert "The dashboard has disarmed itself." in screen_text(app)


async def test_waiting_names_the_holder_and_escape_stops() -> None:
    executions = Executions()
    app, _, clock = started(executions)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("a", "c", "y")
        await pilot.pause()
        assert executions.tell is not None
        clock.pause(3.0)
        executions.tell(holder(99))
        await pilot.pause()
        assert "waiting for the lock, held by pid 99 (node openclaw)" in screen_text(app)
        assert "waited 3.0s" in screen_text(app)
        assert "Yes, do it" not in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert executions.cancelled
        assert isinstance(app.screen, OverviewScreen)


async def test_a_live_gateway_that_holds_the_lock_is_said_louder_and_no_removal_is_offered() -> None:
    executions = Executions()
    app, _, _ = started(executions)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("a", "c", "y")
        await pilot.pause()
        assert executions.tell is not None
        executions.tell(holder(GATEWAY_PID))
        await pilot.pause()
        assert "THE LIVE GATEWAY HOLDS THE STORE'S LOCK" in screen_text(app)
        assert "its lock is never removed" in screen_text(app)


async def test_what_was_done_is_said_as_a_whole_where_its_corner_needs_two_lines() -> None:
    title = "Remove the stale session lock of pid 27710 in agent:scuttle:slack:channel:harbour"
    executions = Executions(replace(receipt(), title=title))
    executions.go_on.set()
    app, _, _ = started(executions)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await pilot.press("a", "c", "y")
        await until(pilot, lambda: f"done: {title}" in screen_lines(app)[-1])


async def test_unlocking_what_the_gateway_holds_opens_a_loud_page_instead() -> None:
    app, _, _ = started(Executions())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("a", "tab", "tab", "j", "j", "j", "u")
        await pilot.pause()
        assert isinstance(app.screen, ReadingScreen)
        assert "clawtop does not offer to remove it." in screen_text(app)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            LockNotObtainedError("the lock was not obtained", holder="pid 99", unchanged="nothing was changed"),
            "held by pid 99",
        ),
        (RefusedError("the state has changed", unchanged="nothing was written", hint="look again"), "look again"),
    ],
)
async def test_a_failure_stays_on_the_screen_with_what_was_not_changed(error: ClawtopError, words: str) -> None:
    executions = Executions(outcome=error)
    executions.go_on.set()
    app, _, _ = started(executions)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("a", "c", "y")
        await pilot.pause()
        text = screen_text(app)
        assert f"✗ {error.title}" in text
        assert error.unchanged in text
        assert words in text
        await pilot.press("q")
        assert isinstance(app.screen, OverviewScreen)


async def test_a_reverted_change_is_not_a_quiet_success() -> None:
    executions = Executions(outcome=receipt(sight=Sight.REVERTED, sight_how="the gateway wrote the old values back"))
    executions.go_on.set()
    app, _, _ = started(executions)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("a", "c", "y")
        await pilot.pause()
        assert isinstance(app.screen, ConfirmScreen)
        assert "reverted: the gateway wrote the old values back" in screen_text(app)


async def test_a_receipt_is_shown_anew_when_the_gateway_shows_it_later() -> None:
    seen = [receipt(sight=Sight.SEEN, sight_how="the gateway has read the store after it")]

    async def look_again(_snapshot: Snapshot) -> tuple[Receipt, ...]:
        return (seen.pop(),) if seen else ()

    app, source, _ = make_app(INCIDENT)
    app.notifier.look_again = look_again
    async with app.run_test(size=SIZE) as pilot:
        source.tell(replace(INCIDENT, number=INCIDENT.number + 1))
        await until(pilot, lambda: "seen: Clear anthropic:max-reef" in screen_text(app))


async def test_nothing_to_clear_opens_no_dialog() -> None:
    app, _, _ = started(Executions(), replace(INCIDENT, agents=(agent("main", (profile("openai:x"),)),)))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("a", "c")
        await pilot.pause()
        assert isinstance(app.screen, OverviewScreen)
        assert "nothing to do, nothing would change" in screen_lines(app)[-1]


async def test_there_is_nothing_to_undo() -> None:
    app, _, _ = started(Executions())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("a", "z")
        await pilot.pause()
        assert "Undo: there is nothing to undo" in screen_lines(app)[-1]


# --- plans -------------------------------------------------------------------------------------------------------

PROFILE = Target(TargetKind.PROFILE, "anthropic:max-reef", "coder", "anthropic")


def test_an_inherited_profile_is_cleared_in_its_owners_store() -> None:
    plan = plan_for("clear", INCIDENT, PROFILE)
    assert plan.agent == "main"
    assert plan.file.endswith("agents/main/agent/auth-state.json")


def test_every_operation_of_the_table_has_a_planner() -> None:
    from clawtop.commands import COMMANDS

    ours = {"clear", "clear-model", "clear-provider", "rotate", "rotate-reset", "unlock"}
    assert ours == set(PLANNERS)
    assert ours | {"undo"} <= {item.id for item in COMMANDS if item.dangerous}


def test_provider_operations_act_for_the_rows_agent() -> None:
    row = Target(TargetKind.PROVIDER, "anthropic", "main", "anthropic")
    assert plan_for("clear-provider", INCIDENT, row).target == "anthropic"
    assert "max-tide" in " ".join(map(plain_text, plan_for("rotate", INCIDENT, row).effects))


def test_only_a_scoped_cooldown_can_be_cleared_for_its_model() -> None:
    scoped = Target(TargetKind.PROFILE, "openai:batch", "main", "openai")
    assert "for model gpt-5.2" in plan_for("clear-model", INCIDENT, scoped).title
    with pytest.raises(RefusedError, match="no model-scoped cooldown"):
        plan_for("clear-model", INCIDENT, PROFILE)


def test_a_stale_lock_is_planned_with_its_proof_and_a_held_one_refused() -> None:
    assert plan_for("unlock", INCIDENT, Target(TargetKind.LOCK, LOCKS[0].file.path)).proof == ("dead-pid",)
    with pytest.raises(RefusedError, match="not proven dead"):
        plan_for("unlock", INCIDENT, Target(TargetKind.LOCK, LOCKS[1].file.path))


def test_without_a_row_there_is_no_plan() -> None:
    with pytest.raises(RefusedError, match="no row under the cursor"):
        plan_for("clear", INCIDENT, None)


async def test_yes_does_not_count_before_the_preview_is_on_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine draws the dialog's frame first."""
    executions = Executions()
    executions.go_on.set()
    app, _, _ = started(executions)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("a")
        with monkeypatch.context() as busy:
            busy.setattr(ConfirmScreen, "lines", lambda _self, _width: ())
            await pilot.press("c")
            await pilot.pause()
            assert isinstance(app.screen, ConfirmScreen)
            await pilot.press("y", "tab", "enter")
            await pilot.pause()
            assert isinstance(app.screen, ConfirmScreen)
            assert executions.plans == []
        app.screen.refresh_time()
        await pilot.pause()
        await pilot.press("y")
        await pilot.pause()
        assert [plan.target for plan in executions.plans] == ["anthropic:max-reef"]


# --- back to the shell -------------------------------------------------------------------------------------------


async def test_the_process_is_not_suspended_while_an_operation_may_hold_a_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    suspended: list[str] = []
    monkeypatch.setattr(ClawtopApp, "why_not_suspended", None)
    monkeypatch.setattr(ClawtopApp, "to_shell", lambda _app: suspended.append("once"))
    executions = Executions()
    app, _, _ = started(executions)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press("a", "c", "y")
        await until(pilot, lambda: bool(executions.plans))
        await pilot.press("ctrl+z")
        await pilot.pause()
        assert not suspended
        assert "an operation is under way, and may hold a lock" in app.flash.answer.line[0][0]
        executions.go_on.set()
        await until(pilot, lambda: isinstance(app.screen, OverviewScreen))
        await pilot.press("ctrl+z")
        await until(pilot, lambda: suspended == ["once"])


async def test_nor_while_a_session_is_recovered(monkeypatch: pytest.MonkeyPatch) -> None:
    suspended: list[str] = []
    monkeypatch.setattr(ClawtopApp, "why_not_suspended", None)
    monkeypatch.setattr(ClawtopApp, "to_shell", lambda _app: suspended.append("once"))
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Recoveries:
        async def recover(self, *_: object) -> Any:
            begun.set()
            await go_on.wait()
            raise RefusedError("not stuck")

    nothing: Any = None
    recoveries: Any = Recoveries()
    jobs = Jobs(JobPorts(drains=nothing, engine=lambda: nothing, recoveries=recoveries), ManualClock())
    app, _, _ = started(Executions(), jobs=jobs)
    async with app.run_test(size=SIZE) as pilot:
        recovery = asyncio.create_task(jobs.recover("agent:main:main", None, 1.0, lambda _words: None))
        await begun.wait()
        await pilot.press("ctrl+z")
        await until(pilot, lambda: bool(app.flash.answer.line))
        assert "an operation is under way, and may hold a lock" in app.flash.answer.line[0][0]
        assert not suspended
        go_on.set()
        with pytest.raises(RefusedError):
            await recovery
        await pilot.press("ctrl+z")
        await until(pilot, lambda: suspended == ["once"])


async def test_nothing_is_suspended_that_is_not_on_a_terminal() -> None:
    app, _, _ = started(Executions())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("ctrl+z")
        await until(pilot, lambda: bool(app.flash.answer.line))
        assert app.flash.answer.line[0][0] == "Suspend: nothing is drawn on a terminal"
