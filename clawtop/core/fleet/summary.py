"""A host's state in a few kilobytes: enough for its row in the fleet, however large the host."""

from __future__ import annotations

from collections.abc import Callable

from clawtop.core.cooldown.profile_state import ProfileState, profile_state
from clawtop.core.cooldown.provider_times import open_provider_time
from clawtop.core.cooldown.schedules import Schedules
from clawtop.core.health.judgement import judge
from clawtop.core.model import Event, EventKind, Profile, Snapshot, VerdictKind
from clawtop.redaction import masked
from clawtop.text import shown
from clawtop.values import dataclass

MAX_ACCOUNTS = 500
MAX_AGENTS = 200
MAX_EVENTS = 60
RECENT_MS = 3_600_000
"""Takeovers are counted over the last hour."""

_TOLD = frozenset(
    {
        EventKind.FAILURE,
        EventKind.ROTATE,
        EventKind.FALLBACK,
        EventKind.TAKEOVER,
        EventKind.STUCK,
        EventKind.RECOVERY,
        EventKind.OPERATION,
        EventKind.REVERTED,
        EventKind.DRAIN,
        EventKind.GATEWAY,
        EventKind.PROFILE,
    }
)
"""The kinds of events in a fleet's timeline: decisions and changes, not every step."""


_NOTHING_ANSWERS = frozenset({"gateway-dead", "gateway-stopped", "gateway-paused", "gateway-frozen"})
"""Causes with which no agent answers, whatever accounts are usable."""


@dataclass(frozen=True, slots=True)
class Account:
    """An auth profile as the fleet compares it. Times in ms since the epoch, by the host's own clock.

    `fingerprint`: of its credential, salted for this fleet; None where the credential cannot be read. The same
    credential on two hosts has the same one; it reveals nothing else.
    `provider_until`: when the account is usable again as its provider says, whatever OpenClaw's window is.
    """

    provider: str
    profile: str
    owner: str
    state: str
    until: int | None = None
    reason: str | None = None
    fingerprint: str | None = None
    provider_until: int | None = None


@dataclass(frozen=True, slots=True)
class AgentOutlook:
    """When an agent can answer: `at` in ms since the epoch, 0 for now, None if nothing comes back by itself."""

    agent: str
    at: int | None


@dataclass(frozen=True, slots=True)
class EventBrief:
    """One line of a host's timeline. `at`: ms since the epoch by the host's clock."""

    at: int
    kind: str
    text: str
    agent: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class HostSummary:
    """A host in short. Times are ms since the epoch by its own clock.

    Attributes:
        level: its health, 0 to 3 as `clawtop status --check`; `why` is its first cause in words.
        usable, known: auth profiles, each counted once.
        next_at: when the next cooling profile is back; `next_provider_at`: when its provider says, where that is later.
        blocked: sessions in which somebody waits; `oldest_since`: since when the oldest has been blocked.
        takeovers: within the last hour.
        dropped: how many entries did not fit into the lists below.
    """

    at: int
    level: int
    why: str
    version: str | None = None
    generation: str | None = None
    gateway: str = "unknown"
    usable: int = 0
    known: int = 0
    next_at: int | None = None
    blocked: int = 0
    oldest_since: int | None = None
    stale_locks: int = 0
    takeovers: int = 0
    agents: tuple[AgentOutlook, ...] = ()
    accounts: tuple[Account, ...] = ()
    events: tuple[EventBrief, ...] = ()
    dropped: int = 0
    next_provider_at: int | None = None


SecretFingerprint = Callable[[Profile], str | None]


def summarise(snapshot: Snapshot, now: int, fingerprint: SecretFingerprint = lambda _profile: None) -> HostSummary:
    """`snapshot` in short at `now` (ms since the epoch)."""
    health = judge(snapshot, now)
    accounts = tuple(_accounts(snapshot, now, fingerprint))
    gone = any(cause.code in _NOTHING_ANSWERS for cause in health.causes)
    agents = tuple(
        AgentOutlook(name, None if gone else _outlook(chain.at, now)) for name, chain in health.chains.items()
    )
    since = [blockage.since for blockage in health.blocked.values() if blockage.since is not None]
    moments = [event for event in snapshot.events if event.kind in _TOLD]
    recent = [event for event in snapshot.events if event.at > now - RECENT_MS]
    cooling = [(account.until, account) for account in accounts if account.until is not None and account.until > now]
    until, following = min(cooling, key=lambda each: each[0], default=(None, None))
    told = following.provider_until if following is not None else None
    return HostSummary(
        at=now,
        level=int(health.level),
        why=shown(health.causes[0].text) if health.causes else "all is well",
        version=masked(snapshot.openclaw_version) if snapshot.openclaw_version else None,
        generation=snapshot.generation,
        gateway=snapshot.gateway.state.value,
        usable=sum(account.state == ProfileState.USABLE for account in accounts),
        known=len(accounts),
        next_at=until,
        next_provider_at=told if told is not None and until is not None and told > until else None,
        blocked=len(health.blocked),
        oldest_since=min(since, default=None),
        stale_locks=sum(lock.verdict.kind is VerdictKind.STALE for lock in snapshot.locks),
        takeovers=sum(event.kind is EventKind.TAKEOVER for event in recent),
        agents=agents[:MAX_AGENTS],
        accounts=accounts[:MAX_ACCOUNTS],
        events=tuple(_moment(event) for event in moments[-MAX_EVENTS:]),
        dropped=max(0, len(agents) - MAX_AGENTS) + max(0, len(accounts) - MAX_ACCOUNTS),
    )


def _accounts(snapshot: Snapshot, now: int, fingerprint: SecretFingerprint) -> list[Account]:
    schedules = Schedules(snapshot)
    found = []
    for profile in snapshot.profiles:
        state, until = profile_state(profile, now, schedules[profile.provider])
        told = open_provider_time(profile, now)
        reason = profile.stats.disabled_reason or profile.stats.blocked_reason or profile.stats.cooldown_reason
        found.append(
            Account(
                provider=profile.provider,
                profile=profile.id,
                owner=profile.owner_agent,
                state=state.value,
                until=until,
                reason=None if state is ProfileState.USABLE or not reason else masked(reason),
                fingerprint=fingerprint(profile),
                provider_until=told.until if told is not None else None,
            )
        )
    return found


def _outlook(at: int | None, now: int) -> int | None:
    return 0 if at is not None and at <= now else at


def _moment(event: Event) -> EventBrief:
    return EventBrief(event.at, event.kind.value, shown(event.text)[:400], event.agent, event.profile)
