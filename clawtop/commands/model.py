"""What a command is, the rows it acts on, and what is needed to judge whether it can run."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from clawtop.core.model import Snapshot
from clawtop.values import dataclass


class TargetKind(StrEnum):
    """What a row represents. A command says which kinds it acts on."""

    PROFILE = "profile"
    PROVIDER = "provider"
    SESSION = "session"
    LOCK = "lock"
    RUN = "run"
    LANE = "lane"
    EVENT = "event"
    WARNING = "warning"
    HOST = "host"


class Target(NamedTuple):
    """The row under the cursor, by exact id. `agent` is the agent whose view the row belongs to.

    Ids: profile id, provider id, session key, lock path, run id, lane name. `shown`: what the row names, where that is
    more than the id.
    """

    kind: TargetKind
    id: str
    agent: str | None = None
    provider: str | None = None
    session_key: str | None = None
    shown: str | None = None

    @property
    def named(self) -> str:
        """The exact text that names the row."""
        return self.id if self.shown is None else self.shown


class Arming(StrEnum):
    """Whether operations may be started from the screen."""

    READ_ONLY = "READ-ONLY"
    ARMED = "ARMED"
    LOCKED = "READ-ONLY (locked)"
    """Started with `--read-only`, or replaying: it cannot be armed."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a command needs to know to say whether it can run."""

    snapshot: Snapshot | None = None
    target: Target | None = None
    arming: Arming = Arming.READ_ONLY
    undoable: bool = False
    own_runs: frozenset[str] = frozenset()
    underway: bool = False
    busy: str | None = None
    replaying: bool = False
    view: str = ""
    of_fleet: bool = False
    marked: frozenset[TargetKind] = frozenset()
    """Kinds of the marked rows: a command that acts on all of them is judged row by row, in its preview."""
    stays: Callable[[], str | None] = lambda: None
    """Returns why the process must not be suspended now. Called only when needed: it asks the kernel, and a footer is
    drawn every second.
    """


class Section(StrEnum):
    """Sections of the help and of the README's key list."""

    LOOK = "Look"
    INCIDENT = "Incident"
    MOVE = "Move"
    OPERATE = "Operate"
    DRIVE = "Drive"
    REPLAY = "Replay"
    SHELL = "Shell only"


Check = Callable[[Context], str | None]


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        id: stable kebab-case name; the Textual action and the palette use it.
        keys: keys in Textual's notation, the first one is shown.
        targets: kinds of row it acts on; empty: the whole screen.
        views: views on which it means something; empty: all of them.
        dangerous: changes someone else's state: needs ARMED, a preview and a confirmation.
        lasting: the verb's work counts even if its output cannot be written; true of every dangerous one.
        footer: shown in the footer line.
        verb: the shell verb that does the same, if any.
        usage: the verb's arguments, for README and help.
        verb_help: what the verb does, if `help` is about keys and rows; empty: the same.
        check: another reason why it cannot run.
    """

    id: str
    title: str
    help: str
    group: Section
    keys: tuple[str, ...] = ()
    targets: frozenset[TargetKind] = frozenset()
    views: tuple[str, ...] = ()
    dangerous: bool = False
    lasting: bool = False
    footer: bool = False
    verb: str | None = None
    usage: str = ""
    verb_help: str = ""
    check: Check | None = None

    @property
    def said_of_verb(self) -> str:
        """One sentence about the shell verb."""
        return self.verb_help or self.help


def own_run_name(target: Target) -> str:
    """The name of a row in `Context.own_runs`: a run's id, or a session's agent and key."""
    return f"{target.agent}|{target.id}" if target.kind is TargetKind.SESSION else target.id
