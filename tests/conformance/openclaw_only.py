"""What OpenClaw does and clawtop has no use for, held to OpenClaw's rows all the same: it explains what is beside it.

Its client library's retries, the names of its lanes, its timeouts around compaction, its own words for failures.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from clawtop.core.cooldown.stats import unusable_until
from clawtop.core.failover.candidate import FallbackSummary
from clawtop.core.failure import as_8_2, as_9_6
from clawtop.core.failure.dialect import DIALECTS, Dialect
from clawtop.core.javascript import is_finite, to_number
from clawtop.core.locks.limits import ACQUIRE, MAX_HOLD, STALE, resolve
from clawtop.core.model import FailureReason, UsageStats
from clawtop.core.rules import ErrorDialect, Schedule, WriteLockSettings
from clawtop.core.session.lane_queue import LaneState
from clawtop.core.session.lanes import CRON, CRON_NESTED, NESTED
from clawtop.core.session.recovery import RecoveryAction, RecoveryOutcome, RecoveryStatus, StuckSession

WITHOUT_PLUGINS: Mapping[str, Dialect] = {
    "8.x": replace(DIALECTS[ErrorDialect.V8_2], of_signal=as_8_2.read_signal),
    "9.x": replace(DIALECTS[ErrorDialect.V9_6], of_signal=as_9_6.read_signal),
}
"""By the name of the version's row, before any provider's plugin is loaded, which is how the rows were made."""


# --- how its client library waits ----------------------------------------------------------------------------------


class WaitHeaders(NamedTuple):
    """How the client library reads how long a provider asks it to wait.

    Attributes:
        negative_is_none: a negative wait counts as none.
        seconds_too: `retry-after` counts besides `retry-after-ms`; the longer of the two is used.
    """

    negative_is_none: bool = False
    seconds_too: bool = False


_NEGATIVE_IS_NONE = WaitHeaders(negative_is_none=True)
WAIT_HEADERS: Mapping[str, WaitHeaders] = {
    "3.28": WaitHeaders(),
    "5.x": WaitHeaders(),
    "6.11": _NEGATIVE_IS_NONE,
    "7.1": _NEGATIVE_IS_NONE,
    "8.x": _NEGATIVE_IS_NONE,
    "9.x": WaitHeaders(negative_is_none=True, seconds_too=True),
}
"""By the name of the version's row."""

DEFAULT_MAX_WAIT_SECONDS = 60.0
MAX_WAIT_VARIABLE = "OPENCLAW_SDK_RETRY_MAX_WAIT_SECONDS"
NO_CAP = frozenset({"0", "false", "off", "none", "disabled"})
RETRIED_STATUSES = frozenset({408, 409, 429})


def retry_after_seconds(headers: Mapping[str, str], now_ms: int) -> float | None:
    """The wait that `retry-after-ms` or `retry-after` (seconds or an HTTP date) asks for; None if unreadable.

    `headers` are keyed in lower case. A past date and a negative number mean no wait.
    """
    milliseconds = _figure(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _figure(value)
    if seconds is not None or value is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now_ms / 1000)
    except (ValueError, OverflowError, TypeError):
        return None


def _asked_wait(headers: Mapping[str, str], now_ms: int, reading: WaitHeaders) -> float | None:
    if reading.negative_is_none:
        headers = {name: value for name, value in headers.items() if not value.strip().startswith("-")}
    waits = [retry_after_seconds(headers, now_ms)]
    if reading.seconds_too:
        waits.append(retry_after_seconds({"retry-after": headers.get("retry-after", "")}, now_ms))
    return max((wait for wait in waits if wait is not None), default=None)


def _figure(text: str | None) -> float | None:
    if text is None or not text.strip():
        return None
    number = to_number(text)
    return max(0.0, number) if math.isfinite(number) else None


def max_wait_seconds(environment: Mapping[str, str]) -> float | None:
    """The longest wait that a client library may do by itself, None if there is no cap."""
    text = environment.get(MAX_WAIT_VARIABLE, "").strip().lower()
    if text in NO_CAP:
        return None
    number = to_number(text) if text else math.nan
    return number if math.isfinite(number) and number > 0 else DEFAULT_MAX_WAIT_SECONDS


def should_bypass_long_sdk_retry(
    status: int,
    headers: Mapping[str, str],
    environment: Mapping[str, str],
    *,
    now_ms: int,
    reading: WaitHeaders,
) -> bool:
    """Whether an answer must surface at once instead of being retried inside the client library.

    True where the wait is longer than the cap, and for a 429 that does not say how long.
    """
    if status not in RETRIED_STATUSES and status < 500:
        return False
    cap = max_wait_seconds(environment)
    if cap is None:
        return False
    wait = _asked_wait(headers, now_ms, reading)
    return status == 429 if wait is None else wait > cap


# --- how its runs end ----------------------------------------------------------------------------------------------


class ChainEnd(NamedTuple):
    """What a run over several models reports, and how it ends if none of them answered.

    Attributes:
        tells_steps: every step from one model to the next is reported (not in 2026.3).
        is_failure: the run ends with the class and status of the last attempt; else with a summary that has neither.
        names_login: the text ends with the command to log in again, if the last failure was one of credentials.
        wraps_objects: a thrown value that is not an error becomes the cause of one.
    """

    tells_steps: bool = True
    is_failure: bool = False
    names_login: bool = False
    wraps_objects: bool = False


_6_11 = ChainEnd(names_login=True, wraps_objects=True)
_8_X = ChainEnd(is_failure=True, names_login=True, wraps_objects=True)
CHAIN_ENDS: Mapping[str, ChainEnd] = {
    "3.28": ChainEnd(tells_steps=False),
    "5.x": ChainEnd(),
    "6.11": _6_11,
    "7.1": _6_11,
    "8.x": _8_X,
    "9.x": _8_X,
}
"""By the name of the version's row."""


def end_text(summary: FallbackSummary, end: ChainEnd) -> str:
    """The error text with which OpenClaw ends a run that no model answered."""
    last = summary.attempts[-1] if summary.attempts else None
    lost = last is not None and last.reason in {FailureReason.AUTH, FailureReason.AUTH_PERMANENT}
    if not end.names_login or last is None or not lost:
        return summary.text
    return f"{summary.text}. Re-authenticate with: {login_command(last.model.provider)}"


def login_command(provider: str) -> str:
    """The command to log in to a provider again, quoted for a shell."""
    quoted = provider.replace("'", "'\\''")
    return f"openclaw models auth login --provider '{quoted}' --force"


_SPOKEN: Mapping[FailureReason, str] = {
    FailureReason.RATE_LIMIT: "⚠️ API rate limit reached. Please try again later.",
    FailureReason.OVERLOADED: "The AI service is temporarily overloaded. Please try again in a moment.",
    FailureReason.TIMEOUT: "LLM request timed out.",
}


def failure_message(reason: FailureReason | None, answer: str | None, *, timed_out: bool = False) -> str:
    """What OpenClaw tells the caller of a failed run: a sentence for common failures, else the provider's own message.

    `timed_out` matters if there is no answer.
    """
    if answer:
        return _SPOKEN.get(reason, answer) if reason else answer
    return _SPOKEN[FailureReason.TIMEOUT] if timed_out else "LLM request failed."


# --- its statistics, tidied in memory ------------------------------------------------------------------------------


def expired(stats: UsageStats, now: int, schedule: Schedule) -> UsageStats:
    """The statistics without expired windows: each is removed individually, the counters with the last one.

    OpenClaw does this whenever it resolves an order, and it reaches the disk with its next write.
    """
    gone: dict[str, None] = {}
    for ends, names in _WINDOWS.items():
        until = getattr(stats, ends)
        if until is not None and 0 < until <= now:
            gone |= dict.fromkeys((ends, *names))
    left = replace(stats, **gone)  # type: ignore[arg-type]
    if not gone or unusable_until(left, schedule) is not None:
        return left
    counts = {reason: count for reason, count in left.failure_counts.items() if reason in schedule.surviving_counts}
    return replace(left, error_count=0, failure_counts=counts)


_WINDOWS = {
    "cooldown_until": ("cooldown_reason", "cooldown_model", "cooldown_classification"),
    "blocked_until": ("blocked_reason", "blocked_source", "blocked_model", "blocked_scope"),
    "disabled_until": ("disabled_reason",),
}
"""When a window ends -> what else is stored of it."""


# --- timeouts around a compaction ----------------------------------------------------------------------------------


Messages = TypeVar("Messages")


def is_compaction_timeout(*, timed_out: bool, pending_or_retrying: bool, in_flight: bool) -> bool:
    """Whether a timeout belongs to a compaction rather than to the model."""
    return timed_out and (pending_or_retrying or in_flight)


def on_run_timeout(*, pending_or_retrying: bool, in_flight: bool, grace_used: bool) -> Literal["extend", "abort"]:
    """What a run's timeout does: a running compaction gets one extension, nothing else gets any."""
    compacting = pending_or_retrying or in_flight
    return "extend" if compacting and not grace_used else "abort"


@dataclass(frozen=True, slots=True)
class Transcript(Generic[Messages]):
    """A transcript to continue from: its messages, the session it belongs to, and which of the two it is."""

    messages: Messages
    session_id: str
    source: Literal["current", "pre-compaction"]


def transcript_after_timeout(
    *,
    timed_out_during_compaction: bool,
    before: Messages | None,
    before_session_id: str,
    current: Messages,
    current_session_id: str,
) -> Transcript[Messages]:
    """The transcript before a compaction that timed out, if there is one; else the current one."""
    if timed_out_during_compaction and before is not None:
        return Transcript(before, before_session_id, "pre-compaction")
    return Transcript(current, current_session_id, "current")


# --- lanes of work that clawtop never starts -----------------------------------------------------------------------


_HEARTBEAT_SUFFIX = ":heartbeat"


def cron_agent_lane(lane: str | None) -> str:
    """The lane of an agent turn that a cron job starts; a lane named by the job stays."""
    name = (lane or "").strip()
    return CRON_NESTED if name in {"", CRON} else name


def nested_lane(session_key: str | None) -> str:
    """The lane of agent-to-agent turns: one for each session, so that they do not wait for one another."""
    key = (session_key or "").strip()
    return f"{NESTED}:{key}" if key else NESTED


def isolated_heartbeat_key(session_key: str, configured_key: str, stored_base: str | None = None) -> tuple[str, str]:
    """The session key of an isolated heartbeat, and the key it is derived from.

    Repeated `:heartbeat` suffixes collapse onto the base that was stored with the session, else onto the configured
    key - unless that key itself ends in `:heartbeat`, which is then a real session name.
    """
    for base in ((stored_base or "").strip(), "" if configured_key.endswith(_HEARTBEAT_SUFFIX) else configured_key):
        if base and re.fullmatch(f"(?:{_HEARTBEAT_SUFFIX})+", _after(session_key, base)):
            return base + _HEARTBEAT_SUFFIX, base
    return session_key + _HEARTBEAT_SUFFIX, session_key


def _after(text: str, prefix: str) -> str:
    return text[len(prefix) :] if text.startswith(prefix) else ""


def next_deadline(state: LaneState) -> int | None:
    """When a `Tick` is due next; None while nothing that runs has a timeout."""
    running = (*state.active, *state.abandoned)
    return min((each.deadline for each in running if each.deadline is not None), default=None)


# --- locks and recovery --------------------------------------------------------------------------------------------


MAX_HOLD_CEILING_MS = 2_147_000_000
TIMEOUT_GRACE_MS = 120_000


def write_lock_options(
    settings: WriteLockSettings, write_lock: Mapping[str, Any] | None, env: Mapping[str, str]
) -> dict[str, float]:
    """A session write lock's limits in OpenClaw's own form: exact, with `math.inf` for waiting forever."""
    names = {"timeoutMs": ACQUIRE, "staleMs": STALE, "maxHoldMs": MAX_HOLD}
    return {name: resolve(limit, settings, write_lock, env)[0] for name, limit in names.items()}


def max_hold_from_timeout(
    timeout_ms: float | None = None, *, grace_ms: float | None = None, min_ms: float | None = None
) -> float:
    """How long OpenClaw lets a run with this timeout hold its lock: timeout + grace, at least `min_ms`."""
    minimum = _positive(min_ms, MAX_HOLD.default_ms)
    timeout = timeout_ms if timeout_ms == math.inf else _positive(timeout_ms, minimum)
    return min(MAX_HOLD_CEILING_MS, max(minimum, timeout + _positive(grace_ms, TIMEOUT_GRACE_MS)))


def _positive(value: float | None, fallback: float) -> float:
    return value if value is not None and is_finite(value) and value > 0 else fallback


@dataclass(frozen=True, slots=True)
class AbortResult:
    """How an abort went: whether the run accepted it, and whether it ended in time."""

    aborted: bool
    drained: bool

    @property
    def force_cleared(self) -> bool:
        """The registry entry was removed although the run may live on - this is how OpenClaw gets a second holder."""
        return not (self.aborted and self.drained)


ABORTS_FREE_LANE = frozenset({"6.11", "7.1", "8.x", "9.x"})
"""The versions, by their rows, in which an abort also frees a lane in which messages wait."""


def outcome_after_abort(
    stuck: StuckSession, run_session_id: str, result: AbortResult, *, frees_lane: bool
) -> RecoveryOutcome:
    """What OpenClaw's watchdog does once the run was aborted: it resets the lane, unless the run ended by itself and
    nothing waits. `frees_lane`: see `ABORTS_FREE_LANE`.
    """
    waits = stuck.lane_queued > 0 or stuck.queue_depth > 0
    reset = result.force_cleared or (frees_lane and waits)
    return RecoveryOutcome(
        RecoveryStatus.ABORTED,
        RecoveryAction.ABORT_RUN,
        lane=stuck.lane,
        active_session_id=run_session_id,
        released=stuck.lane_active if reset else 0,
        queued_count=stuck.lane_queued or None,
    )
