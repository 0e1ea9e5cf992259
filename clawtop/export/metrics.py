"""THE table of exported metrics. Help texts, the dashboard and the documentation come from it.

Ids of sessions and runs are no labels: their number grows with traffic. Profiles, providers, agents and lane classes
are bounded by the configuration.
"""

from __future__ import annotations

from clawtop.export.families import Metric, MetricType

_G, _C, _H = MetricType.GAUGE, MetricType.COUNTER, MetricType.HISTOGRAM
_PROFILE = ("agent", "provider", "profile")

INFO = Metric("info", _G, "Always 1; what is watched and by which clawtop.", ("version", "openclaw", "generation"))
READ_AGE = Metric("read_age_seconds", _G, "Seconds since the state was last read completely.")
READ_FAILURES = Metric("read_failures_total", _C, "Reads of the state directory that failed.")
HEALTH = Metric("health_level", _G, "0 all well, 1 attention, 2 bots are silent or about to be, 3 cannot be read.")
HEALTH_CAUSE = Metric("health_cause_level", _G, "Severity of each current cause (1 to 3).", ("cause",))
GATEWAY = Metric("gateway_up", _G, "1 the gateway lives, 0 it does not; absent while that cannot be known.")
GATEWAY_STATE = Metric("gateway_state", _G, "1 for the state that the gateway is in.", ("state",))

PROFILE_USABLE = Metric("profile_usable", _G, "1 when the auth profile can be tried now.", _PROFILE)
PROFILE_STATE = Metric(
    "profile_state",
    _G,
    "1 for the state that the auth profile is in; reason: what cools or disables it.",
    (*_PROFILE, "state", "reason"),
)
PROFILE_BACK = Metric("profile_back_seconds", _G, "Seconds until the auth profile can be tried again; 0 now.", _PROFILE)
PROFILE_TOLD = Metric(
    "profile_provider_retry_seconds",
    _G,
    "Seconds until the provider itself lets the auth profile be asked again; absent where it has not said.",
    _PROFILE,
)
PROFILE_ERRORS = Metric("profile_errors", _G, "Error count in the profile's usage statistics.", _PROFILE)
PROVIDER_PROFILES = Metric(
    "provider_profiles",
    _G,
    "Auth profiles of a provider that an agent sees.",
    ("agent", "provider"),
)
PROVIDER_USABLE = Metric("provider_usable_profiles", _G, "Those of them that can be tried now.", ("agent", "provider"))
AGENT_BACK = Metric(
    "agent_usable_in_seconds",
    _G,
    "Seconds until any model of the agent can be asked; 0 now, +Inf when nothing comes back by itself.",
    ("agent",),
)

SESSIONS = Metric("sessions", _G, "Sessions by whether a run is going on in them.", ("agent", "active"))
BLOCKED = Metric("blocked_sessions", _G, "Sessions in which a message or a run waits.", ("agent",))
BLOCKED_AGE = Metric("blocked_oldest_seconds", _G, "How long the oldest of them has been blocked.", ("agent",))
HOLDERS = Metric("holders", _G, "Runs that hold a session's prompt.", ("source", "phase"))
HOLDER_AGE = Metric("holder_oldest_seconds", _G, "How long the oldest run has held its prompt.", ("source",))

LOCKS = Metric("locks", _G, "Lock files by kind and verdict.", ("kind", "verdict"))
LOCK_AGE = Metric("lock_oldest_seconds", _G, "Age of the oldest lock file.", ("kind", "verdict"))
LOCK_LIMIT = Metric("lock_limit_seconds", _G, "Longest time that OpenClaw lets a session lock be held.")

LANE_ACTIVE = Metric("lane_active", _G, "Turns that run in a lane.", ("lane", "source"))
LANE_QUEUED = Metric("lane_queued", _G, "Turns that wait in a lane.", ("lane", "source"))
LANE_LIMIT = Metric("lane_limit", _G, "Turns that may run in a lane at once.", ("lane", "source"))
LANE_WAIT = Metric(
    "lane_wait_seconds",
    _H,
    "How long turns waited for their lane or their session.",
    ("lane",),
)

TAKEOVERS = Metric("takeovers_total", _C, "Session takeovers by lane class.", ("lane",))
COLLISIONS = Metric("collisions_total", _C, "Contended sessions and waits over the limit.", ("lane",))
ROTATIONS = Metric("rotations_total", _C, "Rotations to the next auth profile.", ("provider",))
FALLBACKS = Metric("fallbacks_total", _C, "Fallbacks to the next model.", ("provider",))
MARKS = Metric("marks_total", _C, "Cooldown marks of clawtop's engine by what became of them.", ("state",))
MARKS_SPOOLED = Metric("marks_spooled", _G, "Marks that wait on disk for the store's lock.")
TURNS = Metric("turns_total", _C, "Turns that ended, by how.", ("how",))
FAILURES = Metric("failures_total", _C, "Failed attempts by provider and reason.", ("provider", "reason"))

METRICS: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""Every metric, in the order in which they are exported."""
