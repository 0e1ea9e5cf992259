"""The dashboard under a pilot: what stands on the screen, and what keys do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clawtop.commands import Arming, Context, Target, TargetKind
from clawtop.core.model import Session, Snapshot, UsageStats
from clawtop.errors import StateUnreadableError
from clawtop.ui.app import ClawtopApp
from clawtop.ui.commands.palette import InOrder, entries
from clawtop.ui.palettes import THEMES
from clawtop.ui.preparation import LARGE
from clawtop.ui.screens.overview import OverviewScreen
from clawtop.ui.screens.reading import ReadingScreen
from clawtop.ui.widgets.line_bar import LineBar
from clawtop.ui.widgets.live_table import FREEZE_SECONDS, LiveTable
from tests.support.golden import assert_golden
from tests.support.screens import make_app, screen_lines, screen_text
from tests.support.waiting import until
from tests.support.worlds import CALM, EMPTY, INCIDENT, NOW, OUT, SECOND, agent, cooling, profile

pytestmark = pytest.mark.anyio
GOLDEN = Path(__file__).parent / "golden"
WIDE, SMALL = (120, 30), (80, 24)


def above_footer(app: ClawtopApp) -> str:
    """The footer is the table of commands, which has its own tests."""
    return "\n".join(screen_lines(app)[:-1]) + "\n"


@pytest.mark.parametrize("size", [WIDE, SMALL], ids=["120x30", "80x24"])
@pytest.mark.parametrize(("name", "snapshot"), [("incident", INCIDENT), ("calm", CALM), ("out", OUT), ("empty", EMPTY)])
async def test_golden(name: str, snapshot: Snapshot, size: tuple[int, int]) -> None:
    app, _, _ = make_app(snapshot)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert_golden(GOLDEN / f"{name}-{size[0]}x{size[1]}.txt", above_footer(app))


async def test_golden_ascii() -> None:
    app, _, _ = make_app(INCIDENT, ascii_glyphs=True)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
        assert screen_text(app).isascii()
        assert_golden(GOLDEN / "incident-ascii.txt", above_footer(app))


@pytest.mark.parametrize("width", [60, 80, 100, 200])
async def test_read_only_stands_on_the_first_line_in_one_piece(width: int) -> None:
    app, _, _ = make_app(INCIDENT)
    async with app.run_test(size=(width, 24)) as pilot:
        await pilot.pause()
        assert screen_lines(app)[0].endswith(" 03:12:07 UTC  READ-ONLY")


@pytest.mark.parametrize("theme", THEMES)
async def test_every_theme_shows_the_same_text(theme: str) -> None:
    app, _, _ = make_app(INCIDENT, theme=theme)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
        assert_golden(GOLDEN / "incident-80x24.txt", above_footer(app))


async def test_themes_follow_each_other() -> None:
    app, _, _ = make_app(INCIDENT)
    async with app.run_test(size=SMALL) as pilot:
        seen = [app.theme]
        for _ in THEMES:
            await pilot.press("t")
            seen.append(app.theme)
        assert seen == [*THEMES, THEMES[0]]


# --- time --------------------------------------------------------------------------------------------------------


def drawn(app_widgets: Iterator[LiveTable | LineBar], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record every line that these widgets draw from now on."""
    calls: list[str] = []
    for widget in app_widgets:

        def recorded(y: int, widget: Any = widget, original: Any = widget.render_line) -> Any:
            calls.append(f"{widget.id}:{y}")
            return original(y)

        monkeypatch.setattr(widget, "render_line", recorded)
    return calls


async def test_nothing_changes_so_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    app, source, _ = make_app(INCIDENT)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        calls = drawn(iter([*app.screen.query(LiveTable), *app.screen.query(LineBar)]), monkeypatch)
        for _ in range(3):
            app._tick()
            await pilot.pause()
        source.tell(replace(INCIDENT, number=8))
        await pilot.pause()
        assert calls == []


async def test_a_second_later_only_what_counts_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    app, _, clock = make_app(INCIDENT)
    async with app.run_test(size=(200, 50)) as pilot:
        await pilot.pause()
        calls = drawn(iter([*app.screen.query(LiveTable), *app.screen.query(LineBar)]), monkeypatch)
        clock.pause(1.0)
        app._tick()
        await pilot.pause()
        assert "first-line:0" in calls
        assert "headline:0" in calls
        assert "profiles:2" in calls
        assert "headline:1" not in calls
        assert "profiles:0" not in calls
        assert "footer:0" not in calls
        assert "03:12:08" in screen_lines(app)[0]


async def test_a_window_ends_on_the_screen_without_a_new_snapshot() -> None:
    app, _, clock = make_app(replace(INCIDENT, locks=()))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        assert "anthropic out, back in 22s" in screen_lines(app)[1]
        clock.pause(22.0)
        app._tick()
        await pilot.pause()
        assert "anthropic out" not in screen_lines(app)[1]
        assert "▸ 1 max-reef ● usable" in " ".join(screen_text(app).split())


async def test_a_window_that_ends_in_a_large_state_is_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    many = tuple(Session("main", f"agent:main:{n}", None, None) for n in range(LARGE + 1))
    account = profile("anthropic:max-reef", cooling(22 * SECOND))
    app, _, clock = make_app(replace(CALM, agents=(agent("main", (account,)),), sessions=many))
    async with app.run_test(size=WIDE) as pilot:
        await until(lambda: app.facts is not None)
        app._tick()
        offered: list[Snapshot] = []
        offer = app._preparation.offer

        def counted(snapshot: Snapshot) -> None:
            offered.append(snapshot)
            offer(snapshot)

        monkeypatch.setattr(app._preparation, "offer", counted)
        clock.pause(22.0)
        judged = app.facts
        app._tick()
        await until(lambda: app.facts is not judged)
        app._tick()
        await pilot.pause()
        assert len(offered) == 1


# --- the cursor --------------------------------------------------------------------------------------------------


def ordered(*names: str) -> Snapshot:
    """Profiles that are tried in this order."""
    profiles = tuple(profile(f"openai:{name}", UsageStats(last_used=NOW - 10_000 + i)) for i, name in enumerate(names))
    return replace(CALM, agents=(agent("main", profiles),))


def profile_rows(table: LiveTable) -> list[str]:
    return [row.key.removeprefix("openai:").removesuffix("@main") for row in table._rows if not row.band]


async def test_the_cursor_stays_on_its_row_while_rows_move() -> None:
    app, source, _ = make_app(ordered("a", "b", "c"))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        table = app.screen.query_one("#profiles", LiveTable)
        assert table.cursor_key == "openai:a@main"
        source.tell(ordered("c", "b", "a"))
        await pilot.pause()
        assert profile_rows(table) == ["c", "b", "a"]
        assert table.cursor_key == "openai:a@main"
        source.tell(ordered("c", "b"))
        await pilot.pause()
        assert table.cursor_key == "openai:b@main"


async def test_rows_keep_their_places_for_a_while_after_a_move() -> None:
    app, source, clock = make_app(ordered("a", "b", "c"))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("j")
        table = app.screen.query_one("#profiles", LiveTable)
        source.tell(ordered("d", "c", "b", "a"))
        await pilot.pause()
        assert profile_rows(table) == ["d", "a", "b", "c"]
        clock.pause(FREEZE_SECONDS)
        app._tick()
        await pilot.pause()
        assert profile_rows(table) == ["d", "c", "b", "a"]
        assert table.cursor_key == "openai:b@main"


async def test_movement_stays_within_the_table_and_the_view_follows() -> None:
    app, _, _ = make_app(ordered(*(f"p{n:03}" for n in range(300))))
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
        table = app.screen.query_one("#profiles", LiveTable)
        await pilot.press("G")
        assert table.cursor_key == "openai:p299@main"
        await pilot.press("j")
        assert table.cursor_key == "openai:p299@main"
        assert " p299 " in screen_text(app)
        await pilot.press("pageup", "k")
        assert table.cursor_key != "openai:p299@main"
        await pilot.press("g", "up")
        assert table.target is not None
        assert table.target.id == "openai"
        assert "openai:p000" in screen_text(app)


@pytest.mark.parametrize(
    ("keys", "moved"),
    [
        (("down",), 1),
        (("down", "down", "up"), 1),
        (("end", "up"), 299),
        (("end", "home", "down"), 1),
        (("pagedown", "pageup"), 0),
        (("j", "down", "j", "down"), 4),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else None,
)
async def test_arrows_and_the_like_move_the_cursor_of_a_table_longer_than_the_screen(
    keys: tuple[str, ...], moved: int
) -> None:
    app, _, _ = make_app(ordered(*(f"p{n:03}" for n in range(300))))
    async with app.run_test(size=SMALL) as pilot:
        table = app.screen.query_one("#profiles", LiveTable)
        await pilot.press("g", *keys)
        assert table._cursor == moved
        assert table.scroll_offset.y <= moved < table.scroll_offset.y + table.page


async def test_panes_and_zoom() -> None:
    app, _, _ = make_app(INCIDENT)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("tab")
        assert app.view.target is not None
        assert app.view.target.id == "agent:main:telegram:group:-100238841"
        await pilot.press("plus")
        await pilot.pause()
        assert "PROFILES" not in screen_text(app)
        assert "webchat:direct:guest" in screen_text(app)
        await pilot.press("tab")
        await pilot.pause()
        assert "LOCKS" in screen_text(app)
        await pilot.press("plus", "shift+tab", "shift+tab")
        await pilot.pause()
        assert "PROFILES" in screen_text(app)


async def test_the_detail_follows_the_cursor_and_hides_when_there_is_no_room() -> None:
    app, _, _ = make_app(INCIDENT)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("j")
        await pilot.pause()
        assert screen_lines(app)[4][80:].strip(" ┃") == "anthropic:max-tide"
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert "Why it is not next" not in screen_text(app)
        await pilot.press("enter")
        await pilot.pause()
        assert "Why it is not next" in screen_text(app)


# --- commands ----------------------------------------------------------------------------------------------------


def said(lines: list[str]) -> str:
    """What was said, without the keys behind it."""
    return re.split(r" {2,}\? Help", lines[-1])[0].strip()


async def test_a_command_that_cannot_run_says_why() -> None:
    app, _, clock = make_app(INCIDENT)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("c")
        await pilot.pause()
        assert said(screen_lines(app)) == "Clear cooldown: READ-ONLY: press a to arm"
        await pilot.press("u")
        await pilot.pause()
        assert said(screen_lines(app)) == "Unlock: move to a lock first"
        clock.pause(6.0)
        app._tick()
        await pilot.pause()
        assert "/ Filter" in said(screen_lines(app))


async def test_arming_is_visible_and_ends_by_itself() -> None:
    app, _, clock = make_app(INCIDENT)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("a")
        await pilot.pause()
        assert screen_lines(app)[0].endswith(" ARMED")
        clock.pause(270.0)
        app._tick()
        await pilot.pause()
        assert screen_lines(app)[0].endswith(" ARMED 30s")
        await pilot.press("j")
        clock.pause(270.0)
        app._tick()
        assert app.arming.state == Arming.ARMED.value
        clock.pause(30.0)
        app._tick()
        await pilot.pause()
        assert app.arming.state == Arming.READ_ONLY.value
        assert screen_lines(app)[0].endswith(" READ-ONLY")
        assert "disarmed: no key for five minutes" in screen_lines(app)[3]


async def test_a_dashboard_that_was_started_read_only_cannot_be_armed() -> None:
    app, _, _ = make_app(INCIDENT, read_only=True)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("a")
        await pilot.pause()
        assert "READ-ONLY (locked)" in screen_lines(app)[0]
        assert said(screen_lines(app)) == "Arm: this dashboard was started read-only"


@pytest.mark.parametrize("name", ["main", "ops"])
async def test_of_two_agents_with_one_session_key_the_right_one_is_found(name: str) -> None:
    twins = tuple(Session(each, "global", f"of-{each}", None, updated_at=NOW) for each in ("main", "ops"))
    app, _, _ = make_app(replace(CALM, agents=(agent("main", ()), agent("ops", ())), sessions=twins))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        view = app.view
        assert isinstance(view, OverviewScreen)
        assert view.select(Target(TargetKind.SESSION, "global", name))
        assert view.target is not None
        assert (view.target.id, view.target.agent) == ("global", name)


async def test_filter_while_typing_keep_and_clear() -> None:
    app, _, _ = make_app(INCIDENT)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("slash", *"team-key")
        await pilot.pause()
        assert "team-key" in screen_text(app)
        assert " max-reef  " not in screen_text(app)
        await pilot.press("enter")
        await pilot.pause()
        assert "PROFILES 1 of 10 /team-key" in screen_text(app), "two agents share it"
        await pilot.press("escape")
        await pilot.pause()
        assert " max-reef  " in screen_text(app)
        assert "/team-key" not in screen_text(app)


async def test_sort_goes_round_the_columns_and_back() -> None:
    app, _, _ = make_app(INCIDENT)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("tab", "s", "s")
        await pilot.pause()
        table = app.screen.query_one("#sessions", LiveTable)
        assert table.sorting is not None
        assert table.sorting.column == "agent"
        assert " AGEN▲ " in screen_text(app)
        assert table.table is not None
        for _ in range(len(table.table.sortable()) - 1):
            await pilot.press("s")
        assert table.sorting is None


async def test_pause_freezes_the_screen_and_resuming_shows_the_latest() -> None:
    app, source, clock = make_app(INCIDENT)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("p")
        await pilot.pause()
        assert " PAUSED " in screen_lines(app)[0]
        before = screen_lines(app)[3:-1]
        source.tell(CALM)
        clock.pause(10.0)
        app._tick()
        await pilot.pause()
        assert screen_lines(app)[3:-1] == before
        await pilot.press("p")
        await pilot.pause()
        assert " OK  2 of 2 profiles usable" in screen_lines(app)[1]


async def test_copying_gives_the_exact_id() -> None:
    hostile = "openai:\x1b[31m[/red]\u202eid"
    app, _, _ = make_app(replace(CALM, agents=(agent("main", (profile(hostile),)),)))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("y")
        await pilot.pause()
        assert app.clipboard == hostile
        assert (
            said(screen_lines(app))
            == "sent to the terminal's clipboard (tmux may drop it): openai:\\x1b[31m[/red]\\u202eid"
        )


async def test_read_now_pokes_the_source() -> None:
    app, source, _ = make_app(INCIDENT)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("f5")
        assert source.pokes == 1


@pytest.mark.parametrize("key", ["question_mark", "enter"])
@pytest.mark.parametrize("closing", ["q", "escape"])
async def test_q_and_escape_close_a_page(key: str, closing: str) -> None:
    app, _, _ = make_app(INCIDENT)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press(key)
        await pilot.pause()
        assert isinstance(app.screen, ReadingScreen)
        await pilot.press(closing)
        assert isinstance(app.screen, OverviewScreen)


async def test_views_open_over_the_overview_and_q_leads_back_and_out() -> None:
    app, _, _ = make_app(INCIDENT)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("w")
        await pilot.pause()
        assert app.view.view_id == "warnings"
        assert "an empty lock is never removed by OpenClaw" in screen_text(app)
        await pilot.press("q")
        await pilot.pause()
        assert app.view.view_id == "overview"
        await pilot.press("q")
    assert app.return_code == 0


async def test_the_palette_offers_the_table_of_commands_and_says_why_not() -> None:
    app, _, _ = make_app(INCIDENT)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("ctrl+p", *"clear cooldown")
        await pilot.pause(0.5)
        text = screen_text(app)
        assert "Clear cooldown (c)" in text
        assert "(not now: READ-ONLY: press a to arm)" in text


async def test_the_palette_begins_with_what_can_run_and_has_no_title_twice() -> None:
    for replaying in (False, True):
        context = Context(INCIDENT, None, Arming.LOCKED, view="overview", replaying=replaying)
        given = list(entries(context, lambda _: None))
        able = ["(not now: " not in entry.help for entry in given]
        assert able == sorted(able, reverse=True)
        titles = [entry.title for entry in given]
        assert len(set(titles)) == len(titles)
        assert len({title.rpartition(" (")[0] for title in titles}) == len(titles)
        assert ("Rewind (<)" in titles) is replaying
        assert ("Mark (Space)" in titles) is not replaying


async def test_the_palette_keeps_that_order_until_something_is_typed() -> None:
    app, _, _ = make_app(INCIDENT)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        hits = [str(hit.prompt) async for hit in InOrder(app.screen).discover()]
        assert hits == [entry.title for entry in entries(app.context(), lambda _: None)]
        assert hits[0] == "Overview (1)"


async def test_a_click_moves_the_cursor_and_a_footer_label_is_a_button() -> None:
    app, _, _ = make_app(INCIDENT)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.click("#locks", offset=(10, 2))
        await pilot.pause()
        assert app.view.target is not None
        assert app.view.target.id == INCIDENT.locks[3].file.path
        label = screen_lines(app)[-1].index("Help")
        await pilot.click("#footer", offset=(label, 0))
        await pilot.pause()
        assert isinstance(app.screen, ReadingScreen)


async def test_hostile_names_never_become_markup_or_escapes() -> None:
    name = "[/nope] [bold]\x1b]0;x\x07\u202e"
    bad = replace(
        CALM,
        host=name,
        state_dir=f"/{name}",
        openclaw_version=name,
        agents=(agent("main", (profile(f"openai:{name}", cooling(9 * SECOND, reason=name)),)),),
        sessions=tuple(replace(s, key=name, model=name) for s in CALM.sessions[:1]),
    )
    app, _, _ = make_app(bad)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("tab", "enter")
        await pilot.pause()
        assert not {"\x1b", "\x07", "\u202e"} & set(screen_text(app))
        assert "[/nope] [bold]" in screen_text(app)


async def test_before_the_first_snapshot_there_is_a_screen() -> None:
    app, _, _ = make_app(None)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("j", "s", "enter", "tab", "y", "question_mark", "q", "plus")
        await pilot.pause()
        assert isinstance(app.screen, OverviewScreen)


@pytest.mark.parametrize("size", [(20, 6), (40, 10), (300, 90)])
async def test_odd_sizes(size: tuple[int, int]) -> None:
    app, _, _ = make_app(INCIDENT)
    async with app.run_test(size=size) as pilot:
        await pilot.press("j", "tab", "plus", "enter", "q", "plus")
        await pilot.pause()
        assert len(screen_lines(app)) == size[1]


# --- a state that cannot be read ---------------------------------------------------------------------------------

GONE = StateUnreadableError("there is no state directory /srv/reef", hint="name one with --state-dir")


async def test_without_any_state_the_reason_stays_on_the_screen() -> None:
    app, source, clock = make_app(None)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
        source.fail(GONE)
        await clock.advance(60.0)
        app._tick()
        await pilot.pause()
        lines = screen_lines(app)
        assert lines[0].endswith(" READ-ONLY")
        assert lines[1].startswith("  BLIND  there is no state directory /srv/reef. Name one with --state-dir")
        assert lines[2] == " Nothing has been read yet; retrying."
        source.tell(INCIDENT)
        await pilot.pause()
        assert "BLIND" not in screen_text(app)


async def test_a_state_that_went_away_stays_on_the_screen_with_its_age() -> None:
    app, source, clock = make_app(INCIDENT)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
        source.fail(GONE)
        await clock.advance(60.0)
        app._tick()
        await pilot.pause()
        lines = screen_lines(app)
        assert lines[1].startswith("  BLIND  there is no state directory /srv/reef")
        assert lines[2] == " Stale: read 1m00s ago; retrying."
        assert "anthropic" in screen_text(app)
        source.tell(replace(INCIDENT, number=INCIDENT.number + 1))
        await pilot.pause()
        assert "BLIND" not in screen_text(app)


async def test_how_old_a_state_is_counts_from_the_first_read_that_failed() -> None:
    app, source, clock = make_app(replace(CALM, taken_at=NOW - 3600 * SECOND))  # unchanged since, but read all the time
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
        for _ in range(3):
            source.fail(GONE)
            await clock.advance(10.0)
        app._tick()
        await pilot.pause()
        assert screen_lines(app)[2] == " Stale: read 30s ago; retrying."


async def test_arming_makes_ready_and_disarming_does_not() -> None:
    app, _, _ = make_app(INCIDENT)
    armed: list[str] = []
    app.make_ready = lambda: armed.append(str(app.arming.state))
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("a", "a", "a")
        assert armed == ["ARMED", "ARMED"]


async def test_tab_skips_tables_without_rows() -> None:
    app, _, _ = make_app(replace(INCIDENT, locks=()))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("tab")
        assert app.focused is not None
        assert app.focused.id == "sessions"
        await pilot.press("tab")
        assert app.focused is not None
        assert app.focused.id == "profiles"
        await pilot.press("shift+tab")
        assert app.focused is not None
        assert app.focused.id == "sessions"


async def test_tab_stays_where_no_table_has_rows() -> None:
    app, _, _ = make_app(EMPTY)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("tab")
        assert app.focused is not None
        assert app.focused.id == "profiles"
