"""How often OpenClaw retries the same account before it rotates, and how long that takes.

2026.3 to 2026.7 rotate at once. 2026.8 waits for short rate limits; 2026.9 retries everything that may pass, for up to
two and a half minutes in which nothing is written and no answer is sent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from clawtop.core.javascript import is_finite
from clawtop.core.rules import SameAccountRetries
from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class AccountFailure:
    """One failure of the account that is being asked.

    Attributes:
        reason: its class.
        message: the error's words.
        wait_ms: how long the provider asks to wait; infinite where it names no end.
        longest_wait_ms: `retry.provider.maxRetryDelayMs`, where the configuration sets it.
        budget: how many retries the provider's own settings allow; None: the version's number.
    """

    reason: str
    message: str = ""
    wait_ms: float | None = None
    longest_wait_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Retried:
    """The account is asked again: the `number`-th time of at most `most`, after `delay_ms`."""

    number: int
    most: int
    delay_ms: float


@dataclass(frozen=True, slots=True)
class RetryState:
    """What a run remembers. `since`: when the first failure of a passing kind was, ms."""

    count: int = 0
    rate_limited: bool = False
    since: float | None = None
    budget: float | None = None


def after_failure(
    state: RetryState,
    failed: AccountFailure,
    now: float,
    rules: SameAccountRetries,
    *,
    fallback_configured: bool,
) -> tuple[RetryState, Retried | None]:
    """Whether the same account is retried at `now` (ms); None: the run moves on to rotation or to the next model.

    The delay is the middle of OpenClaw's, which varies it by a factor of 0.5 to 1.5.
    """
    limited = failed.reason == "rate_limit"
    if failed.reason not in rules.reasons or (limited and _is_long(failed.message)):
        return state, None
    longest = failed.longest_wait_ms
    capped = longest is not None and is_finite(longest) and longest > 0
    if limited and fallback_configured and capped and failed.wait_ms is not None and failed.wait_ms > (longest or 0):
        return state, None
    state = replace(state, rate_limited=state.rate_limited or limited)
    own = rules.most_rate_limited if limited else rules.most
    most = own if state.budget is None else state.budget
    most = min(most, rules.most_rate_limited) if state.rate_limited else most
    if state.count >= most:
        return state, None
    since = now if state.since is None else state.since
    state = replace(state, since=since)
    delay = _delay(state.count + 1, failed.wait_ms, None if limited else now - since, rules)
    if delay is None:
        return state, None
    return replace(state, count=state.count + 1), Retried(state.count + 1, int(most), delay)


def _is_long(message: str) -> bool:
    if not message:
        return False
    from clawtop.core.failure.retry_evidence import speaks_of_a_long_limit  # heavy: most failures have no text

    return speaks_of_a_long_limit(message)


def _delay(number: int, wait_ms: float | None, elapsed: float | None, rules: SameAccountRetries) -> float | None:
    left = math.inf if elapsed is None else rules.within_ms - max(0.0, elapsed)
    asked = wait_ms or 0
    if rules.caps_waits:
        asked = min(rules.longest_ms, asked) if asked != math.inf else 0
    if left <= 0 or asked == math.inf:
        return None
    grown = rules.first_ms * (2 ** max(0, number - 1) if rules.doubling else number)
    delay = min(rules.longest_ms, float(round(min(rules.longest_ms, grown))))
    delay = max(delay, math.ceil(max(0.0, asked)))
    return delay if delay <= left else None


@dataclass(frozen=True, slots=True)
class Retries:
    """What an OpenClaw spends on one account that keeps failing alike: further requests, and their waits in ms."""

    count: int
    waits_ms: float


def retries_before_rotation(
    reason: str,
    message: str,
    rules: SameAccountRetries,
    *,
    wait_ms: float | None = None,
) -> Retries:
    """What follows when an account keeps failing alike, immediately each time, and a fallback is configured."""
    state, now = RetryState(), 0.0
    failed = AccountFailure(reason, message, wait_ms)
    while True:
        state, again = after_failure(state, failed, now, rules, fallback_configured=True)
        if again is None:
            return Retries(state.count, now)
        now += again.delay_ms


def retries_by_reason(rules: SameAccountRetries) -> Mapping[str, Retries]:
    """The retries of each failure that an OpenClaw retries at all, where the provider names no wait of its own."""
    found = {reason: retries_before_rotation(reason, "", rules) for reason in sorted(rules.reasons)}
    return {reason: retries for reason, retries in found.items() if retries.count}
