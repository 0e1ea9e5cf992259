"""Plays a scenario on a world: the scripted provider, the engine with its agents, and other processes for the locks.

    python -m clawtop.demo.story ROOT SEED SCENARIO

plays until its standard input ends, then removes ROOT: the dashboard owns the pipe, so that a story never outlives it.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from clawtop.clock import Clock, SystemClock
from clawtop.core.model import Event, EventKind
from clawtop.core.session.turn_request import TurnRequest
from clawtop.demo import child
from clawtop.demo.lock_process import LockProcess
from clawtop.demo.provider import Act, ReceivedRequest, Respond, ScriptedProvider
from clawtop.demo.scenarios import (
    SCENARIOS,
    SLOW,
    Beat,
    Behave,
    Clear,
    Crash,
    Doing,
    HoldLock,
    OtherTurn,
    Scenario,
    Talk,
)
from clawtop.demo.world import CAST, Character, World, build_world
from clawtop.engine.drive.driver import Driver, EngineSettings
from clawtop.engine.operations.locked import settled
from clawtop.engine.providers.base import Timeouts
from clawtop.errors import ClawtopError

CALL_LIMITS = Timeouts(connect=2.0, first_byte=6.0, idle=6.0, total=20.0)
"""Short, so that timeouts can be seen."""

MESSAGES = (
    "How is the water?",
    "Has anyone seen my left claw?",
    "Pass the plankton.",
    "Is the tide in or am I out?",
    "Sideways or forwards today?",
    "Did the starfish reply?",
    "Please file these barnacles.",
    "Who moved my shell?",
)
ANSWERS = (
    "Fifteen degrees and full of opinions.",
    "It was waving at you a moment ago.",
    "Plankton passed. You are welcome, I am sure.",
    "A bit of both, as so often in a tidal career.",
    "Sideways. We are professionals.",
    "It takes the starfish a while: five arms, one keyboard.",
    "Filed under B, for barnacle.",
    "The hermit crab sends a receipt and his regards.",
)
RUNNING = "running"


async def run_story(
    world: World,
    *,
    clock: Clock,
    scenario: Scenario,
    seconds: float | None = None,
    listen: Callable[[Event], None] | None = None,
) -> None:
    """Play `scenario` on `world` for so many seconds (None: until cancelled), then release everything.

    The world's seed decides who says what, and when.

    Args:
        listen: gets every event of the engine, captions included.
    """
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(ScriptedProvider(clock))
        world.connect(provider.base_url)
        driver = await stack.enter_async_context(
            Driver(
                world.state_dir,
                clock=clock,
                environ={},
                home=world.state_dir.parent,
                settings=EngineSettings(call=CALL_LIMITS),
                listen=listen,
            )
        )
        play = _Play(world, scenario, driver, provider, clock)
        stack.push_async_callback(play.aclose)
        with suppress(TimeoutError):
            async with clock.timeout(seconds):
                await play.perform()


class _Play:
    """One performance. Its tasks and its other processes end with it."""

    def __init__(
        self, world: World, scenario: Scenario, driver: Driver, provider: ScriptedProvider, clock: Clock
    ) -> None:
        self._world = world
        self._scenario = scenario
        self._driver = driver
        self._provider = provider
        self._clock = clock
        self._chance = random.Random(world.seed)  # noqa: S311 - a story, not a secret
        self._tasks: set[asyncio.Task[None]] = set()
        self._silent: set[str] = set()
        self._slow: dict[str, Respond] = {}
        provider.default = self._answer

    async def perform(self) -> None:
        """Play the beats, round after round, with random turns in between."""
        for character in CAST:
            self._spawn(self._chat(character, random.Random(self._chance.getrandbits(32))))  # noqa: S311 - as above
        while True:
            began = self._clock.monotonic()
            for beat in self._scenario.beats:
                await self._clock.sleep(max(0.0, began + beat.at - self._clock.monotonic()))
                self._tell(beat)
                for doing in beat.doings:
                    self._spawn(self._do(doing))
            await self._clock.sleep(max(1.0, began + self._scenario.length - self._clock.monotonic()))

    async def aclose(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _tell(self, beat: Beat) -> None:
        event = Event(
            self._clock.now_ms(), EventKind.NOTICE, "demo", beat.caption, data={"scenario": self._scenario.name}
        )
        self._driver.emit(event)

    async def _do(self, doing: Doing) -> None:
        match doing:
            case Behave(profiles, act):
                for profile in profiles:
                    self._behave(self._world.keys[profile], act)
            case HoldLock(session, seconds):
                async with LockProcess("session", self._world.transcript(session)):
                    await self._clock.sleep(seconds)
            case Crash(session):
                self._silent.add(session.key)
                self._set_status(session, RUNNING)
                async with LockProcess("session", self._world.transcript(session)) as other:
                    await other.kill()
            case Talk(session, lane, message, slow):
                if slow:
                    self._slow[message] = SLOW if slow is True else slow
                await self._turn(session, lane, message)
            case OtherTurn(session, lane, message):
                await self._elsewhere("drive", "--session", session.key, "--lane", lane, "--message", message)
            case Clear(profile, reason):
                await self._elsewhere("clear", profile, "--reason", reason, "--yes", "--no-gateway")

    def _behave(self, key: str, act: Act | None) -> None:
        if act is None:
            self._provider.standing.pop(key, None)
        else:
            self._provider.standing[key] = act

    async def _chat(self, character: Character, chance: random.Random) -> None:
        while True:
            await self._clock.sleep(chance.uniform(0.4, 1.6) * self._scenario.chatter)
            if character.key not in self._silent:
                await self._turn(character, character.lane, chance.choice(MESSAGES))

    async def _turn(self, character: Character, lane: str, message: str) -> None:
        run = self._driver.drive(TurnRequest(character.key, message, lane=lane, timeout_s=45))
        with suppress(ClawtopError):
            await run.result()

    def _answer(self, request: ReceivedRequest) -> Act:
        slow = next((answer for message, answer in self._slow.items() if request.prompt.endswith(message)), None)
        if slow is not None:
            return slow
        chance = random.Random(f"{request.number}{request.model}")  # noqa: S311 - a story, not a secret
        return Respond(
            chance.choice(ANSWERS), first_after=chance.uniform(0.2, 0.9), pause=chance.uniform(0.05, 0.25), pieces=8
        )

    async def _elsewhere(self, *command: str) -> None:
        """Somebody else's command line."""
        devnull = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            *child.command("clawtop", *command, "--state-dir", str(self._world.state_dir)),
            env=child.environment(),
            stdin=devnull,
            stdout=devnull,
            stderr=devnull,
        )
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await settled(process.wait())

    def _set_status(self, session: Character, status: str) -> None:
        """Set a session's entry in OpenClaw's list: no gateway runs in this world to do it."""
        path = self._world.sessions_dir(session.agent) / "sessions.json"
        entries = json.loads(path.read_text())
        entries[session.key] |= {"status": status, "startedAt": self._clock.now_ms()}
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(entries, indent=2) + "\n")
        temporary.rename(path)

    def _spawn(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _until_alone(root: Path, seed: int, scenario: str) -> None:
    """Build the world, report that it is ready, and play until standard input ends."""
    clock = SystemClock()
    world = build_world(root, seed=seed, clock=clock)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    story = asyncio.create_task(run_story(world, clock=clock, scenario=SCENARIOS[scenario]))
    await asyncio.to_thread(sys.stdin.buffer.read)
    story.cancel()
    await asyncio.gather(story, return_exceptions=True)


def _main() -> None:
    root = Path(sys.argv[1])
    try:
        asyncio.run(_until_alone(root, int(sys.argv[2]), sys.argv[3]))
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    _main()
