"""Which providers work without an auth profile: with a key or login of their own, or without any."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clawtop.core.model import ProviderKeys
from clawtop.nested import mapping
from clawtop.patterns import regex
from clawtop.redaction import remember_secrets
from clawtop.store.json_text import MEGABYTE, UnreadableError, read_bytes
from clawtop.store.provider.builtin import ENV_KEYS
from clawtop.store.provider.secrets import SecretSources
from clawtop.store.runtimes import ACP
from clawtop.store.wire import text

MAX_BYTES = MEGABYTE

AWS = "aws-sdk"
AWS_VARIABLES = ("AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID", "AWS_PROFILE")


def provider_keys(
    raw: Mapping[str, Any], backends: Mapping[str, str], environ: Mapping[str, str], *, complete: bool
) -> ProviderKeys:
    """The providers with a key or login of their own, by a gateway's configuration and environment. No key leaves this
    function.

    Args:
        backends: as `ConfigSummary.backends`: they have logins of their own.
        environ: the gateway's; `complete`: whether it is.
    """
    section = mapping(raw.get("env"))
    literal = {name: value for name, value in section.items() if isinstance(value, str) and value.strip()}
    sources = SecretSources.of(raw, {**literal, **{k: v for k, v in environ.items() if v.strip()}})
    found = {name: "its own login" for name in backends if name != ACP}
    for bound, runtime in _runtimes(raw):
        if runtime in backends:
            found.setdefault(bound, f"{runtime}'s own login")
    for name, names in ENV_KEYS.items():
        variable = next((one for one in names if sources.environ.get(one, "").strip()), None)
        if variable is not None:
            found[name] = f"the environment's {variable}"
    given = mapping(mapping(raw.get("models")).get("providers"))
    return ProviderKeys(found | (_configured(raw, given, sources) if given else {}), complete)


def _configured(raw: Mapping[str, Any], given: Mapping[str, Any], sources: SecretSources) -> dict[str, str]:
    """Those that `models.providers` describes."""
    from clawtop.store.provider.model_config import read_providers  # many configurations describe none

    found: dict[str, str] = {}
    for name, provider in read_providers(raw)[0].items():
        if text(provider.api_key) is not None or isinstance(provider.api_key, dict):
            found[name] = "a key in openclaw.json"
        elif name in given and provider.is_local:
            found[name] = "it runs on this machine and needs no key"
        elif mapping(given.get(name)).get("auth") == AWS and any(sources.environ.get(one) for one in AWS_VARIABLES):
            found[name] = "AWS's own credentials"
    return found


_SECRET = regex(r"(?:KEY|TOKEN|SECRET|PASSWORD)S?$", re.IGNORECASE)
_LINE = regex(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")


def dotenv(path: Path) -> dict[str, str]:
    """What `.env` of a state directory sets, which OpenClaw adds to its environment; none if unreadable."""
    try:
        lines = read_bytes(path, MAX_BYTES)[0].decode("utf-8", "replace").splitlines()
    except (OSError, UnreadableError):
        return {}
    found = (match for match in map(_LINE.fullmatch, lines) if match is not None)
    values = {match[1]: match[2].strip().strip("\"'") for match in found}
    remember_secrets(value for name, value in values.items() if _SECRET.search(name))
    return values


def _runtimes(raw: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(provider, runtime) of every model or provider that is bound to a runtime."""
    agents = mapping(raw.get("agents"))
    listed = agents.get("list")
    owners = [agents.get("defaults"), *(listed if isinstance(listed, list) else ())]
    models = [pair for owner in owners for pair in mapping(mapping(owner).get("models")).items()]
    models += list(mapping(mapping(raw.get("models")).get("providers")).items())
    named = (
        (name.partition("/")[0], text(mapping(mapping(entry).get("agentRuntime")).get("id"))) for name, entry in models
    )
    return [(provider.strip().lower(), runtime) for provider, runtime in named if runtime is not None]
