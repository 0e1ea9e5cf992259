"""Driving generation D (2026.8.2 on): sessions are OpenClaw's tables, so driven turns go to a transcript of our own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clawtop.core.model import Event, EventKind
from clawtop.core.session.turn_request import TurnRequest
from clawtop.demo.provider import Respond, ScriptedProvider
from clawtop.engine.drive.driver import Driver
from clawtop.errors import RefusedError
from clawtop.store.sessions.conversation import read_conversation
from tests.support import samples

pytestmark = pytest.mark.anyio


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider(default=Respond("pong")) as made:
        yield made


def laid_out(tmp_path: Path, provider: ScriptedProvider) -> Path:
    state_dir = samples.unpacked("2026.9.6", "running", tmp_path).state_dir
    for path in (state_dir / "openclaw.json", *state_dir.glob("agents/*/agent/models.json")):
        document = json.loads(path.read_text())
        for entry in document.get("models", document)["providers"].values():
            entry["baseUrl"] = provider.base_url("openai-completions")
        path.write_text(json.dumps(document))
    return state_dir


def tables(state_dir: Path) -> dict[str, bytes]:
    """The agents' databases, whose session tables are OpenClaw's alone."""
    return {path.name: path.read_bytes() for path in state_dir.glob("agents/*/agent/*.sqlite")}


async def test_a_turn_goes_to_a_transcript_of_our_own_and_never_into_tables(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    state_dir = laid_out(tmp_path, provider)
    before = tables(state_dir)
    events: list[Event] = []
    async with Driver(state_dir, environ={}, home=tmp_path, listen=events.append) as driver:
        first = await driver.drive(TurnRequest("agent:main:main", "hello")).result()
        second = await driver.drive(TurnRequest("agent:main:main", "and again")).result()
        await driver.resources.marks.drained()
    assert first.text == second.text == "pong"
    assert first.session_file == second.session_file
    assert first.session_file.parent == state_dir.resolve() / "clawtop" / "transcripts" / "main"
    assert [said.text for said in read_conversation(first.session_file).said] == ["hello", "pong", "and again", "pong"]
    assert not list((state_dir / "agents").rglob("*.jsonl"))
    assert tables(state_dir) == before
    told = [event.text for event in events if event.kind is EventKind.NOTICE and "listed" in event.data]
    assert all("database" in text for text in told)
    assert told


async def test_a_file_names_no_session_there(tmp_path: Path, provider: ScriptedProvider) -> None:
    state_dir = laid_out(tmp_path, provider)
    async with Driver(state_dir, environ={}, home=tmp_path) as driver:
        for name in ("x.jsonl", "/etc/passwd", "../../x"):
            with pytest.raises(RefusedError):
                await driver.drive(TurnRequest(name, "hello")).result()
    assert provider.requests == []
