"""`models.providers`: where a provider is, which api it speaks, and what is wrong with the configuration."""

from __future__ import annotations

from typing import Any

import pytest

from clawtop.store.provider.model_config import ProviderUnknownError, provider_named, read_providers
from clawtop.store.provider.secrets import SecretSources, SecretUnavailableError


def config(**providers: Any) -> dict[str, Any]:
    return {"models": {"mode": "merge", "providers": providers}}


def test_a_provider_as_openclaw_writes_it() -> None:
    found, problems = read_providers(
        config(
            reef={
                "baseUrl": "http://127.0.0.1:4000/v1",
                "api": "anthropic-messages",
                "timeoutSeconds": 45,
                "authHeader": True,
                "maxTokens": 100,
                "headers": {"x-tenant": "tide"},
                "request": {"headers": {"x-more": "$MORE"}},
                "models": [{"id": "crab", "maxTokens": 7}, {"id": "eel", "api": "openai-completions"}, "nonsense", {}],
            }
        )
    )
    reef = found["reef"]
    assert problems == ()
    assert (reef.api_of("crab"), reef.api_of("eel"), reef.api_of("?")) == (
        "anthropic-messages",
        "openai-completions",
        "anthropic-messages",
    )
    assert (reef.max_tokens_of("crab"), reef.max_tokens_of("eel")) == (7, 100)
    assert (reef.timeout_s, reef.bearer, reef.is_local) == (45.0, True, True)
    headers = reef.resolved_headers(SecretSources.of({}, {"MORE": "resolved-more"}))
    assert headers == {"x-tenant": "tide", "x-more": "resolved-more"}
    assert "tide" not in repr(reef)


def test_a_provider_without_an_api_speaks_chat_completions() -> None:
    found, _ = read_providers(config(local={"baseUrl": "http://localhost:1234/v1"}))
    assert found["local"].api == "openai-completions"


def test_known_providers_need_no_configuration_and_keep_their_api() -> None:
    found, _ = read_providers(config(anthropic={"baseUrl": "https://proxy.example", "models": []}))
    assert found["anthropic"].base_url == "https://proxy.example"
    assert found["anthropic"].api == "anthropic-messages"
    assert found["openai"].base_url == "https://api.openai.com/v1"
    assert not found["openai"].is_local


def test_an_agents_models_json_wins_where_it_says_something() -> None:
    own = {"providers": {"reef": {"baseUrl": "http://own/v1", "api": ""}, "new": {"baseUrl": "http://new"}}}
    found, _ = read_providers(config(reef={"baseUrl": "http://config/v1", "api": "anthropic-messages"}), own)
    assert (found["reef"].base_url, found["reef"].api) == ("http://own/v1", "anthropic-messages")
    assert found["new"].base_url == "http://new"


@pytest.mark.parametrize("raw", ["text", 5, None, []])
def test_what_is_no_provider_is_a_problem_not_a_crash(raw: object) -> None:
    found, problems = read_providers(config(reef=raw))
    assert "reef" not in found
    assert [problem.code for problem in problems] == ["provider-malformed"]


@pytest.mark.parametrize("document", [{}, {"models": 5}, {"models": {"providers": []}}])
def test_a_config_without_providers_has_the_known_ones(document: dict[str, Any]) -> None:
    assert "anthropic" in read_providers(document)[0]


def test_a_provider_without_a_url_is_named() -> None:
    found, problems = read_providers(config(reef={"api": "openai-completions"}))
    assert problems[0].code == "provider-without-url"
    with pytest.raises(ProviderUnknownError, match=r"models\.providers\.reef\.baseUrl"):
        provider_named(found, "reef")


@pytest.mark.parametrize(("base_url", "local"), [("http://[::1]:8/v1", True), ("http://[::1", False), ("", False)])
def test_local_means_loopback(base_url: str, local: bool) -> None:
    found, _ = read_providers(config(reef={"baseUrl": base_url or "x"}))
    assert found["reef"].is_local is local


def test_a_provider_key_is_resolved_or_absent() -> None:
    where = SecretSources.of({}, {"REEF": "sk-reef-secret"})
    found, _ = read_providers(
        config(
            a={"baseUrl": "http://a", "apiKey": "${REEF}"}, b={"baseUrl": "http://b"}, c={"baseUrl": "c", "apiKey": {}}
        )
    )
    secret = found["a"].secret(where)
    assert secret is not None
    assert secret.reveal() == "sk-reef-secret"
    assert found["b"].secret(where) is None
    with pytest.raises(SecretUnavailableError):
        provider_named(
            read_providers(config(d={"baseUrl": "d", "apiKey": {"source": "exec", "id": "v"}}))[0], "d"
        ).secret(where)


def test_variables_inside_addresses_and_headers_are_replaced() -> None:
    where = SecretSources.of({}, {"HOST": "127.0.0.1:4000", "TENANT": "tidepool"})
    found, _ = read_providers(config(a={"baseUrl": "http://${HOST}/v1", "headers": {"x": "t-${TENANT}", "y": "$5"}}))
    assert found["a"].url(where) == "http://127.0.0.1:4000/v1"
    assert found["a"].resolved_headers(where) == {"x": "t-tidepool", "y": "$5"}
    with pytest.raises(SecretUnavailableError, match="HOST"):
        found["a"].url(SecretSources.of({}, {}))
