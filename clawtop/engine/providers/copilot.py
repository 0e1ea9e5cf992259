"""GitHub Copilot: the stored GitHub token is exchanged for a short-lived one, which names the API host.

The exchange goes to one fixed address; the short-lived token goes to the host that it names, if that is GitHub's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Protocol

from clawtop.engine.providers import reading
from clawtop.engine.providers.base import Endpoint
from clawtop.engine.providers.errors import ErrorKind, ProviderError, from_status
from clawtop.store.provider.secrets import Secret

PROVIDER = "github-copilot"
EXCHANGE_URL = "https://api.github.com/copilot_internal/v2/token"
DEFAULT_HOST = "api.individual.githubcopilot.com"
HOSTS = re.compile(r"(?:[a-z0-9-]+\.){0,4}(?:githubcopilot\.com|ghe\.com)")
MARGIN_MS = 5 * 60_000
"""A token that expires sooner than this is exchanged again."""

HEADERS = {
    "user-agent": "GitHubCopilotChat/0.35.0",
    "editor-version": "vscode/1.107.0",
    "editor-plugin-version": "copilot-chat/0.35.0",
    "copilot-integration-id": "vscode-chat",
}
"""Copilot answers known editors only; OpenClaw names this one."""

ASKING = {"x-initiator": "user", "openai-intent": "conversation-edits"}


class Fetch(Protocol):
    """One small GET: status, headers, JSON body (None where it is none)."""

    async def __call__(
        self, endpoint: Endpoint, url: str, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], str]: ...


@dataclass(frozen=True, slots=True)
class CopilotToken:
    """A short-lived token. `expires_at` in ms since the epoch."""

    secret: Secret
    host: str
    expires_at: int

    def is_fresh(self, now_ms: int) -> bool:
        return self.expires_at - now_ms > MARGIN_MS


def token_from(token: str, expires_at: object) -> CopilotToken:
    """A token as GitHub gives it, or as OpenClaw keeps it. `expires_at` in seconds or ms since the epoch."""
    at = reading.count(expires_at)
    return CopilotToken(Secret(token), _host_of(token), at if at > 10**11 else at * 1000)


def _host_of(token: str) -> str:
    """The host that a token names (`proxy-ep=proxy.x.y` means `api.x.y`); the default for any other than GitHub's."""
    named = re.search(r"(?:^|;)\s*proxy-ep=(?:https?://)?([^;\s/]+)", token, re.IGNORECASE)
    if named is None:
        return DEFAULT_HOST
    host = re.sub(r"^proxy\.", "api.", named[1].lower())
    return host if HOSTS.fullmatch(host) else DEFAULT_HOST


async def exchanged(endpoint: Endpoint, fetch: Fetch, now_ms: int, *, url: str = EXCHANGE_URL) -> CopilotToken:
    """A short-lived token for the GitHub token of `endpoint`. Raises ProviderError."""
    if endpoint.secret is None:
        raise ProviderError(ErrorKind.CREDENTIAL, "there is no GitHub token", provider=endpoint.provider)
    headers = {**HEADERS, "authorization": f"Bearer {endpoint.secret.reveal()}", "accept": "application/json"}
    status, answered, body = await fetch(endpoint, url, headers)
    if status != 200:
        raise from_status(endpoint.provider, status, answered, body, now_ms)
    found: dict[str, Any] = dict(reading.obj(reading.parsed(body)))
    token = reading.text(found.get("token"))
    if not token:
        raise ProviderError(ErrorKind.PROTOCOL, "GitHub gave no Copilot token", provider=endpoint.provider)
    return token_from(token, found.get("expires_at"))


def with_token(endpoint: Endpoint, token: CopilotToken, builtin_base_url: str) -> Endpoint:
    """The endpoint with its short-lived token, at the host that the token names unless the config names another."""
    base_url = endpoint.base_url if endpoint.base_url != builtin_base_url else f"https://{token.host}"
    return replace(
        endpoint,
        base_url=base_url,
        secret=token.secret,
        credential_type="token",
        headers={**HEADERS, **ASKING, **endpoint.headers},
    )
