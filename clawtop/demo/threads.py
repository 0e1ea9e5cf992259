"""The five threads that this engine was built for, each replayed in its own world: real sockets, files and processes.

Every replay returns what it measured and whether the promise holds. What OpenClaw does in the same situation was
measured on the released programs, on loopback, with a provider that answers in 2 ms; the figures are shown next to it.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import field
from itertools import pairwise
from pathlib import Path

from clawtop.clock import Clock, SystemClock
from clawtop.core.model import Event, EventKind, ModelRef
from clawtop.core.session.turn_request import TurnRequest
from clawtop.demo.lock_process import LockProcess
from clawtop.demo.provider import Respond, ScriptedProvider, Stall, rate_limited
from clawtop.demo.world import CAST, PRIMARY, SECONDARY, Character, World, build_world
from clawtop.engine.drive.driver import Driver, EngineSettings
from clawtop.engine.providers.base import Timeouts
from clawtop.errors import ClawtopError, SessionTakeoverError
from clawtop.store.sessions.conversation import read_conversation
from clawtop.values import dataclass

TWO_AND_ONE = {"coral": ("clawdia", "larry"), "kelp": ("barnaby",)}
SIX = {"coral": ("clawdia", "larry", "pinchy", "barnaby", "shelly", "tidewell"), "kelp": ("hermit",)}
LIGHTHOUSE, TIDEPOOL, HEARTBEAT, ARIEL, MOLT, HARBOUR = CAST
HELD_S = 1.5
"""How long the store's lock is held."""
LIMIT_S = 0.4
"""Of a call that is not answered."""
TURNS = 10
"""Pairs of turns that overlap."""


@dataclass(frozen=True, slots=True)
class ThreadReplay:
    """What one replay found.

    Attributes:
        thread: 1 to 5, in the order of this module; `name` says what went wrong in production.
        openclaw: what the released programs do, measured, with their versions.
        here: what happens here, in words with figures.
        facts: the figures, JSON-ready; times in milliseconds.
        holds: whether the promise is kept.
    """

    thread: int
    name: str
    openclaw: str
    here: str
    holds: bool
    facts: dict[str, float | int | str] = field(default_factory=dict)


BASELINES: Mapping[int, tuple[str, str]] = {
    1: (
        "rotation waits for the auth store's lock (57281)",
        "2026.3.28 rotates 50.3 s after the 429, 2026.6.11 62.4 s; 2026.5.20 0.35 s, but its reply comes 50-90 s late",
    ),
    2: (
        "accounts are not rotated, 429s are retried, statistics race (342)",
        "2026.3.28 sends 12 requests in 19.3 s to a limited key, 174 s with retry-after: 20; 2026.9.6 10 in 154 s",
    ),
    3: (
        "a timeout rotates under the session's lock: 20 minutes of silence (62351)",
        "2026.3.28, 2026.5.20 and 2026.6.11 rotate on a timeout; with every key hanging the next turn waits 47-57 s",
    ),
    4: (
        "local contention is recorded as a failure of every model (83510)",
        "before 2026.5.19 the run walks all candidates: `All models failed`, 61 times in a day at the reporter's",
    ),
    5: (
        "two lanes take one session over from each other (83510)",
        "2026.5.20 loses 10 of 20 overlapping turns to takeovers; in the field about 6 % of contended turns",
    ),
}
"""Thread -> what went wrong, and what the released programs measured (loopback, 2 cores, 2026-11-20)."""


def _finding(thread: int, here: str, holds: bool, facts: dict[str, float | int | str]) -> ThreadReplay:
    name, openclaw = BASELINES[thread]
    return ThreadReplay(thread, name, openclaw, here, holds, facts)


@dataclass(frozen=True, slots=True)
class Lab:
    """A world, its provider, a driver, and every event of the engine."""

    world: World
    provider: ScriptedProvider
    driver: Driver
    clock: Clock
    events: list[Event]

    def key(self, profile: str) -> str:
        return self.world.keys[profile]

    def of(self, kind: EventKind) -> list[Event]:
        return [event for event in self.events if event.kind is kind]


@asynccontextmanager
async def open_lab(
    root: Path,
    *,
    profiles: dict[str, tuple[str, ...]],
    models: Sequence[ModelRef] = (PRIMARY, SECONDARY),
    call: Timeouts | None = None,
) -> AsyncIterator[Lab]:
    """Build a world in `root` and an engine on it."""
    clock = SystemClock()
    events: list[Event] = []
    async with AsyncExitStack() as stack:
        world = build_world(root, seed=7, clock=clock, profiles=profiles, models=models)
        provider = await stack.enter_async_context(ScriptedProvider(clock))
        world.connect(provider.base_url)
        settings = EngineSettings(call=call or Timeouts())
        driver = Driver(world.state_dir, clock=clock, environ={}, home=root, settings=settings, listen=events.append)
        await stack.enter_async_context(driver)
        await driver.drive(TurnRequest(MOLT.key, "warm up", lane="cron")).result()
        await driver.resources.marks.drained()
        provider.requests.clear()
        events.clear()
        yield Lab(world, provider, driver, clock, events)


async def rotation_under_a_held_lock(root: Path) -> ThreadReplay:
    """Thread 1 (57281): another process has the auth store's lock while a profile answers 429."""
    async with open_lab(root, profiles=TWO_AND_ONE) as lab:
        limited = lab.key("coral:clawdia")
        lab.provider.standing[limited] = rate_limited()
        lab.provider.standing[lab.key("coral:larry")] = rate_limited()
        async with LockProcess("auth", lab.world.agent_dir()):
            began = lab.clock.monotonic()
            answer = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "all lamps lit?")).result()
            reply_ms = _ms(lab.clock.monotonic() - began)
            gaps = _gaps(lab.provider)
            pending = len(lab.driver.resources.marks.pending())
            await lab.clock.sleep(max(0.0, HELD_S - (lab.clock.monotonic() - began)))
        await lab.driver.resources.marks.drained()
        landed = {event.profile for event in lab.of(EventKind.MARK) if event.data.get("state") == "landed"}
        failed = {"coral:clawdia", "coral:larry"}
        holds = max(gaps) < 1000 and reply_ms < 1000 and failed <= landed and answer.model == SECONDARY and pending > 0
        return _finding(
            1,
            f"next profile {gaps[0]:.1f} ms after the 429, next model {gaps[-1]:.1f} ms, reply after {reply_ms:.0f} ms "
            f"with the lock held throughout; then {len(landed)} marks landed",
            holds,
            {"next_profile_ms": gaps[0], "next_model_ms": gaps[-1], "reply_ms": reply_ms, "marks_landed": len(landed)},
        )


async def six_accounts(root: Path) -> ThreadReplay:
    """Thread 2 (342): accounts take turns, a 429 is one request, and statistics of other sessions survive."""
    async with open_lab(root, profiles=SIX) as lab:
        names = [f"coral:{name}" for name in SIX["coral"]]
        for _ in names:
            await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "who is next?")).result()
            await lab.driver.resources.marks.drained()
        turns = Counter(request.key for request in lab.provider.requests)
        fair = all(turns[lab.key(name)] == 1 for name in names)
        *limited, well = list(turns)
        lab.provider.standing = dict.fromkeys(limited, rate_limited(20))
        began = lab.clock.monotonic()
        runs = [lab.driver.drive(TurnRequest(one.key, "storm!")) for one in (LIGHTHOUSE, TIDEPOOL, HEARTBEAT, ARIEL)]
        answers = [await run.result() for run in runs]
        took_ms = _ms(lab.clock.monotonic() - began)
        await lab.driver.resources.marks.drained()
        asked: Counter[tuple[str | None, str | None]] = Counter(
            (event.run_id, event.profile) for event in lab.of(EventKind.ATTEMPT)
        )
        most = max(asked.values())
        cooled = sum(profile.stats.cooldown_until is not None for profile in lab.driver.resources.auth("main").profiles)
        holds = fair and most == 1 and cooled == 5 and all(lab.key(answer.profile or "") == well for answer in answers)
        return _finding(
            2,
            f"six accounts took one turn each; then at most {most} request per limited account and run, four sessions "
            f"at once answered in {took_ms:.0f} ms, {cooled} cooldowns on disk",
            holds,
            {"requests_per_limited_profile": most, "four_runs_ms": took_ms, "cooldowns": cooled},
        )


async def timeout_is_terminal(root: Path) -> ThreadReplay:
    """Thread 3 (62351): an outage times out four agents at once, and their sessions are asked again meanwhile."""
    call = Timeouts(connect=2, first_byte=LIMIT_S, idle=LIMIT_S)
    async with open_lab(root, profiles=TWO_AND_ONE, call=call) as lab:
        for key in lab.world.keys.values():
            lab.provider.standing[key] = Stall()
        talks = (LIGHTHOUSE, TIDEPOOL, HEARTBEAT, HARBOUR)
        began = lab.clock.monotonic()
        runs = [lab.driver.drive(TurnRequest(one.key, "anybody?")) for one in talks]
        await lab.provider.until(lambda requests: len(requests) == 4)
        locked = sum(_is_locked(lab.world, one) for one in talks)
        outcomes = await asyncio.gather(*(run.result() for run in runs), return_exceptions=True)
        ended_ms = _ms(lab.clock.monotonic() - began)
        requests = len(lab.provider.requests)
        lab.provider.standing.clear()
        began = lab.clock.monotonic()
        probes = [await lab.driver.drive(TurnRequest(one.key, "and now?")).result() for one in talks]
        probe_ms = _ms(lab.clock.monotonic() - began) / len(probes)
        timed_out = sum(getattr(outcome, "timed_out", False) for outcome in outcomes)
        marked = [event for event in lab.of(EventKind.MARK) if event.reason is not None]
        holds = timed_out == 4 and requests == 4 and not locked and not marked and not lab.of(EventKind.ROTATE)
        return _finding(
            3,
            f"four runs ended after {ended_ms:.0f} ms (limit {LIMIT_S * 1000:.0f} ms), one request each, no mark, "
            f"{locked} session locks held during the calls; the next turn of each session took {probe_ms:.0f} ms",
            holds,
            {"ended_ms": ended_ms, "requests": requests, "locks_during_call": locked, "next_turn_ms": probe_ms},
        )


async def coordination_is_no_model_failure(root: Path) -> ThreadReplay:
    """Thread 4 (83510): the session changes during the call, and three models are configured."""
    models = (PRIMARY, SECONDARY, ModelRef("kelp", "last-crab"))
    async with open_lab(root, profiles=TWO_AND_ONE, models=models) as lab:
        file = lab.world.transcript(LIGHTHOUSE)
        slow = Respond("late", first_after=0.3)
        lab.provider.standing = dict.fromkeys(lab.world.keys.values(), slow)
        run = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "mine!"))
        await lab.provider.until(lambda requests: len(requests) == 1)
        with file.open("ab") as other:
            other.write(
                b'{"type":"message","id":"f0e1","parentId":null,"message":{"role":"user","content":"no, mine"}}\n'
            )
        error: BaseException | None = None
        try:
            await run.result()
        except ClawtopError as caught:
            error = caught
        requests = len(lab.provider.requests)
        recorded = len(lab.of(EventKind.FAILURE)) + len(lab.of(EventKind.FALLBACK)) + len(lab.of(EventKind.MARK))
        holds = isinstance(error, SessionTakeoverError) and requests == 1 and recorded == 0
        return _finding(
            4,
            f"{requests} model asked, {recorded} failures recorded, the caller sees {type(error).__name__}",
            holds,
            {"models_asked": requests, "recorded": recorded, "error": type(error).__name__},
        )


async def two_lanes_one_session(root: Path) -> ThreadReplay:
    """Thread 5 (83510): heartbeat and channel share a session, and every pair of turns overlaps."""
    async with open_lab(root, profiles=TWO_AND_ONE) as lab:
        lab.provider.standing = dict.fromkeys(lab.world.keys.values(), Respond("aye", first_after=0.02))
        file = lab.world.transcript(HEARTBEAT)
        before = len(read_conversation(file).said)
        lanes = ("heartbeat", "channel")
        runs = [lab.driver.drive(TurnRequest(HEARTBEAT.key, f"turn {n}", lane=lanes[n % 2])) for n in range(2 * TURNS)]
        outcomes = await asyncio.gather(*(run.result() for run in runs), return_exceptions=True)
        lost = sum(isinstance(outcome, BaseException) for outcome in outcomes)
        conversation = read_conversation(file)
        written = len(conversation.said) - before
        overlaps = _overlaps(lab.provider)
        holds = lost == 0 and written == 4 * TURNS and overlaps == 0 and not lab.of(EventKind.TAKEOVER)
        return _finding(
            5,
            f"{2 * TURNS} overlapping turns: {lost} lost, {overlaps} provider calls overlapped, "
            f"{written} messages written",
            holds,
            {"turns": 2 * TURNS, "lost": lost, "overlapping_calls": overlaps, "messages_written": written},
        )


Replay = Callable[[Path], Awaitable[ThreadReplay]]
REPLAYS: tuple[Replay, ...] = (
    rotation_under_a_held_lock,
    six_accounts,
    timeout_is_terminal,
    coordination_is_no_model_failure,
    two_lanes_one_session,
)


async def replay_all() -> AsyncIterator[ThreadReplay]:
    """Every thread, one after the other, each in a temporary directory that is gone afterwards."""
    for replay in REPLAYS:
        with tempfile.TemporaryDirectory(prefix="clawtop-selftest-") as root:
            yield await replay(Path(root))


def _is_locked(world: World, session: Character) -> bool:
    return os.path.lexists(f"{world.transcript(session)}.lock")


def _gaps(provider: ScriptedProvider) -> list[float]:
    """Milliseconds from the end of each answer to the beginning of the next request."""
    asked = provider.requests
    return [_ms(after.began - (before.ended or after.began)) for before, after in pairwise(asked)]


def _overlaps(provider: ScriptedProvider) -> int:
    asked = provider.requests
    return sum(after.began < (before.ended or 0) for before, after in pairwise(asked))


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
