"""`models.providers` of openclaw.json and an agent's models.json: a provider's address and API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any
from urllib.parse import urlsplit

from clawtop.core.javascript import MAX_SAFE_INTEGER
from clawtop.core.model import Problem
from clawtop.errors import ClawtopError
from clawtop.nested import among
from clawtop.store.provider.builtin import BUILTIN, ENV_KEYS, MODEL_RULES, OWN_HOST_ONLY, ModelRule
from clawtop.store.provider.network_config import LOOPBACK
from clawtop.store.provider.secrets import SHORTHAND, Secret, SecretSources, config_secret, expanded, filled, resolved
from clawtop.text import safe
from clawtop.values import dataclass

DEFAULT_API = "openai-completions"
"""A provider with a base URL but no `api` speaks this (docs gateway/config-tools, 2026.5.20)."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model of a provider, as far as the config describes it.

    Attributes:
        context_window: in tokens; `max_tokens` caps its output.
        inputs: what it takes ("text", "image"); None: unknown.
        cost: USD for a million tokens: input, output, cacheRead, cacheWrite.
        compat: what its server does differently from the api.
    """

    id: str
    api: str | None = None
    max_tokens: int | None = None
    base_url: str | None = None
    context_window: int | None = None
    headers: Mapping[str, object] = field(default_factory=dict, repr=False)
    params: Mapping[str, Any] = field(default_factory=dict)
    compat: Mapping[str, Any] = field(default_factory=dict)
    reasoning: bool | None = None
    inputs: tuple[str, ...] | None = None
    cost: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """One provider as configured.

    Attributes:
        timeout_s: `timeoutSeconds`, the limit of one whole request; None when not set.
        api_key, headers: raw as configured, perhaps references; never shown.
        bearer: `authHeader`: the credential goes into Authorization whatever the API's default is.
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
    params: Mapping[str, Any] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_local(self) -> bool:
        """The provider runs on this machine, where OpenClaw asks for no credential."""
        try:
            return urlsplit(self.base_url).hostname in LOOPBACK
        except ValueError:
            return False

    def model(self, name: str) -> ModelEntry:
        """What is known about one model; a bare entry if nothing is."""
        return self.models.get(name) or ModelEntry(name)

    def api_of(self, model: str) -> str:
        """The API that a model speaks: its own, the rule for its name, or the provider's."""
        rule = self._rule(model)
        return self.model(model).api or (rule.api if rule is not None else self.api)

    def base_url_of(self, model: str) -> str:
        """Where a model is: its own address, the rule's for its name, or the provider's."""
        rule = self._rule(model)
        own = self.model(model).base_url
        return own or (rule.base_url if rule is not None and rule.base_url else self.base_url)

    def _rule(self, model: str) -> ModelRule | None:
        """The rule of a built-in provider that serves several apis, at its own address."""
        builtin = BUILTIN.get(self.id)
        if builtin is None or builtin[0] != self.base_url or self.api != builtin[1]:
            return None
        return next((rule for rule in MODEL_RULES.get(self.id, ()) if model.startswith(rule.prefixes)), None)

    def context_window_of(self, model: str) -> int | None:
        entry = self.models.get(model)
        return (entry and entry.context_window) or self.context_window

    def max_tokens_of(self, model: str) -> int | None:
        entry = self.models.get(model)
        return (entry and entry.max_tokens) or self.max_tokens

    def cost_of(self, model: str, tokens: Mapping[str, int]) -> dict[str, float]:
        """What tokens (input, output, cacheRead, cacheWrite) cost, in USD, with `total`; empty without prices."""
        prices = self.model(model).cost
        if not any(prices.values()):
            return {}
        cost = {name: count * prices.get(name, 0.0) / 1_000_000 for name, count in tokens.items()}
        return {**cost, "total": sum(cost.values())}

    def secret(self, sources: SecretSources) -> Secret | None:
        """The provider's own key, the config's or the environment's, for runs without an auth profile; None without.

        Raises:
            SecretUnavailableError: it has one that cannot be resolved here.
        """
        if self.api_key:
            return config_secret(self.api_key, sources, what=f"provider {self.id}")
        name = self._key_variable(sources)
        return Secret(sources.environ[name]) if name is not None else None

    def has_key(self, sources: SecretSources) -> bool:
        """Whether a run without an auth profile has a key, or needs none."""
        return bool(self.api_key) or self.is_local or self._key_variable(sources) is not None

    def _key_variable(self, sources: SecretSources) -> str | None:
        return next((name for name in ENV_KEYS.get(self.id, ()) if sources.environ.get(name)), None)

    def resolved_headers(self, sources: SecretSources, model: str = "") -> dict[str, str]:
        """The configured headers, the model's own over the provider's, with references resolved.

        Raises:
            SecretUnavailableError: one of them cannot be resolved here.
        """
        headers = {**self.headers, **self.model(model).headers}
        return {name: self._header(name, value, sources) for name, value in headers.items()}

    def url(self, sources: SecretSources, model: str = "") -> str:
        """A model's base URL with the variables in it replaced. Raises SecretUnavailableError when one is not set."""
        what = f"the base URL of provider {self.id}"
        return filled(expanded(self.base_url_of(model), sources, what=what), sources, what=what)

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
        name: {"baseUrl": base_url, "api": api} for name, (base_url, api) in BUILTIN.items()
    }
    for where, document in (("openclaw.json", _section(config, "models")), ("models.json", models_json or {})):
        for name, raw in _section(document, "providers").items():
            if isinstance(raw, Mapping):
                given = {k: v for k, v in raw.items() if v not in (None, "", [], {})}
                into = merged.setdefault(name, {})
                if "baseUrl" in given and "api" not in given and among(into.get("api"), OWN_HOST_ONLY):
                    into["api"] = DEFAULT_API
                into.update(given)
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
    request, models = _section(raw, "request"), raw.get("models")
    return ProviderConfig(
        id=name,
        base_url=raw["baseUrl"],
        api=_text(raw.get("api")) or DEFAULT_API,
        models={
            entry.id: entry for entry in map(_model, models if isinstance(models, list) else ()) if entry is not None
        },
        timeout_s=_positive(raw.get("timeoutSeconds")),
        max_tokens=_whole(raw.get("maxTokens")),
        context_window=_whole(raw.get("contextTokens")) or _whole(raw.get("contextWindow")),
        bearer=raw.get("authHeader") is True,
        api_key=raw.get("apiKey"),
        headers={**_section(raw, "headers"), **_section(request, "headers")},
        params=_section(raw, "params"),
        request=request,
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
        headers=_section(raw, "headers"),
        params=_section(raw, "params"),
        compat=_section(raw, "compat"),
        reasoning=raw["reasoning"] if isinstance(raw.get("reasoning"), bool) else None,
        inputs=tuple(filter(None, map(_text, raw["input"]))) if isinstance(raw.get("input"), list) else None,
        cost={name: float(price) for name, price in _section(raw, "cost").items() if _is_price(price)},
    )


def _is_price(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_SAFE_INTEGER


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    return found if isinstance(found, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _positive(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= MAX_SAFE_INTEGER:
        return None
    return float(value)


def _whole(value: object) -> int | None:
    number = _positive(value)
    return int(number) if number is not None else None
