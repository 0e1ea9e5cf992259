"""The whole state, as read at one time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from clawtop.core.generations import Generation, Semantics, Storage, semantics_of, storage_of
from clawtop.core.model.auth import Profile
from clawtop.core.model.config import AgentInfo, ConfigSummary
from clawtop.core.model.events import Event
from clawtop.core.model.gateway import Gateway
from clawtop.core.model.locks import Lock, ProcessEvidence
from clawtop.core.model.problem import Problem
from clawtop.core.model.prompts import LaneStats, PromptHolder
from clawtop.core.model.sessions import Session
from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class DiskRoom:
    """That little is left on the disk of a state directory.

    Attributes:
        left_mb: whole MiB that a user who is not root may write. full: too little for OpenClaw to store anything.
        files_left: whether another file can be made.
    """

    left_mb: int
    full: bool
    files_left: bool = True


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that was read, once. `number` rises by one with each read of one hub."""

    number: int
    taken_at: int
    host: str
    state_dir: str
    generation: Generation | None
    openclaw_version: str | None
    gateway: Gateway = field(default_factory=Gateway)
    config: ConfigSummary = field(default_factory=ConfigSummary)
    agents: tuple[AgentInfo, ...] = ()
    sessions: tuple[Session, ...] = ()
    sessions_unread: tuple[Problem, ...] = ()
    """Why lists of sessions could not be read: their rows are as they were when last read, or missing."""
    counting: int = 0
    """Sessions whose details (pins, tokens) are still being read; counts over sessions are not final yet."""
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
    """OpenClaw processes of this state directory other than the gateway; None if there was no need to search for them.
    """
    room: DiskRoom | None = None
    """Of its disk, where little is left."""
    judged_at: int | None = None
    """Set when the state is judged as of another time (`--at`); the process table was then not consulted."""

    @property
    def as_of(self) -> int:
        """The time by which it is judged (ms since the epoch): `judged_at`, else when it was read."""
        return self.present(self.taken_at)

    def present(self, now: int) -> int:
        """The time by which it is to be judged when this machine's clock shows `now` (ms since the epoch): that of the
        gateway's clock, as all times in it are.
        """
        return now + self.gateway.clock_offset if self.judged_at is None else self.judged_at

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """Each stored profile once, as its owner has it: shared and inherited ones appear under several agents."""
        found: dict[tuple[str, str], Profile] = {}
        for agent in self.agents:
            for profile in agent.store.profiles if agent.store is not None else ():
                place = (profile.owner_agent, profile.id)
                if profile.owner_agent == agent.id or place not in found:
                    found[place] = profile
        return tuple(found.values())

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
        """A note about it: the version was not verified, or is not known."""
        return semantics_of(self.openclaw_version, self.generation).note
