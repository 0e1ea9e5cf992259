"""Rotation under load and across processes: simultaneous turns spread, a failing account is known to all at once, a
provider's own time is kept, one probe is all that goes out while every account cools."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from clawtop.core.model import EventKind, ModelRef
from clawtop.core.session.turn_request import TurnRequest
from clawtop.demo.lock_process import LockProcess
from clawtop.demo.provider import Act, Drop, ReceivedRequest, Refuse, Respond, Stall, rate_limited
from clawtop.demo.threads import LIGHTHOUSE, SIX, TWO_AND_ONE, Lab, open_lab
from clawtop.demo.world import PRIMARY, SECONDARY
from clawtop.engine.drive.chain import AllModelsFailedError
from clawtop.engine.drive.driver import Driver, EngineSettings
from clawtop.engine.drive.events import AccountWait
from clawtop.engine.providers.errors import ProviderError
from clawtop.store.own.accounts import AccountNote, AccountNotes
from tests.support.crowd import crowd

pytestmark = pytest.mark.anyio
CORAL = ("coral:clawdia", "coral:larry")


def asked(lab: Lab) -> list[str]:
    names = {key: name for name, key in lab.world.keys.items()}
    return [names[request.key] for request in lab.provider.requests]


@asynccontextmanager
async def drivers(lab: Lab, count: int) -> AsyncIterator[list[Driver]]:
    """Further engines on the same directory: to each other they are what other processes are, but for the registry."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(Driver(lab.world.state_dir, environ={}, home=lab.world.state_dir.parent))
            for _ in range(count)
        ]


def limits(lab: Lab, at_once: int) -> None:
    path = lab.world.state_dir / "openclaw.json"
    config = json.loads(path.read_text())
    config["agents"]["defaults"]["maxConcurrent"] = at_once
    path.write_text(json.dumps(config))


async def test_twelve_simultaneous_turns_spread_over_six_accounts(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=SIX) as lab:
        limits(lab, 20)
        lab.provider.default = Respond("pong", first_after=0.3)
        async with drivers(lab, 1) as (driver,):
            runs = [driver.drive(TurnRequest(f"fair-{n}", "hello")) for n in range(12)]
            await asyncio.gather(*(run.result() for run in runs))
    counts = Counter(asked(lab))
    assert set(counts.values()) == {2}
    assert len(counts) == 6


async def test_turns_of_other_processes_count_as_well(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        used = {profile.id: profile.stats.last_used or 0 for profile in lab.driver.resources.auth("main").profiles}
        first = min(CORAL, key=lambda name: used[name])
        record = lab.world.state_dir / "clawtop" / "holders"
        async with _process(lab, "other") as ready:
            await ready()
            lab.provider.requests.clear()
            assert list(record.glob("*.json"))
            await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
            assert asked(lab) == [next(name for name in CORAL if name != first)]


@asynccontextmanager
async def _process(lab: Lab, session: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """`clawtop drive` in a process of its own, whose request stalls until it is over."""
    begun = asyncio.Event()

    def stall_once(_: ReceivedRequest) -> Act:
        lab.provider.standing = {}
        begun.set()
        return Stall("headers")

    lab.provider.standing = dict.fromkeys(lab.world.keys.values(), stall_once)
    words = ["--state-dir", str(lab.world.state_dir), "drive", "--new", "--session", session, "--message", "hello"]
    quiet = asyncio.subprocess.DEVNULL
    home = {"HOME": str(lab.world.state_dir.parent)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "clawtop", *words, stdout=quiet, stderr=quiet, env=home
    )

    async def ready() -> None:
        async with asyncio.timeout(30):
            await begun.wait()

    try:
        yield ready
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.long
async def test_two_hundred_turns_of_four_processes_spread_over_six_accounts(tmp_path: Path) -> None:
    counts = await crowd(tmp_path, processes=4, turns=50)
    assert counts.total() == 200, "nobody was asked twice"
    assert len(counts) == 6
    assert all(0.6 <= count / (200 / 6) <= 1.4 for count in counts.values()), counts


async def test_a_failing_account_is_known_to_others_at_once_though_the_store_is_locked(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab, drivers(lab, 1) as (other,):
        used = {profile.id: profile.stats.last_used or 0 for profile in lab.driver.resources.auth("main").profiles}
        first, second = sorted(CORAL, key=lambda name: used[name])
        lab.provider.standing[lab.key(first)] = rate_limited()
        async with LockProcess("auth", lab.world.agent_dir()):
            await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
            assert asked(lab) == [first, second]
            await other.drive(TurnRequest("elsewhere", "hello")).result()
            assert asked(lab) == [first, second, second]


async def test_nobody_is_probed_before_the_time_that_every_provider_names(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab, drivers(lab, 1) as (other,):
        lab.provider.standing = dict.fromkeys(lab.world.keys.values(), rate_limited(3600))
        with pytest.raises(AllModelsFailedError):
            await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        await lab.driver.resources.marks.drained()
        lab.provider.requests.clear()
        for driver in (lab.driver, other):
            with pytest.raises(AllModelsFailedError, match=r"it says to retry in 3[56]\d\d s"):
                await driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        assert asked(lab) == []
        notes = lab.driver.resources.accounts.read().notes
        now = lab.clock.now_ms()
        (agent, profile), note = next((who, note) for who, note in notes.items() if who[1] == "kelp:barnaby")
        lab.driver.resources.accounts.note(agent, profile, replace(note, at=now, told=None))
        lab.provider.standing = {}
        answer = await other.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        assert (answer.profile, asked(lab)) == ("kelp:barnaby", ["kelp:barnaby"])


async def test_the_providers_own_time_is_the_earliest_retry(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE, models=(PRIMARY,)) as lab:
        for name in CORAL:
            lab.provider.standing[lab.key(name)] = rate_limited(3600)
        with pytest.raises(ProviderError):
            await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        (end,) = lab.of(EventKind.RUN_END)
        assert end.data["first_back"] in CORAL
        assert 3_500_000 < end.data["back_at"] - lab.clock.now_ms() <= 3_600_000
        notes = AccountNotes(lab.world.state_dir).read().notes
        assert all(note.told and note.model == PRIMARY.model for note in notes.values())
        assert {profile for _, profile in notes} == set(CORAL)


async def test_a_providers_time_that_ends_before_the_window_is_told_as_well(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE, models=(PRIMARY,)) as lab:
        for name in CORAL:
            lab.provider.standing[lab.key(name)] = rate_limited(2)
        began = lab.clock.now_ms()
        with pytest.raises(ProviderError):
            await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        notes = AccountNotes(lab.world.state_dir).read().notes
        assert {profile for _, profile in notes} == set(CORAL)
        for note in notes.values():
            assert note.told is not None
            assert began <= note.told - 2_000 <= lab.clock.now_ms()
            assert note.until > note.told, "the window is longer"


async def test_a_cleared_account_is_free_again_whatever_was_noted(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        now = lab.clock.now_ms()
        notes = AccountNotes(lab.world.state_dir)
        notes.note("main", CORAL[0], AccountNote(now - 60_000, now + 60_000, "rate_limit"))
        profiles = lab.driver.resources.auth("main").profiles
        assert lab.driver.resources.noted(profiles, PRIMARY.model) == {}
        notes.note("main", CORAL[0], AccountNote(now, now + 60_000, "rate_limit", "another-model"))
        assert lab.driver.resources.noted(profiles, PRIMARY.model) == {}
        assert lab.driver.resources.noted(profiles, "another-model") == {CORAL[0]: now + 60_000}


async def test_an_answer_ends_what_was_noted(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        now = lab.clock.now_ms()
        notes = AccountNotes(lab.world.state_dir)
        for name in CORAL:
            notes.note("main", name, AccountNote(now, now + 60_000, "overloaded", "another-model"))
        answer = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        assert {profile for _, profile in notes.read().notes} == set(CORAL) - {answer.profile}


async def test_six_drives_while_every_account_cools_are_one_probe_in_all(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE, models=(PRIMARY, ModelRef("coral", "small-claw"))) as lab:
        path = lab.world.agent_dir() / "auth-state.json"
        state = json.loads(path.read_text())
        now = lab.clock.now_ms()
        for name in CORAL:
            state["usageStats"][name] |= {
                "cooldownUntil": now + 25_000,
                "cooldownReason": "rate_limit",
                "errorCount": 1,
                "lastFailureAt": now,
            }
        path.write_text(json.dumps(state))
        for name in CORAL:
            lab.provider.standing[lab.key(name)] = rate_limited()
        async with drivers(lab, 6) as engines:
            ends = await asyncio.gather(
                *(engine.drive(TurnRequest(f"probe-{n}", "hello")).result() for n, engine in enumerate(engines)),
                return_exceptions=True,
            )
        assert all(isinstance(end, AllModelsFailedError) for end in ends)
        assert len(asked(lab)) == 1


@pytest.mark.parametrize(
    ("later_ms", "won"), [(-5, False), (0, False), (29_000, False), (30_000, True), (-40_000, True)]
)
async def test_a_probe_is_claimed_once_also_by_who_asked_before_the_claim(
    tmp_path: Path, later_ms: int, won: bool
) -> None:
    now = 1_795_000_000_000
    first, other = AccountNotes(tmp_path), AccountNotes(tmp_path)
    assert first.claim_probe("kelp", now)
    assert other.claim_probe("kelp", now + later_ms) is won


async def test_waiting_for_an_account_ends_with_its_return(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE, models=(SECONDARY,)) as lab:
        path = lab.world.agent_dir() / "auth-state.json"
        state = json.loads(path.read_text())
        now = lab.clock.now_ms()
        state["usageStats"].setdefault("kelp:barnaby", {}).update(
            {"disabledUntil": now + 1200, "disabledReason": "billing", "errorCount": 1, "lastFailureAt": now}
        )
        path.write_text(json.dumps(state))
        lab.driver.resources.accounts.claim_probe(_key(lab, "kelp"), now)
        answer = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello", wait_for_account_s=60)).result()
        assert answer.profile == "kelp:barnaby"
        assert lab.clock.now_ms() >= now + 1200
        (wait,) = [event for event in lab.of(EventKind.WAIT) if "until" in event.data]
        assert (wait.profile, wait.data["until"]) == ("kelp:barnaby", now + 1200)


def _disabled(lab: Lab, until: int | None) -> None:
    path = lab.world.agent_dir() / "auth-state.json"
    state = json.loads(path.read_text())
    stats = {} if until is None else {"disabledUntil": until, "disabledReason": "billing", "errorCount": 1}
    state["usageStats"]["kelp:barnaby"] = stats
    path.write_text(json.dumps(state))
    lab.driver.resources.accounts.claim_probe(_key(lab, "kelp"), lab.clock.now_ms())


async def test_a_wait_for_an_account_counts_and_ends_when_somebody_clears_it(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE, models=(SECONDARY,)) as lab:
        until = lab.clock.now_ms() + 3_600_000
        _disabled(lab, until)
        run = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello", wait_for_account_s=7200))
        waits: list[AccountWait] = []
        async for item in run:
            if isinstance(item, AccountWait):
                waits.append(item)
                if len(waits) == 1:
                    _disabled(lab, None)
        assert (await run.result()).profile == "kelp:barnaby"
        assert waits == [AccountWait("kelp:barnaby", until)]
        assert lab.clock.now_ms() < until


async def test_an_account_that_is_back_too_late_is_not_waited_for(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE, models=(SECONDARY,)) as lab:
        _disabled(lab, lab.clock.now_ms() + 3_600_000)
        with pytest.raises((ProviderError, AllModelsFailedError)):
            await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello", wait_for_account_s=60)).result()
        assert asked(lab) == []


async def test_a_wait_for_an_account_can_be_cancelled_and_holds_nothing(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE, models=(SECONDARY,)) as lab:
        _disabled(lab, lab.clock.now_ms() + 3_600_000)
        run = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello", wait_for_account_s=7200))
        async for item in run:
            if isinstance(item, AccountWait):
                assert list((lab.world.state_dir / "clawtop" / "holders").glob("*.json")) == []
                assert run.phase == "waiting-account"
                run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run.result()


def _key(lab: Lab, provider: str) -> str:
    from clawtop.core.failover.probing import probe_key

    place = lab.driver.layout.agent("main")
    return probe_key(provider, str(place.agent_dir) if place is not None else None)


@pytest.mark.parametrize("seed", range(3))
async def test_thirty_of_thirty_turns_are_answered_though_four_in_ten_requests_fail_at_once(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    faults = (Refuse(500), Refuse(502), Refuse(503), Refuse(504), Drop(), Respond(cut=1))

    def flaky(_: ReceivedRequest) -> Act:
        return chance.choice(faults) if chance.random() < 0.4 else Respond("pong")

    models = (PRIMARY, ModelRef("coral", "small-claw"))
    async with open_lab(tmp_path, profiles={"coral": ("clawdia", "larry"), "kelp": ("hermit",)}, models=models) as lab:
        lab.provider.standing = dict.fromkeys(lab.world.keys.values(), flaky)
        settings = EngineSettings(pause_s=0.01)
        async with Driver(lab.world.state_dir, environ={}, home=tmp_path, settings=settings) as driver:
            for turn in range(30):
                answer = await driver.drive(TurnRequest(f"flaky-{turn}", "hello")).result()
                assert answer.text == "pong"
