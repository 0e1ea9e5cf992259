"""What a turn sends against what OpenClaw 2026.9.6 sends for the same configuration, recorded from `openclaw agent`.

Each row is a provider of one API at an address of its own, with `maxTokens` 2048 in its catalog and a temperature. Left
out of the recordings: the texts and the tools, and headers that name a client (`user-agent`, `x-stainless-...`) or a
run. Bedrock's row is 2026.5.20's, since 2026.9 has that API only as a plugin; ChatGPT and GitHub Copilot stood at the
addresses that OpenClaw has built in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from clawtop.core.generations import semantics_of
from clawtop.core.model import ModelRef
from clawtop.engine.drive.prompting import PreparedPrompt, PromptSources, prepare
from clawtop.engine.providers import copilot
from clawtop.engine.providers.base import Endpoint
from clawtop.engine.providers.http import APIS
from clawtop.store.provider.model_config import provider_named, read_providers
from clawtop.store.provider.secrets import Secret
from clawtop.store.sessions.settings import RunContext, SessionSettings

KEY = "sk-test-0123456789"
BASE = "http://127.0.0.1:9"
TALK = frozenset(
    {
        *("messages", "input", "contents", "system", "instructions", "systemInstruction"),
        *("tools", "tool_choice", "toolConfig", "parallel_tool_calls"),
    }
)


class Recorded(NamedTuple):
    """A request of OpenClaw, and what of it differs here on purpose: a field's name -> why.

    `ours`: the fields that only clawtop sends.
    """

    base: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    differs: Mapping[str, str] = MappingProxyType({})
    ours: frozenset[str] = frozenset()


MODEL = {"model": "m", "stream": True}
CODEX = {"openai-beta": "responses=experimental", "originator": "clawtop"}
"""ChatGPT is told, as its own clients tell it; OpenClaw leaves that to the library that it calls it with."""
RECORDED: dict[str, Recorded] = {
    "openai-completions": Recorded(
        "/v1",
        "/v1/chat/completions",
        {"authorization": f"Bearer {KEY}"},
        {**MODEL, "stream_options": {"include_usage": True}, "temperature": 0.5, "max_completion_tokens": 2048},
    ),
    "anthropic-messages": Recorded(
        "",
        "/v1/messages",
        {"x-api-key": KEY, "anthropic-version": "2023-06-01", "anthropic-dangerous-direct-browser-access": "true"},
        {**MODEL, "max_tokens": 2048, "temperature": 0.5},
        {"anthropic-dangerous-direct-browser-access": "clawtop is no browser"},
    ),
    "openai-responses": Recorded(
        "/v1",
        "/v1/responses",
        {"authorization": f"Bearer {KEY}"},
        {**MODEL, "max_output_tokens": 2048, "temperature": 0.5, "store": False},
    ),
    "azure-openai-responses": Recorded(
        "/openai/v1",
        "/openai/v1/responses?api-version=preview",
        {"api-key": KEY},
        {**MODEL, "max_output_tokens": 2048, "temperature": 0.5},
        {"path": "the generally available version, as OpenClaw sends it up to 2026.8"},
        frozenset({"store"}),  # nothing of a driven turn stays with the provider
    ),
    "google-generative-ai": Recorded(
        "/v1beta",
        "/v1beta/models/m:streamGenerateContent?alt=sse",
        {"x-goog-api-key": KEY},
        {"generationConfig": {"temperature": 0.5}},
    ),
    "ollama": Recorded(
        "",
        "/api/chat",
        {"authorization": f"Bearer {KEY}"},
        {**MODEL, "options": {"temperature": 0.5}, "truncate": False, "shift": False, "think": False},
    ),
    "google-vertex": Recorded(
        "",
        "/v1/publishers/google/models/m:streamGenerateContent?alt=sse",
        {"x-goog-api-key": KEY},
        {"generationConfig": {"temperature": 0.5}},
    ),
    "bedrock-converse-stream": Recorded(
        "",
        "/model/m/converse-stream",
        {"authorization": f"Bearer {KEY}", "accept": "application/vnd.amazon.eventstream"},
        {"inferenceConfig": {"temperature": 0.5}},
    ),
    "openai-chatgpt-responses": Recorded(
        "/backend-api",
        "/backend-api/responses",
        {"authorization": f"Bearer {KEY}", **CODEX},
        {**MODEL, "max_output_tokens": 2048, "temperature": 0.5, "store": False},
    ),
}


def prepared(
    api: str,
    base: str,
    params: dict[str, Any],
    *,
    system: str = "be brief",
    most: int = 2048,
    thinking: str | None = None,
) -> PreparedPrompt:
    entry = {"id": "m", "reasoning": thinking is not None, "contextWindow": 128_000, "maxTokens": most}
    reef = {"baseUrl": BASE + base, "api": api, "apiKey": KEY, "models": [entry]}
    agents = {"defaults": {"models": {"reef/m": {"params": params}}}}
    config: dict[str, Any] = {"models": {"providers": {"reef": reef}}, "agents": agents}
    provider = provider_named(read_providers(config)[0], "reef")
    context, settings = RunContext(system=system), SessionSettings(thinking=thinking)
    sources = PromptSources(provider, ModelRef("reef", "m"), "main", config, settings=settings, context=context)
    return prepare((), "hi there", sources)


@pytest.mark.parametrize("kind", RECORDED)
def test_a_request_is_openclaws_but_for_what_is_said(kind: str) -> None:
    row, api = RECORDED[kind], APIS[kind]
    endpoint = Endpoint("reef", kind, BASE + row.base, secret=Secret(KEY), credential_type="api_key")
    prompt = prepared(kind, row.base, {"temperature": 0.5}).prompt
    sent = {name: value for name, value in api.body(endpoint, prompt).items() if name not in TALK}
    assert {name: value for name, value in sent.items() if name not in row.ours} == row.body
    assert row.ours <= sent.keys()
    assert ("path" in row.differs) != (api.url(endpoint, "m") == BASE + row.path)
    headers = api.headers(endpoint)
    assert headers == {name: value for name, value in row.headers.items() if name not in row.differs}


def test_chatgpt_itself_is_sent_what_openclaw_sends_it() -> None:
    api, endpoint = APIS["openai-codex-responses"], Endpoint("openai-codex", "", "https://chatgpt.com/backend-api")
    prompt = replace(prepared("openai-codex-responses", "", {"temperature": 0.5}).prompt, session_id="s1")
    sent = {name: value for name, value in api.body(endpoint, prompt).items() if name not in TALK}
    assert sent == {**MODEL, "store": False, "text": {"verbosity": "low"}, "prompt_cache_key": "s1"}
    assert api.url(endpoint, "m") == "https://chatgpt.com/backend-api/codex/responses"
    thinks = api.body(endpoint, replace(prompt, thinking="medium"))
    assert thinks["reasoning"] == {"effort": "medium", "summary": "auto"}
    assert thinks["include"] == ["reasoning.encrypted_content"]


@pytest.mark.parametrize(
    ("params", "mark"),
    [
        ({}, {"cache_control": {"type": "ephemeral"}}),
        ({"cacheRetention": "long"}, {"cache_control": {"type": "ephemeral", "ttl": "1h"}}),
        ({"cacheControlTtl": "1h"}, {"cache_control": {"type": "ephemeral", "ttl": "1h"}}),
        ({"cacheRetention": "none"}, {}),
    ],
)
def test_anthropic_is_asked_to_keep_what_openclaw_asks_it_to_keep(params: dict[str, Any], mark: dict[str, Any]) -> None:
    stored = "stays\n\n<!-- OPENCLAW_CACHE_BOUNDARY -->\n\nmoves"
    made = prepared("anthropic-messages", "", params, system=stored)
    body = APIS["anthropic-messages"].body(Endpoint("reef", "anthropic-messages", BASE), made.prompt)
    if mark:
        assert body["system"] == [{"type": "text", "text": "stays", **mark}, {"type": "text", "text": "moves"}]
        said = [{"type": "text", "text": "hi there", **mark}]
    else:
        assert body["system"] == "stays\n\n\nmoves"
    assert body["messages"] == [{"role": "user", "content": said if mark else "hi there"}]
    assert made.not_sent == ()


@pytest.mark.parametrize(
    ("level", "most", "budget", "limit"),
    [
        ("low", 2048, 1024, 2048),
        ("medium", 2048, 1024, 2048),
        ("medium", 16_000, 8192, 16_000),
        ("xhigh", 64_000, 16_384, 64_000),
    ],
)
def test_thinking_leaves_the_models_own_limit_as_openclaw_does(level: str, most: int, budget: int, limit: int) -> None:
    made = prepared("anthropic-messages", "", {"topP": 0.9, "temperature": 0.5}, most=most, thinking=level)
    body = APIS["anthropic-messages"].body(Endpoint("reef", "anthropic-messages", BASE), made.prompt)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert body["max_tokens"] == limit
    assert not {"temperature", "top_p"} & body.keys()
    assert made.not_sent == ("the parameter topP (anthropic-messages takes none beside thinking)",)


IDE = {
    "user-agent": "GitHubCopilotChat/0.35.0",
    "editor-version": "vscode/1.107.0",
    "editor-plugin-version": "copilot-chat/0.35.0",
    "openai-organization": "github-copilot",
    "x-initiator": "user",
}
COPILOT: dict[str, dict[str, str]] = {
    "2026.5.20": {**IDE, "copilot-integration-id": "vscode-chat", "openai-intent": "conversation-edits"},
    "2026.8.2": {**IDE, "copilot-integration-id": "copilot-developer-cli"},
    "2026.9.6": {**IDE, "copilot-integration-id": "copilot-developer-cli"},
}


@pytest.mark.parametrize("version", COPILOT)
@pytest.mark.anyio
async def test_github_copilot_is_asked_as_that_openclaw_asks_it(version: str) -> None:
    asked: list[tuple[str, dict[str, str]]] = []

    async def fetch(endpoint: Endpoint, url: str, headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
        assert endpoint.provider == "github-copilot"
        asked.append((url, headers))
        return 200, {}, json.dumps({"token": "tid=1", "expires_at": 4_102_444_800})

    github = Endpoint("github-copilot", "openai-completions", "https://builtin", Secret(KEY))
    exchanges = semantics_of(version, None).row.copilot_exchanges
    token = await (copilot.exchanged if exchanges else copilot.located)(github, fetch, 0)
    ready = copilot.with_token(github, token, "https://builtin")
    assert (ready.headers, ready.base_url) == (COPILOT[version], "https://api.individual.githubcopilot.com")
    ((url, headers),) = asked
    assert headers["authorization"] == f"Bearer {KEY}"
    assert url == f"https://api.github.com/copilot_internal/{'v2/token' if exchanges else 'user'}"
    assert exchanges == (version == "2026.5.20")


@pytest.mark.parametrize(
    ("kind", "place", "names"),
    [
        ("openai-completions", "", {"top_p": 0.9, "seed": 7, "stop": ["."]}),
        ("google-generative-ai", "generationConfig", {"topP": 0.9, "seed": 7, "stopSequences": ["."]}),
        ("ollama", "options", {"top_p": 0.9, "seed": 7, "stop": ["."]}),
        ("anthropic-messages", "", {"top_p": 0.9, "stop_sequences": ["."]}),
        ("bedrock-converse-stream", "inferenceConfig", {"topP": 0.9, "stopSequences": ["."]}),
    ],
)
def test_a_parameter_goes_where_the_api_has_it(kind: str, place: str, names: dict[str, Any]) -> None:
    made = prepared(kind, "", {"topP": 0.9, "seed": 7, "stop": ["."]})
    body = APIS[kind].body(Endpoint("reef", kind, BASE), made.prompt)
    inner: Any = body[place] if place else body
    assert {name: inner.get(name) for name in names} == names
    if place:
        assert not {"top_p", "seed", "stop"} & body.keys()
    left_out = [words for words in made.not_sent if "seed" in words]
    refused = kind in {"anthropic-messages", "bedrock-converse-stream"}
    assert left_out == ([f"the parameter seed ({kind} takes none)"] if refused else [])
    assert ("seed" in inner) == (not refused)


@pytest.mark.parametrize(
    ("kind", "place", "name"),
    [
        ("google-generative-ai", "generationConfig", "stopSequences"),
        ("ollama", "options", "stop"),
        ("anthropic-messages", "", "stop_sequences"),
        ("bedrock-converse-stream", "inferenceConfig", "stopSequences"),
    ],
)
def test_a_single_word_to_stop_at_is_a_list_where_the_api_takes_only_lists(kind: str, place: str, name: str) -> None:
    body = APIS[kind].body(Endpoint("reef", kind, BASE), prepared(kind, "", {"stop": "."}).prompt)
    inner: Any = body[place] if place else body
    assert inner[name] == ["."]


@pytest.mark.parametrize("name", ["ollama-cloud", "reef"])
def test_ollamas_own_servers_are_not_told_how_to_use_a_window(name: str) -> None:
    made = prepared("ollama", "", {}).prompt
    body = APIS["ollama"].body(Endpoint(name, "ollama", BASE), made)
    assert ("truncate" in body) == (name == "reef")
