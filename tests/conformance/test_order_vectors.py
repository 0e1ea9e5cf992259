"""The order of a provider's profiles, and what resolving it leaves of their statistics, against the real program."""

from __future__ import annotations

from clawtop.core.cooldown.stats import schedule_for
from clawtop.core.rotation.eligibility import order_query
from clawtop.core.rotation.order import order_ids, resolve_order
from tests.conformance.harness import Row, replay
from tests.conformance.openclaw_only import expired
from tests.support.openclaw_json import auth_config_from, order_from, profiles_from, stats_from, stats_to
from tests.support.rules import semantics


@replay("order")
def test_same_order(row: Row) -> None:
    given = row.input
    schedule = schedule_for(semantics(row.version))
    profiles, stored = profiles_from(given["store"]), order_from(given["store"])
    config = auth_config_from(given["cfg"])
    asked = order_query(
        given["provider"],
        profiles,
        stored,
        config,
        given["now"],
        schedule,
        preferred=given["preferredProfile"],
        for_model=given["forModel"],
    )
    order = resolve_order(asked)
    assert list(order.ids) == row.expected["order"]
    assert [ranked.id for ranked in order.ranks] == list(order.ids)
    assert not {rejected.id for rejected in order.rejected} & set(order.ids)
    assert order.ids == order_ids(asked)


@replay("order")
def test_ended_windows_are_gone_afterwards(row: Row) -> None:
    before = row.input["store"].get("usageStats")
    schedule = schedule_for(semantics(row.version))
    left = {id_: stats_to(expired(stats_from(raw), row.input["now"], schedule)) for id_, raw in (before or {}).items()}
    assert left == (row.expected["usageStatsAfter"] or {})
