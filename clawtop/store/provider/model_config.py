"""`models.providers` of openclaw.json and an agent's models.json: where a provider is and which api it speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from clawtop.core.model import Problem
from clawtop.errors import ClawtopError
from clawtop.store.provider.secrets import SHORTHAND, Secret, SecretSources, config_secret, expanded, resolved
from clawtop.text import safe

DEFAULT_API = "openai-completions"
"""A provider with a base URL but no `api` speaks this (docs gateway/config-tools, 2026.5.20)."""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

KNOWN: Mapping[str, tuple[str, str]] = {
    "anthropic": ("https://api.anthropic.com", "anthropic-messages"),
    "cerebras": ("https://api.cerebras.ai/v1", DEFAULT_API),
    "deepseek": ("https://api.deepseek.com", DEFAULT_API),
    "groq": ("https://api.groq.com/openai/v1", DEFAULT_API),
    "mistral": ("https://api.mistral.ai/v1", DEFAULT_API),
    "openai": ("https://api.openai.com/v1", DEFAULT_API),
    "openrouter": ("https://openrouter.ai/api/v1", DEFAULT_API),
    "together": ("https://api.together.xyz/v1", DEFAULT_API),
    "xai": ("https://api.x.ai/v1", DEFAULT_API),
}
"""Public addresses of providers that OpenClaw knows without configuration."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model of a provider: its own api and output cap, where the config gives them."""

    id: str
    api: str | None = None
    max_tokens: int | None = None
    base_url: str | None = None
    context_window: int | None = None


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """One provider as configured.

    Attributes:
        timeout_s: `timeoutSeconds`, the limit of one whole request; None when not set.
        api_key, headers: raw as configured, perhaps references; never shown.
        bearer: `authHeader`: the credential goes into Authorization whatever the api's custom is.
    """

    id: str
    base_url: str
    api: str = DEFAULT_API
    models: Mapping[str, ModelEntry] = field(default_factory=dict)
    timeout_s: float | None = None
    max_tokens: int | None = None
    context_window: int | None = None
    bearer: bool = False
    api_key: object = field(default=None, repr=False)
    headers: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def is_local(self) -> bool:
        """The provider runs on this machine, where OpenClaw asks for no credential."""
        try:
            return urlsplit(self.base_url).hostname in LOOPBACK
        except ValueError:
            return False

    def api_of(self, model: str) -> str:
        entry = self.models.get(model)
        return (entry and entry.api) or self.api

    def base_url_of(self, model: str) -> str:
        entry = self.models.get(model)
        return (entry and entry.base_url) or self.base_url

    def context_window_of(self, model: str) -> int | None:
        entry = self.models.get(model)
        return (entry and entry.context_window) or self.context_window

    def max_tokens_of(self, model: str) -> int | None:
        entry = self.models.get(model)
        return (entry and entry.max_tokens) or self.max_tokens

    def secret(self, sources: SecretSources) -> Secret | None:
        """The provider's own key, for runs without an auth profile; None when the config has none.

        Raises:
            SecretUnavailableError: it has one that cannot be resolved here.
        """
        return config_secret(self.api_key, sources, what=f"provider {self.id}") if self.api_key else None

    def resolved_headers(self, sources: SecretSources) -> dict[str, str]:
        """The configured headers with references resolved.

        Raises:
            SecretUnavailableError: one of them cannot be resolved here.
        """
        return {name: self._header(name, value, sources) for name, value in self.headers.items()}

    def url(self, sources: SecretSources) -> str:
        """The base URL with the variables in it replaced. Raises SecretUnavailableError when one is not set."""
        return expanded(self.base_url, sources, what=f"the base URL of provider {self.id}")

    def _header(self, name: str, value: object, sources: SecretSources) -> str:
        what = f"header {name} of provider {self.id}"
        if isinstance(value, str) and not SHORTHAND.fullmatch(value):
            replaced = expanded(value, sources, what=what)
            return replaced if replaced == value else Secret(replaced).reveal()
        return resolved(value, sources, what=what).reveal()


class ProviderUnknownError(ClawtopError):
    """A model names a provider that neither the config nor the table of known ones has."""


def read_providers(
    config: Mapping[str, Any], models_json: Mapping[str, Any] | None = None
) -> tuple[dict[str, ProviderConfig], tuple[Problem, ...]]:
    """Every provider by id, and what of the configuration could not be used.

    An agent's models.json wins over the config for what it sets to something non-empty, as OpenClaw merges them.
    """
    problems: list[Problem] = []
    merged: dict[str, dict[str, Any]] = {
        name: {"baseUrl": base_url, "api": api} for name, (base_url, api) in KNOWN.items()
    }
    for where, document in (("openclaw.json", _section(config, "models")), ("models.json", models_json or {})):
        for name, raw in _section(document, "providers").items():
            if isinstance(raw, Mapping):
                merged.setdefault(name, {}).update({k: v for k, v in raw.items() if v not in (None, "", [], {})})
            else:
                problems.append(
                    Problem("provider-malformed", f"{where}: models.providers.{safe(name, 60)}", "not an object")
                )
    providers: dict[str, ProviderConfig] = {}
    for name, raw in merged.items():
        if isinstance(raw.get("baseUrl"), str):
            providers[name] = _provider(name, raw)
        else:
            problems.append(Problem("provider-without-url", f"models.providers.{safe(name, 60)}", "no baseUrl"))
    return providers, tuple(problems)


def provider_named(providers: Mapping[str, ProviderConfig], name: str) -> ProviderConfig:
    """The provider's configuration.

    Raises:
        ProviderUnknownError: there is none.
    """
    if name in providers:
        return providers[name]
    raise ProviderUnknownError(
        f"provider {safe(name, 60)} has no base URL",
        hint=f"set models.providers.{safe(name, 60)}.baseUrl in openclaw.json",
        unchanged="no request was sent",
    )


def _provider(name: str, raw: Mapping[str, Any]) -> ProviderConfig:
    request = _section(raw, "request")
    return ProviderConfig(
        id=name,
        base_url=raw["baseUrl"],
        api=_text(raw.get("api")) or DEFAULT_API,
        models={entry.id: entry for entry in map(_model, raw.get("models") or ()) if entry is not None},
        timeout_s=_positive(raw.get("timeoutSeconds")),
        max_tokens=_whole(raw.get("maxTokens")),
        context_window=_whole(raw.get("contextTokens")) or _whole(raw.get("contextWindow")),
        bearer=raw.get("authHeader") is True,
        api_key=raw.get("apiKey"),
        headers={**_section(raw, "headers"), **_section(request, "headers")},
    )


def _model(raw: object) -> ModelEntry | None:
    if not isinstance(raw, Mapping) or not isinstance(raw.get("id"), str):
        return None
    return ModelEntry(
        raw["id"],
        _text(raw.get("api")),
        _whole(raw.get("maxTokens")),
        _text(raw.get("baseUrl")),
        _whole(raw.get("contextTokens")) or _whole(raw.get("contextWindow")),
    )


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    return found if isinstance(found, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _positive(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None


def _whole(value: object) -> int | None:
    number = _positive(value)
    return int(number) if number is not None else None
