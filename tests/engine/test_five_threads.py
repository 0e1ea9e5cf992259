"""The five threads that clawtop was built from, end to end: real sockets, real files, real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.failover import fallback
from clawtop.core.failover.decision import TimeoutPolicy
from clawtop.core.model import Event, EventKind, ModelRef
from clawtop.core.rules import TRANSIENT_REASONS
from clawtop.core.session.admission import OnContention
from clawtop.core.session.turn_request import TurnRequest
from clawtop.demo.lock_process import LockProcess
from clawtop.demo.provider import Act, ReceivedRequest, Respond, Stall, rate_limited
from clawtop.demo.threads import (
    HEARTBEAT,
    LIGHTHOUSE,
    REPLAYS,
    SIX,
    TIDEPOOL,
    TWO_AND_ONE,
    Lab,
    Replay,
    open_lab,
)
from clawtop.demo.world import CAST, PRIMARY, SECONDARY
from clawtop.engine.drive.chain import AllModelsFailedError, Chain
from clawtop.engine.drive.driver import Driver
from clawtop.engine.drive.marks import Marks
from clawtop.engine.providers.base import Timeouts
from clawtop.engine.providers.errors import ErrorKind, ProviderError
from clawtop.errors import (
    SessionContendedError,
    SessionTakeoverError,
    SessionWriteLockTimeoutError,
)
from clawtop.store.own.mark_spool import spool_dir
from clawtop.store.sessions.conversation import read_conversation
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

SOON_S = 1.0
"""OpenClaw's figures are 50 s and more; a busy test machine is given this much."""


@pytest.mark.parametrize("replay", REPLAYS, ids=lambda replay: replay.__name__)
async def test_the_selftest_holds(replay: Replay, tmp_path: Path) -> None:
    finding = await replay(tmp_path)
    assert finding.holds, finding


def said_by(requests: list[ReceivedRequest]) -> dict[str, list[ReceivedRequest]]:
    """The requests of each run, by the message that it sends."""
    runs: dict[str, list[ReceivedRequest]] = {}
    for request in requests:
        runs.setdefault(request.prompt, []).append(request)
    return runs


# --- 1: rotation under a held store lock (57281) -----------------------------------------------------------------


@pytest.mark.long
async def test_twelve_agents_rotate_and_fall_back_while_another_process_has_the_store(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        for profile in ("coral:clawdia", "coral:larry"):
            lab.provider.standing[lab.key(profile)] = rate_limited()
        async with LockProcess("auth", lab.world.agent_dir()) as other:
            held_since = lab.clock.monotonic()
            runs = [
                lab.driver.drive(
                    TurnRequest(f"talk-{n}", f"message {n}", agent=("main", "sebastian", "scuttle")[n % 3])
                )
                for n in range(12)
            ]
            answers = [await run.result() for run in runs]
            assert json.loads((lab.world.agent_dir() / "auth-profiles.json.lock").read_text())["pid"] == other.pid
            await lab.clock.sleep(max(0.0, 5.0 - (lab.clock.monotonic() - held_since)))
            pending = {mark.profile for mark in lab.driver.resources.marks.pending()}
            spooled = list(spool_dir(lab.world.state_dir).glob("*.json"))
        await lab.driver.resources.marks.drained()
        assert {answer.model for answer in answers} == {SECONDARY}
        assert {"coral:clawdia", "coral:larry"} <= pending
        assert spooled
        for requests in said_by(lab.provider.requests).values():
            keys = Counter(request.key for request in requests)
            assert max(keys.values()) == 1
            for before, after in pairwise(requests):
                assert before.ended is not None
                assert after.began - before.ended < SOON_S
        state = json.loads((lab.world.agent_dir() / "auth-state.json").read_text())
        first_failures = [event.at for event in lab.of(EventKind.FAILURE)]
        for profile in ("coral:clawdia", "coral:larry"):
            stats = state["usageStats"][profile]
            assert stats["cooldownReason"] == "rate_limit"
            assert stats["cooldownUntil"] <= max(first_failures) + 30_000 + 100, "it carries the failure's own time"
        assert not list(spool_dir(lab.world.state_dir).glob("*.json"))


async def test_the_log_says_error_then_rotation_then_mark(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        for profile in ("coral:clawdia", "coral:larry"):
            lab.provider.standing[lab.key(profile)] = rate_limited()
        await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        await lab.driver.resources.marks.drained()
        kinds = [
            event.kind
            for event in lab.events
            if event.kind in {EventKind.FAILURE, EventKind.ROTATE, EventKind.FALLBACK, EventKind.MARK}
        ]
        assert kinds[:2] == [EventKind.FAILURE, EventKind.ROTATE]
        assert kinds.index(EventKind.MARK) > 1
        assert kinds.count(EventKind.MARK) == 3
        failure, rotation = lab.of(EventKind.FAILURE)[0], lab.of(EventKind.ROTATE)[0]
        assert rotation.at - failure.at < 1000


@pytest.mark.long
async def test_a_process_that_exits_right_after_a_429_leaves_a_mark_that_lands(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles={"coral": ("clawdia",), "kelp": ("barnaby",)}) as lab:
        lab.provider.standing[lab.key("coral:clawdia")] = rate_limited()
        async with LockProcess("auth", lab.world.agent_dir()):
            code, output = await drive(lab, LIGHTHOUSE.key, "hello")
            assert code == 0
            failed_at = next(line["at"] for line in output if line.get("kind") == "failure")
            left = [json.loads(path.read_text()) for path in spool_dir(lab.world.state_dir).glob("*.json")]
            assert ("coral:clawdia", "rate_limit") in {(mark["profile"], mark.get("reason")) for mark in left}
        before = json.loads((lab.world.agent_dir() / "auth-state.json").read_text())["usageStats"]
        assert "cooldownUntil" not in before["coral:clawdia"]
        assert (await drive(lab, TIDEPOOL.key, "next", "--model", str(SECONDARY)))[0] == 0
        stats = json.loads((lab.world.agent_dir() / "auth-state.json").read_text())["usageStats"]["coral:clawdia"]
        assert abs(stats["lastFailureAt"] - failed_at) < 50
        assert not list(spool_dir(lab.world.state_dir).glob("*.json"))


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
async def test_a_process_that_is_ended_after_a_429_loses_nothing(tmp_path: Path, number: signal.Signals) -> None:
    async with open_lab(tmp_path, profiles={"coral": ("clawdia",), "kelp": ("barnaby",)}) as lab:
        lab.provider.standing[lab.key("coral:clawdia")] = rate_limited()
        lab.provider.standing[lab.key("kelp:barnaby")] = Stall()
        async with LockProcess("auth", lab.world.agent_dir()), driving(lab, LIGHTHOUSE.key, "hello") as process:
            await lab.provider.until(lambda requests: len(requests) == 2)
            await until(lambda: bool(list(spool_dir(lab.world.state_dir).glob("*.json"))))
            process.send_signal(number)
            code = await process.wait()
        assert code == {signal.SIGINT: 130, signal.SIGKILL: -9}.get(number, 128 + number)
        lab.provider.standing.clear()
        await drive(lab, TIDEPOOL.key, "next", "--model", str(SECONDARY))
        stats = json.loads((lab.world.agent_dir() / "auth-state.json").read_text())["usageStats"]["coral:clawdia"]
        assert stats["failureCounts"] == {"rate_limit": 1}
        await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "again")).result()


async def test_a_failure_is_on_disk_before_the_next_account_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill during any later attempt finds it there, and one while the failure is told. What is lost is what was
    killed before, in the first moment after the answer was read.
    """
    assert Marks.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(Marks.__init__.__kwdefaults__, "note_wait_s", 30.0)
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        names = {key: profile for profile, key in lab.world.keys.items()}
        found: list[tuple[str, set[str]]] = []
        told: list[tuple[str | None, set[str]]] = []

        def spooled() -> set[str]:
            files = spool_dir(lab.world.state_dir).glob("*.json")
            return {json.loads(path.read_bytes())["profile"] for path in files}

        def look(event: Event) -> None:
            if event.kind is EventKind.FAILURE:
                told.append((event.profile, spooled()))

        monkeypatch.setattr(lab.driver, "_listen", look)

        def limited(request: ReceivedRequest) -> Act:
            found.append((names[request.key], spooled()))
            return Respond() if request.key == lab.key("kelp:barnaby") else rate_limited()

        lab.provider.standing = dict.fromkeys(lab.world.keys.values(), limited)
        async with LockProcess("auth", lab.world.agent_dir()):
            await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
    asked = [profile for profile, _ in found]
    assert sorted(asked) == ["coral:clawdia", "coral:larry", "kelp:barnaby"]
    assert [there for _, there in found] == [set(asked[:number]) for number in range(3)]
    assert told == [(profile, set(asked[: number + 1])) for number, profile in enumerate(asked[:2])]


# --- 2: six accounts (342) ---------------------------------------------------------------------------------------


async def test_six_accounts_over_three_processes_keep_each_others_statistics(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=SIX) as lab:
        names = [f"coral:{name}" for name in SIX["coral"]]
        for name in names[:4]:
            lab.provider.standing[lab.key(name)] = rate_limited(20)
        results = await asyncio.gather(*(drive(lab, one.key, f"from {one.key}") for one in CAST[:3]))
        assert [code for code, _ in results] == [0, 0, 0]
        for requests in said_by(lab.provider.requests).values():
            assert max(Counter(request.key for request in requests).values()) == 1
        state = json.loads((lab.world.agent_dir() / "auth-state.json").read_text())["usageStats"]
        refused = {request.key for request in lab.provider.requests if request.act == rate_limited(20)}
        cooled = {lab.key(name) for name in names if "cooldownUntil" in state[name]}
        assert cooled == refused
        assert all(
            state[name]["failureCounts"] == {"rate_limit": state[name]["errorCount"]}
            for name in names
            if lab.key(name) in cooled
        )


async def test_accounts_take_turns_by_last_use(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=SIX) as lab:
        for n in range(12):
            await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, f"turn {n}")).result()
        order = [request.key for request in lab.provider.requests]
        assert order[:6] == order[6:]
        assert len(set(order)) == 6


# --- 3: timeouts (62351) -----------------------------------------------------------------------------------------


async def test_four_agents_time_out_at_once_and_their_sessions_stay_answerable(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE, call=Timeouts(connect=10, first_byte=4, idle=4)) as lab:
        lab.provider.standing = dict.fromkeys(lab.world.keys.values(), Stall())
        talks = CAST[:4]
        runs = [lab.driver.drive(TurnRequest(one.key, "anybody?")) for one in talks]
        await lab.provider.until(lambda requests: len(requests) == 4)
        async with Driver(lab.world.state_dir, environ={}, home=tmp_path) as prober:
            for one in talks:
                assert not os.path.lexists(f"{lab.world.transcript(one)}.lock")
                with pytest.raises(SessionContendedError):
                    await prober.drive(TurnRequest(one.key, "probe", on_contention=OnContention.RAISE)).result()
        assert not any(run.done for run in runs), "refused at once, not after a lock timeout"
        for run in runs:
            with pytest.raises(ProviderError) as caught:
                await run.result()
            assert caught.value.timed_out
        lab.provider.standing.clear()
        for one in talks:
            began = lab.clock.monotonic()
            await lab.driver.drive(TurnRequest(one.key, "and now?")).result()
            assert lab.clock.monotonic() - began < SOON_S
        assert not {EventKind.ROTATE, EventKind.FALLBACK} & {event.kind for event in lab.events}
        assert not [event for event in lab.of(EventKind.MARK) if event.reason]


# --- 4: local coordination is not a model failure (83510) --------------------------------------------------------

THREE = (PRIMARY, SECONDARY, ModelRef("kelp", "last-crab"))


class Host:
    """A chain's host that records what it is told."""

    def __init__(self) -> None:
        self.steps: list[object] = []

    def consult(self, question: fallback.Consult) -> fallback.Available:
        return fallback.Available()

    def mark_probe(self, provider: str) -> None:
        self.steps.append(provider)

    def moved(self, step: fallback.Moved) -> None:
        self.steps.append(step)

    def suspended(self, step: fallback.SuspendLane) -> None:
        self.steps.append(step)

    def larger_window_follows(self, model: ModelRef) -> bool:
        return False

    def soonest_recovery(self, models: object) -> int | None:
        return 4711


def raising(*errors: BaseException | None) -> tuple[list[ModelRef], Callable[[fallback.Call], Awaitable[str]]]:
    """A run that fails with each error in turn; None: it answers."""
    called: list[ModelRef] = []

    async def call(step: fallback.Call) -> str:
        called.append(step.model)
        error = errors[len(called) - 1]
        if error is not None:
            raise error
        return "answer"

    return called, call


def wrapped(outer: BaseException, inner: BaseException, how: str) -> BaseException:
    setattr(outer, how, inner)
    return outer


LOCK = SessionWriteLockTimeoutError("session file locked (timeout 10000ms): pid=1 /x.jsonl.lock")
TAKEOVER = SessionTakeoverError("session file changed while embedded prompt lock was released: /x.jsonl")
CONTENDED = SessionContendedError("session is held")


@pytest.mark.parametrize(
    "error",
    [
        LOCK,
        TAKEOVER,
        CONTENDED,
        wrapped(RuntimeError("run failed"), LOCK, "__cause__"),
        wrapped(RuntimeError("run failed"), TAKEOVER, "__context__"),
        ExceptionGroup("several", [LOCK]),
    ],
    ids=["lock", "takeover", "contended", "lock-as-cause", "takeover-as-context", "lock-in-group"],
)
async def test_coordination_errors_are_rethrown_on_the_first_candidate(error: Exception) -> None:
    called, call = raising(error, None, None)
    host = Host()
    with pytest.raises(type(error)) as caught:
        await Chain(THREE, call, host, TRANSIENT_REASONS).run()
    assert caught.value is error
    assert called == [PRIMARY]
    assert host.steps == []


@pytest.mark.parametrize(
    "error",
    [
        wrapped(ProviderError(ErrorKind.HTTP, "429 rate limited", provider="coral", status=429), LOCK, "__cause__"),
        wrapped(
            ProviderError(ErrorKind.IN_STREAM, "quota", provider="coral", code="RESOURCE_EXHAUSTED"), LOCK, "__cause__"
        ),
    ],
    ids=["429", "RESOURCE_EXHAUSTED"],
)
async def test_what_the_provider_said_explicitly_wins_over_a_nested_lock_timeout(error: Exception) -> None:
    called, call = raising(error, None)
    assert await Chain(THREE, call, Host(), TRANSIENT_REASONS).run() == "answer"
    assert called == [PRIMARY, SECONDARY]


async def test_a_plain_timeout_is_no_coordination_error() -> None:
    called, call = raising(TimeoutError("request timed out"), None)
    assert await Chain(THREE, call, Host(), TRANSIENT_REASONS, TimeoutPolicy.FALLBACK).run() == "answer"
    assert len(called) == 2
    called, call = raising(TimeoutError("request timed out"), None)
    with pytest.raises(TimeoutError):
        await Chain(THREE, call, Host(), TRANSIENT_REASONS).run()
    assert len(called) == 1


async def test_every_model_that_fails_is_in_the_summary() -> None:
    errors = [ProviderError(ErrorKind.HTTP, f"429 no {n}", provider="x", status=429) for n in range(3)]
    called, call = raising(*errors)
    with pytest.raises(AllModelsFailedError, match=r"429 no 0.*429 no 1.*429 no 2") as caught:
        await Chain(THREE, call, Host(), TRANSIENT_REASONS).run()
    assert caught.value.summary.soonest_recovery == 4711
    assert caught.value.__cause__ is errors[2]
    assert called == list(THREE)


async def test_cancelling_the_chain_is_no_failure_of_a_model() -> None:
    called, call = raising(asyncio.CancelledError(), None)
    with pytest.raises(asyncio.CancelledError):
        await Chain(THREE, call, Host(), TRANSIENT_REASONS).run()
    assert len(called) == 1


async def test_a_lock_timeout_within_a_chain_of_three_models_is_one_run_and_the_true_error(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE, models=THREE) as lab:
        path = lab.world.state_dir / "openclaw.json"
        config = json.loads(path.read_text()) | {"session": {"writeLock": {"acquireTimeoutMs": 150}}}
        path.write_text(json.dumps(config))
        async with LockProcess("session", lab.world.transcript(LIGHTHOUSE)):
            code, output = await drive(lab, LIGHTHOUSE.key, "hello")
        assert code == 2
        (error,) = (line for line in output if line["type"] == "error")
        assert error["error"] == "SessionWriteLockTimeoutError"
        assert "session file locked" in error["title"]
        assert not {"attempt", "failure", "fallback", "mark"} & {line.get("kind") for line in output}
        assert lab.provider.requests == []


# --- 5: two lanes, one session (83510) ---------------------------------------------------------------------------


@pytest.mark.long
async def test_heartbeat_and_channel_of_two_processes_share_a_session_without_a_takeover(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        lab.provider.standing = dict.fromkeys(lab.world.keys.values(), Respond("aye", first_after=0.05))
        file = lab.world.transcript(HEARTBEAT)
        before = len(read_conversation(file).said)
        ours = [lab.driver.drive(TurnRequest(HEARTBEAT.key, f"beat {n}", lane="heartbeat")) for n in range(5)]
        others = [drive(lab, HEARTBEAT.key, f"snap {n}", "--lane", "channel") for n in range(3)]
        results = await asyncio.gather(*others)
        answers = [await run.result() for run in ours]
        assert [code for code, _ in results] == [0, 0, 0]
        assert len(answers) == 5
        requests = sorted(lab.provider.requests, key=lambda request: request.began)
        for earlier, later in pairwise(requests):
            assert later.began >= (earlier.ended or 0), "calls of one session never overlap"
        entries = [json.loads(line) for line in file.read_text().split("\n") if line]
        chained = [entry for entry in entries if entry["type"] != "session"]
        assert [entry["parentId"] for entry in chained[1:]] == [entry["id"] for entry in chained[:-1]]
        said = [one.text for one in read_conversation(file).said][before:]
        assert len(said) == 16
        assert sorted(said[::2]) == sorted([*(f"beat {n}" for n in range(5)), *(f"snap {n}" for n in range(3))])
        assert set(said[1::2]) == {"aye"}


# --- `clawtop drive` in a process of its own ---------------------------------------------------------------------


@asynccontextmanager
async def driving(lab: Lab, session: str, message: str, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    home = lab.world.state_dir.parent
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "clawtop", "drive", "--state-dir", str(lab.world.state_dir)),
        *("--session", session, "--message", message, "--json", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HOME": str(home)},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def drive(lab: Lab, session: str, message: str, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and the lines of JSON."""
    async with driving(lab, session, message, *options) as process:
        out, err = await process.communicate()
    assert b"Traceback" not in err, err.decode()
    assert process.returncode is not None
    return process.returncode, [json.loads(line) for line in out.splitlines()]
