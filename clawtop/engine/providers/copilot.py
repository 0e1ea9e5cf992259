"""GitHub Copilot: the stored GitHub token is exchanged for a short-lived one, which names the API host; or GitHub names
that host for the token's user, and the token itself is sent there, as OpenClaw does from 2026.8 on.

Both questions go to one fixed address each; a token goes to the host that is named only if that is GitHub's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from clawtop.engine.providers import reading
from clawtop.engine.providers.base import Endpoint
from clawtop.engine.providers.errors import ErrorKind, ProviderError, from_status
from clawtop.patterns import regex
from clawtop.store.provider.secrets import Secret
from clawtop.values import dataclass

EXCHANGE_URL = "https://api.github.com/copilot_internal/v2/token"
USER_URL = "https://api.github.com/copilot_internal/user"
DEFAULT_HOST = "api.individual.githubcopilot.com"
HOSTS = regex(r"(?:[a-z0-9-]+\.){0,4}(?:githubcopilot\.com|ghe\.com)")
MARGIN_MS = 5 * 60_000
"""A token that expires sooner than this is exchanged again."""
LOCATED_MS = 30 * 60_000
"""How long the host that GitHub names is cached."""

HEADERS = {
    "user-agent": "GitHubCopilotChat/0.35.0",
    "editor-version": "vscode/1.107.0",
    "editor-plugin-version": "copilot-chat/0.35.0",
    "copilot-integration-id": "vscode-chat",
}
"""Copilot answers only known editors; OpenClaw claims to be this one."""

API_VERSION = {"x-github-api-version": "2025-04-01"}
ASKING = {"x-initiator": "user", "openai-organization": "github-copilot"}
EXCHANGED = {"openai-intent": "conversation-edits"}
LOCATED = {"copilot-integration-id": "copilot-developer-cli"}
"""Further request headers besides `HEADERS`, by kind of token."""


class Fetch(Protocol):
    """One small GET: status, headers, JSON body (None where it is none)."""

    async def __call__(
        self, endpoint: Endpoint, url: str, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], str]: ...


@dataclass(frozen=True, slots=True)
class CopilotToken:
    """A token and the host that takes it. `expires_at` in ms since the epoch. `headers`: what goes with it."""

    secret: Secret
    host: str
    expires_at: int
    headers: Mapping[str, str]

    def is_fresh(self, now_ms: int) -> bool:
        return self.expires_at - now_ms > MARGIN_MS


def token_from(token: str, expires_at: object) -> CopilotToken:
    """A token as GitHub gives it, or as OpenClaw keeps it. `expires_at` in seconds or ms since the epoch."""
    at = reading.count(expires_at)
    return CopilotToken(Secret(token), _host_of(token), at if at > 10**11 else at * 1000, EXCHANGED)


def _host_of(token: str) -> str:
    """The host that a token names (`proxy-ep=proxy.x.y` means `api.x.y`); the default for any other than GitHub's."""
    named = re.search(r"(?:^|;)\s*proxy-ep=(?:https?://)?([^;\s/]+)", token, re.IGNORECASE)
    if named is None:
        return DEFAULT_HOST
    host = re.sub(r"^proxy\.", "api.", named[1].lower())
    return host if HOSTS.fullmatch(host) else DEFAULT_HOST


async def exchanged(endpoint: Endpoint, fetch: Fetch, now_ms: int, *, url: str = EXCHANGE_URL) -> CopilotToken:
    """A short-lived token for the GitHub token of `endpoint`. Raises ProviderError."""
    found = await _asked(endpoint, _github_token(endpoint), fetch, now_ms, {**HEADERS, **API_VERSION}, url)
    token = reading.text(found.get("token"))
    if not token:
        raise ProviderError(ErrorKind.PROTOCOL, "GitHub gave no Copilot token", provider=endpoint.provider)
    return token_from(token, found.get("expires_at"))


async def located(endpoint: Endpoint, fetch: Fetch, now_ms: int, *, url: str = USER_URL) -> CopilotToken:
    """The GitHub token of `endpoint` itself, with the host that GitHub names for its user. Raises ProviderError."""
    secret = _github_token(endpoint)
    found = await _asked(endpoint, secret, fetch, now_ms, {}, url)
    named = reading.text(reading.obj(found.get("endpoints")).get("api"))
    host = DEFAULT_HOST
    if named:
        parts = urlsplit(named)
        host = parts.hostname or ""
        if parts.scheme != "https" or parts.port is not None or HOSTS.fullmatch(host) is None:
            raise ProviderError(
                ErrorKind.PROTOCOL, "GitHub names a Copilot host that is not its own", provider=endpoint.provider
            )
    return CopilotToken(secret, host, now_ms + LOCATED_MS, LOCATED)


def _github_token(endpoint: Endpoint) -> Secret:
    if endpoint.secret is None:
        raise ProviderError(ErrorKind.CREDENTIAL, "there is no GitHub token", provider=endpoint.provider)
    return endpoint.secret


async def _asked(  # noqa: PLR0917 - one GET
    endpoint: Endpoint, secret: Secret, fetch: Fetch, now_ms: int, headers: Mapping[str, str], url: str
) -> Mapping[str, Any]:
    """GitHub's answer. Raises ProviderError."""
    sent = {**headers, "authorization": f"Bearer {secret.reveal()}", "accept": "application/json"}
    status, answered, body = await fetch(endpoint, url, sent)
    if status != 200:
        raise from_status(endpoint.provider, status, answered, body, now_ms)
    return reading.obj(reading.parsed(body))


def with_token(endpoint: Endpoint, token: CopilotToken, builtin_base_url: str) -> Endpoint:
    """The endpoint with its token, at the host that the token names unless the config names another."""
    base_url = endpoint.base_url if endpoint.base_url != builtin_base_url else f"https://{token.host}"
    return replace(
        endpoint,
        base_url=base_url,
        secret=token.secret,
        credential_type="token",
        headers={**HEADERS, **ASKING, **token.headers, **endpoint.headers},
    )
