"""Where a session's pin goes, against the real program."""

from __future__ import annotations

from typing import Any

from clawtop.core.cooldown.stats import schedule_for
from clawtop.core.model import AuthConfig, Credential, Profile, UsageStats
from clawtop.core.rotation.order import cooling_check, order_ids
from clawtop.core.rotation.pins import Pin, resolve_override
from tests.conformance.harness import Row, replay
from tests.support.rules import semantics

NOW = 1_750_000_000_000
PROVIDER = "anthropic"


@replay("session-override", "2026.5.20")
def test_same_pin(row: Row) -> None:
    given = row.input
    entry = given["sessionEntry"]
    schedule = schedule_for(semantics(row.version))
    profiles = profiles_of(given)
    order = order_ids(PROVIDER, profiles, given["order"], AuthConfig(), NOW, schedule)
    resolved = resolve_override(
        Pin(
            entry.get("authProfileOverride"),
            entry.get("authProfileOverrideSource"),
            entry.get("authProfileOverrideCompactionCount"),
        ),
        order,
        serves={profile.id for profile in profiles}.__contains__,
        is_cooling=cooling_check(profiles, NOW, schedule),
        schedule=schedule,
        compaction_count=entry.get("compactionCount", 0),
        is_new_session=given["isNewSession"],
    )
    assert resolved.profile == row.expected["profile"]
    pin = resolved.pin
    assert {
        "authProfileOverride": pin.profile,
        "source": pin.source,
        "compactionCount": pin.compaction_count,
    } == row.expected["entryAfter"]


def profiles_of(given: dict[str, Any]) -> list[Profile]:
    """The rows name the order, the windows and the pin; the three accounts behind them are always the same."""
    named = {*given["order"][PROVIDER], *given["usageStatsRelative"], "anthropic:a", "anthropic:b", "anthropic:c"}
    windows = {id_: NOW + stats["cooldownInMs"] for id_, stats in given["usageStatsRelative"].items()}
    return [
        Profile(id_, PROVIDER, Credential("api_key"), "main", stats=UsageStats(cooldown_until=windows.get(id_)))
        for id_ in sorted(named)
    ]
