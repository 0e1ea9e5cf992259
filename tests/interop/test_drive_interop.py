"""Sessions that clawtop drove are OpenClaw 2026.5.20's too: listed, readable, continued; neighbours do not disturb."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.model import EventKind
from clawtop.core.session.turn_request import TurnRequest
from clawtop.demo.provider import Respond, rate_limited
from clawtop.demo.threads import TWO_AND_ONE, Lab, open_lab
from clawtop.store.sessions.conversation import read_conversation
from tests.interop.openclaw_install import OpenClaw

pytestmark = [pytest.mark.interop, pytest.mark.anyio]


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as made:
        yield made


async def openclaw_says(openclaw: OpenClaw, lab: Lab, *words: str) -> str:
    """The standard output of one OpenClaw command on this world."""
    env = openclaw.environment(lab.world.state_dir.parent, lab.world.state_dir)
    return await asyncio.to_thread(openclaw.run, words, env, timeout=180)


def chain(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def is_one_chain(path: Path) -> bool:
    entries = [entry for entry in chain(path) if entry["type"] != "session"]
    return all(entry["parentId"] == before["id"] for before, entry in pairwise(entries))


async def test_openclaw_lists_and_continues_a_session_that_clawtop_began(openclaw: OpenClaw, lab: Lab) -> None:
    lab.provider.default = Respond("first answer")
    begun = await lab.driver.drive(TurnRequest("agent:main:tide-table", "high tide?")).result()
    listed = json.loads(await openclaw_says(openclaw, lab, "sessions", "--json"))
    rows = {row["key"]: row for row in listed["sessions"]}
    assert rows["agent:main:tide-table"]["sessionId"] == begun.session_id

    lab.provider.default = Respond("second answer")
    lab.provider.requests.clear()
    said = await openclaw_says(
        openclaw, lab, "agent", "--local", "--session-id", begun.session_id, "--message", "and low tide?", "--json"
    )
    assert "second answer" in said
    asked = json.dumps(lab.provider.requests[-1].body)
    assert "high tide?" in asked
    assert "first answer" in asked

    lab.provider.default = Respond("third answer")
    lab.provider.requests.clear()
    again = await lab.driver.drive(TurnRequest("agent:main:tide-table", "thank you")).result()
    asked = json.dumps(lab.provider.requests[-1].body)
    assert again.session_file == begun.session_file
    assert "second answer" in asked
    texts = [one.text for one in read_conversation(begun.session_file).said]
    assert texts[:2] == ["high tide?", "first answer"]
    assert texts[-2:] == ["thank you", "third answer"]
    assert any("and low tide?" in text for text in texts)
    assert is_one_chain(begun.session_file)
    assert len([entry for entry in chain(begun.session_file) if entry["type"] == "session"]) == 1


async def test_both_drive_neighbouring_sessions_of_one_directory_at_once(openclaw: OpenClaw, lab: Lab) -> None:
    lab.provider.default = Respond("aye", first_after=0.1)
    theirs = await lab.driver.drive(TurnRequest("agent:main:theirs", "begin")).result()
    ours = [lab.driver.drive(TurnRequest("agent:main:ours", f"turn {n}")) for n in range(6)]
    their_turn = asyncio.create_task(
        openclaw_says(
            openclaw, lab, "agent", "--local", "--session-id", theirs.session_id, "--message", "me too", "--json"
        )
    )
    answers = [await run.result() for run in ours]
    assert "aye" in await their_turn
    assert len(answers) == 6
    assert len(read_conversation(answers[0].session_file).said) == 12
    for path in (theirs.session_file, answers[0].session_file):
        assert is_one_chain(path)
    assert not lab.of(EventKind.TAKEOVER)


async def test_openclaw_and_clawtop_agree_on_what_cools_after_a_429(openclaw: OpenClaw, lab: Lab) -> None:
    for profile in ("coral:clawdia", "coral:larry"):
        lab.provider.standing[lab.key(profile)] = rate_limited()
    await lab.driver.drive(TurnRequest("agent:main:main", "hello")).result()
    await lab.driver.resources.marks.drained()
    said = json.loads(await openclaw_says(openclaw, lab, "models", "status", "--json"))
    unusable = {entry["profileId"] for entry in said["auth"]["unusableProfiles"]}
    assert unusable == {"coral:clawdia", "coral:larry"}
