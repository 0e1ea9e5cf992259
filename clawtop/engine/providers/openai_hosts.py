"""What servers of OpenAI's chat completions expect where a model's `compat` does not say, as OpenClaw 2026.9 has it.

By the host of the base URL, and for some by the provider's name. A server that is not known gets what api.openai.com
gets, but for two things: thinking is asked for only where it is known to be understood, and token counts always, which
OpenClaw leaves out for other hosts that are not local.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

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
    """What a server expects: the name of the output limit, how thinking is asked for, and whether counts are."""

    max_tokens_field: str
    thinking_format: str | None
    reasoning_effort: bool
    streams_usage: bool


def expected(provider: str, base_url: str) -> Expected:
    """What the server of a provider at this address expects."""
    host = (urlsplit(base_url).hostname or "").lower()
    name = provider.strip().lower()
    short = _is_at(host, _MAX_TOKENS_HOSTS) or name in _MAX_TOKENS_NAMES
    return Expected(
        max_tokens_field="max_tokens" if short else "max_completion_tokens",
        thinking_format=_thinking_format(host, name),
        reasoning_effort=_is_at(host, _OPENAI),
        streams_usage=not (_is_at(host, _NO_USAGE_HOSTS) or name == "mistral"),
    )


def _thinking_format(host: str, name: str) -> str | None:
    if _is_at(host, _DEEPSEEK):
        return "deepseek"
    if _is_at(host, _ZAI):
        return "zai"
    if _is_at(host, _TOGETHER) or name == "together":
        return "together"
    return "openrouter" if _is_at(host, ("openrouter.ai",)) or name == "openrouter" else None


def _is_at(host: str, domains: Iterable[str]) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)
