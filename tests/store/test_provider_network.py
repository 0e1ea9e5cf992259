"""TLS, proxies, ways to authenticate, per-model addresses and the built-in table: where a credential may go."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from clawtop.engine.providers import copilot
from clawtop.engine.providers.base import Endpoint
from clawtop.engine.providers.http import APIS
from clawtop.store.provider.builtin import BUILTIN, ENV_KEYS, MODEL_RULES
from clawtop.store.provider.model_config import provider_named, read_providers
from clawtop.store.provider.network_config import Network, auth_header, network_for
from clawtop.store.provider.secrets import Secret, SecretSources

HTTPS = "https://api.reef.example/v1"
EXCHANGES = {"https://api.github.com/copilot_internal/v2/token"}
"""The addresses beside base URLs that a credential may go to."""


def sources(**environ: str) -> SecretSources:
    return SecretSources(environ=environ, home=Path("/home/op"))


def network(url: str = HTTPS, request: dict[str, Any] | None = None, **environ: str) -> Network:
    return network_for(url, request or {}, sources(**environ), what="reef")


@pytest.mark.parametrize("provider", sorted(BUILTIN))
def test_a_built_in_provider_is_asked_at_its_own_address_and_nowhere_else(provider: str) -> None:
    config = provider_named(read_providers({})[0], provider)
    where = sources(CLOUDFLARE_ACCOUNT_ID="acc", AWS_REGION="eu-west-1")
    for model in ("some-model", *(prefix for rule in MODEL_RULES.get(provider, ()) for prefix in rule.prefixes)):
        base = config.url(where, model)
        api = APIS[config.api_of(model)]
        url = api.url(Endpoint(provider, api.kind, base, Secret("sk-some-key-1234")), model)
        assert urlsplit(url).netloc == urlsplit(base).netloc
        assert base.startswith(("https://", "http://127.0.0.1", "http://localhost"))
        assert "{" not in url


def test_the_one_exchange_is_fixed() -> None:
    assert {copilot.EXCHANGE_URL} == EXCHANGES


def test_a_provider_that_nobody_configured_has_no_address() -> None:
    assert "carrier-pigeon" not in read_providers({})[0]


def test_keys_of_the_environment_serve_built_in_providers_only_where_no_key_is_configured() -> None:
    assert set(ENV_KEYS) - {"azure-openai-responses"} <= set(BUILTIN)
    config = provider_named(read_providers({})[0], "anthropic")
    found = config.secret(sources(ANTHROPIC_API_KEY="sk-ant-1234567"))
    assert found is not None
    assert found.reveal() == "sk-ant-1234567"
    assert config.secret(sources()) is None


def test_a_models_own_address_api_headers_and_prices_win() -> None:
    model = {
        "id": "claw",
        "baseUrl": "https://claw.example/v2",
        "api": "anthropic-messages",
        "headers": {"x-tenant": "claw"},
        "contextWindow": 1000,
        "cost": {"input": 1, "output": 2},
        "compat": {"supportsTools": False},
    }
    raw = {"models": {"providers": {"reef": {"baseUrl": HTTPS, "headers": {"x-tenant": "reef"}, "models": [model]}}}}
    config = provider_named(read_providers(raw)[0], "reef")
    assert config.url(sources(), "claw") == "https://claw.example/v2"
    assert config.url(sources(), "other") == HTTPS
    assert config.api_of("claw") == "anthropic-messages"
    assert config.resolved_headers(sources(), "claw") == {"x-tenant": "claw"}
    assert config.resolved_headers(sources(), "other") == {"x-tenant": "reef"}
    assert config.context_window_of("claw") == 1000
    assert config.cost_of("claw", {"input": 1_000_000, "output": 500_000})["total"] == 2.0
    assert config.cost_of("other", {"input": 1}) == {}


def test_openai_at_its_own_address_speaks_responses_and_elsewhere_completions() -> None:
    assert read_providers({})[0]["openai"].api == "openai-responses"
    raw = {"models": {"providers": {"openai": {"baseUrl": "http://127.0.0.1:4000/v1"}}}}
    assert read_providers(raw)[0]["openai"].api == "openai-completions"


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        (HTTPS, {}, None),
        (HTTPS, {"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        (HTTPS, {"https_proxy": "proxy:3128"}, "http://proxy:3128"),
        (HTTPS, {"HTTP_PROXY": "http://proxy:3128"}, None),
        (HTTPS, {"ALL_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        (HTTPS, {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "reef.example"}, None),
        ("http://127.0.0.1:1/v1", {"HTTP_PROXY": "http://proxy:3128", "ALL_PROXY": "http://proxy:1"}, None),
        ("http://localhost:1/v1", {"HTTP_PROXY": "http://proxy:3128"}, None),
    ],
)
def test_the_environments_proxies_count_for_everything_but_this_machine(
    url: str, environ: dict[str, str], proxy: str | None
) -> None:
    assert network(url, None, **environ).proxy == proxy


def test_an_explicit_proxy_counts_everywhere() -> None:
    request = {"proxy": {"mode": "explicit-proxy", "url": "http://own:1"}}
    assert network(HTTPS, request, HTTPS_PROXY="http://other:1").proxy == "http://own:1"


def test_tls_comes_from_the_configuration_and_the_environment() -> None:
    request = {"tls": {"ca": "${CA}", "serverName": "inner", "insecureSkipVerify": True}}
    made = network(HTTPS, request, CA="PEM-of-the-reef", NODE_EXTRA_CA_CERTS="/etc/extra.pem")
    assert made.tls.ca == ("/etc/extra.pem", "PEM-of-the-reef")
    assert (made.tls.server_name, made.tls.insecure) == ("inner", True)
    assert "PEM-of-the-reef" not in repr(made)
    assert network("http://plain.example", NODE_EXTRA_CA_CERTS="/etc/extra.pem").tls.ca == ()


def test_a_proxy_over_tls_has_its_own() -> None:
    proxy = {"mode": "explicit-proxy", "url": "https://proxy.example:3129", "tls": {"ca": "PROXYS", "serverName": "p"}}
    made = network(HTTPS, {"proxy": proxy, "tls": {"ca": "PROVIDERS"}}, NODE_EXTRA_CA_CERTS="/etc/extra.pem")
    assert (made.proxy_tls.ca, made.proxy_tls.server_name) == (("/etc/extra.pem", "PROXYS"), "p")
    assert (made.tls.ca, made.tls.server_name) == (("/etc/extra.pem", "PROVIDERS"), None)


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ({"mode": "provider-default"}, None),
        ({"mode": "authorization-bearer", "token": "tok-123456"}, ("authorization", "Bearer tok-123456")),
        ({"mode": "header", "headerName": "X-Key", "value": "${KEY}"}, ("X-Key", "k-123456")),
        ({"mode": "header", "headerName": "X-Key", "value": "v-123456", "prefix": "Key "}, ("X-Key", "Key v-123456")),
        ({}, None),
    ],
)
def test_the_configuration_may_choose_how_to_authenticate(auth: dict[str, Any], header: tuple[str, str] | None) -> None:
    assert auth_header({"auth": auth}, sources(KEY="k-123456"), what="reef") == header
