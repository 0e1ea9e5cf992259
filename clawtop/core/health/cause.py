"""The nouns of the judgement: levels, causes with their badges, and the scene in which causes are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import Final

from clawtop.core.health.blocked import Blockage
from clawtop.core.health.turns import RecentTurn
from clawtop.core.health.waiting import Hung, Waiting
from clawtop.core.model import GatewayState, Snapshot
from clawtop.core.operations.loaded import GatewaysView, Pending
from clawtop.core.rotation.forecast import ChainRecovery
from clawtop.values import dataclass


class Level(IntEnum):
    """How bad it is, as the exit code of `status --check`."""

    WELL = 0
    ATTENTION = 1
    SILENT = 2
    UNREADABLE = 3


RECENT_MS = 10 * 60_000
"""Turns that ended within this time count as recent."""

JUST_NOW_MS = 60_000
COUNTED_MS = 24 * 3_600_000
"""The time over which the share of dropped turns is computed."""

FAILING_FROM = 2
"""From this many failures in a row on, they are not considered a coincidence."""

UNANSWERED_MS = 60_000
"""A message may be unanswered for this long: a run takes a while to start."""


RETRYING_FROM = 3
"""The first two retries of an account follow within seconds and are not worth reporting."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that is wrong.

    Attributes:
        code: a key of `CAUSES`. text: one plain sentence without a full stop, safe for a screen.
        evidence: what shows it, one sentence each.
        remedy: what resolves it, in words; `command` is the id of the command that does it, if there is one.
        since, until: ms since the epoch, if known; at `until` it ends by itself.
    """

    code: str
    text: str
    level: Level
    evidence: tuple[str, ...] = ()
    remedy: str | None = None
    command: str | None = None
    since: int | None = None
    until: int | None = None
    agents: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()

    @property
    def badge(self) -> str:
        return CAUSES[self.code]


CAUSES: Final[Mapping[str, str]] = {
    "unreadable": "BLIND",
    "empty-key": "NO KEY",
    "not-imported": "NO KEY",
    "gateway-dead": "DEAD",
    "gateway-stopped": "STOPPED",
    "gateway-paused": "PAUSED",
    "gateway-frozen": "FROZEN",
    "gateway-stopping": "STOPPING",
    "no-profiles": "EMPTY",
    "models-out": "OUT",
    "turns-failing": "FAILING",
    "unanswered": "SILENT",
    "hung": "HUNG",
    "disk-full": "DISK",
    "out-of-memory": "MEMORY",
    "gateway-half-started": "STARTING",
    "gateway-distrusted": "UNKNOWN",
    "gateway-unknown": "UNKNOWN",
    "config-unread": "BLIND",
    "config-refused": "CONFIG",
    "store-unreadable": "BLIND",
    "sessions-unread": "BLIND",
    "clocks-disagree": "CLOCKS",
    "disk-low": "DISK",
    "store-jammed": "JAMMED",
    "not-loaded": "NOT LOADED",
    "turn-failed": "FAILING",
    "retrying": "RETRYING",
    "turns-dropped": "DROPPING",
    "provider-out": "DEGRADED",
    "blocked": "BLOCKED",
    "queue-grows": "QUEUING",
    "leaked-lock": "LEAKED",
    "stale-lock": "ATTENTION",
    "gateway-busy": "BUSY",
    "gateway-degraded": "DEGRADED",
    "credentials": "ATTENTION",
    "profiles-resting": "SERVING",
    "to-nobody": "ATTENTION",
    "untold": "ATTENTION",
    "problems": "ATTENTION",
}
"""Code -> the badge's word. Among causes of one level, the first one here decides."""

ORDER: Final = {code: place for place, code in enumerate(CAUSES)}


@dataclass(frozen=True, slots=True)
class TurnCounts:
    """How the turns of a period ended. `share_dropped` is of all of them, 0..1; None without turns."""

    answered: int = 0
    failed: int = 0
    timed_out: int = 0
    hung: int = 0
    dropped: int = 0
    stopped: int = 0

    @property
    def share_dropped(self) -> float | None:
        total = self.answered + self.failed + self.timed_out + self.hung + self.dropped
        return self.dropped / total if total else None


@dataclass(frozen=True, slots=True)
class Next:
    """The account that an agent's next turn starts with, as the gateway knows it.

    Attributes:
        profile, provider, model: None where nothing can serve it.
        on_disk: the profile by the store; differs from `profile` while `pending` is not loaded.
        unknown: why none of it is known.
    """

    agent: str
    profile: str | None
    provider: str | None
    model: str | None
    on_disk: str | None
    pending: Pending | None = None
    unknown: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """The judgement.

    Attributes:
        causes: the worst first; empty if all is well.
        recent, counted: turns of the last ten minutes and of the last day.
        usable_again_at: when the first unavailable agent can answer again; None if none is unavailable, or none
            recovers by itself.
        chains: when each agent can be answered by which of its models, as the gateway knows the accounts.
        changes_at: the next time at which the judgement may change without any event.
    """

    level: Level
    causes: tuple[Cause, ...]
    next: tuple[Next, ...]
    blocked: Mapping[tuple[str, str], Blockage]
    waiting: Waiting
    recent: TurnCounts
    counted: TurnCounts
    usable_again_at: int | None
    view: GatewaysView
    chains: Mapping[str, ChainRecovery]
    changes_at: int | None

    @property
    def badge(self) -> str:
        return self.causes[0].badge if self.causes else "OK"

    @property
    def gateway_seen(self) -> bool:
        """Whether anything shows that the gateway is running; for a past time or a copy there may be no evidence."""
        return self.view.snapshot.gateway.state is not GatewayState.UNKNOWN


@dataclass(frozen=True, slots=True)
class HealthScene:
    """The state in which causes are looked for."""

    snapshot: Snapshot
    now: int
    view: GatewaysView
    chains: Mapping[str, ChainRecovery]
    turns: tuple[RecentTurn, ...]
    waiting: Waiting
    hung: tuple[Hung, ...]
    blocked: Mapping[tuple[str, str], Blockage]
    counted: TurnCounts


Finder = Callable[[HealthScene], Iterable[Cause]]
