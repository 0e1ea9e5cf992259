"""Limits of the session write lock: environment over config over default (docs/formats.md 4)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from clawtop.core.javascript import MAX_SAFE_INTEGER, is_finite, to_number
from clawtop.core.model import LockLimits
from clawtop.core.rules import WriteLockSettings
from clawtop.values import dataclass

NEVER_MS = MAX_SAFE_INTEGER
"""Represents JavaScript's Infinity in a `LockLimits`."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: its variable, its key in the configuration, its default."""

    env: str
    config: str
    default_ms: int
    may_be_infinite: bool = False


ACQUIRE = Limit("OPENCLAW_SESSION_WRITE_LOCK_ACQUIRE_TIMEOUT_MS", "acquireTimeoutMs", 60_000, may_be_infinite=True)
STALE = Limit("OPENCLAW_SESSION_WRITE_LOCK_STALE_MS", "staleMs", 1_800_000)
MAX_HOLD = Limit("OPENCLAW_SESSION_WRITE_LOCK_MAX_HOLD_MS", "maxHoldMs", 300_000)


def lock_limits(
    settings: WriteLockSettings, write_lock: Mapping[str, Any] | None, env: Mapping[str, str]
) -> LockLimits:
    """The limits that apply, in whole ms; `source` names where the strongest of them comes from.

    Args:
        write_lock: `session.writeLock` of openclaw.json.
        env: the environment that the gateway is assumed to run in.
    """
    resolved = [resolve(limit, settings, write_lock, env) for limit in (ACQUIRE, STALE, MAX_HOLD)]
    sources = {source for _, source in resolved}
    source = next((name for name in ("environment", "config") if name in sources), "default")
    acquire, stale, hold = (NEVER_MS if math.isinf(value) else max(1, int(value)) for value, _ in resolved)
    return LockLimits(acquire, stale, hold, source)


def resolve(
    limit: Limit, settings: WriteLockSettings, write_lock: Mapping[str, Any] | None, env: Mapping[str, str]
) -> tuple[float, str]:
    """One limit and its source: "environment", "config" or "default"."""
    default_ms = settings.acquire_ms if limit is ACQUIRE else limit.default_ms
    if not settings.configurable:
        return float(default_ms), "default"
    from_env = _from_env(env.get(limit.env, ""), settings)
    if from_env is not None and _applies(from_env, limit.may_be_infinite):
        return from_env, "environment"
    from_config = (write_lock or {}).get(limit.config)
    if isinstance(from_config, int | float) and _applies(from_config, limit.may_be_infinite):
        return float(from_config), "config"
    return float(default_ms), "default"


def _from_env(raw: str, settings: WriteLockSettings) -> float | None:
    word = raw.strip()
    if not word:
        return None
    if settings.whole_numbers and word != "Infinity":
        digits = float(word) if re.fullmatch(r"[0-9]+", word) else math.nan
        return digits if digits <= MAX_SAFE_INTEGER else None
    return to_number(word)


def _applies(value: float, may_be_infinite: bool) -> bool:
    return not isinstance(value, bool) and value > 0 and (is_finite(value) or (may_be_infinite and value == math.inf))
