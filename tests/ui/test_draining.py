"""Draining from the dashboard: real records, locks and processes; keys and screens."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clawtop.commands import Arming, Context, Target, TargetKind, command, why_not
from clawtop.core.model import LockKind
from clawtop.core.session.drain import DrainPreview, DrainRequest, DrainWishes
from clawtop.core.session.turn_request import TurnRequest
from clawtop.demo.lock_process import LockProcess
from clawtop.demo.provider import Stall
from clawtop.demo.world import CAST
from clawtop.errors import RefusedError
from clawtop.store.own.admissions import read_admission, read_holder
from clawtop.store.own.holder_record import canonical
from clawtop.store.own.journal import Journal
from clawtop.store.own.presence import holders_dir
from clawtop.ui.screens.drain import DrainScreen
from clawtop.ui.screens.leave import LeaveScreen
from clawtop.ui.screens.overview import OverviewScreen
from clawtop.view.row_sessions import session_of
from tests.engine.other_process import other_process
from tests.support.live_dashboard import QUICK, LiveDashboard, is_back, live_dashboard, until
from tests.support.worlds import INCIDENT, LOCKS

pytestmark = pytest.mark.anyio

LIGHTHOUSE, TIDEPOOL, *_ = CAST
SIZES = [(120, 30), (80, 24)]
WIDE = SIZES[0]
PATIENT = DrainWishes(deadline_s=60.0, still_s=0.3, stop_after_s=50.0)
HOPELESS = DrainWishes(deadline_s=1.0, still_s=0.3, stop_after_s=5.0)


@pytest.fixture
async def dashboard(tmp_path: Path) -> AsyncIterator[LiveDashboard]:
    async with live_dashboard(tmp_path) as made:
        yield made


def closed(dashboard: LiveDashboard) -> bool:
    """Whether the lighthouse's session is closed to new runs."""
    admission = read_admission(
        holders_dir(str(dashboard.world.state_dir)), canonical(dashboard.world.transcript(LIGHTHOUSE))
    )
    return admission is not None and admission.closing is not None


def recorded_phase(dashboard: LiveDashboard) -> str | None:
    """What other processes know of the run; its record follows a little later than the run itself."""
    holder = read_holder(holders_dir(str(dashboard.world.state_dir)), canonical(dashboard.world.transcript(LIGHTHOUSE)))
    return None if holder is None else str(holder.phase)


async def begin(dashboard: LiveDashboard, pilot: object) -> None:
    await dashboard.open_on(pilot, LIGHTHOUSE)  # type: ignore[arg-type]
    await pilot.press("d")  # type: ignore[attr-defined]
    await dashboard.sees(pilot, "Yes, drain it (y)")  # type: ignore[arg-type]


@pytest.mark.parametrize("size", SIZES, ids=["120x30", "80x24"])
async def test_the_preview_says_what_the_dry_run_says_and_changes_nothing(
    dashboard: LiveDashboard, size: tuple[int, int]
) -> None:
    preview = await dashboard.jobs.survey(DrainRequest(LIGHTHOUSE.key, LIGHTHOUSE.agent, QUICK), lambda _preview: None)
    words = preview.lines[QUICK.abort_in_gateway]
    assert words[0] == "nothing holds the session now"
    async with dashboard.app.run_test(size=size) as pilot:
        await begin(dashboard, pilot)
        for line in words:
            await dashboard.sees(pilot, " ".join(line.split()))
        await pilot.press("n")
        await until(pilot, lambda: is_back(dashboard.app))
    assert not (dashboard.world.state_dir / "clawtop").exists()


async def test_a_run_of_another_engine_is_asked_to_stop_and_the_end_is_proven(dashboard: LiveDashboard) -> None:
    dashboard.behave(Stall())
    async with dashboard.app.run_test(size=WIDE) as pilot, dashboard.engine() as other:
        run = other.drive(TurnRequest(LIGHTHOUSE.key, "never answered", lane="heartbeat"))
        await until(pilot, lambda: recorded_phase(dashboard) == "prompting")
        await begin(dashboard, pilot)
        await dashboard.sees(pilot, f"clawtop's run {run.run_id}")
        await dashboard.sees(pilot, "stopping that run would lose its reply in progress (prompting)")
        await pilot.press("y")
        await dashboard.sees(pilot, "✓ drained")
        assert run.done
        for words in ("drained, and proven:", "no run of clawtop's engines holds the prompt", "there is no write lock"):
            await dashboard.sees(pilot, words)
        await dashboard.sees(pilot, f"run {run.run_id} (pid")
        assert not closed(dashboard)
        await pilot.press("q")
        await until(pilot, lambda: is_back(dashboard.app))
        await pilot.press("W")
        await dashboard.sees(pilot, "drained, and proven:")


async def test_a_holder_in_another_process_lets_go_and_the_stages_are_seen(tmp_path: Path) -> None:
    async with (
        live_dashboard(tmp_path, wishes=PATIENT) as dashboard,
        dashboard.app.run_test(size=WIDE) as pilot,
        other_process(dashboard.world.state_dir) as other,
    ):
        await other.ask(f"acquire {dashboard.world.transcript(LIGHTHOUSE)} wait")
        await begin(dashboard, pilot)
        await dashboard.sees(pilot, f"clawtop's run other (pid {other.pid}, locking) holds the prompt")
        await pilot.press("y")
        await until(pilot, lambda: dashboard.shows("▶ wait") and closed(dashboard))
        await until(
            pilot, lambda: dashboard.shows("a clawtop run is asked to stop in ") and dashboard.shows("gives up in ")
        )
        await dashboard.sees(pilot, "DRAIN ")
        await other.ask("release")
        await dashboard.sees(pilot, "✓ drained")
        assert not closed(dashboard)


@pytest.mark.long
async def test_what_stays_held_is_said_not_to_be_released(tmp_path: Path) -> None:
    async with (
        live_dashboard(tmp_path, wishes=HOPELESS) as dashboard,
        dashboard.app.run_test(size=WIDE) as pilot,
        other_process(dashboard.world.state_dir) as other,
    ):
        await other.ask(f"acquire {dashboard.world.transcript(LIGHTHOUSE)} wait")
        await begin(dashboard, pilot)
        await pilot.press("y")
        await dashboard.sees(pilot, "✗ NOT released")
        assert dashboard.jobs.drain is not None
        resume = f"continue later: clawtop drain --resume {dashboard.jobs.drain.log.drain_id}"
        await until(pilot, lambda: dashboard.shows("aborted, NOT released:") and dashboard.shows(resume))
        assert not closed(dashboard)


@pytest.mark.long
async def test_a_stale_lock_is_removed_on_proof(dashboard: LiveDashboard) -> None:
    lock = Path(f"{dashboard.world.transcript(LIGHTHOUSE)}.lock")
    async with LockProcess("session", dashboard.world.transcript(LIGHTHOUSE)) as other:
        await other.kill()
    assert lock.exists()
    async with dashboard.app.run_test(size=WIDE) as pilot:
        await begin(dashboard, pilot)
        await pilot.press("y")
        await dashboard.sees(pilot, "✓ drained")
        await dashboard.sees(pilot, "lock removed")
    assert not lock.exists()


async def test_the_conversation_can_go_on_under_a_fresh_id(dashboard: LiveDashboard) -> None:
    before = set(dashboard.world.sessions_dir("main").glob("*.jsonl"))
    async with dashboard.app.run_test(size=WIDE) as pilot:
        await begin(dashboard, pilot)
        await dashboard.sees(pilot, "the session is reopened")
        await pilot.press("f")
        await dashboard.sees(pilot, "continues under a fresh session id")
        await pilot.press("y")
        await dashboard.sees(pilot, "continue with: clawtop drive --session")
    (fresh,) = set(dashboard.world.sessions_dir("main").glob("*.jsonl")) - before
    assert fresh.stat().st_size > 0


@pytest.mark.parametrize("asked", [True, False])
async def test_the_gateways_abort_is_offered_only_where_the_gateway_is_asked(tmp_path: Path, asked: bool) -> None:
    async with live_dashboard(tmp_path, asks_gateway=asked) as dashboard, dashboard.app.run_test(size=WIDE) as pilot:
        await begin(dashboard, pilot)
        await dashboard.sees(pilot, "its run is left alone" if asked else "the gateway is not asked (--no-gateway)")
        await pilot.press("g")
        if asked:
            await dashboard.sees(pilot, "have the gateway end its run")
        else:
            await pilot.pause()
            assert not dashboard.shows("have the gateway end its run")


class SlowPreview:
    """Drains whose gateway takes as long for an answer as the test wants."""

    can_abort = True
    drain_id = "d-1"

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked = 0

    def prepare(self, *_wishes: object) -> Any:
        return self

    def preview(self, told: Callable[[DrainPreview], None]) -> DrainPreview:
        self.asked += 1
        told(DrainPreview({abort: ("perhaps a run", f"aborts: {abort}") for abort in (False, True)}, complete=False))
        assert self.answers.wait(60.0)
        return DrainPreview({abort: (f"run {self.asked}", f"aborts: {abort}") for abort in (False, True)})


async def test_a_preview_shows_what_is_known_at_once_and_fills_in(tmp_path: Path) -> None:
    drains = SlowPreview()
    async with (
        live_dashboard(tmp_path, ports=lambda ports: replace(ports, drains=drains)) as dashboard,
        dashboard.app.run_test(size=WIDE) as pilot,
    ):
        await begin(dashboard, pilot)
        await dashboard.sees(pilot, "perhaps a run", "the gateway is being asked", "aborts: False")
        await pilot.press("g")
        await dashboard.sees(pilot, "aborts: True", "the gateway ends its run", "perhaps a run")
        assert not dashboard.shows("Yes, drain it (y)")
        await pilot.press("y")
        assert dashboard.jobs.drain is None
        drains.answers.set()
        await dashboard.sees(pilot, "run 1", "aborts: True", "Yes, drain it (y)")
        assert not dashboard.shows("the gateway is being asked")
        drains.answers.clear()
        await pilot.press("g")
        await dashboard.sees(pilot, "run 1", "aborts: False", "Yes, drain it (y)")
        await until(pilot, lambda: drains.asked == 2)
        assert not dashboard.shows("perhaps a run")
        drains.answers.set()
        await dashboard.sees(pilot, "run 2", "aborts: False")
        await pilot.press("n")
        await until(pilot, lambda: is_back(dashboard.app))


# --- stopping, leaving -------------------------------------------------------------------------------------------


async def test_it_asks_before_it_stops_and_goes_on_in_the_background(tmp_path: Path) -> None:
    async with (
        live_dashboard(tmp_path, wishes=PATIENT) as dashboard,
        dashboard.app.run_test(size=WIDE) as pilot,
        other_process(dashboard.world.state_dir) as other,
    ):
        await other.ask(f"acquire {dashboard.world.transcript(LIGHTHOUSE)} wait")
        await begin(dashboard, pilot)
        await pilot.press("y")
        await until(pilot, lambda: dashboard.shows("▶ wait") and closed(dashboard))
        await pilot.press("escape")
        await dashboard.sees(pilot, "Keep it running in the background (k)")
        await pilot.press("escape")
        await until(pilot, lambda: not dashboard.shows("Keep it running in the background (k)"))
        await pilot.press("q")
        await dashboard.sees(pilot, "Stop and reopen (s)")
        await pilot.press("k")
        await until(pilot, lambda: is_back(dashboard.app))
        assert closed(dashboard)
        await dashboard.sees(pilot, "DRAIN ")
        await dashboard.open_on(pilot, TIDEPOOL)
        await pilot.press("d")
        await until(
            pilot, lambda: isinstance(dashboard.app.screen, DrainScreen) and dashboard.shows(f"drain {LIGHTHOUSE.key}")
        )
        await pilot.press("escape")
        await dashboard.sees(pilot, "Stop and reopen (s)")
        await pilot.press("s")
        await dashboard.sees(pilot, "stopped: aborted, NOT released; the session is open again")
        assert not closed(dashboard)
        await pilot.press("q")
        await until(pilot, lambda: is_back(dashboard.app))
    last = [event for event in Journal(dashboard.world.state_dir).tail(50) if event.kind == "drain"][-1]
    assert last.text == "aborted, NOT released: stopped by the operator"


async def test_quitting_while_it_runs_asks_and_opens_the_session(tmp_path: Path) -> None:
    async with live_dashboard(tmp_path, wishes=PATIENT) as dashboard, other_process(dashboard.world.state_dir) as other:
        async with dashboard.app.run_test(size=WIDE) as pilot:
            await other.ask(f"acquire {dashboard.world.transcript(LIGHTHOUSE)} wait")
            await begin(dashboard, pilot)
            await pilot.press("y")
            await until(pilot, lambda: dashboard.shows("▶ wait") and closed(dashboard))
            await pilot.press("escape", "k")
            await until(pilot, lambda: is_back(dashboard.app))
            await pilot.press("q")
            await until(
                pilot, lambda: isinstance(dashboard.app.screen, LeaveScreen) and dashboard.shows("NOT released")
            )
            await pilot.press("n")
            await until(pilot, lambda: isinstance(dashboard.app.screen, OverviewScreen))
            await pilot.press("q")
            await until(pilot, lambda: isinstance(dashboard.app.screen, LeaveScreen))
            await pilot.press("y")
            await until(pilot, lambda: dashboard.app.return_code == 0)
        assert not closed(dashboard)
        assert (await other.ask("release")) == "released"


async def test_a_drain_of_another_clawtop_is_in_the_way(tmp_path: Path) -> None:
    async with (
        live_dashboard(tmp_path, wishes=PATIENT) as dashboard,
        dashboard.app.run_test(size=WIDE) as pilot,
        other_process(dashboard.world.state_dir) as other,
    ):
        await other.ask(f"acquire {dashboard.world.transcript(LIGHTHOUSE)} wait")
        first = await dashboard.jobs.start_drain(DrainRequest(LIGHTHOUSE.key, "main", PATIENT))
        await until(pilot, lambda: closed(dashboard))
        with pytest.raises(RefusedError, match="one at a time"):
            await dashboard.jobs.start_drain(DrainRequest(TIDEPOOL.key, "main", PATIENT))
        dashboard.jobs.drain = None
        await begin(dashboard, pilot)
        await pilot.press("y")
        await dashboard.sees(pilot, "of this session is under way")
        await dashboard.sees(pilot, "nothing was done")
        await first.stop()


# --- which session -----------------------------------------------------------------------------------------------


def test_a_session_is_found_from_its_row_its_lock_and_its_run() -> None:
    session = next(s for s in INCIDENT.sessions if s.file)
    assert session_of(INCIDENT, Target(TargetKind.SESSION, session.key, session.agent)) == (session.key, session.agent)
    lock = Target(TargetKind.LOCK, f"{session.file}.lock", session.agent)
    assert session_of(INCIDENT, lock) == (session.key, session.agent)
    assert session_of(INCIDENT, Target(TargetKind.LOCK, "/x/unlisted.jsonl.lock")) == ("/x/unlisted.jsonl", None)
    for holder in INCIDENT.holders:
        run = Target(TargetKind.RUN, holder.run_id or holder.session_file)
        assert session_of(INCIDENT, run)[0] in (holder.session_key, holder.session_file)
    with pytest.raises(RefusedError, match="this run has ended"):
        session_of(INCIDENT, Target(TargetKind.RUN, "gone"))


def test_only_a_sessions_lock_can_be_drained() -> None:
    for lock in LOCKS:
        target = Target(TargetKind.LOCK, lock.file.path)
        reason = why_not(command("drain"), Context(INCIDENT, target, Arming.ARMED))
        assert reason == (None if lock.file.kind is LockKind.SESSION else "not a session lock")


async def test_a_session_that_is_gone_is_refused_in_the_dialog(dashboard: LiveDashboard) -> None:
    async with dashboard.app.run_test(size=WIDE) as pilot:
        await dashboard.open_on(pilot, LIGHTHOUSE)
        dashboard.app.push_screen(DrainScreen(dashboard.jobs, "agent:main:never-was", "main"))
        await dashboard.sees(pilot, "there is no session agent:main:never-was")
        await dashboard.sees(pilot, "nothing was done")
        await pilot.press("y", "escape")
        await until(pilot, lambda: is_back(dashboard.app))


async def test_recovery_says_that_a_session_at_rest_is_not_stuck(tmp_path: Path) -> None:
    async with live_dashboard(tmp_path) as dashboard, dashboard.app.run_test(size=WIDE) as pilot:
        await dashboard.open_on(pilot, CAST[0])
        await pilot.press("V")
        await dashboard.sees(pilot, "Not stuck")
        await pilot.press("y", "escape")
        await until(pilot, lambda: is_back(dashboard.app))
    assert dashboard.left_behind() == []
