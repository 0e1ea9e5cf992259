"""How many failures a second can be decided on one core: classify, cool down, order 20 profiles, decide, step.

`test_the_work_is_real` runs with the tests and checks what is measured, not how fast.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from clawtop.core.cooldown.stats import on_failure
from clawtop.core.failover.decision import AttemptStage, Signals
from clawtop.core.failover.steps import MarkFailure, Rotate, RunEffect, RunState, after_failure
from clawtop.core.failure.classify import classify_failure
from clawtop.core.failure.record import ErrorRecord
from clawtop.core.model import AuthConfig, Credential, FailureReason, Profile, UsageStats
from clawtop.core.rotation.eligibility import order_query
from clawtop.core.rotation.order import order_ids
from tests.bench.harness import Bench, Figure, Limit, Row
from tests.support.rules import B

TARGET_PER_SECOND = 40_000
PROFILES = 20
NOW = 1_750_000_000_000

ERRORS = (
    ErrorRecord(message='429 {"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}', status=429),
    ErrorRecord(message="Overloaded", status=529),
    ErrorRecord(message="invalid api key", status=401),
    ErrorRecord(message="Your credit balance is too low to access the API", status=400),
)


class Decided(NamedTuple):
    reason: FailureReason | str | None
    stats: UsageStats
    order: tuple[str, ...]
    effects: tuple[RunEffect, ...]


def accounts() -> tuple[Profile, ...]:
    """Twenty accounts of one provider: keys, tokens and logins, a third of them cooling."""
    kinds = ("api_key", "token", "oauth")
    return tuple(
        Profile(
            id=f"alpha:{number}",
            provider="alpha",
            credential=Credential(kinds[number % 3]),
            owner_agent="main",
            stats=UsageStats(
                last_used=NOW - number * 7_919 % 100_000,
                cooldown_until=NOW + 1_000 * number if number % 3 == 0 else None,
                cooldown_reason="rate_limit" if number % 3 == 0 else None,
            ),
        )
        for number in range(PROFILES)
    )


def decide_one(number: int, profiles: tuple[Profile, ...], config: AuthConfig) -> Decided:
    """One failure of one profile, from the error to what the run does next; its mark is pending, as in the engine."""
    now = NOW + number
    failed = profiles[number % PROFILES]
    reason = classify_failure(ERRORS[number % len(ERRORS)], "alpha").reason
    stats = on_failure(failed.stats, str(reason), now, B, model="m1")
    pending = {failed.id: stats.disabled_until or stats.cooldown_until or now}
    order = order_ids(order_query("alpha", profiles, {}, config, now, B, pending=pending))
    signals = Signals(
        reason=FailureReason(reason) if reason else None, failover_failure=reason is not None, fallback_configured=True
    )
    _, effects = after_failure(AttemptStage.ASSISTANT, RunState(), signals)
    return Decided(reason, stats, order, effects)


def test_the_work_is_real() -> None:
    profiles, config = accounts(), AuthConfig()
    for number in range(PROFILES):
        decided = decide_one(number, profiles, config)
        assert decided.reason is not None
        assert decided.effects == (Rotate(), MarkFailure(FailureReason(decided.reason)))
        assert sorted(decided.order) == sorted(profile.id for profile in profiles)
        assert decided.stats.last_failure_at == NOW + number
        assert profiles[number].id in decided.order[-8:], "it went behind the usable ones"


def measure(seconds: float) -> float:
    """Decisions per second of processor time: what else runs on the machine does not count."""
    profiles, config = accounts(), AuthConfig()
    for number in range(1_000):
        decide_one(number, profiles, config)
    count = 0
    began = time.process_time()
    while (elapsed := time.process_time() - began) < seconds:
        for _ in range(200):
            decide_one(count, profiles, config)
            count += 1
    return count / elapsed


def figures(quick: bool) -> Iterator[Row]:
    """The best of six goes."""
    rate = max(measure(0.2 if quick else 0.6) for _ in range(6))
    what = f"classify + cooldown + order of {PROFILES} + decision"
    yield Figure(what, rate, "/s", TARGET_PER_SECOND, Limit.AT_LEAST, samples=6, note="of a core")


BENCHES = (Bench("decide", "failures decided a second", 6, 3, figures),)
