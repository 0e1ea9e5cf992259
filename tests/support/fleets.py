"""Made-up hosts at the time of the incident: one whose bots are silent, one that is unreachable, two that are well."""

from __future__ import annotations

from dataclasses import replace

from clawtop.core.fleet.hosts import Host, HostLink
from clawtop.core.fleet.summary import Account, AgentOutlook, EventBrief, HostSummary
from tests.support.worlds import MINUTE, NOW, SECOND

_SHARED = Account("anthropic", "anthropic:team-key", "main", "usable", fingerprint="5f0c")
_COOLING = replace(_SHARED, state="cooling", until=NOW + 4 * MINUTE, reason="rate_limit")
_WELL = HostSummary(
    at=NOW,
    level=0,
    why="all is well",
    version="2026.9.6",
    generation="D",
    gateway="live",
    usable=4,
    known=4,
    agents=(AgentOutlook("main", 0),),
    accounts=(_SHARED,),
)

HOSTS = (
    Host("atoll", HostLink.LIVE, NOW - 90 * MINUTE, skew=0, lag=9, summary=_WELL, heard_at=NOW),
    Host(
        "reef",
        HostLink.LIVE,
        NOW - 90 * MINUTE,
        skew=0,
        lag=12,
        heard_at=NOW,
        summary=replace(
            _WELL,
            level=2,
            why="agent main can ask none of its models: every account is cooling",
            usable=0,
            next_at=NOW + 22 * SECOND,
            blocked=3,
            oldest_since=NOW - 6 * MINUTE,
            stale_locks=1,
            takeovers=2,
            agents=(AgentOutlook("main", NOW + 22 * SECOND),),
            accounts=(_COOLING,),
            events=(
                EventBrief(NOW - 40 * SECOND, "failure", "anthropic:team-key: 429 rate_limit", "main"),
                EventBrief(NOW - 39 * SECOND, "rotate", "rotate to the next profile", "main"),
            ),
        ),
    ),
    Host(
        "lagoon",
        HostLink.UNREACHABLE,
        NOW - 3 * MINUTE,
        why="it does not answer",
        summary=replace(_WELL, version="2026.5.20", generation="B"),
        heard_at=NOW - 3 * MINUTE,
    ),
    Host(
        "kelp",
        HostLink.LIVE,
        NOW - 90 * MINUTE,
        skew=41 * SECOND,
        lag=180,
        heard_at=NOW,
        summary=replace(
            _WELL,
            level=1,
            why="one of four accounts is cooling",
            version="2026.8.2",
            usable=3,
            next_at=NOW + 4 * MINUTE + 41 * SECOND,
        ),
    ),
)
