"""The token of the gateway's HTTP API: from `gateway.auth.token` of openclaw.json, else from the environment.

It is read at the moment of use, remembered for redaction, and never part of a snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping

from clawtop.store.config import ConfigRead
from clawtop.store.provider.secrets import SecretSources, SecretUnavailableError, resolved
from clawtop.store.wire import mapping

VARIABLE = "OPENCLAW_GATEWAY_TOKEN"


def gateway_token(config: ConfigRead, env: Mapping[str, str]) -> str | None:
    """The token to send to a gateway of this configuration; None if none can be read from here."""
    raw = mapping(config.raw)
    configured = mapping(mapping(raw.get("gateway")).get("auth")).get("token")
    for value in (configured, env.get(VARIABLE)):
        if value:
            try:
                return resolved(value, SecretSources.of(raw, env), what="the gateway's token").reveal()
            except SecretUnavailableError:
                continue
    return None
