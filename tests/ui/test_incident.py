"""The incident views under a pilot: which opens first, how rows lead to causes and back, notices, recording, replay."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from clawtop.clock import Clock
from clawtop.commands import Target, TargetKind
from clawtop.core.model import Event, EventKind, LaneStats, LockKind, Snapshot
from clawtop.engine.live.player import Player, PlayerClock
from clawtop.engine.live.tape import Tape
from clawtop.errors import OperationFailedError
from clawtop.store.own.recording import RecordedState, Recording, load_recording
from clawtop.ui.app import ClawtopApp
from clawtop.ui.ports import IncidentPorts, Options
from clawtop.ui.screens.incident import ForecastScreen, LanesScreen, TimelineScreen, TreeScreen
from clawtop.ui.screens.overview import OverviewScreen
from clawtop.ui.screens.reading import ReadingScreen
from clawtop.ui.widgets.live_table import LiveTable
from tests.support.clocks import ManualClock
from tests.support.golden import assert_golden
from tests.support.incidents import (
    AFTER_RECOVERY,
    CLEARED_AFTER_402,
    CRON_HUNG,
    LOCAL_RUN,
    RESTARTING,
    half_written_log,
)
from tests.support.live_dashboard import until
from tests.support.screens import make_app, screen_lines, screen_text
from tests.support.worlds import CALM, INCIDENT, MINUTE, NOW, OUT, SESSIONS, STORY, TOLD

pytestmark = pytest.mark.anyio
GOLDEN = Path(__file__).parent / "golden"
WIDE, SMALL = (120, 30), (80, 24)
BY_ITSELF = IncidentPorts(opens=None)
KEY = SESSIONS[0].key
MISLEADING = {
    "gateway-restarting": RESTARTING,
    "cleared-after-402": CLEARED_AFTER_402,
    "cron-hung": CRON_HUNG,
    "local-run": LOCAL_RUN,
    "run-after-recovery": AFTER_RECOVERY,
}


@pytest.mark.parametrize("size", [WIDE, SMALL], ids=["120x30", "80x24"])
@pytest.mark.parametrize(("name", "key"), [("tree", "2"), ("lanes", "3"), ("timeline", "4"), ("forecast", "5")])
async def test_golden(name: str, key: str, size: tuple[int, int]) -> None:
    app, _, _ = make_app(TOLD)
    async with app.run_test(size=size) as pilot:
        await pilot.press(key)
        await pilot.pause()
        assert_golden(GOLDEN / f"incident-{name}-{size[0]}x{size[1]}.txt", screen_text(app))


@pytest.mark.parametrize("size", [WIDE, SMALL], ids=["120x30", "80x24"])
@pytest.mark.parametrize(("name", "key"), [("overview", "1"), ("tree", "2"), ("timeline", "4")])
@pytest.mark.parametrize("incident", [*MISLEADING, "half-written-log"])
async def test_golden_of_what_misleads(
    incident: str, name: str, key: str, size: tuple[int, int], tmp_path: Path
) -> None:
    """Incidents in which what stands on the disk is not what works."""
    app, _, _ = make_app(MISLEADING.get(incident) or half_written_log(tmp_path))
    async with app.run_test(size=size) as pilot:
        await pilot.press(key)
        await pilot.pause()
        assert_golden(GOLDEN / f"{incident}-{name}-{size[0]}x{size[1]}.txt", screen_text(app))


# --- what opens first --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("snapshot", [INCIDENT, OUT])
async def test_the_tree_opens_by_itself_when_something_is_blocked(snapshot: Snapshot) -> None:
    app, _, _ = make_app(snapshot, incident=BY_ITSELF)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        assert isinstance(app.view, TreeScreen)
        await pilot.press("q")
    assert app.return_code == 0, "nobody went there, so there is nowhere to go back to"


async def test_the_overview_opens_when_nothing_is() -> None:
    app, _, _ = make_app(CALM, incident=BY_ITSELF)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        assert isinstance(app.view, OverviewScreen)


async def test_the_overview_is_one_key_from_the_first_tree_and_q_then_leads_back_to_it() -> None:
    app, source, _ = make_app(INCIDENT, incident=BY_ITSELF)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("escape")
        assert isinstance(app.view, OverviewScreen)
        source.tell(replace(INCIDENT, number=8, warnings=()))
        await pilot.pause()
        assert isinstance(app.view, OverviewScreen), "it opens by itself once"
        await pilot.press("2")
        assert isinstance(app.view, TreeScreen)
        await pilot.press("q")
        assert isinstance(app.view, OverviewScreen)
        assert app.is_running


async def test_a_view_can_be_named() -> None:
    app, _, _ = make_app(INCIDENT, incident=IncidentPorts(opens="timeline"))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        assert isinstance(app.view, TimelineScreen)


# --- tree --------------------------------------------------------------------------------------------------------


UNJAMMED = replace(INCIDENT, locks=tuple(lock for lock in INCIDENT.locks if lock.file.kind is not LockKind.AUTH))


async def test_the_tree_opens_on_a_root_cause_one_key_from_its_remedy() -> None:
    app, _, _ = make_app(UNJAMMED)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("2", "a", "u")
        await pilot.pause()
        target = app.view.target
        assert target is not None
        assert target.id.endswith(".jsonl.lock")
        assert "Unlock" in screen_text(app)


async def test_jump_goes_to_the_cause_and_then_to_its_row() -> None:
    app, _, _ = make_app(UNJAMMED)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("2", "home")
        assert app.view.target is not None
        start = app.view.target
        await pilot.press("o")
        cause = app.view.target
        assert isinstance(app.view, TreeScreen)
        assert cause is not None
        assert cause != start
        await pilot.press("o")
        await pilot.pause()
        assert isinstance(app.view, OverviewScreen)
        assert app.view.target is not None
        assert (app.view.target.kind, app.view.target.id) == (cause.kind, cause.id)


# --- timeline ----------------------------------------------------------------------------------------------------


def entries(app: ClawtopApp) -> list[str]:
    table = app.view.query_one("#timeline").table  # type: ignore[attr-defined]
    return [row.item.text for row in table.rows]


async def test_what_happens_all_the_time_is_shown_on_demand() -> None:
    app, _, _ = make_app(TOLD)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("4")
        assert len(entries(app)) == len(STORY) - 1
        await pilot.press("B")
        assert len(entries(app)) == len(STORY)
        await pilot.press("B")
        assert len(entries(app)) == len(STORY) - 1


async def test_kinds_go_round() -> None:
    app, _, _ = make_app(TOLD)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("4", "v")
        assert entries(app) == [STORY[5].text, STORY[2].text]
        assert "only trouble" in screen_text(app)
        for _ in range(5):
            await pilot.press("v")
        assert len(entries(app)) == len(STORY) - 1


async def test_only_narrows_to_profile_then_session_then_lane_then_opens_again() -> None:
    app, _, _ = make_app(TOLD)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("4", "home", "down", "down", "down", "f")
        assert entries(app) == [STORY[4].text, STORY[3].text]
        assert "only profile anthropic:max-reef" in screen_text(app)
        await pilot.press("f")
        assert entries(app) == [STORY[5].text, STORY[3].text, STORY[2].text]
        await pilot.press("f")
        assert entries(app) == [STORY[3].text]
        await pilot.press("f")
        assert len(entries(app)) == len(STORY) - 1


async def test_an_entry_that_is_about_nothing_says_so() -> None:
    app, _, _ = make_app(TOLD)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("4", "end", "f")
        assert "names no profile, session or lane" in screen_lines(app)[-1]
        await pilot.press("o")
        assert "matches this entry" in screen_lines(app)[-1]


async def test_an_entry_leads_to_its_row() -> None:
    app, _, _ = make_app(TOLD)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("4", "home", "o")
        await pilot.pause()
        assert isinstance(app.view, OverviewScreen)
        assert app.view.target is not None
        assert app.view.target.id == "openai:spare"


async def test_a_forecast_leads_to_its_provider_where_sorting_dissolved_the_groups() -> None:
    app, _, _ = make_app(TOLD)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("s", "5", "o")
        await pilot.pause()
        assert isinstance(app.view, OverviewScreen)
        assert app.view.target is not None
        assert (app.view.target.kind, app.view.target.provider) == (TargetKind.PROFILE, "anthropic")
        assert "is gone" not in screen_lines(app)[-1]


async def test_a_run_and_a_sessions_lane_lead_to_the_session() -> None:
    app, _, _ = make_app(replace(TOLD, lanes=(*INCIDENT.lanes, LaneStats(f"session:{KEY}", "channel", "gateway-log"))))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("3", "end", "up", "up", "up", "o")
        await pilot.pause()
        assert isinstance(app.view, OverviewScreen)
        assert app.view.target is not None
        assert app.view.target.id == KEY
        await pilot.press("2")
        tree = app.view.query_one("#tree", LiveTable)
        assert tree.select_target(Target(TargetKind.RUN, "run-7c1e"))
        await pilot.press("o")
        await pilot.pause()
        assert isinstance(app.view, OverviewScreen)
        assert app.view.target is not None
        assert app.view.target.id == KEY


async def test_a_global_lane_leads_to_the_lanes() -> None:
    queued = Event(NOW, EventKind.WAIT, "engine", "waited for lane cron", lane="cron")
    app, _, _ = make_app(replace(INCIDENT, events=(queued,)))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("4", "o")
        await pilot.pause()
        assert isinstance(app.view, LanesScreen)
        assert app.view.target == Target(TargetKind.LANE, "cron")


async def test_enter_tells_everything_about_an_entry() -> None:
    app, _, _ = make_app(TOLD)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("4", "home", "down", "enter")
        await pilot.pause()
        assert isinstance(app.screen, ReadingScreen)
        text = screen_text(app)
        assert "takeover" in text
        assert KEY in text


@pytest.mark.parametrize(("key", "screen"), [("3", LanesScreen), ("5", ForecastScreen)])
async def test_rows_of_lanes_and_forecast_open_their_detail(key: str, screen: type) -> None:
    app, _, _ = make_app(TOLD)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press(key, "enter")
        await pilot.pause()
        assert isinstance(app.view, screen)
        assert isinstance(app.screen, ReadingScreen)
        assert "is gone" not in screen_text(app)


# --- notices -----------------------------------------------------------------------------------------------------


async def test_a_notice_is_said_rung_and_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    app, source, _ = make_app(CALM, incident=IncidentPorts(bell=True, notify=True))
    rung: list[str] = []
    written: list[str] = []
    monkeypatch.setattr(app, "bell", lambda: rung.append("bell"))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        assert app._driver is not None
        monkeypatch.setattr(app._driver, "write", written.append)
        source.tell(replace(OUT, number=8, gateway=CALM.gateway))
        await pilot.pause()
        app._tick()
        assert screen_lines(app)[3].startswith(" 1 ▸Overview  nothing is usable for any agent")
    assert rung == ["bell"]
    assert "\x1b]9;clawtop: nothing is usable for any agent\x07" in written


async def test_a_session_that_stays_blocked_is_noticed_without_any_news() -> None:
    clock = ManualClock(NOW)
    app, _, _ = make_app(INCIDENT, clock=clock, incident=IncidentPorts(blocked_minutes=15))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        await clock.advance(20 * 60)
        app._tick()
        app._tick()
        await pilot.pause()
        assert "with no activity" in screen_lines(app)[3]


async def test_a_notice_covers_neither_the_footer_nor_an_answer_and_waits_under_a_dialog() -> None:
    clock = ManualClock(NOW)
    app, _, _ = make_app(CALM, clock=clock)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
        tabs, foot = screen_lines(app)[3], screen_lines(app)[-1]
        app.tell("the gateway is silent")
        await pilot.pause()
        assert "1 ▸Overview  the gateway is silent" in screen_lines(app)[3]
        assert screen_lines(app)[-1] == foot
        app.say("copied")
        await pilot.pause()
        assert "the gateway is silent" in screen_lines(app)[3]
        assert "copied" in screen_lines(app)[-1]
        await pilot.press("?")
        await clock.advance(9)
        app._tick()
        await pilot.press("escape")
        await pilot.pause()
        assert "the gateway is silent" in screen_lines(app)[3], "nobody has seen it"
        await clock.advance(9)
        app._tick()
        await pilot.pause()
        assert screen_lines(app)[3] == tabs
        assert screen_lines(app)[-1] == foot


async def test_a_click_beside_a_notice_opens_no_screen() -> None:
    app, _, _ = make_app(INCIDENT)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        place = screen_lines(app)[3].index("Tree")
        app.tell("the gateway is silent, and this is long enough")
        await pilot.pause()
        await pilot.click("#tabs", offset=(place, 0))
        await pilot.pause()
        assert app.view.view_id == "overview"


# --- incident file and recording ---------------------------------------------------------------------------------


async def test_the_incident_file_is_written_behind_the_screen() -> None:
    asked: list[tuple[int, int]] = []

    def save(snapshot: Snapshot, now: int) -> str:
        asked.append((snapshot.number, now))
        return "/tmp/incident.md"

    app, _, _ = make_app(INCIDENT, incident=IncidentPorts(save=save))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("b")
        await app.workers.wait_for_complete(w for w in app.workers if w.name == "bundle")
        assert "saved /tmp/incident.md" in screen_lines(app)[-1]
    assert asked == [(INCIDENT.number, NOW)]


async def test_an_incident_file_that_cannot_be_written_is_said() -> None:
    def save(_snapshot: Snapshot, _now: int) -> str:
        raise OperationFailedError("cannot write x: no space", unchanged="the incident was not saved")

    app, _, _ = make_app(INCIDENT, incident=IncidentPorts(save=save))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("b")
        await app.workers.wait_for_complete(w for w in app.workers if w.name == "bundle")
        assert "no space" in screen_lines(app)[-1]


async def ended(task: asyncio.Task[None]) -> None:
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_recording_is_a_key_and_stands_on_the_first_line(tmp_path: Path) -> None:
    tape = Tape(ManualClock(NOW), "9.9")
    here = replace(INCIDENT, state_dir=str(tmp_path))
    writing = asyncio.create_task(tape.run(lambda error: pytest.fail(str(error))))
    tape.take(here)
    app, _, _ = make_app(here, incident=IncidentPorts(tape=tape))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("ctrl+r")
        assert "● REC" in screen_lines(app)[0]
        await pilot.press("ctrl+r")
        assert "● REC" not in screen_lines(app)[0]
        assert "recorded /" in screen_lines(app)[-1]
    await ended(writing)


# --- replay ------------------------------------------------------------------------------------------------------


def replayed(wall: Clock) -> tuple[ClawtopApp, Player]:
    later = replace(INCIDENT, number=8, taken_at=NOW + 2 * MINUTE)
    recording = Recording(
        NOW,
        (RecordedState(NOW, CALM), RecordedState(NOW + MINUTE, INCIDENT), RecordedState(NOW + 2 * MINUTE, later)),
        STORY,
    )
    player = Player(recording, wall)
    player.pause()
    options = Options(read_only=True, incident=IncidentPorts(playback=player))
    return ClawtopApp(player, PlayerClock(player, wall), options, theme="lobster"), player


async def test_a_replay_is_steered_and_says_where_it_stands() -> None:
    app, player = replayed(ManualClock(NOW))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        assert "REPLAY ‖ 00:00/02:00" in screen_lines(app)[0]
        assert "READ-ONLY (locked)" in screen_lines(app)[0]
        await pilot.press("full_stop", "right_square_bracket")
        await pilot.pause()
        assert "REPLAY ‖ 01:00/02:00 ×2" in screen_lines(app)[0]
        assert app.snapshot is not None
        assert app.snapshot.sessions == INCIDENT.sessions
        await pilot.press("comma", "greater_than_sign", "left_square_bracket")
        await pilot.pause()
        assert "REPLAY ‖ 00:10/02:00" in screen_lines(app)[0]
        await pilot.press("space")
        assert player.playing
        await pilot.press("a")
        assert "a recording is being replayed: there" in screen_lines(app)[-1]
        await pilot.press("ctrl+r")
        assert "a recording is being replayed" in screen_lines(app)[-1]


async def test_the_end_of_the_events_is_said() -> None:
    app, _ = replayed(ManualClock(NOW))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("space")
        await pilot.press(*"e" * (len(STORY) + 1))
        await until(pilot, lambda: "no more events" in screen_lines(app)[-1])


async def test_what_the_tape_took_is_what_was_shown(tmp_path: Path) -> None:
    tape = Tape(ManualClock(NOW), "9.9")
    here = replace(INCIDENT, state_dir=str(tmp_path))
    writing = asyncio.create_task(tape.run(lambda error: pytest.fail(str(error))))
    tape.take(here)
    path = Path(tape.start())
    tape.take(replace(here, number=8, taken_at=NOW + 1, warnings=()))
    tape.stop()
    await ended(writing)
    assert path.parent == tmp_path / "clawtop" / "recordings"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    frames = load_recording(path).frames
    assert [frame.snapshot.warnings for frame in frames] == [INCIDENT.warnings, ()]
