"""Made-up snapshots: an incident at 03:12, frozen, and its calmer relatives. They feed golden screens and pictures."""

from __future__ import annotations

from dataclasses import replace

from clawtop.core.cooldown.provider_times import with_provider_times
from clawtop.core.model import (
    AgentInfo,
    AuthPart,
    AuthStore,
    ConfigSummary,
    Credential,
    Event,
    EventKind,
    Gateway,
    GatewayState,
    Generation,
    LaneStats,
    Lock,
    LockFile,
    LockIdentity,
    LockKind,
    ModelRef,
    OpenClawVerdict,
    Problem,
    ProcessEvidence,
    Profile,
    PromptHolder,
    ProviderTime,
    Session,
    Snapshot,
    Suspension,
    UsageStats,
    Verdict,
    VerdictKind,
    Waiter,
)

NOW = 1_795_144_327_000
"""2026-11-20 03:12:07 UTC."""

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
STATE_DIR = "/home/claw/.openclaw"
GATEWAY_PID = 4711

_NO_STATS = UsageStats()
_KEY = Credential("api_key")
_LOGIN = Credential("oauth", has_refresh=True, expires=NOW + 6 * HOUR, email="ops@reef.example")


def profile(
    profile_id: str, stats: UsageStats = _NO_STATS, *, credential: Credential = _KEY, owner: str = "main"
) -> Profile:
    """A profile of the provider that its id begins with."""
    path = f"{STATE_DIR}/agents/{owner}/agent/auth-profiles.json"
    return Profile(profile_id, profile_id.partition(":")[0], credential, owner, path, stats)


def cooling(
    left: int, *, reason: str = "rate_limit", since: int = 8 * SECOND, errors: int = 1, model: str | None = None
) -> UsageStats:
    """Statistics of a profile whose cooldown has `left` ms to go and began `since` ms ago."""
    return UsageStats(
        last_used=NOW - 4 * MINUTE,
        error_count=errors,
        failure_counts={reason: errors},
        last_failure_at=NOW - since,
        cooldown_until=NOW + left,
        cooldown_reason=reason,
        cooldown_model=model,
    )


MAIN_PROFILES = (
    profile("anthropic:max-reef", cooling(22 * SECOND, since=8 * SECOND), credential=_LOGIN),
    profile("anthropic:max-tide", cooling(4 * MINUTE + 11 * SECOND, since=49 * SECOND, errors=4), credential=_LOGIN),
    profile(
        "anthropic:team-key",
        UsageStats(
            last_used=NOW - 2 * HOUR,
            error_count=2,
            failure_counts={"billing": 2},
            last_failure_at=NOW - 3 * HOUR,
            disabled_until=NOW + 7 * HOUR,
            disabled_reason="billing",
        ),
    ),
    profile("openai:prod", UsageStats(last_used=NOW - 41 * SECOND)),
    profile(
        "openai:spare",
        UsageStats(
            last_used=NOW - 3 * HOUR,
            error_count=1,
            failure_counts={"overloaded": 1},
            last_failure_at=NOW - 12 * MINUTE,
            cooldown_until=NOW - 11 * MINUTE,
            cooldown_reason="overloaded",
        ),
    ),
    profile("openai:batch", cooling(17 * SECOND, since=13 * SECOND, model="gpt-5.2")),
    profile(
        "openai:legacy",
        UsageStats(last_used=NOW - 9 * DAY, cooldown_until=NOW // 1000 + 300, cooldown_reason="rate_limit"),
    ),
    profile("google:studio", credential=Credential("token", expires=NOW - 26 * HOUR)),
    profile("google:vertex", UsageStats(last_used=NOW - 25 * MINUTE)),
)
CODER_PROFILES = (
    profile("anthropic:max-reef", MAIN_PROFILES[0].stats, credential=_LOGIN),
    profile(
        "anthropic:coder-own",
        UsageStats(
            last_used=NOW - 90 * MINUTE,
            error_count=1,
            failure_counts={"rate_limit": 1},
            last_failure_at=NOW - 90 * MINUTE,
            blocked_until=NOW + 50 * MINUTE,
            blocked_reason="subscription_limit",
        ),
        owner="coder",
        credential=_LOGIN,
    ),
    *MAIN_PROFILES[1:],
)

_MODELS = (
    ModelRef("anthropic", "claude-opus-4-6"),
    ModelRef("openai", "gpt-5.2"),
    ModelRef("google", "gemini-3-pro"),
)


def agent(
    agent_id: str,
    profiles: tuple[Profile, ...],
    *,
    order: dict[str, tuple[str, ...]] | None = None,
    file: str | None = None,
) -> AgentInfo:
    """An agent with a generation B store; what it owns is written to `file`."""
    home = f"{STATE_DIR}/agents/{agent_id}"
    owners = dict.fromkeys((agent_id, *(profile.owner_agent for profile in profiles)))
    parts = tuple(
        AuthPart(
            owner,
            file or f"{STATE_DIR}/agents/{owner}/agent/auth-state.json",
            frozenset(profile.id for profile in profiles if profile.owner_agent == owner),
            {profile.id: profile.stats for profile in profiles if profile.owner_agent == owner},
            (order or {}) if owner == agent_id else {},
        )
        for owner in owners
    )
    store = AuthStore(
        agent_id,
        f"{home}/agent/auth-profiles.json",
        profiles,
        order or {},
        parts=parts,
        fingerprint=f"{agent_id}-1",
    )
    return AgentInfo(
        agent_id, f"{home}/agent", f"{home}/sessions", agent_id == "main", _MODELS, agent_id == "main", store
    )


def session(
    agent_id: str,
    key: str,
    number: int,
    status: str | None = "done",
    *,
    lane: str = "direct",
    updated: int = MINUTE,
    started: int | None = None,
    active: bool | None = False,
    pinned: str | None = None,
    how: str = "",
    problems: tuple[Problem, ...] = (),
    suspension: Suspension | None = None,
) -> Session:
    """A session last changed `updated` ms ago."""
    session_id = f"{number:08x}-6f3a-4c1e-9d2b-7a5e0c4b8f21"
    return Session(
        agent_id,
        f"agent:{agent_id}:{key}",
        session_id,
        f"{STATE_DIR}/agents/{agent_id}/sessions/{session_id}.jsonl",
        status,
        active,
        how,
        problems,
        NOW - updated,
        NOW - started if started is not None else NOW - updated - 20 * SECOND,
        None if active else NOW - updated,
        "anthropic",
        "claude-opus-4-6",
        pinned,
        "auto" if pinned else None,
        lane_class=lane,
        suspension=suspension,
    )


_GHOST = Problem("ghost", "agent:main:cron:nightly-digest", "stored as running, but its gateway is gone since 02:31")
_BY_TRAJECTORY = "the trajectory grew 4 s ago under the live gateway"

SESSIONS = (
    session(
        "main",
        "telegram:group:-100238841",
        1,
        "running",
        lane="channel",
        updated=4 * SECOND,
        started=12 * MINUTE + 31 * SECOND,
        active=True,
        pinned="anthropic:max-tide",
        how=_BY_TRAJECTORY,
    ),
    session("main", "main", 2, "running", lane="main", updated=9 * SECOND, started=51 * SECOND, active=True),
    session(
        "main",
        "cron:nightly-digest",
        3,
        "running",
        lane="cron",
        updated=42 * MINUTE,
        active=False,
        how="its gateway is gone",
        problems=(_GHOST,),
    ),
    session("main", "telegram:direct:88213004", 4, "failed", updated=2 * MINUTE, pinned="anthropic:max-reef"),
    session("main", "heartbeat", 5, "done", lane="heartbeat", updated=3 * MINUTE),
    session(
        "coder",
        "discord:channel:deploys",
        6,
        "running",
        lane="channel",
        updated=2 * SECOND,
        started=33 * SECOND,
        active=True,
        pinned="openai:prod",
        how=_BY_TRAJECTORY,
    ),
    session(
        "coder",
        "slack:channel:C03REVIEWS",
        7,
        "done",
        lane="channel",
        updated=6 * MINUTE,
        suspension=Suspension("quota_exhausted", "suspended", NOW - 6 * MINUTE, NOW + 24 * MINUTE, "main"),
    ),
    session("coder", "main", 8, "timeout", lane="main", updated=17 * MINUTE),
    session("coder", "subagent:refactor-3", 9, "killed", lane="subagent", updated=21 * MINUTE),
    session("ops", "signal:direct:+4670000021", 10, "running", updated=70 * SECOND, active=None, how="not checked"),
    session("ops", "cron:backup", 11, "done", lane="cron", updated=2 * HOUR),
    session("ops", "main", 12, "done", lane="main", updated=5 * HOUR),
    session("ops", "webchat:direct:guest", 13, None, updated=3 * DAY),
    session("ops", "matrix:group:[/red]\x1b[31m!\u202eroom", 14, "done", lane="channel", updated=26 * HOUR),
)


def lock(
    path: str,
    kind: LockKind,
    age: int,
    verdict: Verdict,
    openclaw: OpenClawVerdict,
    *,
    pid: int | None = None,
    owner: ProcessEvidence | None = None,
    agent_id: str | None = None,
    session_id: str | None = None,
    problem: str | None = None,
) -> Lock:
    """A lock that was taken `age` ms ago."""
    payload = None if problem else {"pid": pid, "createdAt": "2026-11-20T03:00:00.000Z"}
    identity = LockIdentity(64769, abs(hash(path)) % 100_000, "0" * 16)
    file = LockFile(path, kind, identity, NOW - age, payload, problem, agent_id, session_id)
    return Lock(file, pid, None if problem else NOW - age, None, None, owner, verdict, openclaw)


_GATEWAY_PROCESS = ProcessEvidence(
    GATEWAY_PID, True, 88123, NOW - 40 * MINUTE, NOW - 9 * DAY, ("node", "/usr/bin/openclaw", "gateway"), 1000
)
_KEEP = OpenClawVerdict(False, (), False)


def session_lock(
    of: Session, age: int, verdict: Verdict, openclaw: OpenClawVerdict, *, pid: int, owner: ProcessEvidence
) -> Lock:
    """The write lock of a session."""
    return lock(
        f"{of.file}.lock",
        LockKind.SESSION,
        age,
        verdict,
        openclaw,
        pid=pid,
        owner=owner,
        agent_id=of.agent,
        session_id=of.session_id,
    )


LOCKS = (
    session_lock(
        SESSIONS[2],
        42 * MINUTE,
        Verdict(VerdictKind.STALE, ("dead-pid",)),
        OpenClawVerdict(True, ("dead-pid",), True),
        pid=3120,
        owner=ProcessEvidence(3120, False),
    ),
    session_lock(
        SESSIONS[0],
        6 * MINUTE + 12 * SECOND,
        Verdict(VerdictKind.HELD, ("alive", "same-start")),
        _KEEP,
        pid=GATEWAY_PID,
        owner=_GATEWAY_PROCESS,
    ),
    session_lock(
        SESSIONS[5],
        300,
        Verdict(VerdictKind.HELD, ("alive", "same-start")),
        _KEEP,
        pid=GATEWAY_PID,
        owner=_GATEWAY_PROCESS,
    ),
    lock(
        f"{STATE_DIR}/agents/coder/agent/auth-profiles.json.lock",
        LockKind.AUTH,
        9 * MINUTE,
        Verdict(VerdictKind.UNKNOWN, ("unparsable",)),
        OpenClawVerdict(False, ("never-stale",), False),
        agent_id="coder",
        problem="empty",
    ),
    lock(
        "/tmp/openclaw-1000/gateway.5be1c6d0.lock",
        LockKind.GATEWAY,
        40 * MINUTE,
        Verdict(VerdictKind.HELD, ("alive", "same-start")),
        _KEEP,
        pid=GATEWAY_PID,
        owner=_GATEWAY_PROCESS,
    ),
)

HOLDERS = (
    PromptHolder(
        SESSIONS[0].file or "",
        SESSIONS[0].key,
        "main",
        "channel",
        "run-7c1e",
        "anthropic:max-tide",
        "prompting",
        NOW - 12 * MINUTE - 31 * SECOND,
        GATEWAY_PID,
        "trajectory",
        (
            Waiter(1, GATEWAY_PID, "heartbeat", "run-8810", NOW - 3 * MINUTE, NOW + 2 * MINUTE),
            Waiter(2, GATEWAY_PID, "direct", "run-8a02", NOW - 48 * SECOND),
        ),
        "heartbeat is not isolated",
    ),
    PromptHolder(
        SESSIONS[5].file or "",
        SESSIONS[5].key,
        "coder",
        "channel",
        "run-91bb",
        "openai:prod",
        "streaming",
        NOW - 33 * SECOND,
        GATEWAY_PID,
        "trajectory",
    ),
)

LANES = (
    LaneStats("main", "main", "gateway-log", 3, 4, 2, 180, 2_400, 61_000, (20, 90, 180, 2_400, 61_000), 3, 1),
    LaneStats("cron", "cron", "gateway-log", 0, 1, 0, 5, 40, 210, (5, 40, 210)),
)

WARNINGS = (
    Problem(
        "heartbeat-not-isolated",
        "agents.list.coder.heartbeat.isolatedSession",
        "agent coder's heartbeat shares its session with two channels: turns can take it over",
    ),
    Problem("jammed-auth-lock", LOCKS[3].file.path, "an empty lock is never removed by OpenClaw 2026.5.20"),
)

INCIDENT = Snapshot(
    number=7,
    taken_at=NOW,
    host="reef-01",
    state_dir=STATE_DIR,
    generation=Generation.B,
    openclaw_version="2026.5.20",
    gateway=Gateway(GatewayState.LIVE, GATEWAY_PID, 18789, NOW - 40 * MINUTE, "answers /healthz"),
    config=ConfigSummary(path=f"{STATE_DIR}/openclaw.json", last_touched_version="2026.5.20", gateway_port=18789),
    agents=(
        agent("main", MAIN_PROFILES),
        agent("coder", CODER_PROFILES, order={"openai": ("openai:prod", "openai:spare", "openai:batch")}),
        agent("ops", MAIN_PROFILES),
    ),
    sessions=SESSIONS,
    locks=LOCKS,
    holders=HOLDERS,
    lanes=LANES,
    warnings=WARNINGS,
    lock_traffic={f"{SESSIONS[0].file}.lock": 34, f"{SESSIONS[5].file}.lock": 9},
)
"""Everything at once: the bots are half silent at 03:12."""

CALM = replace(
    INCIDENT,
    agents=(agent("main", (MAIN_PROFILES[3], profile("openai:night", UsageStats(last_used=NOW - HOUR)))),),
    sessions=(SESSIONS[4], session("main", "telegram:direct:88213004", 4, "done", updated=2 * MINUTE)),
    locks=(LOCKS[4],),
    holders=(),
    lanes=(),
    warnings=(),
    lock_traffic={},
)
"""Nothing wrong."""

OUT = replace(
    CALM,
    agents=(agent("main", MAIN_PROFILES[:3]),),
    locks=(),
    gateway=Gateway(GatewayState.DEAD, GATEWAY_PID, 18789, how="its process is gone"),
)
"""Nothing usable, and the gateway is dead."""

EMPTY = Snapshot(
    number=1,
    taken_at=NOW,
    host="reef-01",
    state_dir="/home/claw/.openclaw",
    generation=None,
    openclaw_version=None,
    warnings=(Problem("state-missing", "/home/claw/.openclaw", "there is no such directory"),),
)
"""No state directory."""


def event(seconds_ago: int, kind: EventKind, text: str, **more: object) -> Event:
    """Something that happened so many seconds ago."""
    facts: dict[str, object] = {"source": "engine", **more}
    return Event(NOW - seconds_ago * SECOND, kind, text=text, **facts)  # type: ignore[arg-type]


STORY = (
    event(90, EventKind.GATEWAY, "gateway ready", source="gateway-log"),
    event(70, EventKind.LANE, "queued in lane main, 2 waiting", source="gateway-log", lane="main"),
    event(40, EventKind.FAILURE, "429 rate_limit_error", session_key=SESSIONS[0].key, agent="main", run_id="run-7c1e"),
    event(
        39,
        EventKind.ROTATE,
        "rate_limit: on to the next profile",
        agent="main",
        profile="anthropic:max-reef",
        provider="anthropic",
        session_key=SESSIONS[0].key,
        lane="channel",
    ),
    event(38, EventKind.MARK, "rate_limit: marked cooldown for 30 s", agent="main", profile="anthropic:max-reef"),
    event(
        9,
        EventKind.TAKEOVER,
        "session file changed while embedded prompt lock was released",
        session_key=SESSIONS[0].key,
    ),
    event(3, EventKind.OPERATION, "done: clear openai:spare", source="operation", agent="main", profile="openai:spare"),
)
TOLD = replace(INCIDENT, events=STORY)
"""The incident, with the events that led to it."""


def saying(told: ProviderTime, profile_id: str = "anthropic:max-tide") -> Snapshot:
    """The incident, where a provider itself said when one of its accounts may be asked again."""
    return replace(
        INCIDENT, agents=tuple(with_provider_times(a, {("main", profile_id): told}, told.at) for a in INCIDENT.agents)
    )
