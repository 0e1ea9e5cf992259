"""The dashboard on a live demo world, with its provider on loopback, the engine and real drains."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from textual.pilot import Pilot

from clawtop.cli.common import open_incident_reader
from clawtop.cli.dashboard import job_ports
from clawtop.clock import SystemClock
from clawtop.commands import Arming, Target, TargetKind
from clawtop.core.model import Snapshot
from clawtop.core.operations.plan import Plan
from clawtop.core.operations.receipt import Receipt
from clawtop.core.session.drain import DrainWishes
from clawtop.demo.provider import ScriptedProvider
from clawtop.demo.world import Character, World, build_world
from clawtop.engine.drive.driver import Driver
from clawtop.engine.live.hub import Hub
from clawtop.ui.app import ClawtopApp
from clawtop.ui.jobs import Jobs
from clawtop.ui.ports import JobPorts, Options, StoreHolder
from clawtop.ui.screens.base import DashboardScreen
from clawtop.ui.screens.dialog import DialogScreen
from clawtop.ui.screens.overview import OverviewScreen
from tests.support.screens import screen_text

QUICK = DrainWishes(deadline_s=20.0, still_s=0.3, stop_after_s=0.0)
TWO_EACH = {"coral": ("clawdia", "larry"), "kelp": ("barnaby",)}


async def no_operations(plan: Plan, snapshot: Snapshot, on_wait: Callable[[StoreHolder], None]) -> Receipt:
    """Executes nothing: these tests only drain and drive."""
    raise AssertionError("an operation was started")


@dataclass(frozen=True)
class LiveDashboard:
    """An app on a world."""

    app: ClawtopApp
    jobs: Jobs
    world: World
    provider: ScriptedProvider

    def behave(self, act: object, *profiles: str) -> None:
        """From now on these profiles (default: all) get this act."""
        for profile in profiles or tuple(self.world.keys):
            self.provider.standing[self.world.keys[profile]] = act  # type: ignore[assignment]

    def engine(self) -> Driver:
        """Another engine on the same directory, as another clawtop would have."""
        return Driver(self.world.state_dir, environ={}, home=self.world.state_dir.parent)

    def left_behind(self) -> list[str]:
        """Locks and holder records that still exist."""
        state = self.world.state_dir
        locks = [path.name for path in state.rglob("*.jsonl.lock")]
        return locks + [path.name for path in (state / "clawtop" / "holders").glob("*.json")]

    async def open_on(self, pilot: Pilot[None], character: Character) -> None:
        """Arm, and put the cursor on a session."""
        view = self.app.view
        assert isinstance(view, OverviewScreen)
        target = Target(TargetKind.SESSION, character.key, character.agent)
        await until(pilot, lambda: view.select(target))
        if self.app.arming.state is Arming.READ_ONLY:
            await pilot.press("a")
        await until(pilot, lambda: view.target is not None and view.target.id == character.key)

    def shows(self, text: str) -> bool:
        """Whether the text is on the screen, wherever a dialog breaks its lines."""
        lines = screen_text(self.app).split("\n")
        if text in lines[0]:
            return True
        if isinstance(self.app.screen, DialogScreen):
            framed = (line.split("│") for line in lines)
            lines = ["│".join(parts[1:-1]) for parts in framed if len(parts) > 2]
        return text in " ".join(" ".join(lines).split())

    async def sees(self, pilot: Pilot[None], *texts: str) -> None:
        """Wait until these texts are on the screen."""
        await until(pilot, lambda: all(self.shows(text) for text in texts))


@asynccontextmanager
async def live_dashboard(
    root: Path,
    *,
    wishes: DrainWishes = QUICK,
    ports: Callable[[JobPorts], JobPorts] = lambda ports: ports,
    asks_gateway: bool = True,
) -> AsyncIterator[LiveDashboard]:
    """A demo world in `root`; everything the dashboard drives and drains is released at the end."""
    clock = SystemClock()
    world = build_world(root, seed=7, clock=clock, profiles=TWO_EACH)
    args = argparse.Namespace(state_dir=str(world.state_dir), agent=None, at=None, no_gateway=not asks_gateway)
    async with ScriptedProvider(clock) as provider:
        world.connect(provider.base_url)
        jobs = Jobs(ports(job_ports(args)), clock, wishes)
        app = ClawtopApp(
            Hub(open_incident_reader(args), clock),
            clock,
            Options(),
            theme="lobster",
            execute=no_operations,
            jobs=jobs,
        )
        try:
            yield LiveDashboard(app, jobs, world, provider)
        finally:
            await jobs.aclose()


async def until(pilot: Pilot[None], holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something holds; AssertionError with the screen after `seconds`."""
    clock = SystemClock()
    deadline = clock.monotonic() + seconds
    while not holds():
        assert clock.monotonic() < deadline, screen_text(pilot.app)  # type: ignore[arg-type]
        await pilot.pause(0.02)


def is_back(app: ClawtopApp) -> bool:
    """Whether no dialog is open."""
    return isinstance(app.screen, DashboardScreen)
