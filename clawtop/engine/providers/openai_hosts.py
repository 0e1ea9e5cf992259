"""What servers of OpenAI's chat completions expect where a model's `compat` does not say, as OpenClaw 2026.9 has it.

By the host of the base URL, and for some by the provider's name. A server that is not known gets what api.openai.com
gets, but for two things: thinking is asked for only where it is known to be understood, and token counts always, which
OpenClaw leaves out for other hosts that are not local.
"""

from __future__ import annotations

from clawtop.engine.providers.base import Endpoint
from clawtop.values import dataclass

_MISTRAL = ("api.mistral.ai",)
_MOONSHOT = ("api.moonshot.ai", "api.moonshot.cn")
_ZAI = ("api.z.ai", "open.bigmodel.cn")
_TOGETHER = ("api.together.ai", "api.together.xyz")
_CHUTES = ("llm.chutes.ai",)
_DEEPSEEK = ("api.deepseek.com", "xiaomimimo.com")
_OPENAI = ("api.openai.com", "openai.azure.com", "cognitiveservices.azure.com")

_MAX_TOKENS_HOSTS = (*_MISTRAL, *_MOONSHOT, *_ZAI, *_TOGETHER, *_CHUTES, "gateway.ai.cloudflare.com")
_MAX_TOKENS_NAMES = frozenset(
    {"chutes", "cloudflare-ai-gateway", "kimi", "mistral", "moonshot", "together", "z.ai", "zai"}
)
_NO_USAGE_HOSTS = (*_MISTRAL, *_CHUTES)
"""They refuse a request that asks for token counts, or send them anyway."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a server expects: the name of the output limit, how thinking is requested, and whether token counts are."""

    max_tokens_field: str
    thinking_format: str | None
    reasoning_effort: bool
    streams_usage: bool


def expected(endpoint: Endpoint) -> Expected:
    """What the server of an endpoint expects."""
    name = endpoint.provider.strip().lower()
    short = endpoint.is_at(*_MAX_TOKENS_HOSTS) or name in _MAX_TOKENS_NAMES
    return Expected(
        max_tokens_field="max_tokens" if short else "max_completion_tokens",
        thinking_format=_thinking_format(endpoint, name),
        reasoning_effort=endpoint.is_at(*_OPENAI),
        streams_usage=not (endpoint.is_at(*_NO_USAGE_HOSTS) or name == "mistral"),
    )


def _thinking_format(endpoint: Endpoint, name: str) -> str | None:
    if endpoint.is_at(*_DEEPSEEK):
        return "deepseek"
    if endpoint.is_at(*_ZAI):
        return "zai"
    if endpoint.is_at(*_TOGETHER) or name == "together":
        return "together"
    return "openrouter" if endpoint.is_at("openrouter.ai") or name == "openrouter" else None
