"""Failure, success, clear and expiry against the real program, step by step.

Rows hold operations on one profile; after each, the statistics and what they mean are compared. Two remarks on how
the rows were made: before a failure with `forceNoWindow` the ends of all windows were taken out; and the 2026.9.6
rows do not note the probe that a real success of 2026.9.6 notes as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clawtop.core.cooldown.stats import (
    Schedule,
    cleared,
    on_failure,
    on_success,
    schedule_for,
    soonest_expiry,
    unavailable_reason,
    unusable_until,
)
from clawtop.core.model import UsageStats
from tests.conformance.harness import Row, replay
from tests.conformance.openclaw_only import expired
from tests.support.cooldowns import is_cooling
from tests.support.openclaw_json import cooldown_config_from, stats_from, stats_to
from tests.support.rules import semantics

MEANINGS = ("unusableUntil", "inCooldown", "unavailableReason", "soonest")


@replay("cooldown")
def test_each_step_leaves_the_same_statistics(row: Row) -> None:
    provider = row.input["provider"]
    schedule = schedule_for(semantics(row.version), cooldown_config_from(row.input["cfg"]), provider)
    stats = stats_from(row.input["initial"])
    for step in row.expected:
        stats = after(stats, step["op"], schedule)
        assert stats_to(stats) == recorded(step["stats"])
        now = step["op"]["at"]
        assert meaning(stats, provider, now, schedule) == {name: step[name] for name in MEANINGS}
        for probe in step.get("probes", []):
            assert asked_for(probe["forModel"], stats, provider, now, schedule) == probe


@replay("cooldown", part="meta.calculateAuthProfileCooldownMs")
def test_length_of_a_cooldown(row: Row) -> None:
    assert schedule_for(semantics(row.version)).cooldown_ms(row.raw["errorCount"]) == row.raw["ms"]


def after(stats: UsageStats, op: Mapping[str, Any], schedule: Schedule) -> UsageStats:
    """The statistics after one operation of a row."""
    match op["op"]:
        case "failure":
            if op.get("forceNoWindow"):
                stats = replace(stats, cooldown_until=None, disabled_until=None, blocked_until=None)
            return on_failure(stats, op["reason"], op["at"], schedule, model=op.get("modelId"))
        case "success":
            return replace(on_success(stats, op["at"], schedule), last_probe_at=None)
        case "clear":
            return cleared(stats)
        case "clearExpired":
            return expired(stats, op["at"], schedule)
        case other:
            raise AssertionError(f"unknown operation {other}")


def meaning(stats: UsageStats, provider: str, now: int, schedule: Schedule) -> dict[str, Any]:
    return {
        "unusableUntil": unusable_until(stats, schedule),
        "inCooldown": is_cooling(stats, provider, now, schedule),
        "unavailableReason": unavailable_reason([stats], now, schedule),
        "soonest": soonest_expiry([stats], now, schedule),
    }


def asked_for(model: str | None, stats: UsageStats, provider: str, now: int, schedule: Schedule) -> dict[str, Any]:
    return {
        "forModel": model,
        "inCooldown": is_cooling(stats, provider, now, schedule, model),
        "inCooldownAt29s": is_cooling(stats, provider, now + 29_000, schedule, model),
        "soonest": soonest_expiry([stats], now, schedule, for_model=model),
    }


def recorded(stats: Mapping[str, Any] | None) -> dict[str, Any]:
    """A row's statistics without fields that hold nothing."""
    return {name: value for name, value in (stats or {}).items() if value not in (None, {})}
