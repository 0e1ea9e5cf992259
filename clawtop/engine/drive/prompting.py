"""What a turn sends: the conversation with its images and tools, the system prompt, the session's settings.

Anything that OpenClaw would send and clawtop does not is reported before the request is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from clawtop.core.conversation import Message, as_words, paired, trimmed, without_images
from clawtop.core.model import ModelRef
from clawtop.engine.drive.system_prompt import SystemPrompt, as_sent
from clawtop.engine.providers.base import Prompt
from clawtop.store.provider.model_config import ModelEntry, ProviderConfig
from clawtop.store.sessions.settings import RunContext, SessionSettings, default_thinking, raw_settings
from clawtop.values import dataclass

THINKING_LEVELS = frozenset({"off", "minimal", "low", "medium", "high", "xhigh"})
RESERVE_TOKENS = 4096
"""Tokens kept free for the reply if the configuration sets no limit."""

BODY_PARAMS: Mapping[str, str] = {
    "topP": "top_p",
    "top_p": "top_p",
    "frequencyPenalty": "frequency_penalty",
    "presencePenalty": "presence_penalty",
    "seed": "seed",
    "stop": "stop",
    "serviceTier": "service_tier",
    "service_tier": "service_tier",
    "chat_template_kwargs": "chat_template_kwargs",
    "enable_thinking": "enable_thinking",
    "reasoning_effort": "reasoning_effort",
    "verbosity": "verbosity",
}
"""Parameters of the configuration -> fields of a request's body."""

WITHOUT_CATALOG_LIMIT = ("google-", "ollama", "bedrock-")
"""APIs to which OpenClaw sends no limit of the output unless a parameter sets one."""

ANTHROPIC = "anthropic-messages"
_SAMPLING = frozenset({"frequency_penalty", "presence_penalty", "seed"})
_THINKING = frozenset({"reasoning_effort", "verbosity", "enable_thinking"})
NOT_TAKEN: Mapping[str, frozenset[str]] = {
    ANTHROPIC: _SAMPLING | _THINKING,
    "bedrock-converse-stream": _SAMPLING | _THINKING | {"service_tier", "chat_template_kwargs"},
    "google-generative-ai": _THINKING | {"service_tier"},
}
"""Fields with which the server of an API refuses a request."""

OPENCLAWS_OWN = frozenset(
    {
        "cacheControlTtl",
        "cacheRetention",
        "fastMode",
        "openaiWsWarmup",
        "responsesServerCompaction",
        "thinking",
        "tool_stream",
        "transport",
    }
)
"""Parameters for OpenClaw's own client; a request without them means the same."""


@dataclass(frozen=True, slots=True)
class PreparedPrompt:
    """A prompt, and what OpenClaw would have sent beside it."""

    prompt: Prompt
    not_sent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptSources:
    """Where a prompt comes from, beside the conversation.

    Attributes:
        system: a system prompt from the operator; it replaces the session's own.
        default: the agent's own model, which the session's system prompt names.
        context: what OpenClaw sent in the session's last run.
        config: the parsed openclaw.json.
    """

    provider: ProviderConfig
    model: ModelRef
    agent: str
    config: Mapping[str, Any]
    settings: SessionSettings = field(default_factory=SessionSettings)
    context: RunContext = field(default_factory=RunContext)
    system: str | None = None
    session_id: str | None = None
    default: ModelRef | None = None


def prepare(history: tuple[Message, ...], message: str, sources: PromptSources) -> PreparedPrompt:
    """The prompt for one attempt. Pure: the same for the same sources."""
    entry = sources.provider.model(sources.model.model)
    given = {**sources.provider.params, **entry.params, **raw_settings(sources.config, sources.agent, sources.model)}
    not_sent: list[str] = []
    system = _system(sources, not_sent)
    if sources.context.tools:
        not_sent.append(f"{len(sources.context.tools)} tools")
    api = sources.provider.api_of(sources.model.model)
    max_tokens = _whole(given.get("maxTokens", given.get("max_tokens")))
    if max_tokens is None and not api.startswith(WITHOUT_CATALOG_LIMIT):
        max_tokens = sources.provider.max_tokens_of(sources.model.model)
    messages = _messages((*history, Message("user", message)), sources, entry, not_sent)
    messages = _fitting(messages, system.text, sources, max_tokens, not_sent)
    thinking = _thinking(sources, entry, given, not_sent)
    not_taken = NOT_TAKEN.get(api, frozenset())
    if thinking is not None and api == ANTHROPIC:
        for name in given.keys() & {"topP", "top_p"}:
            del given[name]
            not_sent.append(f"the parameter {name} ({api} takes none beside thinking)")
    refused = sorted(name for name, value in given.items() if BODY_PARAMS.get(name) in not_taken and value is not None)
    params, unknown = _params({name: value for name, value in given.items() if name not in refused})
    not_sent += [f"the parameter {name}" for name in unknown]
    not_sent += [f"the parameter {name} ({api} takes none)" for name in refused]
    return PreparedPrompt(
        Prompt(
            sources.model.model,
            tuple(messages),
            system=system.text or None,
            max_tokens=max_tokens,
            temperature=_number(given.get("temperature")),
            thinking=thinking,
            params=params,
            session_id=sources.session_id,
            stable=system.stable,
            cache=_cache(given),
            most_tokens=sources.provider.max_tokens_of(sources.model.model),
        ),
        tuple(not_sent),
    )


def _system(sources: PromptSources, not_sent: list[str]) -> SystemPrompt:
    if sources.system is not None:
        return SystemPrompt(sources.system)
    if sources.context.system is None:
        not_sent.append("the system prompt (OpenClaw stored none for this session; --system FILE gives one)")
        return SystemPrompt("")
    made = as_sent(sources.context.system, sources.model, sources.default)
    if made.redacted:
        not_sent.append(f"{made.redacted} values of the system prompt (OpenClaw redacted them in its record)")
    return made


def _cache(given: Mapping[str, Any]) -> str:
    """For how long a provider is asked to keep the prompt (`cacheRetention`, formerly `cacheControlTtl`)."""
    named = given.get("cacheRetention")
    if named in {"none", "short", "long"}:
        return str(named)
    return "long" if given.get("cacheControlTtl") == "1h" else "short"


def _messages(
    messages: tuple[Message, ...], sources: PromptSources, entry: ModelEntry, not_sent: list[str]
) -> list[Message]:
    said = paired(messages)
    if entry.inputs is not None and "image" not in entry.inputs:
        said, pictures = without_images(said)
        not_sent += [f"{pictures} images ({sources.model} takes none)"] if pictures else []
    if entry.compat.get("supportsTools") is False:
        said, calls = as_words(said)
        not_sent += [f"{calls} tool calls and results ({sources.model} takes none)"] if calls else []
    return said


def _fitting(
    messages: list[Message], system: str, sources: PromptSources, max_tokens: int | None, not_sent: list[str]
) -> list[Message]:
    """The latest part of the conversation that fits into the model's window."""
    window = sources.provider.context_window_of(sources.model.model)
    if window is None:
        return messages
    reply = min(max_tokens or RESERVE_TOKENS, window // 2)
    kept, left_out = trimmed(messages, window - reply - len(system) // 4)
    if left_out:
        not_sent.append(f"the {left_out} oldest messages (they exceed the window of {window} tokens)")
    return kept


def _thinking(sources: PromptSources, entry: ModelEntry, given: Mapping[str, Any], not_sent: list[str]) -> str | None:
    named = given.get("thinking")
    level = sources.settings.thinking or (
        named if isinstance(named, str) else default_thinking(sources.config, sources.agent, sources.model)
    )
    if level is None or level == "off":
        return None
    if level not in THINKING_LEVELS:
        not_sent.append(f"thinking level {level}")
        return None
    if entry.reasoning is False:
        return None
    return level


def _params(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Fields of the request's body, and parameters that clawtop does not know."""
    known = {"temperature", "maxTokens", "max_tokens", "extra_body", "extraBody", "num_ctx"} | OPENCLAWS_OWN
    fields = {BODY_PARAMS[name]: value for name, value in given.items() if name in BODY_PARAMS and value is not None}
    for name in ("extra_body", "extraBody"):
        extra = given.get(name)
        fields |= extra if isinstance(extra, Mapping) else {}
    if (context := _whole(given.get("num_ctx"))) is not None:
        fields["options"] = {"num_ctx": context}
    return fields, sorted(name for name in given if name not in known and name not in BODY_PARAMS)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number > 0 else None
