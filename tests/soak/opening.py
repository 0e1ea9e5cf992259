"""Every screen of the dashboard and of the fleet, opened and closed again and again.

Ticks, snapshots, sizes of the terminal and the next keys come whenever they come: while a screen is composed, half
mounted, or on its way out. Nothing here waits for an idle app; each step of the event loop may be the disturbed one.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from textual import events
from textual.app import App
from textual.geometry import Size
from textual.screen import Screen

from clawtop.commands import Target, TargetKind
from clawtop.core.model import Snapshot
from clawtop.core.operations.plan import Plan
from clawtop.core.operations.receipt import Receipt
from clawtop.core.session.drain import DrainPreview
from clawtop.errors import ClawtopError
from clawtop.ui.app import ClawtopApp
from clawtop.ui.fleet import FleetApp, FleetScreen
from clawtop.ui.jobs import Jobs
from clawtop.ui.ports import JobPorts, Options, StoreHolder
from clawtop.ui.screens.overview import OverviewScreen
from tests.support.clocks import ManualClock
from tests.support.fleets import HOSTS
from tests.support.screens import make_app
from tests.support.worlds import LOCKS, NOW, SESSIONS, TOLD

STUCK_S = 60.0
"""A screen that does not open or close within this is a finding: CPU seconds, of which a loaded machine gives few."""

ROW = {
    "account": Target(TargetKind.PROFILE, "anthropic:team-key", "main"),
    "session": Target(TargetKind.SESSION, SESSIONS[3].key, "main"),
    "stale lock": Target(TargetKind.LOCK, LOCKS[0].file.path, "main"),
    "held lock": Target(TargetKind.LOCK, LOCKS[1].file.path, "main"),
}


@dataclass(frozen=True, slots=True)
class Way:
    """Keys that open a screen from the overview, and keys that lead back. `row`: what the cursor is on."""

    name: str
    opens: tuple[str, ...]
    screen: str
    closes: tuple[str, ...] = ("escape",)
    row: str = "account"


WAYS = (
    Way("tree", ("2",), "TreeScreen"),
    Way("lanes", ("3",), "LanesScreen", ("q",)),
    Way("timeline", ("4",), "TimelineScreen"),
    Way("forecast", ("5",), "ForecastScreen", ("1",)),
    Way("warnings", ("w",), "WarningsScreen"),
    Way("view from view", ("2", "3", "4", "5", "w"), "WarningsScreen", ("q",)),
    Way("help", ("question_mark",), "ReadingScreen"),
    Way("detail of an account", ("enter",), "ReadingScreen", ("q",)),
    Way("detail of a session", ("enter",), "ReadingScreen", row="session"),
    Way("detail in the timeline", ("4", "enter"), "ReadingScreen", ("q", "q")),
    Way("filter", ("slash",), "OverviewScreen"),
    Way("palette", ("colon",), "CommandPalette"),
    Way("clear", ("c",), "ConfirmScreen", ("n",)),
    Way("unlock", ("u",), "ConfirmScreen", row="stale lock"),
    Way("why no unlock", ("u",), "ReadingScreen", row="held lock"),
    Way("several rows", ("space", "j", "space", "c"), "BulkScreen", ("escape", "escape")),
    Way("label", ("L",), "LabelScreen", row="session"),
    Way("drain", ("d",), "DrainScreen", row="session"),
    Way("recover", ("V",), "RecoverScreen", ("n",), row="session"),
    Way("drive", ("D",), "DriveScreen", row="session"),
    Way("run", ("D", "h", "i", "enter"), "RunScreen", ("X", "q"), row="session"),
    Way("run under way", ("W",), "RunScreen", row="session"),
    Way("leave", ("q",), "LeaveScreen", ("n",)),
)
"""All screens that open over the overview; `tests/ui` holds that none is missing."""

FLEET_WAYS = (
    Way("fleet's help", ("question_mark",), "ReadingScreen"),
    Way("fleet's filter", ("slash",), "FleetScreen"),
)


# --- what the dashboard is plugged into ------------------------------------------------------------------------------


@dataclass
class Run:
    """A run that says nothing and ends when it is cancelled."""

    run_id: str
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aiter__(self) -> AsyncIterator[Any]:
        await self.over.wait()
        return
        yield

    def rotate(self) -> str | None:
        return "there is one account"

    def cancel(self) -> None:
        self.over.set()

    async def ended(self) -> None:
        await self.over.wait()

    async def result(self) -> Any:
        raise asyncio.CancelledError


class DriverResources:
    """Drains, runs and recoveries that only look."""

    can_abort = True
    drain_id = "d-1"
    journal_problem: ClawtopError | None = None

    def __init__(self) -> None:
        self.runs: list[Run] = []

    def prepare(self, *_wishes: object) -> Any:
        return self

    def preview(self, told: Callable[[DrainPreview], None]) -> DrainPreview:
        lines = ("close the session", "wait", "prove it")
        told(DrainPreview({False: lines, True: lines}, complete=False))
        return DrainPreview({False: lines, True: lines})

    def drive(self, _request: object) -> Any:
        self.runs.append(Run(f"r-{len(self.runs)}"))
        return self.runs[-1]

    def assess(self, session: str, agent: str | None) -> None:
        del session, agent

    async def aclose(self) -> None:
        for run in self.runs:
            run.cancel()


async def nothing_is_done(plan: Plan, snapshot: Snapshot, on_wait: Callable[[StoreHolder], None]) -> Receipt:
    raise AssertionError(f"nothing is confirmed here: {plan.title}")


# --- disturbances ----------------------------------------------------------------------------------------------------


class Weather:
    """What comes between two steps of the event loop, by a seed."""

    def __init__(self, app: App[Any], seed: int, tick: Callable[[], None], news: Callable[[int], None]) -> None:
        self.app, self._chance, self._tick, self._news = app, random.Random(seed), tick, news
        self.counts = {"tick": 0, "snapshot": 0, "size": 0}

    def strike(self) -> None:
        """Perhaps one of them."""
        drawn = self._chance.random()
        if drawn < 0.10:
            self.counts["tick"] += 1
            self._tick()
        elif drawn < 0.13:
            self.counts["snapshot"] += 1
            self._news(self.counts["snapshot"])
        elif drawn < 0.14:
            self.counts["size"] += 1
            self.resize(self._chance.randrange(50, 110), self._chance.randrange(14, 32))

    def early(self) -> bool:
        """Whether the keys that close a screen come at once after those that open it."""
        return self._chance.random() < 0.25

    def resize(self, width: int, height: int) -> None:
        size = Size(width, height)
        driver: Any = self.app._driver
        driver._size = size
        self.app.post_message(events.Resize(size, size))


class Hand:
    """Presses keys, and looks on."""

    def __init__(self, app: App[Any], weather: Weather, home: type[Screen[Any]]) -> None:
        self.app, self._weather, self._home = app, weather, home
        self.seen: set[str] = set()
        self._pressed = 0

    def press(self, keys: Sequence[str]) -> None:
        for key in keys:
            event = events.Key(key, key if len(key) == 1 else None)
            event.time += self._pressed  # each a second after the one before: what comes at once is a paste
            self._pressed += 1
            self.app.post_message(event)

    async def until(self, holds: Callable[[], bool], doing: str) -> None:
        """Let the loop go on, disturbed, until something holds. Raises AssertionError."""
        deadline = time.process_time() + STUCK_S
        while not holds():
            error = self.app._exception
            if error is not None:
                raise AssertionError(f"{doing}: {type(error).__name__}: {error}") from error
            assert self.app._return_code is None, f"{doing}: the app has ended"
            stack = [type(screen).__name__ for screen in self.app.screen_stack]
            assert time.process_time() < deadline, f"{doing}: stuck on {stack}"
            self._weather.strike()
            await asyncio.sleep(0)
            self.seen.add(type(self.app.screen).__name__)

    @property
    def at_home(self) -> bool:
        """Nothing lies over the first screen, and no key is left to be heard."""
        app: Any = self.app
        return self._heard and isinstance(app.screen, self._home) and not app.screen.query("FilterLine")

    async def go(self, way: Way, *, early: bool | None = None, look: Callable[[str], None] | None = None) -> None:
        """Open it and come back. `early`: the keys that close it are typed ahead; None: as it comes.

        `look` is called with the name of the way once it is open.
        """
        self.press(way.opens)
        if not (self._weather.early() if early is None else early):
            await self.until(
                lambda: type(self.app.screen).__name__ == way.screen and self._heard, f"opening {way.name}"
            )
        if look is not None:
            look(way.name)
        self.press(way.closes)
        await self.until(lambda: self.at_home, f"closing {way.name}")

    @property
    def _heard(self) -> bool:
        """No key waits, neither to be taken nor behind another one."""
        app: Any = self.app
        return not app.message_queue_size and not app.__dict__.get("_ahead") and not app._hearing


@dataclass(frozen=True, slots=True)
class Opened:
    """What was done. `screens`: names of the classes that were on top at some time."""

    screens: frozenset[str]
    times: int
    counts: dict[str, int]

    def line(self) -> str:
        """In words."""
        between = ", ".join(f"{number} {what}s" for what, number in self.counts.items())
        return f"opened and closed {self.times} times, {len(self.screens)} kinds of screens; meanwhile {between}"


@asynccontextmanager
async def dashboard(seed: int, state: Snapshot = TOLD) -> AsyncIterator[tuple[ClawtopApp, Weather]]:
    """An app on a made-up incident, armed."""
    clock, resources = ManualClock(NOW), DriverResources()
    jobs = Jobs(JobPorts(drains=resources, engine=lambda: resources, recoveries=resources), clock)  # type: ignore[arg-type]
    app, source, _ = make_app(
        state, execute=nothing_is_done, clock=clock, save_label=lambda _key, _label: None, jobs=jobs
    )

    def tick() -> None:
        clock._move(0.05)
        app._tick()

    def news(number: int) -> None:
        source.tell(replace(state, number=100 + number, warnings=state.warnings[: number % 3]))

    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app.arming.toggle()
        yield app, Weather(app, seed, tick, news)


async def open_dashboards_screens(times: int, seed: int = 1, ways: Sequence[Way] = WAYS) -> Opened:
    """Each way `times` times, in a drawn order, beside a run that goes on. Raises AssertionError."""
    chance = random.Random(seed)
    async with dashboard(seed) as (app, weather):
        hand = Hand(app, weather, OverviewScreen)
        assert app.view.select(ROW["session"])  # type: ignore[attr-defined]
        await hand.go(Way("a run that goes on", ("D", "h", "i", "enter"), "RunScreen", ("q",)), early=False)
        for _ in range(times):
            for way in chance.sample(ways, len(ways)):
                await hand.until(lambda row=way.row: app.view.select(ROW[row]), f"before {way.name}")  # type: ignore[misc, attr-defined]
                await hand.go(way)
        return Opened(frozenset(hand.seen), times * len(ways), weather.counts)


async def open_fleets_screens(times: int, seed: int = 1) -> Opened:
    """The same on the fleet's screen. Raises AssertionError."""
    app = FleetApp(ManualClock(NOW), Options(), theme="lobster", hosts=lambda: HOSTS, retry=lambda: None)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        weather = Weather(app, seed, app.redraw, lambda _: app.redraw())
        hand = Hand(app, weather, FleetScreen)
        for _ in range(times):
            for way in FLEET_WAYS:
                await hand.go(way)
        return Opened(frozenset(hand.seen), times * len(FLEET_WAYS), weather.counts)
