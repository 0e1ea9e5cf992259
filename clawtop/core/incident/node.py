"""One link in a chain of waiting: what it is, how bad it is, and what resolves it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from clawtop.core.model import Sentence


class NodeKind(StrEnum):
    GATEWAY = "gateway"
    AGENT = "agent"
    SESSION = "session"
    GROUP = "group"
    LOCK = "lock"
    HOLDER = "holder"
    PROCESS = "process"
    LANE = "lane"
    PROFILE = "profile"
    CYCLE = "cycle"


class Severity(StrEnum):
    """BUSY: normal work that something waits for. BLOCKED: it ends by itself. STUCK: it needs attention."""

    BUSY = "busy"
    BLOCKED = "blocked"
    STUCK = "stuck"


class Node(NamedTuple):
    """One link of a chain. A tuple, because a large state needs a thousand of them each time.

    Attributes:
        id: session key, lock path (of the lock that a process owns), run id, lane or profile id, exact.
        agent: whose it is.
        label: what it is and does, safe for a screen; names in it are values.
        how: how this is known: "sessions.json", "lock file", "process table", "holder record", "journal" ...
        since, until: ms since the epoch, where known.
        remedy: id of the command that deals with it; only at a root cause. advice: what helps if no command of clawtop
            does.
    """

    kind: NodeKind
    id: str
    label: Sentence
    how: str
    severity: Severity
    agent: str | None = None
    since: int | None = None
    until: int | None = None
    remedy: str | None = None
    children: tuple[Node, ...] = ()
    advice: str | None = None

    def cause(self) -> Node:
        """The end of the most serious branch: what everything above waits for."""
        node = self
        while (heavier := node.heaviest()) is not None:
            node = heavier
        return node

    def heaviest(self) -> Node | None:
        """The most serious child, the first of equals; None at the end of a branch."""
        return max(self.children, key=lambda child: WEIGHT[child.severity], default=None)


WEIGHT = {Severity.BUSY: 0, Severity.BLOCKED: 1, Severity.STUCK: 2}
