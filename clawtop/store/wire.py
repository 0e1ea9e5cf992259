"""What stands in OpenClaw's files, as it is read: the fields clawtop uses, each of any type, everything else skipped.

The models are lenient on purpose: one nonsensical field costs that field, one nonsensical entry becomes a row that
says so, and the rest of the file goes on. Values are made sense of by the functions below, as OpenClaw's loader does
(formats.md 2.1, 2.2, 5; 2026.5.20).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from clawtop.core.javascript import MAX_SAFE_INTEGER
from clawtop.core.model import NO_COUNTS, Credential, Problem, Suspension, UsageStats

_SKIP_UNKNOWN = ConfigDict(extra="ignore", frozen=True)


class SessionEntry(BaseModel):
    """A member of sessions.json. Real entries carry kilobytes of skill snapshots, which never become objects here."""

    model_config = _SKIP_UNKNOWN

    sessionId: Any = None  # noqa: N815 - OpenClaw's names
    updatedAt: Any = None  # noqa: N815
    sessionFile: Any = None  # noqa: N815
    status: Any = None
    startedAt: Any = None  # noqa: N815
    endedAt: Any = None  # noqa: N815
    abortedLastRun: Any = None  # noqa: N815
    modelProvider: Any = None  # noqa: N815
    model: Any = None
    providerOverride: Any = None  # noqa: N815
    modelOverride: Any = None  # noqa: N815
    authProfileOverride: Any = None  # noqa: N815
    authProfileOverrideSource: Any = None  # noqa: N815
    authProfileOverrideCompactionCount: Any = None  # noqa: N815
    compactionCount: Any = None  # noqa: N815
    totalTokens: Any = None  # noqa: N815
    quotaSuspension: Any = None  # noqa: N815


_Entry = Annotated[SessionEntry | Any, Field(union_mode="left_to_right")]
SESSIONS: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, _Entry])


class StoredCredential(BaseModel):
    """A member of `profiles` in auth-profiles.json. Its secrets are never kept: see `credential`."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    type: Any = None
    mode: Any = None
    provider: Any = None
    key: Any = None
    apiKey: Any = None  # noqa: N815
    keyRef: Any = None  # noqa: N815
    token: Any = None
    tokenRef: Any = None  # noqa: N815
    access: Any = None
    refresh: Any = None
    idToken: Any = None  # noqa: N815
    expires: Any = None
    email: Any = None

    def __repr__(self) -> str:
        return "StoredCredential(...)"

    __str__ = __repr__


PROFILE_TYPES = frozenset({"api_key", "oauth", "token"})


# --- single values -----------------------------------------------------------------------------------------------


def text(value: Any) -> str | None:
    """A string that says something."""
    return value if isinstance(value, str) and value.strip() else None


def milliseconds(value: Any) -> int | None:
    """A finite number as whole ms, or a whole count; None for anything else and for what no clock reaches."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return int(value) if abs(value) <= MAX_SAFE_INTEGER else None


def flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


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


def usage_stats(entry: Any, where: str) -> tuple[UsageStats, tuple[Problem, ...]]:
    """One entry of `usageStats`, and what of it makes no sense. Unknown reasons are kept as they stand."""
    if not isinstance(entry, dict):
        return UsageStats(), (Problem("bad-stats", where, "its usage statistics are not an object"),)
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for name, key in _TIMES.items():
        values[name] = milliseconds(entry.get(key))
        if values[name] is None and entry.get(key) is not None:
            problems.append(Problem("absurd-value", where, f"{key} is not a usable number"))
    for name, key in _WORDS.items():
        values[name] = text(entry.get(key))
        if values[name] is None and entry.get(key) is not None:
            problems.append(Problem("wrong-type", where, f"{key} is not a text"))
    counts = entry.get("failureCounts")
    if counts is not None and not isinstance(counts, dict):
        problems.append(Problem("wrong-type", where, "failureCounts is not an object"))
    return UsageStats(failure_counts=_counts(counts), **values), tuple(problems)


def _counts(raw: Any) -> Mapping[str, int]:
    counts = {reason: count for reason, value in mapping(raw).items() if (count := milliseconds(value)) and count > 0}
    return counts or NO_COUNTS


# --- credentials -------------------------------------------------------------------------------------------------


def credential(stored: StoredCredential, fallback_type: str = "") -> Credential:
    """What may be known of a credential. An expiry that is no positive number is 0, as OpenClaw normalises it."""
    kind = text(stored.type) or text(stored.mode) or fallback_type
    secrets = {
        "api_key": (stored.key, stored.apiKey, stored.keyRef),
        "token": (stored.token, stored.tokenRef),
        "oauth": (stored.access,),
    }.get(kind, ())
    expires = None if stored.expires is None else max(0, milliseconds(stored.expires) or 0)
    return Credential(
        type=kind,
        has_secret=any(_is_secret(value) for value in secrets),
        has_refresh=text(stored.refresh) is not None,
        expires=None if kind == "api_key" else expires,
        email=text(stored.email),
    )


def _is_secret(value: Any) -> bool:
    """Inline text, or a reference {source, provider, id}."""
    return text(value) is not None or (isinstance(value, dict) and text(value.get("id")) is not None)


def secret_values(stored: StoredCredential) -> tuple[str, ...]:
    """Every secret that stands in the entry, for `clawtop.text.remember_secrets` and nothing else."""
    fields = (stored.key, stored.apiKey, stored.token, stored.access, stored.refresh, stored.idToken)
    return tuple(value for value in fields if isinstance(value, str) and value)


# --- sessions ----------------------------------------------------------------------------------------------------


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
