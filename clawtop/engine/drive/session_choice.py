"""Which session a caller means: a key that OpenClaw lists, a new key, or a transcript file."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from clawtop.core.model import Session
from clawtop.core.session.key import agent_of, key_of, split
from clawtop.core.session.lanes import classify_session_key
from clawtop.engine.drive.turn import UnknownSessionError
from clawtop.errors import RefusedError, UsageError
from clawtop.store.place.layout import AgentPaths, Layout, is_real
from clawtop.store.sessions.index import read_sessions
from clawtop.store.sessions.lists import KeptList, Lists, SessionLists
from clawtop.store.sessions.settings import NO_SETTINGS, SessionSettings
from clawtop.store.sessions.transcript_write import session_id_for
from clawtop.text import safe
from clawtop.values import dataclass

SUFFIX = ".jsonl"


@dataclass(frozen=True, slots=True)
class SessionChoice:
    """A session, found.

    Attributes:
        key: None for a file that no listed session has.
        file: its transcript, canonical; it may not exist yet.
        row: what OpenClaw's list says of it; None where it does not list it.
        settings: the settings in that list with which its prompts are sent.
    """

    agent: AgentPaths
    key: str | None
    session_id: str
    file: Path
    row: Session | None
    settings: SessionSettings = NO_SETTINGS

    @property
    def lane(self) -> str:
        """The global lane of its turns by the session's class: cron work in `cron`, everything else in `main`."""
        return "cron" if self.key is not None and classify_session_key(self.key) == "cron" else "main"


def choose_session(layout: Layout, session: str, agent: str | None = None, lists: Lists | None = None) -> SessionChoice:
    """The session that `session` names. `lists`: where the lists come from; None: they are read.

    A name that ends in `.jsonl` or holds a slash is a file. Other names are keys: as listed, or the short form of
    `agent:<agent>:<key>`; an unlisted key means a new session with a fixed id.

    Raises:
        UsageError: no such agent, or several agents and none is named.
        RefusedError: the file is not a transcript of this state directory, or the list cannot be read.
    """
    if not session:
        raise UsageError("name a session: its key, or its transcript's file")
    if not layout.storage.session_files:
        return _own(layout, session, agent)
    if "/" in session or session.endswith(SUFFIX):
        return _by_file(layout, session, agent, lists or SessionLists())
    return _by_key(layout, session, agent, lists or SessionLists())


def session_keys(layout: Layout, agent: str | None = None) -> tuple[str, ...]:
    """The keys that OpenClaw lists, of one agent or all, the latest first. Lists that cannot be read are left out."""
    agents = layout.agents if agent is None else (_agent(layout, agent),)
    rows = [row for owner in agents for row in read_sessions(owner, layout).rows]
    rows.sort(key=lambda row: row.updated_at or 0, reverse=True)
    return tuple(dict.fromkeys(row.key for row in rows))


def unknown_session(layout: Layout, name: str, agent: str | None) -> UnknownSessionError:
    """The error for a name that no listed session has, with the names that look like it."""
    keys = session_keys(layout, agent)
    short = {split(key)[1]: key for key in keys}
    near = dict.fromkeys(
        (*get_close_matches(name, keys, 3, 0.6), *(short[key] for key in get_close_matches(name, short, 3, 0.6)))
    )
    hint = f"did you mean {', '.join(safe(key, 120) for key in near)}? " if near else ""
    return UnknownSessionError(
        f"there is no session {safe(name, 120)}",
        near=tuple(near),
        hint=f"{hint}clawtop drive --list shows them all; --new creates one",
    )


def own_transcripts(layout: Layout, agent: str) -> Path:
    """Where an agent's driven turns are kept where OpenClaw keeps its sessions in tables: a directory of clawtop's
    own.
    """
    return Path(os.path.realpath(layout.state_dir)) / "clawtop" / "transcripts" / agent


def _own(layout: Layout, name: str, agent: str | None) -> SessionChoice:
    """One of clawtop's own transcripts, by the key of the session it belongs beside."""
    if "/" in name or name.endswith(SUFFIX):
        raise RefusedError(
            f"{safe(name)} is not a session key",
            hint="this OpenClaw keeps its sessions in a database; name a session by its key",
            unchanged="nothing was touched",
        )
    owner, key = _owner_and_key(layout, name, agent)
    if "/" in owner.id or owner.id in {".", ".."}:
        raise RefusedError(
            f"agent {safe(owner.id, 60)} has a name that cannot be a directory", unchanged="nothing was touched"
        )
    directory = own_transcripts(layout, owner.id)
    session_id = session_id_for(directory, key)
    return SessionChoice(owner, key, session_id, directory / f"{session_id}{SUFFIX}", None)


def _owner_and_key(layout: Layout, name: str, agent: str | None) -> tuple[AgentPaths, str]:
    named = agent_of(name)
    if named is not None and agent is not None and named != agent:
        raise UsageError(f"the session key names agent {safe(named, 60)}, --agent {safe(agent, 60)}")
    owner = _agent(layout, named or agent)
    return owner, name if named else key_of(owner.id, name)


def _by_file(layout: Layout, name: str, agent: str | None, lists: Lists) -> SessionChoice:
    path = Path(name).expanduser()
    if "/" not in name:
        path = _agent(layout, agent).sessions_dir / name
    if not os.path.lexists(path) and not os.path.lexists(f"{path}.lock"):
        raise RefusedError(f"{safe(path)} does not exist", unchanged="nothing was touched")
    real = layout.transcript(path)
    owner = next(place for place in layout.agents if is_real(real.parent, place.sessions_dir))
    known = _listed(lists, layout, owner)
    row = known.by_file.get(str(real))
    session_id = (row and row.session_id) or real.name.removesuffix(SUFFIX)
    return SessionChoice(owner, row.key if row else None, session_id, real, row, _settings(known, row))


def _by_key(layout: Layout, name: str, agent: str | None, lists: Lists) -> SessionChoice:
    owner, key = _owner_and_key(layout, name, agent)
    known = _listed(lists, layout, owner)
    row = known.by_key.get(key) or known.by_key.get(name) or known.by_id.get(name)
    if row is not None:
        if row.file is None or row.session_id is None:
            raise RefusedError(f"session {safe(row.key, 120)} is listed without a transcript")
        return SessionChoice(owner, row.key, row.session_id, layout.transcript(row.file), row, _settings(known, row))
    directory = Path(os.path.realpath(owner.sessions_dir))
    session_id = session_id_for(directory, key)
    return SessionChoice(owner, key, session_id, layout.transcript(directory / f"{session_id}{SUFFIX}"), None)


def _agent(layout: Layout, name: str | None) -> AgentPaths:
    if name is not None:
        found = layout.agent(name)
        if found is None:
            raise UsageError(layout.no_agent(name), hint=f"agents: {layout.agent_names}")
        return found
    default = next((agent for agent in layout.agents if agent.is_default), None)
    if default is None and len(layout.agents) == 1:
        default = layout.agents[0]
    if default is None:
        raise UsageError("several agents, and none is the default", hint=f"name one with --agent: {layout.agent_names}")
    return default


def _listed(lists: Lists, layout: Layout, agent: AgentPaths) -> KeptList:
    known = lists.of(agent, layout)
    if known.read.problem is not None:
        problem = known.read.problem
        raise RefusedError(f"the session list {safe(problem.where)} {problem.text}", unchanged="nothing was touched")
    return known


def _settings(known: KeptList, row: Session | None) -> SessionSettings:
    return NO_SETTINGS if row is None else known.settings.get(row.key, NO_SETTINGS)
