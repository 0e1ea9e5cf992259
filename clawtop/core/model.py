"""The nouns. Frozen values that cross from the disk to decisions and to the screen.

Times are integer milliseconds since the epoch unless a name says otherwise; `None` means unknown or absent. No
value here holds a secret. Ids and paths are exact; whoever shows them passes them through `clawtop.text.safe`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from clawtop.core.generations import Generation as Generation  # noqa: PLC0414 - one of the nouns
from clawtop.core.generations import Semantics, Storage, semantics_of, storage_of

NO_COUNTS: Mapping[str, int] = MappingProxyType({})


class FailureReason(StrEnum):
    """Why an attempt failed, in OpenClaw's words (2026.5.20; TLS_CERTIFICATE and CONTEXT_OVERFLOW are 2026.9.6's).

    NETWORK and MODERATION are clawtop's own: no connection or a broken one, and a refusal of the content.
    """

    AUTH = "auth"
    AUTH_PERMANENT = "auth_permanent"
    FORMAT = "format"
    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    BILLING = "billing"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    MODEL_NOT_FOUND = "model_not_found"
    SESSION_EXPIRED = "session_expired"
    EMPTY_RESPONSE = "empty_response"
    NO_ERROR_DETAILS = "no_error_details"
    UNCLASSIFIED = "unclassified"
    UNKNOWN = "unknown"
    TLS_CERTIFICATE = "tls_certificate"
    CONTEXT_OVERFLOW = "context_overflow"
    NETWORK = "network"
    MODERATION = "moderation"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong that has a name: `code` is stable kebab-case, `where` a path or id, `text` a sentence."""

    code: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.code}: {self.text}"


# --- auth profiles -----------------------------------------------------------------------------------------------


class WindowKind(StrEnum):
    COOLDOWN = "cooldown"
    DISABLED = "disabled"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class UsageStats:
    """One entry of OpenClaw's `usageStats`. Reasons are plain strings: the disk may hold any.

    Equality is by value, so `UsageStats()` is "nothing recorded".
    """

    last_used: int | None = None
    error_count: int | None = None
    failure_counts: Mapping[str, int] = field(default_factory=dict)
    last_failure_at: int | None = None
    cooldown_until: int | None = None
    cooldown_reason: str | None = None
    cooldown_model: str | None = None
    disabled_until: int | None = None
    disabled_reason: str | None = None
    blocked_until: int | None = None
    blocked_reason: str | None = None
    blocked_source: str | None = None
    blocked_model: str | None = None
    blocked_scope: str | None = None
    cooldown_classification: str | None = None
    last_probe_at: int | None = None


class CredentialState(StrEnum):
    USABLE = "usable"
    EXPIRED = "expired"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Credential:
    """What is known of a credential without its secret.

    Attributes:
        type: "api_key", "token", "oauth", or whatever stands on disk.
        has_secret: a key or token (or a reference to one) or an OAuth access token is present.
        has_refresh: an OAuth refresh token is present.
        expires: when the secret itself expires; never for most API keys.
        account: the same for credentials of one account, within one process; says nothing of the secret.
    """

    type: str
    has_secret: bool = True
    has_refresh: bool = False
    expires: int | None = None
    email: str | None = None
    account: str | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Profile:
    """An auth profile: one account or key of a provider.

    `owner_agent` is the agent whose store owns it, or `SHARED`; inherited profiles keep the owner's id. `path` is the
    file of that store. `stats_owner` is whose entry `stats` is; None: the owner's, or nobody's.
    """

    id: str
    provider: str
    credential: Credential
    owner_agent: str
    path: str = ""
    stats: UsageStats = UsageStats()
    problems: tuple[Problem, ...] = ()
    stats_owner: str | None = None


SHARED: Final = "(shared)"
"""Owner of what stands in no agent's store but in one for all of them (2026.8 and later). No agent can be called so."""


@dataclass(frozen=True, slots=True)
class AuthPart:
    """What one place holds by itself, before inheritance: what a change of it acts on.

    Attributes:
        owner: an agent's id, or `SHARED`.
        file: what a change is written to.
        profiles: ids of the credentials that stand there.
        stats: usage statistics that stand there, also of profiles that stand elsewhere.
        order: stored order per provider.
        takes_orders: whether OpenClaw keeps orders here (2026.8 and later keep them with each agent alone).
        why_not_writable: why it must not be written; empty where it may be.
    """

    owner: str
    file: str
    profiles: frozenset[str] = frozenset()
    stats: Mapping[str, UsageStats] = field(default_factory=dict)
    order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    takes_orders: bool = True
    why_not_writable: str = ""


@dataclass(frozen=True, slots=True)
class AuthStore:
    """The auth profiles that one agent sees: its own, and those inherited from the main agent or the shared store.

    Attributes:
        path: the agent's own credentials file (it may be absent).
        order: stored order per provider (`models auth order set`); own entries over inherited ones.
        parts: where all this stands: the agent's own entries first, then what it inherits.
        problem: why it could not be read; `profiles` are then the last good ones, or none.
        fingerprint: changes whenever the files behind it change; opaque.
    """

    agent: str
    path: str
    profiles: tuple[Profile, ...] = ()
    order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    order_owner: Mapping[str, str] = field(default_factory=dict)
    last_good: Mapping[str, str] = field(default_factory=dict)
    problem: Problem | None = None
    parts: tuple[AuthPart, ...] = ()
    fingerprint: str = ""


# --- configuration -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CooldownConfig:
    """`auth.cooldowns` of openclaw.json; None where the config is silent. Hours and minutes as written there."""

    billing_backoff_hours: float | None = None
    billing_backoff_hours_by_provider: Mapping[str, float] = field(default_factory=dict)
    billing_max_hours: float | None = None
    failure_window_hours: float | None = None
    auth_permanent_backoff_minutes: float | None = None
    auth_permanent_max_minutes: float | None = None
    overloaded_profile_rotations: int | None = None
    rate_limited_profile_rotations: int | None = None
    overloaded_backoff_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ConfigProfile:
    """`auth.profiles.<id>` of openclaw.json."""

    provider: str
    mode: str
    email: str | None = None


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """The `auth` section of openclaw.json."""

    profiles: Mapping[str, ConfigProfile] = field(default_factory=dict)
    order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cooldowns: CooldownConfig = CooldownConfig()


@dataclass(frozen=True, slots=True)
class ModelRef:
    """`provider/model`."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class LockLimits:
    """Limits of the session write lock in milliseconds, after environment over config over default."""

    acquire_ms: int
    stale_ms: int
    max_hold_ms: int
    source: str = "default"


@dataclass(frozen=True, slots=True)
class Attention:
    """When OpenClaw starts to worry about a session, in milliseconds (`diagnostics.stuckSession*Ms`)."""

    warn_ms: int = 120_000
    abort_ms: int = 360_000


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """An agent: where it lives and which models it asks, in order."""

    id: str
    agent_dir: str
    sessions_dir: str
    is_default: bool = False
    models: tuple[ModelRef, ...] = ()
    heartbeat_isolated: bool | None = None
    store: AuthStore | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ConfigSummary:
    """What the rest of the program needs to know of openclaw.json. No secrets, no raw text.

    `gateway_wanted`: it configures a gateway that runs on this machine.
    """

    path: str = ""
    last_touched_version: str | None = None
    auth: AuthConfig = AuthConfig()
    gateway_port: int | None = None
    lock_limits: LockLimits = LockLimits(60_000, 1_800_000, 300_000)
    attention: Attention = Attention()
    lane_limits: Mapping[str, int] = field(default_factory=dict)
    log_file: str | None = None
    gateway_wanted: bool = False


# --- processes, locks --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProcessEvidence:
    """What the process table says of a pid, now.

    Attributes:
        alive: True, False, or None where it cannot be known (other namespace, other host, no permission, not asked).
        start_ticks: Linux: field 22 of /proc/PID/stat, raw, as OpenClaw records it; else None.
        started_at: when the process began (ms since epoch), where known.
        boot_at: when the machine booted (ms since epoch), where known.
        argv: command line words; empty when unknown.
        uid: owner's user id, where known.
        zombie: dead, but not yet reaped by its parent.
        why_unknown: why `alive` is None.
    """

    pid: int
    alive: bool | None
    start_ticks: int | None = None
    started_at: int | None = None
    boot_at: int | None = None
    argv: tuple[str, ...] = ()
    uid: int | None = None
    zombie: bool = False
    why_unknown: str = ""


class LockKind(StrEnum):
    """Session: `<session>.jsonl.lock`. Auth: auth-profiles.json.lock. Sessions store: sessions.json.lock (A only).
    OAuth refresh: `<state>/locks/oauth-refresh/*.lock`. Gateway: `<tmp>/openclaw-<uid>/gateway.*.lock`.
    """

    SESSION = "session"
    AUTH = "auth"
    SESSIONS_STORE = "sessions_store"
    OAUTH_REFRESH = "oauth_refresh"
    GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class LockIdentity:
    """The same lock seen twice: device, inode and a digest of the content are all equal."""

    dev: int
    ino: int
    digest: str


@dataclass(frozen=True, slots=True)
class LockFile:
    """A lock file as it was read.

    `payload` is the parsed JSON object, or None when the content is not one; `content_problem` then says what it is
    ("empty", "not JSON", "not an object", "too large", "unreadable").
    """

    path: str
    kind: LockKind
    identity: LockIdentity
    mtime: int
    payload: Mapping[str, Any] | None
    content_problem: str | None = None
    agent: str | None = None
    session_id: str | None = None


class VerdictKind(StrEnum):
    HELD = "held"
    STALE = "stale"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Ours: the only one that ever permits a removal. `reasons` hold the proof, or why it is unknown."""

    kind: VerdictKind
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenClawVerdict:
    """What this OpenClaw version will do with the lock when it wants it, or at its next start.

    `would_remove` is None when that depends on something that cannot be known from here.
    """

    stale: bool
    reasons: tuple[str, ...]
    would_remove: bool | None


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock file with its owner and both verdicts.

    Attributes:
        leaked: why it is a leftover although its owner lives: the owner's former life took it; None where it is not.
    """

    file: LockFile
    pid: int | None
    created_at: int | None
    start_ticks: int | None
    max_hold_ms: int | None
    owner: ProcessEvidence | None
    verdict: Verdict
    openclaw: OpenClawVerdict
    leaked: str | None = None


# --- sessions, lanes, holders ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Suspension:
    """`quotaSuspension` of a session entry: a lane that OpenClaw stopped on purpose."""

    reason: str
    state: str
    suspended_at: int | None
    expected_resume_by: int | None
    lane_id: str | None


class WitnessKind(StrEnum):
    """Who can tell whether a run is going on in a session, the strongest first.

    Lock: the session write lock (A to C). Claim: a turn claim of worker_session_placements (D). Gateway: its own answer
    (`hasActiveRun`). Process: a command-line run, or a command-line backend below the gateway. Trajectory: events of
    `<session>.trajectory.jsonl`. Task: a row of task_runs (C, D). Log: lines of the gateway's log. Input: a message of
    session_pending_inputs that waits for its turn (D). Status: the stored status and its times.
    """

    LOCK = "lock"
    CLAIM = "claim"
    GATEWAY = "gateway"
    PROCESS = "process"
    TRAJECTORY = "trajectory"
    TASK = "task"
    LOG = "log"
    INPUT = "input"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class AccountRetry:
    """A run that asks the account that just failed again: the `number`-th time of at most `most`.

    `due`: when it asks, ms since the epoch. `reason`: the failure.
    """

    number: int
    most: int
    due: int
    reason: str | None = None

    def __str__(self) -> str:
        why = f" after {self.reason}" if self.reason else ""
        return f"retrying the same account, {self.number} of {self.most}{why}"


@dataclass(frozen=True, slots=True)
class Witness:
    """What one source tells of the runs of one session, whatever the others say.

    Attributes:
        running: yes, no, or None where this source cannot tell.
        what: how it is known, for people, as it follows "because": "its write lock is held by process 7".
        at: of when this is true: the last sign of it; None: of now.
        since: when the run that it tells of began.
        waiting: turns that wait behind it, where the source knows.
        provider, model, profile: what the run was asked to use last, where the source knows.
        memory: bytes that the run's own process takes, where it has one.
        retry: the run waits to ask the same account again.
    """

    kind: WitnessKind
    running: bool | None
    what: str
    at: int | None = None
    since: int | None = None
    run_id: str | None = None
    lane: str | None = None
    waiting: int | None = None
    provider: str | None = None
    model: str | None = None
    profile: str | None = None
    pid: int | None = None
    memory: int | None = None
    retry: AccountRetry | None = None


class Outcome(StrEnum):
    """How a turn ended, or that it has not.

    Silent: answered with nothing on purpose (a no-reply token, a heartbeat without news). Told: somebody answered who
    is no model, such as the gateway's own words about an error. Dropped: the reply was made and lost (a takeover).
    Stopped: ended by a user or an operator. Open: nothing followed yet. Untold: it cannot be told.
    """

    ANSWERED = "answered"
    SILENT = "silent"
    TOLD = "told"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    HUNG = "hung"
    DROPPED = "dropped"
    STOPPED = "stopped"
    OPEN = "open"
    UNTOLD = "untold"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A message to a session and what followed it, from its transcript. Never its text.

    Attributes:
        asked_at: when it came.
        length: of the message, in characters.
        by: "user", "heartbeat", "cron", "agent" (another agent or a sub-agent) or "unaddressed" (a group message that
            is not meant for the bot).
        ended_at: when the outcome came about.
        error: a short reason of a failure.
    """

    asked_at: int
    length: int
    by: str
    outcome: Outcome
    ended_at: int | None = None
    error: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that is over, as one source tells it. `at`: when it ended; `trigger`: user, cron, heartbeat ..."""

    at: int
    outcome: Outcome
    run_id: str | None = None
    since: int | None = None
    trigger: str | None = None
    reason: str | None = None
    source: str = "trajectory"


@dataclass(frozen=True, slots=True)
class Waiter:
    """Someone who waits for a session: its ticket gives the order."""

    ticket: int
    pid: int
    lane: str
    run_id: str
    since: int
    deadline: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One entry of sessions.json, one row of a session table, or a transcript without one.

    Attributes:
        file: where its transcript stands: a file's path, or `<database>#<session key>` where it is rows.
        status: as stored: running | done | failed | killed | timeout | None.
        active: whether a run really is going on; None when that cannot be known.
        active_how: how that is known, for people.
        profile, profile_source: the pinned auth profile and who pinned it ("user" or "auto").
        witnesses: all that tell of its runs; `active` is the judgement over them (`core.session.activity`).
        exchanges: its recent messages and what followed them, oldest first.
        turns: its recent runs that are over, by their trajectory or audit rows, oldest first.
        name: what OpenClaw calls it: its label, else the chat's or channel's own name.
        waiters: turns that wait behind it, as far as the disk shows them.
    """

    agent: str
    key: str
    session_id: str | None
    file: str | None
    status: str | None = None
    active: bool | None = None
    active_how: str = ""
    problems: tuple[Problem, ...] = ()
    updated_at: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    provider: str | None = None
    model: str | None = None
    profile: str | None = None
    profile_source: str | None = None
    compaction_count: int | None = None
    profile_compaction_count: int | None = None
    lane_class: str = "other"
    aborted_last_run: bool | None = None
    suspension: Suspension | None = None
    total_tokens: int | None = None
    witnesses: tuple[Witness, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    turns: tuple[Turn, ...] = ()
    name: str | None = None
    waiters: tuple[Waiter, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptHolder:
    """Who has a session's prompt: at most one per session file among clawtop's engines (docs/invariants.md 1).

    Attributes:
        phase: waiting-lane | locking | prompting | streaming | appending | compacting | releasing, or a stored status;
            draining: nobody has the prompt, a drain keeps the session closed (`run_id` is its id).
        source: "clawtop" for our registry, else how an OpenClaw run was recognised: "status", "lock", "trajectory".
    """

    session_file: str
    session_key: str | None
    agent: str | None
    lane: str | None
    run_id: str | None
    profile: str | None
    phase: str
    since: int | None
    pid: int | None
    source: str
    waiters: tuple[Waiter, ...] = ()
    takeover_risk: str | None = None


@dataclass(frozen=True, slots=True)
class LaneStats:
    """A lane as one source sees it; figures that the source cannot give are None.

    `waits` are recent wait times in ms, oldest first, for a sparkline.
    """

    lane: str
    lane_class: str
    source: str
    active: int | None = None
    limit: int | None = None
    queued: int | None = None
    wait_p50_ms: int | None = None
    wait_p95_ms: int | None = None
    wait_max_ms: int | None = None
    waits: tuple[int, ...] = ()
    collisions: int | None = None
    takeovers: int | None = None


# --- gateway, events ---------------------------------------------------------------------------------------------


class GatewayState(StrEnum):
    """UNKNOWN, never ABSENT, until the configured port was tried."""

    LIVE = "live"
    DEAD = "dead"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class GatewayHealth:
    """What a live gateway said over HTTP on loopback (/healthz, /readyz; 2026.5.18 and later).

    `degraded` is its own word on its event loop; `problem` is why it said nothing, or not all.
    """

    at: int
    live: bool | None = None
    ready: bool | None = None
    failing: tuple[str, ...] = ()
    uptime_ms: int | None = None
    degraded: bool | None = None
    metrics: bool = False
    problem: str | None = None


class Serving(StrEnum):
    """What becomes of a question to a gateway's port.

    ANSWERS: OpenClaw answers. SILENT: it connects, and nothing is answered: the gateway is frozen. REFUSES: nothing
    listens. OTHER: something answers that is no OpenClaw. UNKNOWN: nobody asked.
    """

    ANSWERS = "answers"
    SILENT = "silent"
    REFUSES = "refuses"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """What a process takes of the machine: bytes of memory and of swap, its share of one core, and its limit.

    Attributes:
        cpu: of one core since the last look, 0..n; None at the first look.
        limit: bytes that its control group or its JavaScript heap may take, where one is set.
    """

    memory: int
    swap: int = 0
    cpu: float | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class RunSight:
    """What a gateway says of the runs of one session (`sessions.list`, 2026.5.18 and later).

    Before 2026.8 it counts only the runs that were asked for over its own API: no cron, heartbeat or channel run.

    Attributes:
        active: `hasActiveRun`; None where it said nothing.
        run_ids: `activeRunIds`; None where it gave none (it leaves them out while a run goes on).
        status: as the gateway has it.
    """

    key: str
    active: bool | None
    run_ids: tuple[str, ...] | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class TaskSight:
    """A task that a gateway has not ended (`tasks.list`).

    Attributes:
        key: the session that it works in; None where the gateway does not say and it cannot be told.
        runtime: "cli", "cron", "subagent", "acp".
        execution: running | queued, where the gateway tells one from the other (2026.9.6).
    """

    id: str
    key: str | None
    runtime: str
    status: str
    execution: str | None = None
    run_id: str | None = None
    started_at: int | None = None


@dataclass(frozen=True, slots=True)
class GatewayWords:
    """What a live gateway says over its WebSocket. Old words are taken out of a snapshot, not shown.

    Attributes:
        at: since when it has been saying so.
        sessions: by key, without those that it did not name.
        complete: it named every session that it has.
        tasks: None where it was not asked or has no such question.
        problem: why it was not asked or did not answer; nothing else is known then.
    """

    at: int
    version: str | None = None
    sessions: Mapping[str, RunSight] = field(default_factory=dict)
    complete: bool = False
    tasks: tuple[TaskSight, ...] | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Gateway:
    """The gateway of this state directory, and how its state is known.

    Attributes:
        serving: what becomes of a question to its port.
        distrust: why it is not believed, although it may live: it belongs to another user than the state directory.
        usage: of its process, where it can be seen.
        children: processes that it started, such as command-line backends; with what they take.
        words: None where it was never asked: no live gateway, or nobody looks at it live.
    """

    state: GatewayState = GatewayState.UNKNOWN
    pid: int | None = None
    port: int | None = None
    started_at: int | None = None
    how: str = ""
    health: GatewayHealth | None = None
    words: GatewayWords | None = None
    serving: Serving = Serving.UNKNOWN
    distrust: str | None = None
    usage: ProcessUsage | None = None
    children: tuple[tuple[ProcessEvidence, ProcessUsage | None], ...] = ()


class EventKind(StrEnum):
    """What can happen, in one vocabulary for the journal, the gateway's log and the differences of snapshots."""

    RUN_START = "run-start"
    ATTEMPT = "attempt"
    FAILURE = "failure"
    ROTATE = "rotate"
    MARK = "mark"
    MARK_LOST = "mark-lost"
    FALLBACK = "fallback"
    REPLY = "reply"
    RUN_END = "run-end"
    TAKEOVER = "takeover"
    CONTENDED = "contended"
    WAIT = "wait"
    ACQUIRE = "acquire"
    RELEASE = "release"
    RECOVERY = "recovery"
    STUCK = "stuck"
    INTENT = "intent"
    OPERATION = "operation"
    REVERTED = "reverted"
    DRAIN = "drain"
    LANE = "lane"
    GATEWAY = "gateway"
    PROFILE = "profile"
    LOCK = "lock"
    SESSION = "session"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, from the journal, the gateway's log, our engine or the difference of two snapshots.

    `text` is one safe line for people. `data` holds JSON-ready facts of the kind; never a secret.
    """

    at: int
    kind: EventKind
    source: str
    text: str
    agent: str | None = None
    session_key: str | None = None
    session_file: str | None = None
    lane: str | None = None
    run_id: str | None = None
    provider: str | None = None
    model: str | None = None
    profile: str | None = None
    reason: str | None = None
    duration_ms: int | None = None
    pid: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


# --- the whole ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that was read, once. `number` rises by one with each read of one hub."""

    number: int
    taken_at: int
    host: str
    state_dir: str
    generation: Generation | None
    openclaw_version: str | None
    gateway: Gateway = Gateway()
    config: ConfigSummary = ConfigSummary()
    agents: tuple[AgentInfo, ...] = ()
    sessions: tuple[Session, ...] = ()
    counting: int = 0
    """Sessions whose details (pins, tokens) are still being read; what is counted of them is not final."""
    locks: tuple[Lock, ...] = ()
    holders: tuple[PromptHolder, ...] = ()
    lanes: tuple[LaneStats, ...] = ()
    events: tuple[Event, ...] = ()
    warnings: tuple[Problem, ...] = ()
    lock_traffic: Mapping[str, int] = field(default_factory=dict)
    """Lock path -> how often it was seen to appear within the last minute; a lower bound."""
    log_paths: tuple[str, ...] = ()
    log_how: str = ""
    """Which files of the gateway's log are followed, and by which rule; or why none is."""
    command_line: tuple[ProcessEvidence, ...] | None = None
    """OpenClaw processes of this state directory that are no gateway; None where nobody had to look."""
    judged_at: int | None = None
    """Set when the state is judged as of another time (`--at`); the process table was then not consulted."""

    @property
    def storage(self) -> Storage:
        """How this generation keeps its files."""
        return storage_of(self.generation)

    @property
    def semantics(self) -> Semantics:
        """What this OpenClaw does with failures, profiles and lanes."""
        return semantics_of(self.openclaw_version, self.generation).row

    @property
    def semantics_note(self) -> str | None:
        """What has to be said with it: the version was not looked at, or is not known."""
        return semantics_of(self.openclaw_version, self.generation).note
