"""What the engine adds to a provider call, and what a held store lock adds to the engine.

In one run on one machine:

- the auth store's lock is held by another process: 429 to the next request, and to the reply, against a free one;
- 200 sessions at once: CPU per turn and p99 against a bare httpx loop that makes the same calls;
- one turn after the other, 500 of them: p50, p99 and CPU, against bare httpx and litellm.Router (`bench` extra);
- two deployments, one rate-limited: requests to the limited one and p99, against litellm.Router.

Percentiles are over at least 500 turns, and what warms up - first connections, imports - is left out for all sides.

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
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from clawtop.clock import SystemClock
from clawtop.core.model import ModelRef
from clawtop.demo.provider import Respond, ScriptedProvider, rate_limited
from clawtop.demo.puppets import Puppet
from clawtop.demo.threads import LIGHTHOUSE, TWO_AND_ONE, lab
from clawtop.demo.world import PRIMARY, SECONDARY, build_world
from clawtop.engine.drive.driver import Driver
from clawtop.store.sessions.conversation import read_conversation
from tests.bench.harness import Bench, Figure, Limit, Row, Skipped, percentile

ROTATION_P99_MS = 25.0
REPLY_FACTOR = 1.5
SESSIONS = 200
TURNS = 500
WARM_TURNS = 20
CPU_MS = 4.0
NO_PEER = None if importlib.util.find_spec("litellm") else "litellm is not installed: pip install -e '.[dev,bench]'"
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
    async with lab(root, profiles=TWO_AND_ONE) as reef:
        used = {profile.id: profile.stats.last_used or 0 for profile in reef.driver.desk.auth("main").profiles}
        first = min(("coral:clawdia", "coral:larry"), key=lambda name: used[name])
        await reef.driver.drive(LIGHTHOUSE.key, "the client is warm", model=SECONDARY).result()
        await reef.driver.desk.marks.drained()
        reef.provider.requests.clear()
        reef.provider.standing[reef.key(first)] = rate_limited()
        async with _held(reef.world.agent_dir(), held):
            began = reef.clock.monotonic()
            await reef.driver.drive(LIGHTHOUSE.key, "go").result()
            reply = (reef.clock.monotonic() - began) * 1000
        limited, answered = reef.provider.requests
        assert limited.ended is not None
        return Rotation((answered.began - limited.ended) * 1000, reply)


@asynccontextmanager
async def _held(directory: Path, held: bool) -> AsyncIterator[None]:
    if not held:
        yield
        return
    async with Puppet("auth", directory):
        yield


def measure_rotation(rounds: int) -> tuple[list[Rotation], list[Rotation]]:
    """Turns with the lock free, and with it held by another process."""
    results: dict[bool, list[Rotation]] = {False: [], True: []}
    for _ in range(rounds):
        for held in (False, True):
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
    """CPU of this process per turn in ms, how long all of it took in s, and how long each turn took in ms."""

    cpu_ms: float
    seconds: float
    took: tuple[float, ...] = ()

    @property
    def p50(self) -> float:
        return percentile(list(self.took), 0.5)

    @property
    def p99(self) -> float:
        return percentile(list(self.took), 0.99)


class Meter:
    """Measures turns; begun again once everything is warm."""

    def __init__(self) -> None:
        self._took: list[float] = []
        self._cpu, self._wall = time.process_time(), time.monotonic()

    async def turn(self, work: Awaitable[object]) -> None:
        began = time.monotonic()
        await work
        self._took.append((time.monotonic() - began) * 1000)

    def load(self) -> Load:
        cpu, wall = time.process_time() - self._cpu, time.monotonic() - self._wall
        return Load(cpu * 1000 / len(self._took), wall, tuple(self._took))


async def bare_loop(port: int, sessions: int, turns: int) -> Load:
    """The same requests, and nothing else."""
    import httpx

    key = "bare"
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)

    async def ask(client: httpx.AsyncClient, text: str) -> None:
        body = {
            "model": PRIMARY.model,
            "max_tokens": 2048,
            "stream": True,
            "messages": [{"role": "user", "content": text}],
        }
        async with client.stream("POST", "/v1/messages", json=body, headers={"x-api-key": key}) as response:
            assert response.status_code == 200
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    json.loads(line[6:])

    async def talk(client: httpx.AsyncClient, n: int, meter: Meter) -> None:
        for turn in range(turns):
            await meter.turn(ask(client, f"session {n} turn {turn}"))

    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base, trust_env=False, limits=limits, timeout=60) as client:
        await talk(client, -1, Meter())
        meter = Meter()
        await asyncio.gather(*(talk(client, n, meter) for n in range(sessions)))
        return meter.load()


async def engine_loop(root: Path, port: int, sessions: int, turns: int) -> Load:
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

        async def talk(name: str, meter: Meter) -> None:
            for turn in range(turns):
                await meter.turn(driver.drive(name, f"{name} turn {turn}").result())

        (world.sessions_dir("main") / "warm.jsonl").touch()
        await talk("warm.jsonl", Meter())
        meter = Meter()
        await asyncio.gather(*(talk(f"bench-{n}.jsonl", meter) for n in range(sessions)))
        load = meter.load()
    last = read_conversation(world.sessions_dir("main") / f"bench-{sessions - 1}.jsonl")
    assert len(last.said) == 2 * turns
    return load


def measure_load(sessions: int, turns: int) -> tuple[Load, Load]:
    """The bare loop and the engine, one after the other against one provider."""
    with provider_process() as port, tempfile.TemporaryDirectory() as root:
        bare = asyncio.run(bare_loop(port, sessions, turns))
        engine = asyncio.run(engine_loop(Path(root), port, sessions, turns))
    return bare, engine


async def litellm_loop(port: int, turns: int) -> Load:
    """The peer, one turn after the other, against the same provider."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it asks the network for prices first
    from litellm import Router

    params = {"model": "openai/hermit-mini", "api_key": "sk-bench", "api_base": f"http://127.0.0.1:{port}/v1"}
    router = Router(model_list=[{"model_name": "crab", "litellm_params": params}])

    async def ask() -> None:
        stream = await router.acompletion("crab", messages=[{"role": "user", "content": "hello"}], stream=True)
        async for _ in stream:
            pass

    for _ in range(WARM_TURNS):
        await ask()
    meter = Meter()
    for _ in range(turns):
        await meter.turn(ask())
    return meter.load()


# --- two deployments, one of them limited ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Routed:
    """What a router did: requests to the limited deployment, and the p99 of a turn in ms."""

    to_limited: int
    p99_ms: float
    answered: int


async def routed_by_engine(root: Path, turns: int, pause_s: float = 0.0, warm: int = 0) -> Routed:
    models = (ModelRef("kelp", "hermit-mini"),)
    async with lab(root, profiles={"coral": ("clawdia",), "kelp": ("barnaby", "shelly")}, models=models) as reef:
        limited = reef.key("kelp:barnaby")
        reef.provider.standing[limited] = rate_limited()
        took: list[float] = []
        for turn in range(-warm, turns):
            began = reef.clock.monotonic()
            await reef.driver.drive(f"routed-{turn}", "hello").result()
            if turn >= 0:
                took.append((reef.clock.monotonic() - began) * 1000)
            await asyncio.sleep(pause_s)
        asked = Counter(request.key for request in reef.provider.requests)
        return Routed(asked[limited], percentile(took, 0.99), len(took))


async def routed_by_litellm(turns: int, pause_s: float = 0.0, warm: int = 0) -> Routed:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it asks the network for prices first
    from litellm import Router

    async with ScriptedProvider() as provider:
        keys = {"limited": "sk-bench-limited", "well": "sk-bench-well"}
        provider.standing[keys["limited"]] = rate_limited()
        router = Router(
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
        took: list[float] = []
        for turn in range(-warm, turns):
            began = time.monotonic()
            stream = await router.acompletion("crab", messages=[{"role": "user", "content": "hello"}], stream=True)
            async for _ in stream:
                pass
            if turn >= 0:
                took.append((time.monotonic() - began) * 1000)
            await asyncio.sleep(pause_s)
        asked = Counter(request.key for request in provider.requests)
        return Routed(asked[keys["limited"]], percentile(took, 0.99), len(took))


# --- report ------------------------------------------------------------------------------------------------------


def test_the_work_is_real() -> None:
    with tempfile.TemporaryDirectory() as root:
        rotation = asyncio.run(rotate_once(Path(root), held=True))
    assert 0 < rotation.gap < rotation.reply
    bare, engine = measure_load(sessions=4, turns=2)
    assert bare.cpu_ms > 0
    assert engine.cpu_ms > 0
    with tempfile.TemporaryDirectory() as root:
        routed = asyncio.run(routed_by_engine(Path(root), 3))
    assert (routed.to_limited, routed.answered) == (1, 3)


@pytest.mark.skipif(NO_PEER is not None, reason=str(NO_PEER))
def test_the_peer_is_really_asked() -> None:
    assert asyncio.run(routed_by_litellm(2)).answered == 2


PEER = "litellm.Router"


def figures(quick: bool) -> Iterator[Row]:
    yield from _rotation(5 if quick else 200)
    yield from _load(1 if quick else 5)
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


def _load(turns: int) -> Iterator[Row]:
    bare, engine = measure_load(SESSIONS, turns)
    note = f"p50 {engine.p50:.0f} ms, p99 {engine.p99:.0f} ms; floor: bare httpx"
    what = f"CPU a turn, {SESSIONS} sessions at once"
    yield Figure(what, engine.cpu_ms, "ms", CPU_MS, floor=bare.cpu_ms, samples=SESSIONS * turns, note=note)


def _one_by_one(turns: int) -> Iterator[Row]:
    with provider_process() as port, tempfile.TemporaryDirectory() as root:
        bare = asyncio.run(bare_loop(port, 1, turns))
        engine = asyncio.run(engine_loop(Path(root), port, 1, turns))
        peer = asyncio.run(litellm_loop(port, turns)) if NO_PEER is None else None
    for what, ours, floor, theirs in (
        ("a turn, p50", engine.p50, bare.p50, peer.p50 if peer else None),
        ("a turn, p99", engine.p99, bare.p99, peer.p99 if peer else None),
    ):
        yield Figure(what, ours, "ms", 1.0, Limit.TIMES if peer else Limit.NONE, theirs, floor, turns, note=PEER)
    theirs = peer.cpu_ms if peer else None
    yield Figure("CPU a turn", engine.cpu_ms, "ms", CPU_MS, peer=theirs, floor=bare.cpu_ms, samples=turns)
    if NO_PEER is not None:
        yield Skipped(f"a turn beside {PEER}", NO_PEER)


def routing(quick: bool) -> Iterator[Row]:
    turns, pause = (30, 0.05) if quick else (TURNS, PAUSE_S)
    with tempfile.TemporaryDirectory() as root:
        ours = asyncio.run(routed_by_engine(Path(root), turns, pause, WARM_TURNS))
    theirs = None if NO_PEER is not None else asyncio.run(routed_by_litellm(turns, pause, WARM_TURNS))
    on = Limit.TIMES if theirs else Limit.NONE
    for what, mine, peer, unit in (
        ("requests to a rate-limited deployment", ours.to_limited, theirs.to_limited if theirs else None, ""),
        ("a turn beside a rate-limited deployment, p99", ours.p99_ms, theirs.p99_ms if theirs else None, "ms"),
    ):
        yield Figure(what, mine, unit, 1.0, on, peer=peer, samples=turns, note=PEER)
    if NO_PEER is not None:
        yield Skipped(f"routing beside {PEER}", NO_PEER)


BENCHES = (
    Bench("engine", "a turn beside bare httpx and litellm.Router; rotation with a held store lock", 240, 45, figures),
    Bench("routing", "two deployments, one rate-limited; most of it is pauses", 330, 15, routing),
)
