"""What the engine adds to a provider call, and what a held store lock adds to the engine.

In one run on one machine:

- the auth store's lock is held by another process: 429 to the next request, and to the reply, against a free one;
- 200 turns at once, three times: failed turns, p50, p99 and CPU, against bare httpx and litellm.Router (`bench` extra);
- 200 turns one after the other: the same;
- two deployments, one rate-limited: requests to the limited one and p99, against litellm.Router;
- 200 turns of four processes at once: how evenly they spread over six accounts.

Percentiles are over at least 200 turns, the sides take turns block by block, and what warms up - first connections,
imports - is left out for all of them.

`test_the_work_is_real` runs in CI and checks what is measured, not how fast.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import multiprocessing
import os
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from clawtop.clock import SystemClock
from clawtop.core.model import ModelRef
from clawtop.core.session.turn_request import TurnRequest
from clawtop.demo.lock_process import LockProcess
from clawtop.demo.provider import Respond, ScriptedProvider, rate_limited
from clawtop.demo.threads import LIGHTHOUSE, TWO_AND_ONE, open_lab
from clawtop.demo.world import PRIMARY, SECONDARY, build_world
from clawtop.engine.drive.driver import Driver
from clawtop.store.sessions.conversation import read_conversation
from tests.bench.harness import Bench, Figure, Limit, Row, Skipped, percentile
from tests.support.crowd import crowd

ROTATION_P99_MS = 25.0
REPLY_FACTOR = 1.5
SESSIONS = 200
TURNS = 200
WARM_TURNS = 20
CPU_MS = 4.0
FAIR_SHARES = 1.4
BLOCK = 25
NO_PEER = None if importlib.util.find_spec("litellm") else "litellm is not installed: pip install -e '.[dev,bench]'"
ROUTED_SESSIONS = 100
"""As many transcripts as stay short. They are there before, as in operation: a turn that makes a session also looks for
a gateway and writes OpenClaw's list of sessions, which a router has not to do.
"""
PAUSE_S = 0.3
"""Between the turns of the routing comparison: both routers have cooldowns, and neither is to win by haste."""
OPENCLAW = "OpenClaw: 50.3 s to rotate on 2026.3.28, 62.4 s on 2026.6.11; on 2026.5.20 0.35 s, its reply 50-90 s late"


# --- a held store lock -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rotation:
    """One turn whose first profile is rate-limited, times in ms."""

    gap: float
    reply: float


async def rotate_once(root: Path, *, held: bool) -> Rotation:
    async with open_lab(root, profiles=TWO_AND_ONE) as lab:
        used = {profile.id: profile.stats.last_used or 0 for profile in lab.driver.resources.auth("main").profiles}
        first = min(("coral:clawdia", "coral:larry"), key=lambda name: used[name])
        await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "the client is warm", model=SECONDARY)).result()
        await lab.driver.resources.marks.drained()
        lab.provider.requests.clear()
        lab.provider.standing[lab.key(first)] = rate_limited()
        async with _held(lab.world.agent_dir(), held):
            began = lab.clock.monotonic()
            await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "go")).result()
            reply = (lab.clock.monotonic() - began) * 1000
        limited, answered = lab.provider.requests
        assert limited.ended is not None
        return Rotation((answered.began - limited.ended) * 1000, reply)


@asynccontextmanager
async def _held(directory: Path, held: bool) -> AsyncIterator[None]:
    if not held:
        yield
        return
    async with LockProcess("auth", directory):
        yield


def measure_rotation(rounds: int) -> tuple[list[Rotation], list[Rotation]]:
    """Turns with the lock free, and with it held by another process: four of these to one of those."""
    results: dict[bool, list[Rotation]] = {False: [], True: []}
    for number in range(rounds):
        for held in (True,) if number % 4 else (False, True):
            with tempfile.TemporaryDirectory() as root:
                results[held].append(asyncio.run(rotate_once(Path(root), held=held)))
    return results[False], results[True]


# --- 200 sessions at once ----------------------------------------------------------------------------------------


def serve(pipe: Connection) -> None:
    """A provider in a process of its own, so that its CPU is not counted."""

    async def run() -> None:
        async with ScriptedProvider(default=Respond("Aye aye, captain.", first_after=0.05, pieces=8)) as provider:
            pipe.send(provider.port)
            await asyncio.to_thread(pipe.recv)

    asyncio.run(run())


@contextmanager
def provider_process() -> Iterator[int]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("end")
        process.join(5)


@dataclass(frozen=True, slots=True)
class Load:
    """One side's turns: CPU of this process per turn in ms, worker threads included, how long each took in ms, and the
    words of those that failed.
    """

    cpu_ms: float
    took: tuple[float, ...]
    failed: tuple[str, ...] = ()

    @property
    def p50(self) -> float:
        return percentile(list(self.took), 0.5)

    @property
    def p99(self) -> float:
        return percentile(list(self.took), 0.99)


Ask = Callable[[int], Awaitable[object]]
"""A turn in the session with this number."""


class Side:
    """What is measured of one of those that are compared."""

    def __init__(self, ask: Ask, settle: Callable[[], Awaitable[None]]) -> None:
        """`settle`: what the turns left to be done behind their backs; it counts as theirs."""
        self._ask = ask
        self._settle = settle
        self._took: list[float] = []
        self._failed: list[str] = []
        self._cpu = 0.0

    async def block(self, sessions: Sequence[int], *, at_once: bool) -> None:
        """One turn in each session."""
        began = time.process_time()
        if at_once:
            await asyncio.gather(*(self._turn(n) for n in sessions))
        else:
            for n in sessions:
                await self._turn(n)
        await self._settle()
        self._cpu += time.process_time() - began

    async def _turn(self, n: int) -> None:
        began = time.monotonic()
        try:
            await self._ask(n)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a turn that failed
            self._failed.append(f"{type(error).__name__}: {error}")
        self._took.append((time.monotonic() - began) * 1000)

    async def warmed(self, sessions: Sequence[int], *, at_once: bool) -> None:
        """The same, not counted."""
        await self.block(sessions, at_once=at_once)
        assert not self._failed, self._failed
        self._took.clear()
        self._cpu = 0.0

    def load(self) -> Load:
        return Load(self._cpu * 1000 / len(self._took), tuple(self._took), tuple(self._failed))


@asynccontextmanager
async def bare_side(port: int) -> AsyncIterator[Side]:
    """The same requests over httpx, and nothing else."""
    import httpx

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)

    async def ask(n: int) -> None:
        body = {
            "model": PRIMARY.model,
            "max_tokens": 2048,
            "stream": True,
            "messages": [{"role": "user", "content": f"session {n}"}],
        }
        async with client.stream("POST", "/v1/messages", json=body, headers={"x-api-key": "bare"}) as response:
            assert response.status_code == 200
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    json.loads(line[6:])

    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base, trust_env=False, limits=limits, timeout=60) as client:
        yield Side(ask, _nothing_left)


@asynccontextmanager
async def engine_side(root: Path, port: int, sessions: int) -> AsyncIterator[Side]:
    """The engine, with everything: lanes, holders, locks, transcripts, marks, journal."""
    world = build_world(root, seed=3, clock=SystemClock(), profiles=TWO_AND_ONE)
    world.connect(lambda api: f"http://127.0.0.1:{port}" + ("/v1" if api == "openai-completions" else ""))
    path = world.state_dir / "openclaw.json"
    config = json.loads(path.read_text())
    config["agents"]["defaults"]["maxConcurrent"] = sessions
    path.write_text(json.dumps(config))
    for n in range(sessions):
        (world.sessions_dir("main") / f"bench-{n}.jsonl").touch()

    async with Driver(world.state_dir, environ={}, home=root) as driver:

        async def ask(n: int) -> None:
            answer = await driver.drive(TurnRequest(f"bench-{n}.jsonl", f"session {n}")).result()
            answered[answer.session_file] += 1

        answered = Counter[Path]()
        yield Side(ask, driver.resources.marks.drained)
    for file, turns in answered.items():
        assert len(read_conversation(file).said) == 2 * turns


@asynccontextmanager
async def litellm_side(port: int) -> AsyncIterator[Side]:
    """The peer, against the same provider."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it asks the network for prices first
    from litellm.router import Router

    params = {"model": "openai/hermit-mini", "api_key": "sk-bench", "api_base": f"http://127.0.0.1:{port}/v1"}
    router = Router(model_list=[{"model_name": "crab", "litellm_params": params}])

    async def ask(n: int) -> None:
        messages = [{"role": "user", "content": f"session {n}"}]
        async for _ in await router.acompletion("crab", messages=messages, stream=True):
            pass

    yield Side(ask, _nothing_left)


async def _nothing_left() -> None:
    return


async def compared(root: Path, port: int, sessions: int, rounds: int, *, at_once: bool, peer: bool) -> dict[str, Load]:
    """Each side's turns, `rounds` in each session, the sides by turns after a warm-up: what disturbs one disturbs all.

    A session is one of a hundred at least, so that no conversation grows long: the peers send one message each time.
    """
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        sides = {"bare": await enter(bare_side(port)), "engine": await enter(engine_side(root, port, sessions))}
        if peer:
            sides["litellm"] = await enter(litellm_side(port))
        for side in sides.values():
            await side.warmed(range(min(sessions, WARM_TURNS)), at_once=at_once)
        size = sessions if at_once else min(sessions, BLOCK)
        blocks = [range(first, min(first + size, sessions)) for first in range(0, sessions, size)]
        for _ in range(rounds):
            for block in blocks:
                for side in sides.values():
                    await side.block(block, at_once=at_once)
        return {name: side.load() for name, side in sides.items()}


def measure_load(sessions: int, rounds: int, *, at_once: bool = True, peer: bool = False) -> dict[str, Load]:
    """`compared` with a provider in a process of its own: bare, engine, and litellm where the `peer` is asked for."""
    with provider_process() as port, tempfile.TemporaryDirectory() as root:
        return asyncio.run(compared(Path(root), port, sessions, rounds, at_once=at_once, peer=peer))


# --- two deployments, one of them limited ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Routed:
    """What a router did: requests to the limited deployment, and the p99 of a turn in ms."""

    to_limited: int
    p99_ms: float
    answered: int


@dataclass(frozen=True, slots=True)
class Router:
    """One that is compared: a turn, and how many requests the limited deployment has got."""

    ask: Ask
    to_limited: Callable[[], int]


@asynccontextmanager
async def engine_router(root: Path) -> AsyncIterator[Router]:
    models = (ModelRef("kelp", "hermit-mini"),)
    async with open_lab(root, profiles={"coral": ("clawdia",), "kelp": ("barnaby", "shelly")}, models=models) as lab:
        limited = lab.key("kelp:barnaby")
        lab.provider.standing[limited] = rate_limited()
        for n in range(ROUTED_SESSIONS):
            (lab.world.sessions_dir("main") / f"routed-{n}.jsonl").touch()
        yield Router(
            lambda turn: lab.driver.drive(TurnRequest(f"routed-{turn % ROUTED_SESSIONS}.jsonl", "hello")).result(),
            lambda: sum(request.key == limited for request in lab.provider.requests),
        )


@asynccontextmanager
async def litellm_router() -> AsyncIterator[Router]:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it asks the network for prices first
    import litellm.router

    async with ScriptedProvider() as provider:
        keys = {"limited": "sk-bench-limited", "well": "sk-bench-well"}
        provider.standing[keys["limited"]] = rate_limited()
        router = litellm.router.Router(
            model_list=[
                {
                    "model_name": "crab",
                    "litellm_params": {
                        "model": "openai/hermit-mini",
                        "api_key": key,
                        "api_base": provider.base_url("openai-completions"),
                    },
                }
                for key in keys.values()
            ]
        )

        async def ask(_turn: int) -> None:
            stream = await router.acompletion("crab", messages=[{"role": "user", "content": "hello"}], stream=True)
            async for _ in stream:
                pass

        yield Router(ask, lambda: sum(request.key == keys["limited"] for request in provider.requests))


async def routed(
    root: Path, turns: int, *, pause_s: float = 0.0, warm: int = 0, peer: bool = False
) -> tuple[Routed, Routed | None]:
    """The turns of the engine and of the peer, one of each in turn, `pause_s` between two turns of the same router."""
    async with AsyncExitStack() as stack:
        routers = [await stack.enter_async_context(engine_router(root))]
        if peer:
            routers.append(await stack.enter_async_context(litellm_router()))
        took: list[list[float]] = [[] for _ in routers]
        for turn in range(-warm, turns):
            for router, each in zip(routers, took, strict=True):
                began = time.monotonic()
                await router.ask(turn)
                if turn >= 0:
                    each.append((time.monotonic() - began) * 1000)
                await asyncio.sleep(pause_s / len(routers))
        ours, *theirs = (
            Routed(router.to_limited(), percentile(each, 0.99), len(each))
            for router, each in zip(routers, took, strict=True)
        )
        return ours, theirs[0] if theirs else None


# --- report ------------------------------------------------------------------------------------------------------


def test_the_work_is_real() -> None:
    with tempfile.TemporaryDirectory() as root:
        rotation = asyncio.run(rotate_once(Path(root), held=True))
    assert 0 < rotation.gap < rotation.reply
    for at_once in (True, False):
        for load in measure_load(4, 2, at_once=at_once).values():
            assert (len(load.took), load.failed) == (8, ())
            assert load.cpu_ms > 0
    with tempfile.TemporaryDirectory() as root:
        ours, theirs = asyncio.run(routed(Path(root), 3))
    assert (ours.to_limited, ours.answered, theirs) == (1, 3, None)


@pytest.mark.skipif(NO_PEER is not None, reason=str(NO_PEER))
def test_the_peer_is_really_asked(tmp_path: Path) -> None:
    _ours, theirs = asyncio.run(routed(tmp_path, 2, peer=True))
    assert theirs is not None
    assert theirs.answered == 2
    load = measure_load(2, 1, peer=True)["litellm"]
    assert (len(load.took), load.failed) == (2, ())


PEER = "litellm.Router"


def figures(quick: bool) -> Iterator[Row]:
    yield from _rotation(5 if quick else 200)
    yield from _load(1 if quick else 3)
    yield from _one_by_one(60 if quick else TURNS)


def _rotation(rounds: int) -> Iterator[Row]:
    free, held = measure_rotation(rounds)
    gap = percentile([one.gap for one in held], 0.99)
    note = f"peer: the lock free; {OPENCLAW}"
    free_gap = percentile([one.gap for one in free], 0.99)
    what = "429 -> next request while the store lock is held, p99"
    yield Figure(what, gap, "ms", ROTATION_P99_MS, peer=free_gap, samples=rounds, note=note)
    replies = [percentile([one.reply for one in each], 0.5) for each in (held, free)]
    what = "429 -> reply while the store lock is held, median"
    yield Figure(what, replies[0], "ms", REPLY_FACTOR, Limit.TIMES, peer=replies[1], samples=rounds, note="peer: free")


def _load(rounds: int) -> Iterator[Row]:
    loads = measure_load(SESSIONS, rounds, peer=NO_PEER is None)
    yield from _turns(f"{SESSIONS} at once", loads)
    failed = loads["engine"].failed
    what = f"turns of {SESSIONS} at once that failed"
    note = "; ".join(f"{count} times {words}" for words, count in Counter(failed).most_common(3))
    yield Figure(what, len(failed), "", 0, samples=SESSIONS * rounds, note=note)


def _one_by_one(turns: int) -> Iterator[Row]:
    rounds = 5
    yield from _turns("one by one", measure_load(turns // rounds, rounds, at_once=False, peer=NO_PEER is None))


def _turns(how: str, loads: Mapping[str, Load]) -> Iterator[Row]:
    bare, engine, peer = loads["bare"], loads["engine"], loads.get("litellm")
    turns = len(engine.took)
    for what, ours, floor, theirs in (
        (f"a turn, {how}, p50", engine.p50, bare.p50, peer.p50 if peer else None),
        (f"a turn, {how}, p99", engine.p99, bare.p99, peer.p99 if peer else None),
    ):
        yield Figure(what, ours, "ms", 1.0, Limit.TIMES if peer else Limit.NONE, theirs, floor, turns, note=PEER)
    theirs = peer.cpu_ms if peer else None
    yield Figure(f"CPU a turn, {how}", engine.cpu_ms, "ms", CPU_MS, peer=theirs, floor=bare.cpu_ms, samples=turns)
    if NO_PEER is not None:
        yield Skipped(f"a turn, {how}, beside {PEER}", NO_PEER)


def routing(quick: bool) -> Iterator[Row]:
    turns, pause = (30, 0.05) if quick else (TURNS, PAUSE_S)
    with tempfile.TemporaryDirectory() as root:
        going = routed(Path(root), turns, pause_s=pause, warm=WARM_TURNS, peer=NO_PEER is None)
        ours, theirs = asyncio.run(going)
    on = Limit.TIMES if theirs else Limit.NONE
    for what, mine, peer, unit in (
        ("requests to a rate-limited deployment", ours.to_limited, theirs.to_limited if theirs else None, ""),
        ("a turn beside a rate-limited deployment, p99", ours.p99_ms, theirs.p99_ms if theirs else None, "ms"),
    ):
        yield Figure(what, mine, unit, 1.0, on, peer=peer, samples=turns, note=PEER)
    if NO_PEER is not None:
        yield Skipped(f"routing beside {PEER}", NO_PEER)
    processes, each = (2, 12) if quick else (4, SESSIONS // 4)
    with tempfile.TemporaryDirectory() as root:
        counts = asyncio.run(crowd(Path(root), processes, each))
    what = f"{processes * each} turns of {processes} processes at once: the most asked of 6 accounts"
    fair = counts.total() / 6
    note = f"fair: {fair:.0f}; the least asked: {min(counts.values())}"
    yield Figure(what, max(counts.values()) / fair, "x", FAIR_SHARES, samples=counts.total(), note=note)


BENCHES = (
    Bench("engine", "a turn beside bare httpx and litellm.Router; rotation with a held store lock", 130, 45, figures),
    Bench("routing", "two deployments, one rate-limited; most of it is pauses", 75, 15, routing),
)
