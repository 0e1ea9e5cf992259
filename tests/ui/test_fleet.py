"""The fleet's screen: worst first, a pane below, Enter opens a host, q leaves; remote plans become the far verb."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC
from types import SimpleNamespace
from typing import Any

import pytest

from clawtop.cells import cells
from clawtop.commands import Arming, command
from clawtop.core.fleet.hosts import Host, HostLink
from clawtop.core.fleet.summary import Account, AgentOutlook, EventBrief, HostSummary
from clawtop.core.operations.clear import clear_profile, clear_provider
from clawtop.core.operations.order import rotate
from clawtop.core.operations.verb import verb_words
from clawtop.errors import RefusedError
from clawtop.fleet.executor import RemoteExecutor
from clawtop.fleet.remote import FarPlan, FarReceipt
from clawtop.ui import fleet_run
from clawtop.ui.app import ClawtopApp
from clawtop.ui.fleet import HINTS, FleetApp
from clawtop.ui.ports import IncidentPorts, Options
from clawtop.ui.screens.reading import ReadingScreen
from clawtop.view.fleet_rows import first_line, hints
from clawtop.view.line import text_of
from tests.support import worlds
from tests.support.clocks import ManualClock
from tests.support.screens import make_app, screen_lines

pytestmark = pytest.mark.anyio

NOW = 1_795_000_000_000


def _hosts() -> list[Host]:
    account = Account("acme", "acme:one", "main", "cooling", NOW + 60_000, fingerprint="f1")
    well = HostSummary(
        NOW, 0, "all is well", "2026.9.6", "D", "live", 2, 2, accounts=(replace(account, state="usable"),),
        agents=(AgentOutlook("main", 0),), events=(EventBrief(NOW - 5_000, "rotate", "rotate to acme:two"),),
    )  # fmt: skip
    silent = replace(well, level=2, why="every account is cooling", usable=0, next_at=NOW + 60_000, accounts=(account,))
    return [
        Host("calm", HostLink.LIVE, NOW, summary=well, heard_at=NOW),
        Host("mute\x1b[31m", HostLink.UNREACHABLE, NOW - 90_000, why="the connection is refused", hint="ssh mute"),
        Host("loud", HostLink.LIVE, NOW, summary=silent, heard_at=NOW),
    ]


def _app(hosts: list[Host], retried: Callable[[], None] = lambda: None) -> FleetApp:
    return FleetApp(ManualClock(NOW), Options(), theme="plain", hosts=lambda: hosts, retry=retried)


def _rows(app: FleetApp) -> list[str]:
    table = app._screen.table
    return [text_of(table._line(y, table.size.width)).strip() for y in range(len(table._rows) + 1)]


async def test_a_host_that_falls_silent_comes_to_the_top_unless_the_operator_moves() -> None:
    hosts = [replace(_hosts()[0], name=name) for name in ("one", "two", "three")]
    app = _app(hosts)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        hosts[2] = replace(_hosts()[2], name="three")
        app.redraw()
        assert [row.split()[0].strip("▌") for row in _rows(app)[1:]] == ["three", "one", "two"]
        await pilot.press("down")
        hosts[1] = replace(_hosts()[2], name="an-earlier-one")
        app.redraw()
        assert _rows(app)[1].split()[0] == "three"


async def test_the_worst_host_is_on_top_and_nothing_foreign_reaches_the_screen() -> None:
    app = _app(_hosts())
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        rows = _rows(app)
        assert [row.split()[0].strip("▌") for row in rows[1:]] == ["loud", "mute\\x1b[31m", "calm"]
        assert "■ silent" in rows[1]
        assert "every account is cooling" in rows[1]
        assert "the connection is refused, for 1m30s" in rows[2]
        assert not any("\x1b" in row for row in rows)


async def test_the_pane_below_goes_on_with_tab() -> None:
    app = _app(_hosts())
    async with app.run_test(size=(120, 30)) as pilot:
        seen = []
        for _ in range(3):
            await pilot.pause()
            seen.append(" ".join(text_of(line) for line in app._screen._lower._lines))
            await pilot.press("tab")
        assert "cooling on loud 1m00s; still tried on calm" in seen[0]
        assert "calm main  can answer now" in seen[1]
        assert "rotate to acme:two" in seen[2]


async def test_the_filter_keeps_enter_to_itself_and_then_enter_opens_the_host() -> None:
    app = _app(_hosts())
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("slash", *"calm", "enter")
        await pilot.pause()
        assert app.return_value is None
        assert app._screen.table.target is not None
        assert app._screen.table.target.id == "calm"
        await pilot.press("enter")
    assert app.return_value == "calm"


async def test_a_filter_goes_with_its_line_and_can_be_typed_again_and_cleared() -> None:
    app = _app(_hosts())
    async with app.run_test(size=(120, 30)) as pilot:
        for text in ("calm", "loud"):
            await pilot.press("slash", *["backspace"] * 8, *text, "enter")
            await pilot.pause()
            assert not app._screen.query("FilterLine")
            assert [row.split()[0].strip("▌") for row in _rows(app)[1:]] == [text]
        await pilot.press("escape")
        await pilot.pause()
        assert len(_rows(app)) == 4


async def test_hosts_are_sorted_by_each_column_and_the_other_way_round() -> None:
    app = _app(_hosts())
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        own = _rows(app)
        await pilot.press("s")
        assert app._screen.table.sorting is not None
        up = _rows(app)[1:]
        await pilot.press("S")
        assert app._screen.table.sorting.descending
        assert [row.split()[0].strip("▌") for row in _rows(app)[1:]] == [row.split()[0].strip("▌") for row in up[::-1]]
        while app._screen.table.sorting is not None:
            await pilot.press("s")
        assert _rows(app)[1:] == own[1:]


async def test_q_leaves_and_f5_tries_again() -> None:
    tries: list[bool] = []
    app = _app(_hosts(), lambda: tries.append(True))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f5")
        await pilot.press("q")
    assert tries == [True]
    assert app.return_value is None


async def test_hosts_keep_their_places_while_the_operator_moves() -> None:
    hosts = _hosts()
    app = _app(hosts)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("j")
        summary = hosts[0].summary
        assert summary is not None
        hosts[0] = replace(hosts[0], summary=replace(summary, level=2, oldest_since=1))
        app.redraw()
        await pilot.pause()
        assert [row.split()[0].strip("▌") for row in _rows(app)[1:]] == ["loud", "mute\\x1b[31m", "calm"]


@dataclass
class FarSide:
    """A host that plans and does what it is told to."""

    fingerprint: str
    asked: list[tuple[str, ...]] = field(default_factory=list)

    async def plan(self, words: tuple[str, ...]) -> FarPlan:
        self.asked.append(tuple(words))
        return FarPlan(tuple(words), {"fingerprint": self.fingerprint})

    async def execute(self, plan: FarPlan) -> FarReceipt:
        return FarReceipt("fleet-1", {"at": 7, "gateway": {"state": "seen", "how": "x"}, "undo": "u-1"}, 0, found=True)


async def test_a_plan_is_carried_out_there_only_as_it_was_shown() -> None:
    snapshot = worlds.INCIDENT
    profile = snapshot.agents[0].store.profiles[0].id if snapshot.agents[0].store else ""
    plan = clear_profile(snapshot, profile)
    same: Any = FarSide(plan.fingerprint)
    receipt = await RemoteExecutor(same, "web")(plan, snapshot, lambda _waiting: None)
    assert same.asked == [("clear", profile, "--agent", str(plan.agent))]
    assert (receipt.sight.value, receipt.undo, receipt.title[:5]) == ("seen", "u-1", "web: ")
    assert any("connection was lost" in note for note in receipt.notes)
    moved: Any = FarSide("another")
    with pytest.raises(RefusedError, match="changed"):
        await RemoteExecutor(moved, "web")(plan, snapshot, lambda _waiting: None)


def test_every_plan_has_its_words() -> None:
    snapshot = worlds.INCIDENT
    provider = snapshot.agents[0].store.profiles[0].provider if snapshot.agents[0].store else ""
    agent = ("--agent", "main")
    assert verb_words(clear_provider(snapshot, provider, agent="main")) == ("clear", "--provider", provider, *agent)
    assert verb_words(rotate(snapshot, provider, agent="main")) == ("rotate", provider, *agent)


class Openable:
    """A fleet of which hosts are opened; nothing is ever read of them."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.hosts: tuple[Host, ...] = ()

    def retry_now(self) -> None:
        pass

    async def run(self, deliver: Callable[[tuple[Host, ...]], None]) -> None:
        await asyncio.Event().wait()

    def open(self, name: str) -> Any:
        nothing: Any = object()
        return SimpleNamespace(
            name=name,
            source=nothing,
            clock=self.clock,
            execute=nothing,
            drains=nothing,
            recoveries=nothing,
            engine=None,
        )


async def test_arming_one_host_arms_neither_another_nor_the_same_one_later(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[str | None] = ["calm", "loud", "calm", None]
    found: list[Arming] = []

    async def choose(_app: FleetApp, **_options: object) -> str | None:
        return chosen.pop(0)

    async def show(app: ClawtopApp, **_options: object) -> None:
        found.append(app.arming.state)
        assert app.arming.toggle() is Arming.ARMED

    monkeypatch.setattr(FleetApp, "run_async", choose)
    monkeypatch.setattr(fleet_run, "show", show)
    clock = ManualClock(NOW)
    assert await fleet_run._run(Openable(clock), clock, Options()) == 0
    assert found == [Arming.READ_ONLY] * 3


async def test_a_screen_that_nothing_keeps_up_to_date_any_more_is_left_with_the_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Failing(Openable):
        async def run(self, deliver: Callable[[tuple[Host, ...]], None]) -> None:
            raise LookupError("a fault of the fleet's own")

    left = asyncio.Event()

    async def watch(_app: FleetApp, **_options: object) -> str | None:
        await left.wait()
        return None

    monkeypatch.setattr(FleetApp, "run_async", watch)
    monkeypatch.setattr(FleetApp, "call_later", lambda _app, callback, *_arguments: callback())
    monkeypatch.setattr(FleetApp, "exit", lambda _app: left.set())
    clock = ManualClock(NOW)
    with pytest.raises(LookupError):
        await fleet_run._run(Failing(clock), clock, Options())


async def test_what_the_screen_showed_is_what_the_next_state_is_compared_with(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, told = ManualClock(NOW), list[str]()
    fleet = Openable(clock)

    async def watch(app: FleetApp, **_options: object) -> str | None:
        fleet.hosts = (_well("reef"),)
        assert app._hosts() == fleet.hosts, "drawn by its own tick, before the fleet delivered it"
        fleet.hosts = (replace(_well("reef"), summary=HostSummary(at=NOW, level=2, why="nothing is usable")),)
        app._hosts()
        return None

    monkeypatch.setattr(FleetApp, "run_async", watch)
    await fleet_run._run(fleet, clock, Options(incident=IncidentPorts(on_notice=told.append)))
    assert told == ["reef: nothing is usable"]


def _well(name: str) -> Host:
    return Host(name, HostLink.LIVE, since=NOW, summary=HostSummary(at=NOW, level=0, why="", usable=1, known=1))


async def test_the_help_says_what_each_key_does_here_and_closes_to_the_same_row() -> None:
    app = _app(_hosts())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("down")
        await pilot.pause()
        before = app._screen.table.target
        await pilot.press("question_mark")
        await pilot.pause()
        await pilot.pause()
        assert isinstance(app.screen, ReadingScreen)
        text = [text_of(line) for line in app.screen.pane._lines]
        for words in ("S           Reverse", "Open host", "■ silent", "✗ unreachable"):
            assert any(words in line for line in text), words
        await pilot.press("q")
        await pilot.pause()
        assert not isinstance(app.screen, ReadingScreen)
        assert before is not None
        assert before.id != "loud"
        assert app._screen.table.target == before


@pytest.mark.parametrize("width", [30, 60, 80, 120])
def test_the_hints_of_the_fleet_end_with_quit_at_every_width(width: int) -> None:
    line = text_of(hints([command(name) for name in HINTS], width))
    assert line.endswith("q Quit")
    assert cells(line) <= width
    assert width < 80 or "S Reverse" in line


@pytest.mark.parametrize(
    ("keys", "row"),
    [
        (("down",), 1),
        (("down", "down", "up"), 1),
        (("end",), 79),
        (("end", "up"), 78),
        (("end", "home"), 0),
        (("pagedown", "pageup"), 0),
        (("j",) * 40 + ("down",), 41),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) and len(value) < 9 else None,
)
async def test_every_key_of_movement_moves_the_cursor_of_a_table_longer_than_the_screen(
    keys: tuple[str, ...], row: int
) -> None:
    app = _app([replace(_hosts()[0], name=f"host-{number:02}") for number in range(80)])
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        await pilot.press(*keys)
        table = app._screen.table
        assert table.target is not None
        assert table.target.id == f"host-{row:02}"
        assert table.scroll_offset.y <= row < table.scroll_offset.y + table.page


async def test_the_cursor_stays_on_the_host_that_one_comes_back_from() -> None:
    hosts = [replace(_hosts()[0], name=name) for name in ("one", "two", "three")]
    clock = ManualClock(NOW)
    app = FleetApp(clock, Options(), theme="plain", hosts=lambda: hosts, retry=lambda: None, chosen="two")
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        app.redraw()
        await clock.advance(60.0)
        app.redraw()
        assert app._screen.table.target is not None
        assert app._screen.table.target.id == "two"
        assert "two: all is well" in text_of(app._screen._headline._lines[1])


async def test_the_line_about_the_chosen_host_follows_the_cursor_at_once() -> None:
    hosts = [replace(_hosts()[0], name=name, skew=299_999) for name in ("one", "two")]
    app = _app(hosts)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        await pilot.press("down")
        about = text_of(app._screen._headline._lines[1])
        assert about == f" {app._screen.table.cursor_key}: all is well; its clock is 5m00s ahead"


async def test_escape_on_the_overview_of_an_opened_host_returns_to_the_fleet_and_the_footer_says_so() -> None:
    app, source, clock = make_app(worlds.INCIDENT)
    app = ClawtopApp(source, clock, replace(app.options, of_fleet=True), theme="lobster")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert screen_lines(app)[-1].rstrip().endswith("? Help  Esc Back  a Arm")
        await pilot.press("2", "escape")
        await pilot.pause()
        assert app.view.view_id == "overview"
        assert app._exit is False
        await pilot.press("escape")
        await pilot.pause()
        assert app._exit is True


def test_the_clock_of_the_fleet_names_its_zone() -> None:
    assert text_of(first_line((), NOW, 60, UTC)).endswith(" UTC ")
