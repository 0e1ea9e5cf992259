"""Provider names: many spellings, one key.

Which spellings mean the same provider differs by generation, and so do the providers that share another one's
credentials. Up to 2026.6.1 the spellings are a table of the program; from 2026.6.5 on names are only trimmed and
lower-cased, and the rest of the table comes from the manifests of the bundled plugins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import lru_cache
from types import MappingProxyType

from clawtop.values import dataclass

BYPASSING = frozenset({"openrouter", "kilocode"})
"""Providers that manage their own limits: OpenClaw neither marks their profiles nor respects their windows."""


@dataclass(frozen=True, slots=True)
class ProviderNames:
    """How one OpenClaw generation reads provider names.

    Attributes:
        spellings: another spelling of the same provider -> its key; config and stored orders are looked up by it.
        auth_aliases: a provider without credentials of its own -> the provider whose credentials it uses.
        key_lenders: a provider that also takes the API keys (not the logins) of another one: 2026.5 only.
    """

    spellings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    auth_aliases: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    key_lenders: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def key(self, provider: str) -> str:
        """The one name of a provider, however it is spelled."""
        name = provider.strip().lower()
        return self.spellings.get(name, name)

    def auth_key(self, provider: str) -> str:
        """The provider whose credentials serve `provider`."""
        key = self.key(provider)
        return self.auth_aliases.get(key, key)


_SPELLINGS_2026_3: Mapping[str, str] = {
    "z.ai": "zai",
    "z-ai": "zai",
    "opencode-zen": "opencode",
    "opencode-go-auth": "opencode-go",
    "kimi-code": "kimi",
    "kimi-coding": "kimi",
    "bedrock": "amazon-bedrock",
    "aws-bedrock": "amazon-bedrock",
    "bytedance": "volcengine",
    "doubao": "volcengine",
}
_PLANS: Mapping[str, str] = {"volcengine-plan": "volcengine", "byteplus-plan": "byteplus"}
_MINIMAX: Mapping[str, str] = {"minimax-cn": "minimax", "minimax-portal-cn": "minimax-portal"}

NAMES_2026_3 = ProviderNames(spellings=MappingProxyType(_SPELLINGS_2026_3), auth_aliases=MappingProxyType(_PLANS))
NAMES_2026_5 = ProviderNames(
    spellings=MappingProxyType(
        {
            **_SPELLINGS_2026_3,
            "modelstudio": "qwen",
            "qwencloud": "qwen",
            "anthropic-cli": "claude-cli",
            "moonshotai": "moonshot",
            "moonshot-ai": "moonshot",
        }
    ),
    auth_aliases=MappingProxyType({**_PLANS, **_MINIMAX}),
    key_lenders=MappingProxyType({"openai-codex": "openai"}),
)
NAMES_2026_6 = ProviderNames(
    auth_aliases=MappingProxyType({**_PLANS, **_MINIMAX, "novita-ai": "novita", "novitaai": "novita"})
)
NAMES_2026_9 = ProviderNames(auth_aliases=MappingProxyType({**_MINIMAX, "x-ai": "xai"}))


@lru_cache(maxsize=256)
def bypasses_cooldown(provider: str) -> bool:
    """Whether OpenClaw ignores cooldowns of this provider's profiles (all generations)."""
    return provider.strip().lower() in BYPASSING


INLINE_KEY = "inline-api-key:"
"""How OpenClaw 2026.9 names, in its statistics, the key that openclaw.json itself holds for a provider: it cools like a
profile, and is in no order.
"""
