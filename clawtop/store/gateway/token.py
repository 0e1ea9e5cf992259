"""The token of the gateway's HTTP API: from `gateway.auth.token` of openclaw.json, else from the environment.

It is read at the moment of use, remembered for redaction, and never part of a snapshot. In another user's state
directory only a token that is written there counts, and `OPENCLAW_GATEWAY_TOKEN`: a reference of theirs to a variable
or a file would send what it names, of the user who runs clawtop, to their gateway.
"""

from __future__ import annotations

from collections.abc import Mapping

from clawtop.nested import mapping
from clawtop.store.config import ConfigRead
from clawtop.store.provider.secrets import SecretSources, SecretUnavailableError, resolved

VARIABLE = "OPENCLAW_GATEWAY_TOKEN"


def gateway_token(config: ConfigRead, env: Mapping[str, str], *, owned: bool) -> str | None:
    """The token to send to a gateway of this configuration; None if none can be read from here.

    `owned`: the state directory belongs to this user.
    """
    raw = mapping(config.raw)
    configured = mapping(mapping(raw.get("gateway")).get("auth")).get("token")
    named = SecretSources.of(raw, env)
    sources = named if owned else SecretSources({k: v for k, v in env.items() if k == VARIABLE})
    for value in (configured, env.get(VARIABLE)):
        if value:
            try:
                return resolved(value, sources, what="the gateway's token").reveal()
            except SecretUnavailableError:
                continue
    return None
