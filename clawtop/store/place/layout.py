"""The places of a state directory, its agents and its locks; which paths lie inside of it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path

from clawtop.core.generations import Semantics, Storage, semantics_of, storage_of
from clawtop.core.model import Generation, ModelRef, Problem
from clawtop.core.nearest import did_you_mean
from clawtop.errors import RefusedError
from clawtop.patterns import regex
from clawtop.store.config import ConfigRead
from clawtop.text import safe
from clawtop.values import dataclass

MAIN_AGENT = "main"


@dataclass(frozen=True, slots=True)
class AgentPaths:
    """An agent's places. `configured` is False for a directory that the configuration does not name."""

    id: str
    agent_dir: Path
    sessions_dir: Path
    sessions_store: Path
    is_default: bool = False
    configured: bool = True
    models: tuple[ModelRef, ...] = ()
    heartbeat_isolated: bool | None = None
    older_sessions: tuple[Path, ...] = ()
    """Its sessions directories under the state directory's former names: OpenClaw still writes transcripts there."""
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """A state directory, located.

    Attributes:
        state_dir: absolute, as it was named (symbolic links stay).
        main_agent_dir: the store that other agents inherit from.
        lock_dirs: where gateway locks may be.
        gateway_lock_names: their names there, by the configuration's path.
        foreign_roots: in a copied directory, the state directory that its files name.
        generation_how: how the generation is known, for people.
        writable_generation: False where it is a guess; then nothing is written.
    """

    state_dir: Path
    config_path: Path
    config: ConfigRead = field(repr=False)
    agents: tuple[AgentPaths, ...] = ()
    main_agent_dir: Path = Path()
    main_agent_id: str = MAIN_AGENT
    lock_dirs: tuple[Path, ...] = ()
    gateway_lock_names: tuple[str, ...] = ()
    foreign_roots: tuple[str, ...] = ()
    generation: Generation | None = None
    version: str | None = None
    generation_how: str = ""
    writable_generation: bool = False
    problems: tuple[Problem, ...] = ()

    @property
    def storage(self) -> Storage:
        """How this generation keeps its files."""
        return storage_of(self.generation)

    @property
    def semantics(self) -> Semantics:
        """What this OpenClaw does with failures, profiles and lanes."""
        return semantics_of(self.version, self.generation).row

    @property
    def oauth_lock_dir(self) -> Path:
        return self.state_dir / "locks" / "oauth-refresh"

    @property
    def is_copy(self) -> bool:
        return bool(self.foreign_roots)

    def no_agent(self, name: str) -> str:
        """That there is no such agent here, and which one it probably should have been."""
        near = did_you_mean(name, [agent.id for agent in self.agents])
        return f"there is no agent {safe(name, 60)} in {safe(self.state_dir, 300)}{near}"

    @property
    def agent_names(self) -> str:
        """The ids of the first agents, for a message."""
        return ", ".join(safe(agent.id, 40) for agent in self.agents[:10]) or "none"

    def agent(self, agent_id: str) -> AgentPaths | None:
        """The agent with this id."""
        return next((agent for agent in self.agents if agent.id == agent_id), None)

    def map_path(self, path: str) -> Path | None:
        """A path from a file of this directory, as a path here: in a copy, the same place in the copy.

        None for a path that a copy cannot contain, and for one that is not absolute.
        """
        if not path.startswith("/") or "\0" in path:
            return None
        normal = os.path.normpath(path)
        if _is_below(normal, str(self.state_dir)):
            return Path(normal)
        for root in self.foreign_roots:
            if _is_below(normal, root):
                return self.state_dir / os.path.relpath(normal, root)
            home = os.path.dirname(root)  # noqa: PTH120 - a path of another machine
            if os.path.basename(root) == self.state_dir.name and _is_below(normal, home):  # noqa: PTH119
                return self.state_dir.parent / os.path.relpath(normal, home)
        return None if self.foreign_roots else Path(normal)

    def resolve_inside(self, path: str | Path) -> Path:
        """`path` after realpath, if it may be used (docs/invariants.md 11).

        Raises:
            RefusedError: it is not a regular file of a known kind inside a discovered agent or sessions directory.
        """
        real = Path(os.path.realpath(path))
        try:
            regular = stat.S_ISREG(real.lstat().st_mode)
        except (OSError, ValueError):
            regular = False
        if not regular:
            raise RefusedError(f"{_named(path, real)} is not a file", unchanged="nothing was touched")
        for directory, names in self._known_places():
            if names.fullmatch(real.name) and is_real(real.parent, directory):
                return real
        where = f"in an agent or sessions directory of {safe(self.state_dir)}"
        raise RefusedError(
            f"{_named(path, real)} is not a file of a known kind {where}", unchanged="nothing was touched"
        )

    def transcript(self, path: str | Path) -> Path:
        """`path` after realpath, if it may be a transcript: one that is there, or one that is yet to be made.

        A link to another transcript of this state directory is allowed.

        Raises:
            RefusedError: it is something else, or leads elsewhere.
        """
        named = Path(path)
        if os.path.lexists(named):
            real = self.resolve_inside(named)
        else:
            real = Path(os.path.realpath(named.parent)) / named.name
        inside = any(is_real(real.parent, agent.sessions_dir) for agent in self.agents)
        if not inside or not _TRANSCRIPTS.fullmatch(real.name):
            raise RefusedError(f"{_named(path, real)} is not a transcript", unchanged="nothing was touched")
        return real

    def _known_places(self) -> Iterator[tuple[Path, re.Pattern[str]]]:
        for agent in self.agents:
            yield agent.agent_dir, _AGENT_FILES
            yield agent.sessions_dir, _SESSION_FILES
            yield agent.sessions_store.parent, re.compile(re.escape(agent.sessions_store.name) + r"(?:\.lock)?")
        yield self.main_agent_dir, _AGENT_FILES
        yield self.oauth_lock_dir, _OAUTH_LOCKS


def is_real(real: Path, directory: Path) -> bool:
    """Whether `directory` leads to `real`, which has no link in it."""
    return real == directory or str(real) == os.path.realpath(directory)


_AGENT_FILES = regex(r"auth-profiles\.json(?:\.lock)?|auth-state\.json")
_SESSION_FILES = regex(r"sessions\.json(?:\.lock)?|.+\.jsonl(?:\.lock)?", re.DOTALL)
_TRANSCRIPTS = regex(r"(?!.*\.trajectory\.jsonl\Z).+\.jsonl", re.DOTALL)
_OAUTH_LOCKS = regex(r".+\.lock", re.DOTALL)


def _named(path: str | Path, real: Path) -> str:
    """A path for people; if it contains a link, also its target."""
    plain = os.path.abspath(path)  # noqa: PTH100 - lexical
    return safe(path) if plain == str(real) else f"{safe(path)}, which leads to {safe(real)},"


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")
