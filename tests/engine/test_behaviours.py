"""About 380 provider behaviours over real sockets, each with its class, whom the engine asks next, whom it marks, and
what the user reads."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from clawtop.clock import SystemClock
from clawtop.core.model import Event, EventKind, ModelRef
from clawtop.core.session.turn_request import TurnRequest
from clawtop.demo.provider import ScriptedProvider
from clawtop.demo.threads import LIGHTHOUSE
from clawtop.demo.world import PRIMARY, SECONDARY, World, build_world
from clawtop.engine.drive.driver import Driver, EngineSettings
from clawtop.errors import ClawtopError
from tests.engine.behaviours import COMPLETIONS, MESSAGES, STATUSES, Row
from tests.engine.behaviours_by_provider import BY_PROVIDER

pytestmark = pytest.mark.anyio

FIRST_BY_API = {"anthropic-messages": PRIMARY, "openai-completions": SECONDARY}
SETTINGS = EngineSettings(pause_s=0.001)
ROWS = [
    *(("anthropic-messages", row) for row in (*STATUSES, *MESSAGES)),
    *(("openai-completions", row) for row in (*STATUSES, *COMPLETIONS, *BY_PROVIDER)),
]


@dataclass(frozen=True, slots=True)
class Bench:
    """A state directory with two accounts for each of two models, and its pristine statistics."""

    world: World
    provider: ScriptedProvider
    root: Path
    pristine: bytes

    def profile_of(self, key: str) -> str:
        return next(name for name, value in self.world.keys.items() if value == key)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    root = tmp_path_factory.mktemp("behaviours")
    profiles = {"coral": ("clawdia", "larry"), "kelp": ("barnaby", "shelly")}
    world = build_world(root, seed=7, clock=SystemClock(), profiles=profiles, models=(PRIMARY, SECONDARY))
    async with ScriptedProvider() as provider:
        world.connect(provider.base_url)
        yield Bench(world, provider, root, (world.agent_dir() / "auth-state.json").read_bytes())


@pytest.mark.parametrize(("api", "row"), ROWS, ids=[f"{api.partition('-')[0]}: {row.name}" for api, row in ROWS])
async def test_the_engine_makes_of_a_behaviour_what_it_is(bench: Bench, api: str, row: Row) -> None:
    first = FIRST_BY_API[api]
    (bench.world.agent_dir() / "auth-state.json").write_bytes(bench.pristine)
    (bench.world.state_dir / "clawtop" / "accounts.json").unlink(missing_ok=True)
    bench.provider.requests.clear()
    bench.provider.standing = {
        key: row.act for name, key in bench.world.keys.items() if name.startswith(f"{first.provider}:")
    }
    events: list[Event] = []
    error, text, model = await _driven(bench, first, events)
    asked = [bench.profile_of(request.key).partition(":")[0] for request in bench.provider.requests]
    own = asked.count(first.provider)
    failures = [event for event in events if event.kind is EventKind.FAILURE]
    marks = {
        event.profile: event.reason
        for event in events
        if event.kind is EventKind.MARK and event.profile and event.profile.startswith(f"{first.provider}:")
    }
    if row.asks == "reply":
        assert (error, model, own) == (None, first, 1)
        assert row.reads in text
        assert set(marks.values()) <= {None}
        return
    told = failures[0]
    assert row.reads.lower() in told.text.lower()
    if row.asks == "end":
        assert (len(asked), own) == (1, 1)
        assert error is not None
    else:
        assert (own, model) == (2 if row.asks == "account" else 1, None if error else FIRST_BY_API[_other(api)])
    if row.reason == "tool_calls":
        assert told.data["code"] == "tool_calls"
    else:
        assert told.reason == row.reason
    assert set(marks.values()) == ({row.mark} if row.mark else set())


def _other(api: str) -> str:
    return next(name for name in FIRST_BY_API if name != api)


async def _driven(
    bench: Bench, first: ModelRef, events: list[Event]
) -> tuple[ClawtopError | None, str, ModelRef | None]:
    async with Driver(
        bench.world.state_dir, environ={}, home=bench.root, settings=SETTINGS, listen=events.append
    ) as driver:
        try:
            answer = await driver.drive(TurnRequest(LIGHTHOUSE.key, "hello", model=first)).result()
        except ClawtopError as error:
            return error, "", None
        finally:
            await driver.resources.marks.drained()
        return None, answer.text, answer.model


def test_every_account_of_the_pristine_state_is_usable(bench: Bench) -> None:
    state = json.loads(bench.pristine)
    assert all("cooldownUntil" not in stats for stats in state.get("usageStats", {}).values())
