"""Where a session's pin goes, against the real program."""

from __future__ import annotations

from typing import Any

from clawtop.core.cooldown.stats import schedule_for
from clawtop.core.model import AuthConfig, Credential, Profile, UsageStats
from clawtop.core.rotation.eligibility import order_query
from clawtop.core.rotation.order import NO_MODEL, cooling_check, is_ordered, order_ids
from clawtop.core.rotation.pins import Pin, recovered_check, resolve_override
from tests.conformance.harness import Row, replay
from tests.support.openclaw_json import stats_from
from tests.support.rules import semantics

NOW = 1_750_000_000_000
PROVIDER = "anthropic"


@replay("session-override")
def test_same_pin(row: Row) -> None:
    given = row.input
    entry = given["sessionEntry"]
    schedule = schedule_for(semantics(row.version))
    profiles = profiles_of(given)
    model = entry.get("model") if schedule.order_by_model else None
    in_config = given.get("orderIn") == "cfg"
    orders = given["order"] or {}
    config = AuthConfig(order={name: tuple(ids) for name, ids in orders.items()} if in_config else {})
    order = order_ids(order_query(PROVIDER, profiles, {} if in_config else orders, config, NOW, schedule))
    resolved = resolve_override(
        Pin(
            entry.get("authProfileOverride"),
            entry.get("authProfileOverrideSource"),
            entry.get("authProfileOverrideCompactionCount"),
        ),
        order,
        serves={profile.id for profile in profiles}.__contains__,
        is_cooling=cooling_check(profiles, NOW, schedule, for_model=model),
        schedule=schedule,
        compaction_count=entry.get("compactionCount", 0),
        is_new_session=given["isNewSession"],
        cools_for_all=cooling_check(profiles, NOW, schedule, for_model=NO_MODEL),
        recovered=recovered_check(
            profiles, ordered=is_ordered(PROVIDER, {} if in_config else orders, config, schedule)
        ),
        stored=entry.get("authProfileOverride") in {profile.id for profile in profiles},
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
    listed = (given["order"] or {}).get(PROVIDER, ())
    named = {*listed, *given["usageStatsRelative"], "anthropic:a", "anthropic:b", "anthropic:c"}
    stored = {id_: stats_from(absolute(raw)) for id_, raw in given["usageStatsRelative"].items()}
    return [
        Profile(id_, PROVIDER, Credential("api_key"), "main", stats=stored.get(id_, UsageStats()))
        for id_ in sorted(named)
    ]


def absolute(raw: dict[str, Any]) -> dict[str, Any]:
    """Statistics whose windows end at a time, from rows that say in how many ms."""
    return {
        name.removesuffix("InMs") + "Until" if name.endswith("InMs") else name: NOW + value
        if name.endswith("InMs")
        else value
        for name, value in raw.items()
    }
