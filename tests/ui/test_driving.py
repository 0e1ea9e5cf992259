"""Driving from the dashboard: a real engine on a real directory, a provider on loopback, keys and screens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from textual import events

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
from tests.support.reef import Reef, is_back, living_reef, until

pytestmark = pytest.mark.anyio

LIGHTHOUSE, TIDEPOOL, HEARTBEAT, *_ = CAST
SIZES = [(120, 30), (80, 24)]
WIDE = SIZES[0]


@pytest.fixture
async def reef(tmp_path: Path) -> AsyncIterator[Reef]:
    async with living_reef(tmp_path) as made:
        yield made


def attempts(reef: Reef) -> list[tuple[str | None, str]]:
    return [(attempt.profile, attempt.verdict) for attempt in reef.work.runs[-1].log.attempts]


async def send(reef: Reef, pilot: object, message: str = "hello") -> None:
    """Write a message into the open dialog and press Enter."""
    reef.app.screen.query_one(MessageEditor).insert(message)
    before = len(reef.work.runs)
    await pilot.press("enter")  # type: ignore[attr-defined]
    await until(pilot, lambda: len(reef.work.runs) > before and isinstance(reef.app.screen, RunScreen))  # type: ignore[arg-type]


async def test_driving_needs_arming(reef: Reef) -> None:
    async with reef.app.run_test(size=WIDE) as pilot:
        await reef.open_on(pilot, LIGHTHOUSE)
        await pilot.press("a", "D")
        await pilot.pause()
        assert is_back(reef.app)
        await reef.sees(pilot, "Drive: READ-ONLY: press a to arm")
        assert not (reef.world.state_dir / "clawtop").exists()


@pytest.mark.parametrize("size", SIZES, ids=["120x30", "80x24"])
async def test_a_message_is_sent_and_the_reply_streams(reef: Reef, size: tuple[int, int]) -> None:
    reef.behave(Respond("Two claws up, and one for luck.", pieces=4))
    said = len(read_conversation(reef.world.transcript(LIGHTHOUSE)).said)
    async with reef.app.run_test(size=size) as pilot:
        await reef.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await reef.sees(pilot, "not held")
        await reef.sees(pilot, "coral/great-claw-1, then 1 more")
        await send(reef, pilot, "how are you?")
        await reef.sees(pilot, "1 request, ")
        await reef.sees(pilot, "✓ coral/great-claw-1 replied with coral:")
        await reef.sees(pilot, "✓ lane ✓ holder ✓ lock ✓ prompt ✓ stream ✓ append")
        await reef.sees(pilot, "how are you?")
        await reef.sees(pilot, "Two claws up, and one for luck.")
        await pilot.press("q")
        await until(pilot, lambda: is_back(reef.app))
        await pilot.press("W")
        await reef.sees(pilot, "Two claws up, and one for luck.")
    assert [line.text for line in read_conversation(reef.world.transcript(LIGHTHOUSE)).said[said:]] == [
        "how are you?",
        "Two claws up, and one for luck.",
    ]
    assert reef.left_behind() == []


async def test_a_limit_is_rotated_away_from_before_the_eyes_of_the_operator(reef: Reef) -> None:
    reef.behave(rate_limited(), "coral:clawdia")
    reef.behave(Respond("From another account."), "coral:larry")
    async with reef.app.run_test(size=WIDE) as pilot:
        await reef.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await send(reef, pilot)
        await until(pilot, lambda: not reef.work.running)
        await reef.sees(pilot, "From another account.")
        if attempts(reef)[0][0] == "coral:clawdia":
            await reef.sees(pilot, "rate_limit")
            assert [profile for profile, _ in attempts(reef)] == ["coral:clawdia", "coral:larry"]


async def test_f_takes_the_next_profile_without_a_mark(reef: Reef) -> None:
    reef.behave(Stall())
    async with reef.app.run_test(size=WIDE) as pilot:
        await reef.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await send(reef, pilot)
        await until(pilot, lambda: len(reef.work.runs[0].log.attempts) == 1)
        first = reef.work.runs[0].log.attempts[0].profile
        other = next(name for name in ("coral:clawdia", "coral:larry") if name != first)
        reef.behave(Respond("The other account answers."), other)
        await reef.sees(pilot, "▶ prompt")
        await pilot.press("F")
        await until(pilot, lambda: not reef.work.running)
        assert attempts(reef) == [(first, "rotated by hand, no mark"), (other, "replied")]
        await reef.sees(pilot, "rotated by hand, no mark")
        await pilot.press("F")
        await until(pilot, lambda: len(pilot.app._notifications) == 1)
    await reef.work.aclose()
    assert "cooldownUntil" not in (reef.world.agent_dir() / "auth-state.json").read_text()


async def test_x_gives_everything_back(reef: Reef) -> None:
    reef.behave(Stall())
    before = reef.world.transcript(LIGHTHOUSE).read_bytes()
    async with reef.app.run_test(size=WIDE) as pilot:
        await reef.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await send(reef, pilot)
        await reef.sees(pilot, "▶ prompt")
        await pilot.press("X")
        await reef.sees(pilot, "cancelled: everything was released, nothing was marked")
        assert isinstance(reef.app.screen, RunScreen)
    assert reef.left_behind() == []
    assert reef.world.transcript(LIGHTHOUSE).read_bytes() == before


async def test_several_runs_go_on_without_their_screens_and_are_steered_from_their_rows(reef: Reef) -> None:
    reef.behave(Stall())
    async with reef.app.run_test(size=WIDE) as pilot:
        for session in (LIGHTHOUSE, TIDEPOOL):
            await reef.open_on(pilot, session)
            await pilot.press("D")
            await send(reef, pilot, f"to {session.rest}")
            await pilot.press("q")
            await until(pilot, lambda: is_back(reef.app))
        assert len(reef.work.running) == 2
        await reef.sees(pilot, "2 RUNS")
        await reef.sees(pilot, " prompt")
        await reef.open_on(pilot, HEARTBEAT)
        await pilot.press("X")
        await pilot.pause()
        assert len(reef.work.running) == 2
        await reef.sees(pilot, "Cancel this run: only this dashboard's own runs can be controlled")
        await reef.open_on(pilot, LIGHTHOUSE)
        await pilot.press("W")
        await reef.sees(pilot, "to main")
        await pilot.press("tab")
        await reef.sees(pilot, "to discord:channel:tidepool")
        await pilot.press("q")
        await until(pilot, lambda: is_back(reef.app))
        await pilot.press("X")
        await until(pilot, lambda: [run.log.subject.session for run in reef.work.running] == [TIDEPOOL.key])
        await reef.sees(pilot, "1 RUN")


@pytest.mark.slow
async def test_our_run_is_steered_from_the_tree(reef: Reef) -> None:
    reef.behave(Stall())
    async with reef.app.run_test(size=WIDE) as pilot, reef.engine() as other:
        await reef.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await send(reef, pilot)
        await reef.sees(pilot, "▶ prompt")
        waiter = other.drive(LIGHTHOUSE.key, "me too", lane="cron")
        await pilot.press("q", "2")
        run_id = reef.work.runs[0].log.run_id
        await reef.sees(pilot, f"held by run {run_id}")
        await pilot.press("g", "j")
        assert reef.app.view.target is not None
        assert reef.app.view.target.id == run_id
        await pilot.press("X")
        await until(pilot, lambda: not reef.work.running)
        waiter.cancel()
        await waiter.ended()


async def test_the_queue_is_named_and_moves_on(reef: Reef) -> None:
    reef.behave(Respond("At last."))
    async with (
        reef.app.run_test(size=WIDE) as pilot,
        other_process(reef.world.state_dir) as other,
    ):
        assert (await other.ask(f"acquire {reef.world.transcript(LIGHTHOUSE)} wait")).startswith("acquired")
        await reef.open_on(pilot, LIGHTHOUSE)
        await reef.sees(pilot, f"{other.pid} lock")
        await pilot.press("D")
        await reef.sees(pilot, f"held by pid {other.pid} (locking, known from clawtop)")
        await send(reef, pilot)
        await reef.sees(pilot, f"1 in line behind run other (pid {other.pid}, lane cron, locking)")
        assert await other.ask("release") == "released"
        await reef.sees(pilot, "At last.")


async def test_a_held_session_can_be_refused_or_copied(reef: Reef) -> None:
    reef.behave(Respond("In a copy."))
    async with reef.app.run_test(size=WIDE) as pilot, other_process(reef.world.state_dir) as other:
        await other.ask(f"acquire {reef.world.transcript(LIGHTHOUSE)} wait")
        for presses, words in ((1, "the session is held by run other"), (2, "the session was busy: this turn is in")):
            await reef.open_on(pilot, LIGHTHOUSE)
            await pilot.press("D")
            await until(pilot, lambda: isinstance(reef.app.screen, DriveScreen))
            await pilot.press("tab", "tab", "tab", *(["right"] * presses))
            await send(reef, pilot)
            await until(pilot, lambda: not reef.work.running)
            await reef.sees(pilot, words)
            await pilot.press("q")
            await until(pilot, lambda: is_back(reef.app))


# --- what speaks against it --------------------------------------------------------------------------------------


async def test_an_engine_that_refuses_keeps_the_message(tmp_path: Path) -> None:
    def refuse() -> object:
        raise RefusedError("the generation is a guess", unchanged="nothing was sent")

    async with (
        living_reef(tmp_path, ports=lambda ports: replace(ports, engine=refuse)) as reef,  # type: ignore[arg-type]
        reef.app.run_test(size=WIDE) as pilot,
    ):
        await reef.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(reef.app.screen, DriveScreen))
        reef.app.screen.query_one(MessageEditor).insert("keep me")
        await pilot.press("enter")
        await reef.sees(pilot, "the generation is a guess")
        assert reef.app.screen.query_one(MessageEditor).text == "keep me"
        await pilot.press("escape")
        await until(pilot, lambda: is_back(reef.app))


async def test_an_empty_message_and_a_disarmed_dashboard_send_nothing(reef: Reef) -> None:
    async with reef.app.run_test(size=WIDE) as pilot:
        await reef.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(reef.app.screen, DriveScreen))
        await pilot.press("enter")
        await reef.sees(pilot, "nothing to send yet")
        reef.app.screen.query_one(MessageEditor).insert("hello")
        reef.app.arming.toggle()
        await pilot.press("enter")
        await reef.sees(pilot, "The dashboard has disarmed itself")
        assert reef.work.runs == []


async def test_what_is_pasted_cannot_reach_the_terminal_as_it_is(reef: Reef) -> None:
    async with reef.app.run_test(size=WIDE) as pilot:
        await reef.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(reef.app.screen, DriveScreen))
        editor = reef.app.screen.query_one(MessageEditor)
        reef.app.post_message(events.Paste("one\r\ntwo \x1b[31m\N{RIGHT-TO-LEFT OVERRIDE}three\x07"))
        await until(pilot, lambda: "three" in editor.text)
        assert editor.text == "one\ntwo \\x1b[31m\\u202ethree\\x07"


# --- leaving -----------------------------------------------------------------------------------------------------


async def test_quitting_asks_then_cancels_cleanly(reef: Reef) -> None:
    reef.behave(Stall())
    async with reef.app.run_test(size=WIDE) as pilot:
        await reef.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await send(reef, pilot)
        await reef.sees(pilot, "▶ prompt")
        await pilot.press("q", "q")
        await until(pilot, lambda: isinstance(reef.app.screen, LeaveScreen) and reef.shows("it would be cancelled"))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(reef.app.screen, OverviewScreen))
        assert len(reef.work.running) == 1
        await pilot.press("q")
        await until(pilot, lambda: isinstance(reef.app.screen, LeaveScreen))
        await pilot.press("y")
        await until(pilot, lambda: reef.app.return_code == 0 and not reef.app.is_running)
    assert reef.left_behind() == []
    assert not reef.work.busy


async def test_a_limit_that_was_met_just_before_leaving_is_marked(reef: Reef) -> None:
    reef.behave(rate_limited(), "coral:clawdia", "coral:larry")
    reef.behave(Stall(), "kelp:barnaby")
    async with reef.app.run_test(size=WIDE) as pilot:
        await reef.open_on(pilot, LIGHTHOUSE)
        await pilot.press("D")
        await send(reef, pilot)
        await until(pilot, lambda: len(reef.work.runs[0].log.attempts) == 3)
    await asyncio.wait_for(reef.work.aclose(), 20)
    assert (reef.world.agent_dir() / "auth-state.json").read_text().count('"cooldownUntil"') == 2
    assert reef.left_behind() == []
