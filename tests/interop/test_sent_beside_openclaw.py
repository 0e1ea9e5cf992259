"""What a turn sends beside what the real OpenClaw 2026.5.20 sends for the same message in the same session.

The state directory is copied after OpenClaw's first turn; then each of the two asks the same in its own copy. What
differs is in `DIFFERS`, or was told before the turn.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.model import Event, ModelRef
from clawtop.core.session.turn_request import TurnRequest
from clawtop.demo.provider import ReceivedRequest, Respond
from clawtop.demo.threads import TWO_AND_ONE, Lab, open_lab
from clawtop.demo.world import PRIMARY, SECONDARY
from clawtop.engine.drive.driver import Driver
from tests.interop.openclaw_install import OpenClaw

pytestmark = [pytest.mark.interop, pytest.mark.anyio]

KEY = "agent:main:tide-table"
SETTINGS = {"temperature": 0.5}
DIFFERS = {
    "tools": "clawtop runs none: `not sent: N tools`",
    "tool_choice": "there are none to choose from",
}
"""Fields of the body that OpenClaw alone sends, and why."""
OWN_HEADERS = frozenset(
    {
        *("host", "connection", "content-length", "accept", "accept-encoding", "accept-language"),
        *("user-agent", "traceparent", "sec-fetch-mode", "anthropic-dangerous-direct-browser-access"),
    }
)
"""What names a client, or belongs to one request."""


@pytest.mark.parametrize(
    ("model", "reasoning", "thinking"),
    [(SECONDARY, False, None), (PRIMARY, False, None), (PRIMARY, True, "medium"), (SECONDARY, True, "high")],
)
async def test_the_same_message_is_the_same_request_but_for_what_is_said(
    openclaw: OpenClaw, tmp_path: Path, model: ModelRef, reasoning: bool, thinking: str | None
) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE, models=(model,)) as lab:
        configured(lab, model, reasoning=reasoning, thinking=thinking)
        lab.provider.default = Respond("at noon")
        session = (await lab.driver.drive(TurnRequest(KEY, "hello")).result()).session_id
        await openclaw_turn(openclaw, lab, session, "high tide?")
        copy = copied(lab, tmp_path / "ours")
        theirs = await openclaw_turn(openclaw, lab, session, "and low tide?")
        told: list[Event] = []
        lab.provider.requests.clear()
        async with Driver(copy, environ={}, home=copy.parent, listen=told.append) as driver:
            await driver.drive(TurnRequest(KEY, "and low tide?")).result()
        (ours,) = lab.provider.requests
    assert blocks(ours.body) == blocks(theirs.body)
    assert fields(ours) == {name: value for name, value in fields(theirs).items() if name not in DIFFERS}
    assert headers(ours) == headers(theirs)
    tools = theirs.body["tools"]
    assert [event.text for event in told if event.data.get("not_sent")] == [f"not sent: {len(tools)} tools"]


def configured(lab: Lab, model: ModelRef, *, reasoning: bool, thinking: str | None) -> None:
    """Settings of every level: the provider's, the model's, the agent's."""
    path = lab.world.state_dir / "openclaw.json"
    config: dict[str, Any] = json.loads(path.read_text())
    provider = config["models"]["providers"][model.provider]
    provider["headers"] = {"x-reef": "provider"}
    for entry in provider["models"]:
        entry |= {"headers": {"x-crab": "model"}, "reasoning": reasoning, "maxTokens": 4096}
    defaults = config["agents"]["defaults"]
    defaults["models"] = {**defaults.get("models", {}), str(model): {"params": SETTINGS}}
    defaults |= {"workspace": str(lab.world.state_dir.parent / "workspace"), "skipBootstrap": True}
    if thinking is not None:
        defaults["thinkingDefault"] = thinking
    path.write_text(json.dumps(config))


async def openclaw_turn(openclaw: OpenClaw, lab: Lab, session: str, message: str) -> ReceivedRequest:
    """One turn of the real OpenClaw; its request."""
    lab.provider.requests.clear()
    env = openclaw.environment(lab.world.state_dir.parent, lab.world.state_dir)
    words = ("agent", "--local", "--session-id", session, "--message", message, "--json")
    await asyncio.to_thread(openclaw.run, words, env, timeout=240)
    return lab.provider.requests[-1]


def copied(lab: Lab, root: Path) -> Path:
    """The state directory as it is now, under another root; its list of sessions names the files there."""
    copy = root / lab.world.state_dir.name
    shutil.copytree(lab.world.state_dir, copy, ignore=shutil.ignore_patterns("clawtop"))
    for listed in copy.rglob("sessions.json"):
        listed.write_text(listed.read_text().replace(str(lab.world.state_dir), str(copy)))
    return copy


def blocks(body: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    """The system prompt and the messages, a text that stands alone as the only block of its list."""
    said = [("system", body["system"])] if "system" in body else []
    said += [(message["role"], message["content"]) for message in body["messages"]]
    return [(role, [{"type": "text", "text": what}] if isinstance(what, str) else what) for role, what in said]


def fields(request: ReceivedRequest) -> dict[str, Any]:
    return {name: value for name, value in request.body.items() if name not in {"messages", "system"}}


def headers(request: ReceivedRequest) -> dict[str, str]:
    kept = ((name.lower(), value) for name, value in request.headers.items())
    return {name: value for name, value in kept if name not in OWN_HEADERS and not name.startswith("x-stainless")}
