"""Driving from the dashboard: a real engine on a real directory, a provider on loopback, keys and screens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from textual import events

from clawtop.core.session.turn_request import TurnRequest
from clawtop.demo.provider import Respond, Stall, rate_limited
from clawtop.demo.world import CAST
from clawtop.errors import RefusedError
from clawtop.store.sessions.conversation import read_conversation
from clawtop.ui.screens.drive import DriveScreen
from clawtop.ui.screens.leave import LeaveScreen
from clawtop.ui.screens.overview import OverviewScreen
from clawtop.ui.screens.run import RunScreen
from clawtop.ui.widgets.message_editor import MessageEditor
from tests.engine.other_process import other_process
from tests.support.live_dashboard import LiveDashboard, is_back, live_dashboard, until

pytestmark = pytest.mark.anyio

LIGHTHOUSE, TIDEPOOL, HEARTBEAT, *_ = CAST
SIZES = [(120, 30), (80, 24)]
WIDE = SIZES[0]


@pytest.fixture
async def dashboard(tmp_path: Path) -> AsyncIterator[LiveDashboard]:
    async with live_dashboard(tmp_path) as made:
        yield made


def attempts(dashboard: LiveDashboard) -> list[tuple[str | None, str]]:
    return [(attempt.profile, attempt.verdict) for attempt in dashboard.jobs.runs[-1].log.attempts]


async def send(dashboard: LiveDashboard, pilot: object, message: str = "hello") -> None:
    """Write a message into the open dialog and press Enter."""
    dashboard.app.screen.query_one(MessageEditor).insert(message)
    before = len(dashboard.jobs.runs)
    await pilot.press("enter")  # type: ignore[attr-defined]
    await until(pilot, lambda: len(dashboard.jobs.runs) > before and isinstance(dashboard.app.screen, RunScreen))  # type: ignore[arg-type]


async def test_driving_needs_arming(dashboard: LiveDashboard) -> None:
    async with dashboard.app.run_test(size=WIDE) as pilot:
        await dashboard.open_on(pilot, LIGHTHOUSE)
        await pilot.press("a", "D")
        await pilot.pause()
        assert is_back(dashboard.app)
        await dashboard.sees(pilot, "Drive: READ-ONLY: press a to arm")
        assert not (dashboard.world.state_dir / "clawtop").exists()


@pytest.mark.parametrize("size", SIZES, ids=["120x30", "80x24"])
async def test_a_message_is_sent_and_the_reply_streams(dashboard: LiveDashboard, size: tuple[int, int]) -> None:
    dashboard.behave(Respond("Two claws up, and one for luck.", pieces=4))
    said = len(read_conversation(dashboard.world.transcript(LIGHTHOUSE)).said)
    async with dashboard.app.run_test(size=size) as pilot:
        await dashboard.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await dashboard.sees(pilot, "not held")
        await dashboard.sees(pilot, "coral/great-claw-1, then 1 more")
        await send(dashboard, pilot, "how are you?")
        await dashboard.sees(pilot, "1 request, ")
        await dashboard.sees(pilot, "✓ coral/great-claw-1 replied with coral:")
        await dashboard.sees(pilot, "✓ lane ✓ holder ✓ lock ✓ prompt ✓ stream ✓ append")
        await dashboard.sees(pilot, "how are you?")
        await dashboard.sees(pilot, "Two claws up, and one for luck.")
        await pilot.press("q")
        await until(pilot, lambda: is_back(dashboard.app))
        await pilot.press("W")
        await dashboard.sees(pilot, "Two claws up, and one for luck.")
    assert [line.text for line in read_conversation(dashboard.world.transcript(LIGHTHOUSE)).said[said:]] == [
        "how are you?",
        "Two claws up, and one for luck.",
    ]
    assert dashboard.left_behind() == []


async def test_a_limit_is_rotated_away_from_before_the_eyes_of_the_operator(dashboard: LiveDashboard) -> None:
    dashboard.behave(rate_limited(), "coral:clawdia")
    dashboard.behave(Respond("From another account."), "coral:larry")
    async with dashboard.app.run_test(size=WIDE) as pilot:
        await dashboard.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await send(dashboard, pilot)
        await until(pilot, lambda: not dashboard.jobs.running)
        await dashboard.sees(pilot, "From another account.")
        if attempts(dashboard)[0][0] == "coral:clawdia":
            await dashboard.sees(pilot, "rate_limit")
            assert [profile for profile, _ in attempts(dashboard)] == ["coral:clawdia", "coral:larry"]


async def test_f_takes_the_next_profile_without_a_mark(dashboard: LiveDashboard) -> None:
    dashboard.behave(Stall())
    async with dashboard.app.run_test(size=WIDE) as pilot:
        await dashboard.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await send(dashboard, pilot)
        await until(pilot, lambda: len(dashboard.jobs.runs[0].log.attempts) == 1)
        first = dashboard.jobs.runs[0].log.attempts[0].profile
        other = next(name for name in ("coral:clawdia", "coral:larry") if name != first)
        dashboard.behave(Respond("The other account answers."), other)
        await dashboard.sees(pilot, "▶ prompt")
        await pilot.press("F")
        await until(pilot, lambda: not dashboard.jobs.running)
        assert attempts(dashboard) == [(first, "rotated by hand, no mark"), (other, "replied")]
        await dashboard.sees(pilot, "rotated by hand, no mark")
        await pilot.press("F")
        await until(pilot, lambda: len(pilot.app._notifications) == 1)
    await dashboard.jobs.aclose()
    assert "cooldownUntil" not in (dashboard.world.agent_dir() / "auth-state.json").read_text()


async def test_x_gives_everything_back(dashboard: LiveDashboard) -> None:
    dashboard.behave(Stall())
    before = dashboard.world.transcript(LIGHTHOUSE).read_bytes()
    async with dashboard.app.run_test(size=WIDE) as pilot:
        await dashboard.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await send(dashboard, pilot)
        await dashboard.sees(pilot, "▶ prompt")
        await pilot.press("X")
        await dashboard.sees(pilot, "cancelled: everything was released, nothing was marked")
        assert isinstance(dashboard.app.screen, RunScreen)
    assert dashboard.left_behind() == []
    assert dashboard.world.transcript(LIGHTHOUSE).read_bytes() == before


async def test_several_runs_go_on_without_their_screens_and_are_steered_from_their_rows(
    dashboard: LiveDashboard,
) -> None:
    dashboard.behave(Stall())
    async with dashboard.app.run_test(size=WIDE) as pilot:
        for session in (LIGHTHOUSE, TIDEPOOL):
            await dashboard.open_on(pilot, session)
            await pilot.press("D")
            await send(dashboard, pilot, f"to {session.rest}")
            await pilot.press("q")
            await until(pilot, lambda: is_back(dashboard.app))
        assert len(dashboard.jobs.running) == 2
        await dashboard.sees(pilot, "2 RUNS")
        await dashboard.sees(pilot, " prompt")
        await dashboard.open_on(pilot, HEARTBEAT)
        await pilot.press("X")
        await pilot.pause()
        assert len(dashboard.jobs.running) == 2
        await dashboard.sees(pilot, "Cancel this run: only this dashboard's own runs can be controlled")
        await dashboard.open_on(pilot, LIGHTHOUSE)
        await pilot.press("W")
        await dashboard.sees(pilot, "to main")
        await pilot.press("tab")
        await dashboard.sees(pilot, "to discord:channel:tidepool")
        await pilot.press("q")
        await until(pilot, lambda: is_back(dashboard.app))
        await pilot.press("X")
        await until(pilot, lambda: [run.log.request.session for run in dashboard.jobs.running] == [TIDEPOOL.key])
        await dashboard.sees(pilot, "1 RUN")


@pytest.mark.long
async def test_our_run_is_steered_from_the_tree(dashboard: LiveDashboard) -> None:
    dashboard.behave(Stall())
    async with dashboard.app.run_test(size=WIDE) as pilot, dashboard.engine() as other:
        await dashboard.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await send(dashboard, pilot)
        await dashboard.sees(pilot, "▶ prompt")
        waiter = other.drive(TurnRequest(LIGHTHOUSE.key, "me too", lane="cron"))
        await pilot.press("q", "2")
        run_id = dashboard.jobs.runs[0].log.run_id
        await dashboard.sees(pilot, f"held by run {run_id}")
        await pilot.press("g", "j")
        assert dashboard.app.view.target is not None
        assert dashboard.app.view.target.id == run_id
        await pilot.press("X")
        await until(pilot, lambda: not dashboard.jobs.running)
        waiter.cancel()
        await waiter.ended()


async def test_the_queue_is_named_and_moves_on(dashboard: LiveDashboard) -> None:
    dashboard.behave(Respond("At last."))
    async with (
        dashboard.app.run_test(size=WIDE) as pilot,
        other_process(dashboard.world.state_dir) as other,
    ):
        assert (await other.ask(f"acquire {dashboard.world.transcript(LIGHTHOUSE)} wait")).startswith("acquired")
        await dashboard.open_on(pilot, LIGHTHOUSE)
        await dashboard.sees(pilot, f"{other.pid} lock")
        await pilot.press("D")
        await dashboard.sees(pilot, f"held by pid {other.pid} (locking, known from clawtop)")
        await send(dashboard, pilot)
        await dashboard.sees(pilot, f"1 in line behind run other (pid {other.pid}, lane cron, locking)")
        assert await other.ask("release") == "released"
        await dashboard.sees(pilot, "At last.")


async def test_a_held_session_can_be_refused_or_copied(dashboard: LiveDashboard) -> None:
    dashboard.behave(Respond("In a copy."))
    async with dashboard.app.run_test(size=WIDE) as pilot, other_process(dashboard.world.state_dir) as other:
        await other.ask(f"acquire {dashboard.world.transcript(LIGHTHOUSE)} wait")
        for presses, words in ((1, "the session is held by run other"), (2, "the session was busy: this turn is in")):
            await dashboard.open_on(pilot, LIGHTHOUSE)
            await pilot.press("D")
            await until(pilot, lambda: isinstance(dashboard.app.screen, DriveScreen))
            await pilot.press("tab", "tab", "tab", *(["right"] * presses))
            await send(dashboard, pilot)
            await until(pilot, lambda: not dashboard.jobs.running)
            await dashboard.sees(pilot, words)
            await pilot.press("q")
            await until(pilot, lambda: is_back(dashboard.app))


# --- what speaks against it --------------------------------------------------------------------------------------


async def test_an_engine_that_refuses_keeps_the_message(tmp_path: Path) -> None:
    def refuse() -> object:
        raise RefusedError("the generation is a guess", unchanged="nothing was sent")

    async with (
        live_dashboard(tmp_path, ports=lambda ports: replace(ports, engine=refuse)) as dashboard,  # type: ignore[arg-type]
        dashboard.app.run_test(size=WIDE) as pilot,
    ):
        await dashboard.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(dashboard.app.screen, DriveScreen))
        dashboard.app.screen.query_one(MessageEditor).insert("keep me")
        await pilot.press("enter")
        await dashboard.sees(pilot, "the generation is a guess")
        assert dashboard.app.screen.query_one(MessageEditor).text == "keep me"
        await pilot.press("escape")
        await until(pilot, lambda: is_back(dashboard.app))


async def test_an_empty_message_and_a_disarmed_dashboard_send_nothing(dashboard: LiveDashboard) -> None:
    async with dashboard.app.run_test(size=WIDE) as pilot:
        await dashboard.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(dashboard.app.screen, DriveScreen))
        await pilot.press("enter")
        await dashboard.sees(pilot, "nothing to send yet")
        dashboard.app.screen.query_one(MessageEditor).insert("hello")
        dashboard.app.arming.toggle()
        await pilot.press("enter")
        await dashboard.sees(pilot, "The dashboard has disarmed itself")
        assert dashboard.jobs.runs == []


async def test_what_is_pasted_cannot_reach_the_terminal_as_it_is(dashboard: LiveDashboard) -> None:
    async with dashboard.app.run_test(size=WIDE) as pilot:
        await dashboard.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(dashboard.app.screen, DriveScreen))
        editor = dashboard.app.screen.query_one(MessageEditor)
        dashboard.app.post_message(events.Paste("one\r\ntwo \x1b[31m\N{RIGHT-TO-LEFT OVERRIDE}three\x07"))
        await until(pilot, lambda: "three" in editor.text)
        assert editor.text == "one\ntwo \\x1b[31m\\u202ethree\\x07"


# --- leaving -----------------------------------------------------------------------------------------------------


async def test_quitting_asks_then_cancels_cleanly(dashboard: LiveDashboard) -> None:
    dashboard.behave(Stall())
    async with dashboard.app.run_test(size=WIDE) as pilot:
        await dashboard.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await send(dashboard, pilot)
        await dashboard.sees(pilot, "▶ prompt")
        await pilot.press("q", "q")
        await until(
            pilot, lambda: isinstance(dashboard.app.screen, LeaveScreen) and dashboard.shows("it would be cancelled")
        )
        await pilot.press("n")
        await until(pilot, lambda: isinstance(dashboard.app.screen, OverviewScreen))
        assert len(dashboard.jobs.running) == 1
        await pilot.press("q")
        await until(pilot, lambda: isinstance(dashboard.app.screen, LeaveScreen))
        await pilot.press("y")
        await until(pilot, lambda: dashboard.app.return_code == 0 and not dashboard.app.is_running)
    assert dashboard.left_behind() == []
    assert not dashboard.jobs.busy


async def test_a_limit_that_was_met_just_before_leaving_is_marked(dashboard: LiveDashboard) -> None:
    dashboard.behave(rate_limited(), "coral:clawdia", "coral:larry")
    dashboard.behave(Stall(), "kelp:barnaby")
    async with dashboard.app.run_test(size=WIDE) as pilot:
        await dashboard.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await send(dashboard, pilot)
        await until(pilot, lambda: len(dashboard.jobs.runs[0].log.attempts) == 3)
    await asyncio.wait_for(dashboard.jobs.aclose(), 20)
    assert (dashboard.world.agent_dir() / "auth-state.json").read_text().count('"cooldownUntil"') == 2
    assert dashboard.left_behind() == []
