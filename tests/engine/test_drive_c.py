"""Driving generation C (2026.6.5 to 2026.7): credentials and marks in SQLite, the session's lock held all the time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.model import Event, EventKind
from clawtop.core.session.turn_request import TurnRequest
from clawtop.demo.provider import ReceivedRequest, Respond, ScriptedProvider, rate_limited
from clawtop.engine.drive.driver import Driver
from clawtop.errors import SessionTakeoverError
from tests.support import samples

pytestmark = pytest.mark.anyio
KEY = "agent:main:main"


@dataclass
class World:
    state_dir: Path
    provider: ScriptedProvider
    driver: Driver
    events: list[Event]

    @property
    def transcript(self) -> Path:
        sessions = self.state_dir / "agents" / "main" / "sessions"
        entry = json.loads((sessions / "sessions.json").read_text())[KEY]
        return sessions / f"{entry['sessionId']}.jsonl"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    state_dir = samples.unpacked("2026.6.11", "healthy", tmp_path).state_dir
    async with ScriptedProvider() as provider:
        for path in (state_dir / "openclaw.json", *state_dir.glob("agents/*/agent/models.json")):
            document = json.loads(path.read_text())
            for entry in document.get("models", document)["providers"].values():
                entry["baseUrl"] = provider.base_url("openai-completions")
            path.write_text(json.dumps(document))
        events: list[Event] = []
        async with Driver(state_dir, environ={}, home=tmp_path, listen=events.append) as driver:
            yield World(state_dir, provider, driver, events)


async def test_a_turn_is_answered_written_and_marked_and_its_lock_is_held_throughout(world: World) -> None:
    lock = Path(f"{world.transcript}.lock")
    seen: list[dict[str, Any]] = []

    def answer(_: ReceivedRequest) -> Respond:
        seen.append(json.loads(lock.read_text()))
        return Respond("pong", first_after=0.05)

    world.provider.default = answer
    found = await world.driver.drive(TurnRequest(KEY, "hello", timeout_s=100)).result()
    assert found.text == "pong"
    assert found.profile == "fakeai:one"
    (held,) = seen
    assert {"pid", "createdAt", "maxHoldMs"} <= held.keys()
    assert held["maxHoldMs"] >= 100_000
    assert not lock.exists()
    last = json.loads(world.transcript.read_bytes().splitlines()[-1])
    assert last["message"]["content"][0]["text"] == "pong"
    await world.driver.resources.marks.drained()
    stats = {profile.id: profile.stats for profile in world.driver.resources.auth("main").profiles}
    assert (stats["fakeai:one"].last_used or 0) > 0
    assert [event.data["state"] for event in world.events if event.kind is EventKind.MARK] == ["landed"]


async def test_a_rate_limit_rotates_and_lands_in_the_database(world: World) -> None:
    asked: list[str] = []

    def act(request: ReceivedRequest) -> object:
        asked.append(request.key)
        return rate_limited() if len(asked) == 1 else Respond("pong")

    world.provider.default = act  # type: ignore[assignment]
    found = await world.driver.drive(TurnRequest(KEY, "hello")).result()
    assert found.profile == "fakeai:two"
    await world.driver.resources.marks.drained()
    stats = {profile.id: profile.stats for profile in world.driver.resources.auth("main").profiles}
    assert stats["fakeai:one"].cooldown_reason == "rate_limit"


async def test_what_somebody_writes_under_our_lock_is_a_takeover_and_nothing_is_added(world: World) -> None:
    def answer(_: ReceivedRequest) -> Respond:
        with world.transcript.open("ab") as file:
            file.write(b'{"type":"custom","id":"zz","parentId":null,"customType":"x","data":{}}\n')
        return Respond("pong")

    world.provider.default = answer
    run = world.driver.drive(TurnRequest(KEY, "hello"))
    with pytest.raises(SessionTakeoverError):
        await run.result()
    assert run.unstored == "pong"
    assert b'"zz"' in world.transcript.read_bytes().splitlines()[-1]
    assert not Path(f"{world.transcript}.lock").exists()


async def test_a_second_turn_waits_for_the_first(world: World) -> None:
    world.provider.default = Respond("pong", first_after=0.1)
    answers = await asyncio.gather(*(world.driver.drive(TurnRequest(KEY, f"hello {n}")).result() for n in range(3)))
    assert [answer.text for answer in answers] == ["pong"] * 3
    assert world.transcript.read_bytes().count(b'"pong"') == 3
