"""Credentials for a provider call: read at the moment of use, never shown, never kept in a snapshot.

Secret references follow OpenClaw 2026.5.20 (docs gateway/secrets): `env` and `file` sources are read; `exec` sources
run operator-defined programs inside the gateway, so here they are named as unavailable instead.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, NoReturn

from clawtop.errors import ClawtopError
from clawtop.nested import loads
from clawtop.patterns import regex
from clawtop.redaction import MASK, remember_secrets
from clawtop.store import door
from clawtop.text import safe
from clawtop.values import dataclass

SHORTHAND = regex(r"\$(?:\{([A-Z][A-Z0-9_]{0,127})\}|([A-Z][A-Z0-9_]{0,127}))")
EMBEDDED = regex(r"\$\{([A-Z][A-Z0-9_]{0,127})\}")
PLACEHOLDER = regex(r"\{([A-Z][A-Z0-9_]{0,127})\}")
REGION_NAMES = ("AWS_REGION", "AWS_DEFAULT_REGION")
DEFAULT_REGION = "us-east-1"
ENV_NAME = regex(r"[A-Z][A-Z0-9_]{0,127}")
FILE_LIMIT = 1024 * 1024
SECRET_FIELDS: Mapping[str, tuple[str, ...]] = {
    "api_key": ("key", "apiKey", "keyRef"),
    "token": ("token", "tokenRef"),
    "oauth": ("access",),
}
"""Credential type -> the fields that may hold its secret, a reference last and winning if both are present."""


class SecretUnavailableError(ClawtopError):
    """A credential cannot be used from here. It says nothing about the provider, so nothing is marked for it.

    `expired` is True if it has expired and cannot be refreshed; OpenClaw refreshes logins with a refresh token.
    """

    def __init__(self, title: str, *, hint: str = "", expired: bool = False) -> None:
        super().__init__(title, hint=hint, unchanged="no request was sent")
        self.expired = expired


class Secret:
    """A value that is redacted everywhere; `reveal` is only for the header that carries it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        remember_secrets((value,))
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not copied out of its process")


@dataclass(frozen=True, slots=True)
class SecretSources:
    """Where references lead: the environment and `secrets.providers` of openclaw.json."""

    environ: Mapping[str, str] = field(repr=False)
    providers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    home: Path = Path()

    @classmethod
    def of(cls, config: Mapping[str, Any], environ: Mapping[str, str]) -> SecretSources:
        """The sources that a parsed openclaw.json names; its literal `env.vars` fill gaps of the environment."""
        providers, variables = _named(config, "secrets", "providers"), _named(config, "env", "vars")
        return cls(
            environ={k: v for k, v in variables.items() if isinstance(v, str)} | dict(environ),
            providers={k: v for k, v in providers.items() if isinstance(v, Mapping)},
            home=Path(environ.get("OPENCLAW_HOME") or environ.get("HOME") or "/"),
        )


def _named(config: Mapping[str, Any], section: str, name: str) -> Mapping[str, Any]:
    """`config.SECTION.NAME`; empty where either is no object."""
    found = config.get(section)
    inner = found.get(name) if isinstance(found, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


@dataclass(frozen=True, slots=True)
class CallCredential:
    """A credential ready for one call. `account`: the account's id, where a login names one."""

    type: str
    secret: Secret
    account: str | None = None


def credential_of(raw: Mapping[str, Any], sources: SecretSources, now_ms: int, *, what: str) -> CallCredential:
    """The credential that one entry of `profiles` describes. `what` names it for people.

    Raises:
        SecretUnavailableError: no secret, an unresolved reference, or one that has expired.
    """
    kind = str(raw.get("type") or raw.get("mode") or "api_key")
    given = [raw[name] for name in SECRET_FIELDS.get(kind, ()) if raw.get(name)]
    if not given:
        raise SecretUnavailableError(f"{safe(what, 80)} has no usable {safe(kind, 20)} credential")
    expires = raw.get("expires")
    if kind != "api_key" and isinstance(expires, int | float) and 0 < expires <= now_ms:
        if kind == "oauth" and raw.get("refresh"):
            raise SecretUnavailableError(
                f"the access token of {safe(what, 80)} has expired and needs a refresh by OpenClaw",
                hint="OpenClaw refreshes it when it uses the account: send one turn through the gateway",
            )
        raise SecretUnavailableError(
            f"the {safe(kind, 20)} credential of {safe(what, 80)} has expired", hint="sign in again", expired=True
        )
    account = raw.get("accountId")
    return CallCredential(
        kind, resolved(given[-1], sources, what=what), account if isinstance(account, str) and account else None
    )


def resolved(value: object, sources: SecretSources, *, what: str) -> Secret:
    """A secret given inline, as `${NAME}` or `$NAME`, or as a reference {source, provider, id}.

    Raises:
        SecretUnavailableError: the reference leads nowhere, or to a source that clawtop does not read.
    """
    if isinstance(value, str):
        if shorthand := SHORTHAND.fullmatch(value):
            return _from_environment(shorthand[1] or shorthand[2], {}, sources, what)
        return Secret(value)
    if not isinstance(value, Mapping):
        raise SecretUnavailableError(f"the secret of {safe(what, 80)} is neither text nor a reference")
    source, reference = value.get("source"), str(value.get("id") or "")
    provider = sources.providers.get(str(value.get("provider") or "default"), {})
    if source == "env":
        return _from_environment(reference, provider, sources, what)
    if source == "file":
        return _from_file(reference, provider, sources, what)
    raise SecretUnavailableError(
        f"the secret of {safe(what, 80)} comes from a {safe(source, 20)} source, which only the gateway can read",
        hint="drive it through the gateway, or reference it by environment or file",
    )


def expanded(text: str, sources: SecretSources, *, what: str) -> str:
    """A text of the configuration with every `${NAME}` in it replaced, as OpenClaw does in all of its config.

    Raises:
        SecretUnavailableError: a variable is not set here.
    """
    return EMBEDDED.sub(lambda match: _variable(match[1], sources, what), text)


def filled(text: str, sources: SecretSources, *, what: str) -> str:
    """An address of the built-in table with each `{NAME}` in it replaced from the environment.

    Raises:
        SecretUnavailableError: a variable is not set here, and has no default.
    """

    def value(match: re.Match[str]) -> str:
        names = REGION_NAMES if match[1] in REGION_NAMES else (match[1],)
        found = next((sources.environ[name] for name in names if sources.environ.get(name)), None)
        if found is None and match[1] in REGION_NAMES:
            return DEFAULT_REGION
        return found or _variable(match[1], sources, what)

    return PLACEHOLDER.sub(value, text)


def config_secret(value: object, sources: SecretSources, *, what: str) -> Secret:
    """`models.providers.<id>.apiKey`: as `resolved`, and a bare NAME is the environment's value where it has one."""
    if isinstance(value, str) and ENV_NAME.fullmatch(value) and sources.environ.get(value):
        return Secret(sources.environ[value])
    return resolved(value, sources, what=what)


def _from_environment(name: str, provider: Mapping[str, Any], sources: SecretSources, what: str) -> Secret:
    allowed = provider.get("allowlist")
    if isinstance(allowed, list) and name not in allowed:
        raise SecretUnavailableError(
            f"the secret of {safe(what, 80)}: {safe(name, 60)} is not in its provider's allowlist"
        )
    return Secret(_variable(name, sources, what))


def _variable(name: str, sources: SecretSources, what: str) -> str:
    found = sources.environ.get(name, "")
    if not found:
        raise SecretUnavailableError(
            f"{safe(what, 80)} needs the environment variable {safe(name, 60)}, which is not set here",
            hint=f"run clawtop with {safe(name, 60)} set as the gateway has it",
        )
    return found


def _from_file(pointer: str, provider: Mapping[str, Any], sources: SecretSources, what: str) -> Secret:
    configured = str(provider.get("path") or "")
    if not configured:
        raise SecretUnavailableError(f"the secret of {safe(what, 80)} names a file provider that is not in the config")
    path = sources.home / configured[2:] if configured.startswith("~/") else Path(configured)
    try:
        text = _read_private(path, insecure_ok=provider.get("allowInsecurePath") is True)
        found = text.strip() if provider.get("mode") == "singleValue" else _pointed(loads(text), pointer)
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "not readable as configured"
        raise SecretUnavailableError(f"the secret of {safe(what, 80)} in {safe(path, 200)}: {safe(why, 200)}") from None
    if not isinstance(found, str) or not found:
        raise SecretUnavailableError(f"the secret of {safe(what, 80)}: {safe(path, 200)} has no text at its id")
    return Secret(found)


def _read_private(path: Path, *, insecure_ok: bool) -> str:
    """The text of a regular file that belongs to this user or root and that others cannot access.

    Raises:
        OSError: it cannot be opened, is not a regular file, too large, or open to others.
    """
    content, status = door.read(path, FILE_LIMIT, follow=door.Follow.ITS_OWNER)
    if not insecure_ok and (status.st_uid not in {0, os.geteuid()} or status.st_mode & 0o077):
        raise OSError(None, "its owner or mode lets others read it (wanted: owned by this user, 0600)")
    return content.decode("utf-8")


def _pointed(document: Any, pointer: str) -> Any:
    """RFC 6901: the value at `pointer`, or None."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, Mapping):
            document = document.get(name)
        elif isinstance(document, list) and name.isdecimal() and int(name) < len(document):
            document = document[int(name)]
        else:
            return None
    return document
