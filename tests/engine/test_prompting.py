"""What a turn sends, and what it says that it does not send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.conversation import Image, Message, Text, ToolCall, ToolResult
from clawtop.core.model import ModelRef
from clawtop.core.session.turn_request import TurnRequest
from clawtop.demo.threads import LIGHTHOUSE, TWO_AND_ONE, open_lab
from clawtop.demo.world import PRIMARY, SECONDARY
from clawtop.engine.drive.prompting import PreparedPrompt, PromptSources, prepare
from clawtop.engine.drive.system_prompt import SystemPrompt, as_sent
from clawtop.store.provider.model_config import provider_named, read_providers
from clawtop.store.sessions.settings import RunContext, SessionSettings, run_context

pytestmark = pytest.mark.anyio
MODEL = ModelRef("reef", "crab-1")
TALK = (Message("user", "a" * 400), Message("assistant", "b" * 400))


def prepared(
    model: dict[str, Any] | None = None,
    history: tuple[Message, ...] = (),
    agents: dict[str, Any] | None = None,
    **more: Any,
) -> PreparedPrompt:
    entry = {"id": "crab-1", **(model or {})}
    config: dict[str, Any] = {
        "models": {"providers": {"reef": {"baseUrl": "http://127.0.0.1:9", "models": [entry]}}},
        "agents": agents or {},
    }
    provider = provider_named(read_providers(config)[0], "reef")
    return prepare(history, "hello", PromptSources(provider, MODEL, "main", config, **more))


def test_the_sessions_own_system_prompt_is_sent_unless_the_operator_gives_one() -> None:
    context = RunContext(system="stored", tools=("read", "write"))
    assert prepared(context=context).prompt.system == "stored"
    assert prepared(context=context, system="given").prompt.system == "given"
    assert prepared(context=context).not_sent == ("2 tools",)
    assert "system prompt" in prepared().not_sent[0]


def test_what_the_window_does_not_hold_is_left_out_and_said() -> None:
    made = prepared({"contextWindow": 200, "maxTokens": 50}, TALK, system="")
    assert [message.text for message in made.prompt.messages] == ["hello"]
    assert made.not_sent == ("the 2 oldest messages (they exceed the window of 200 tokens)",)
    assert len(prepared({"contextWindow": 64_000}, TALK, system="").prompt.messages) == 3


def test_pictures_and_tools_go_where_the_model_takes_them() -> None:
    history = (
        Message("user", (Text("look"), Image("image/png", "aGk="))),
        Message("assistant", (ToolCall("c1", "read", {}),)),
        Message("user", (ToolResult("c1", "read", "a crab"),)),
    )
    assert prepared({"input": ["text", "image"]}, history, system="").not_sent == ()
    assert prepared({"input": ["text"]}, history, system="").not_sent == ("1 images (reef/crab-1 takes none)",)
    made = prepared({"compat": {"supportsTools": False}}, history, system="")
    assert made.not_sent == ("2 tool calls and results (reef/crab-1 takes none)",)
    assert made.prompt.tool_names == ()


def test_parameters_come_from_the_more_particular_place() -> None:
    agents = {
        "defaults": {
            "params": {"temperature": 0.1, "topP": 0.5},
            "models": {"reef/crab-1": {"params": {"temperature": 0.2, "cacheRetention": "long"}}},
        },
        "list": [{"id": "main", "params": {"temperature": 0.3, "maxTokens": 77, "unheard": 1}}],
    }
    made = prepared({"params": {"extra_body": {"top_k": 4}}}, agents=agents, system="")
    assert (made.prompt.temperature, made.prompt.max_tokens) == (0.3, 77)
    assert made.prompt.params == {"top_p": 0.5, "top_k": 4}
    assert made.not_sent == ("the parameter unheard",)


@pytest.mark.parametrize(
    ("model", "settings", "agents", "level"),
    [
        ({}, SessionSettings(), {}, None),
        ({}, SessionSettings(thinking="high"), {}, "high"),
        ({}, SessionSettings(thinking="off"), {"defaults": {"thinkingDefault": "low"}}, None),
        ({}, SessionSettings(), {"defaults": {"thinkingDefault": "low"}}, "low"),
        ({}, SessionSettings(), {"entries": {"main": {"thinkingDefault": "medium"}}}, "medium"),
        ({"reasoning": False}, SessionSettings(thinking="high"), {}, None),
    ],
)
def test_the_level_of_thinking_is_the_sessions_else_the_configurations(
    model: dict[str, Any], settings: SessionSettings, agents: dict[str, Any], level: str | None
) -> None:
    assert prepared(model, settings=settings, agents=agents).prompt.thinking == level


def test_the_last_compiled_context_of_a_trajectory_counts(tmp_path: Path) -> None:
    def line(kind: str, **data: Any) -> str:
        return json.dumps({"type": kind, "ts": "2026-11-20T22:35:31Z", "data": data}) + "\n"

    file = tmp_path / "s.trajectory.jsonl"
    file.write_text(
        line("context.compiled", systemPrompt="old", tools=[])
        + line("context.compiled", systemPrompt="new", tools=[{"name": "read"}, {"x": 1}])
        + line("model.completed", filler="x" * 2_000_000)
    )
    found = run_context(str(tmp_path / "s.jsonl"))
    assert (found.system, found.tools) == ("new", ("read",))
    assert run_context(str(tmp_path / "none.jsonl")) == RunContext()


async def test_a_sessions_model_override_is_asked_first(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        store = lab.world.sessions_dir("main") / "sessions.json"
        entries = json.loads(store.read_text())
        entries[LIGHTHOUSE.key] |= {"providerOverride": SECONDARY.provider, "modelOverride": SECONDARY.model}
        store.write_text(json.dumps(entries))
        answer = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        assert answer.model == SECONDARY
        named = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello", model=PRIMARY)).result()
        assert named.model == PRIMARY


async def test_a_conversation_that_is_too_long_goes_to_a_larger_window(tmp_path: Path) -> None:
    from clawtop.demo.provider import Refuse

    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        path = lab.world.state_dir / "openclaw.json"
        config = json.loads(path.read_text())
        for name, window in ((PRIMARY.provider, 8000), (SECONDARY.provider, 64_000)):
            for model in config["models"]["providers"][name]["models"]:
                model["contextWindow"] = window
        path.write_text(json.dumps(config))
        too_long = Refuse(400, "invalid_request_error", "prompt is too long: 9000 tokens > 8000 maximum")
        for name in ("coral:clawdia", "coral:larry"):
            lab.provider.standing[lab.key(name)] = too_long
        answer = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        assert answer.model == SECONDARY
        assert len(lab.provider.requests) == 2


STORED = """Be kind.

<!-- OPENCLAW_CACHE_BOUNDARY -->

## Messaging
Runtime: agent=main | model=<redacted> | default_model=<redacted> | thinking=off"""


def test_a_stored_system_prompt_is_sent_without_openclaws_own_marks_and_with_the_models() -> None:
    made = as_sent(STORED, ModelRef("reef", "m"), ModelRef("reef", "first"))
    assert made.text.startswith("Be kind.\n\n\n## Messaging\n")
    assert made.text.endswith("agent=main | model=reef/m | default_model=reef/first | thinking=off")
    assert (made.stable, made.redacted) == ("Be kind.", 0)
    moved = "a\n<!-- OPENCLAW-RELOCATABLE-BOUNDARY -->\nb\n<!-- /OPENCLAW-RELOCATABLE-BOUNDARY -->\nc"
    assert as_sent(moved, ModelRef("reef", "m"), None) == SystemPrompt("a\nb\nc")


def test_what_openclaw_redacted_in_its_record_is_said() -> None:
    context = RunContext(system=f"{STORED}\nworkspace <redacted>")
    assert prepared(context=context).not_sent == (
        "2 values of the system prompt (OpenClaw redacted them in its record)",
    )
