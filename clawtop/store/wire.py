"""The content of OpenClaw's files as it is read: the fields clawtop uses, each of any type, everything else skipped.

Reading is lenient on purpose: one nonsensical field costs that field, one nonsensical entry becomes a row that says
so, and the rest of the file goes on. The functions below interpret values as OpenClaw's loader does
(docs/formats.md 2.1, 2.2, 5; 2026.5.20).
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from clawtop.core.javascript import MAX_SAFE_INTEGER
from clawtop.core.model import NO_COUNTS, Credential, Problem, Suspension, UsageStats
from clawtop.nested import mapping

SESSION_TEXTS = (
    *("sessionId", "sessionFile", "status", "modelProvider", "model", "providerOverride", "modelOverride"),
    *("authProfileOverride", "authProfileOverrideSource"),
    *("label", "displayName", "subject", "groupChannel"),
)
SESSION_NUMBERS = (*("updatedAt", "startedAt", "endedAt", "compactionCount", "authProfileOverrideCompactionCount"),)
SESSION_OTHERS = ("abortedLastRun", "quotaSuspension")
_TOLD_IF_WRONG = {
    **dict.fromkeys(("status", "sessionId", "sessionFile"), ("wrong-type", "is not a text")),
    **dict.fromkeys(("updatedAt", "startedAt", "endedAt"), ("absurd-value", "is not a usable number")),
}
SENSIBLE: Final = "sensible"
MARK: Final = object()
"""Marks an entry whose fields are all valid, as nearly all of thousands are, so that they are not validated field by
field again. No file can contain this name.
"""

PROFILE_TYPES = frozenset({"api_key", "oauth", "token"})


# --- single values -----------------------------------------------------------------------------------------------


def text(value: Any) -> str | None:
    """A non-blank string."""
    return value if isinstance(value, str) and value.strip() else None


def milliseconds(value: Any) -> int | None:
    """A finite number as whole ms, or a whole count; None for anything else and for times beyond any clock."""
    if type(value) is int:  # nearly always: thousands of entries are read at once
        return value if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return int(value) if abs(value) <= MAX_SAFE_INTEGER else None


def flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


# --- usage statistics --------------------------------------------------------------------------------------------

_TIMES = {
    "last_used": "lastUsed",
    "error_count": "errorCount",
    "last_failure_at": "lastFailureAt",
    "cooldown_until": "cooldownUntil",
    "disabled_until": "disabledUntil",
    "blocked_until": "blockedUntil",
    "last_probe_at": "lastProbeAt",
}
_WORDS = {
    "cooldown_reason": "cooldownReason",
    "cooldown_model": "cooldownModel",
    "disabled_reason": "disabledReason",
    "blocked_reason": "blockedReason",
    "blocked_source": "blockedSource",
    "blocked_model": "blockedModel",
    "blocked_scope": "blockedScope",
    "cooldown_classification": "cooldownClassification",
}


_SENSES: Final = (
    (_TIMES, milliseconds, "absurd-value", "a usable number"),
    (_WORDS, text, "wrong-type", "a text"),
)
"""Fields, how each is read, and what is said of one that cannot be."""


def usage_stats(entry: Any, where: str) -> tuple[UsageStats, tuple[Problem, ...]]:
    """One entry of `usageStats`, and what is invalid in it. Unknown reasons are kept unchanged."""
    if not isinstance(entry, dict):
        return UsageStats(), (Problem("bad-stats", where, "its usage statistics are not an object"),)
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for fields, sense, code, wanted in _SENSES:
        for name, key in fields.items():
            values[name] = sense(entry.get(key))
            if values[name] is None and entry.get(key) is not None:
                problems.append(Problem(code, where, f"{key} is not {wanted}"))
    counts = entry.get("failureCounts")
    if counts is not None and not isinstance(counts, dict):
        problems.append(Problem("wrong-type", where, "failureCounts is not an object"))
    return UsageStats(failure_counts=_counts(counts), **values), tuple(problems)


def _counts(raw: Any) -> Mapping[str, int]:
    counts = {reason: count for reason, value in mapping(raw).items() if (count := milliseconds(value)) and count > 0}
    return counts or NO_COUNTS


# --- credentials -------------------------------------------------------------------------------------------------

_SECRETS_OF_TYPE = {"api_key": ("key", "apiKey", "keyRef"), "token": ("token", "tokenRef"), "oauth": ("access",)}
_SECRET_FIELDS = ("key", "apiKey", "token", "access", "refresh", "idToken")


def credential(stored: Mapping[str, Any]) -> Credential:
    """A member of `profiles` without its secrets.

    Aliases (`mode`, `apiKey`) and a nonsensical expiry, which becomes 0, are read as OpenClaw normalises them.
    """
    kind = text(stored.get("type")) or text(stored.get("mode")) or ""
    expires = stored.get("expires")
    return Credential(
        type=kind,
        has_secret=any(_is_secret(stored.get(name)) for name in _SECRETS_OF_TYPE.get(kind, ())),
        has_refresh=text(stored.get("refresh")) is not None,
        expires=None if expires is None or kind == "api_key" else max(0, milliseconds(expires) or 0),
        email=text(stored.get("email")),
        account=_account(stored, kind),
    )


_ACCOUNT_FIELDS = {
    "api_key": ("key", "apiKey", "keyRef"),
    "token": ("token", "tokenRef"),
    "oauth": ("accountId", "refresh", "access"),
}
_ACCOUNT_SALT = os.urandom(32)
"""New in each process: digests made with it can be compared only within this process."""


def _account(stored: Mapping[str, Any], kind: str) -> str | None:
    """Identifies a credential's account: a salted digest of its account id, else of its secret."""
    for name in _ACCOUNT_FIELDS.get(kind, ()):
        value = stored.get(name)
        if _is_secret(value):
            content = repr((text(stored.get("provider")), name, value)).encode("utf-8", "surrogatepass")
            return hashlib.blake2b(content, key=_ACCOUNT_SALT, digest_size=12).hexdigest()
    return None


def _is_secret(value: Any) -> bool:
    """Inline text, or a reference {source, provider, id}."""
    return text(value) is not None or (isinstance(value, dict) and text(value.get("id")) is not None)


def secret_values(stored: Mapping[str, Any]) -> tuple[str, ...]:
    """Every secret in the entry, only for `clawtop.redaction.remember_secrets`."""
    values = (stored.get(name) for name in _SECRET_FIELDS)
    return tuple(value for value in values if isinstance(value, str) and value)


# --- sessions ----------------------------------------------------------------------------------------------------


def session_entry(key: str, entry: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[Problem, ...]]:
    """An entry with only non-blank texts and whole numbers, and the fields that were invalid."""
    if not entry:
        return _NO_VALUES, ()
    if entry.get(SENSIBLE) is MARK:
        return entry, ()
    values: dict[str, Any] = {name: entry.get(name) for name in SESSION_OTHERS}
    problems: list[Problem] = []
    for names, sense in ((SESSION_TEXTS, text), (SESSION_NUMBERS, milliseconds)):
        for name in names:
            values[name] = sense(entry.get(name))
            if values[name] is None and entry.get(name) is not None and name in _TOLD_IF_WRONG:
                code, words = _TOLD_IF_WRONG[name]
                problems.append(Problem(code, key, f"{name} {words}"))
    return values, tuple(problems)


_NO_VALUES: Mapping[str, Any] = MappingProxyType(dict.fromkeys((*SESSION_OTHERS, *SESSION_TEXTS, *SESSION_NUMBERS)))


def session_name(values: Mapping[str, Any]) -> str | None:
    """What OpenClaw itself calls a session: the operator's label, else the chat's or channel's own name."""
    for member in ("label", "displayName", "subject", "groupChannel"):
        name = values.get(member)
        if isinstance(name, str) and name.strip():
            return name.strip()
    return None


def suspension(raw: Any) -> Suspension | None:
    """`quotaSuspension` of a session entry."""
    if not isinstance(raw, dict):
        return None
    return Suspension(
        reason=text(raw.get("reason")) or "unknown",
        state=text(raw.get("state")) or "unknown",
        suspended_at=milliseconds(raw.get("suspendedAt")),
        expected_resume_by=milliseconds(raw.get("expectedResumeBy")),
        lane_id=text(raw.get("laneId")),
    )
