"""All of a state directory, read once, synchronously.

`SnapshotReader` keeps what it parsed by the stamp of the file (mtime, size, inode), so that reading again after one
file changed costs one file; a part that cannot be read keeps its last good value, with the reason. Used by one thread
at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Protocol, runtime_checkable

from clawtop.clock import Clock
from clawtop.core.generations import is_version, semantics_of
from clawtop.core.health.causes import NOT_LOOKED_AT
from clawtop.core.model import (
    AgentInfo,
    AuthStore,
    ConfigSummary,
    Gateway,
    GatewayState,
    Problem,
    ProcessEvidence,
    Session,
    SessionPlace,
    Snapshot,
    of_agents,
    session_place,
)
from clawtop.core.session.backend_runs import process_witnesses, unseen_witnesses
from clawtop.core.session.disk_witness import NOT_LOOKED, CommandLine
from clawtop.core.session.key import agent_of
from clawtop.core.session.openclaw_runs import heard_sessions
from clawtop.errors import ClawtopError, StateUnreadableError
from clawtop.store.auth.port import OwnAuth
from clawtop.store.auth.reader import AuthReader
from clawtop.store.config import summarise
from clawtop.store.gateway.backends import BackendWatch
from clawtop.store.gateway.liveness import PortProbe, ask_healthz, ask_patiently
from clawtop.store.gateway.reader import GatewayReader, Site
from clawtop.store.interning import Interned
from clawtop.store.json_text import Stamp, stamp_of
from clawtop.store.locks.command_line import CommandLineWatch
from clawtop.store.locks.processes import ProcessTable, SeesEnds
from clawtop.store.locks.reader import LockJudge
from clawtop.store.place.environment import other_owners
from clawtop.store.place.layout import AgentPaths, Layout
from clawtop.store.place.locating import expanded, layout_stamps, locate
from clawtop.store.place.mounts import mount_obstacles
from clawtop.store.place.room import disk_room
from clawtop.store.provider.key_watch import KeyWatch
from clawtop.store.sessions.backends import session_backend
from clawtop.store.sessions.port import SessionBackend
from clawtop.store.sqlite.pool import Databases
from clawtop.store.timed_reads import ANSWER_ONCE_S, ANSWER_S, LastAnswers, NoAnswerError, TimedReads

ExtraPart = Callable[[Layout, Snapshot], Snapshot]
"""Adds what another module knows about the state: holders, lanes, events, config warnings."""


@runtime_checkable
class WatchingPart(Protocol):
    """An extra part that reads its own directories and files."""

    def watch_directories(self) -> tuple[Path, ...]:
        """Those whose changes matter to it and that exist, as of the last snapshot."""

    def files_elsewhere(self) -> tuple[Path, ...]:
        """The files that it reads outside of watched directories, as of the last snapshot."""


def watching(parts: Iterable[object]) -> tuple[WatchingPart, ...]:
    """Those of these parts that read files of their own."""
    return tuple(part for part in parts if isinstance(part, WatchingPart))


class SnapshotReader:
    """Reads a state directory, again and again.

    Args:
        state_dir: named by the operator; None: found by OpenClaw's rules.
        env, home: the environment and home directory that OpenClaw is taken to run in.
        processes: `UncheckedProcesses` together with `at`.
        agent: only this agent's parts; None: all.
        at: judge the state as of then (ms since epoch); neither processes nor the port are asked.
        port_probe: None: the port is not tried.
        live_probe: queries a gateway that is known to be alive; None: somebody else does.
        extra_parts: applied to each snapshot in turn.
        progressive: read again and again: details of thousands of sessions may come with the next reads
            (`Snapshot.counting` says how many are missing); else the first read has them.
        on_accounts: is called once, in the first read, as soon as the accounts are read, with a snapshot of nothing
            else: its gateway is unknown, and sessions, locks and lanes are missing.
    """

    def __init__(
        self,
        *,
        state_dir: str | Path | None,
        env: Mapping[str, str],
        home: Path,
        clock: Clock,
        processes: ProcessTable,
        agent: str | None = None,
        at: int | None = None,
        port_probe: PortProbe | None = ask_healthz,
        live_probe: PortProbe | None = ask_patiently,
        extra_parts: Sequence[ExtraPart] = (),
        progressive: bool = False,
        on_accounts: Callable[[Snapshot], None] | None = None,
    ) -> None:
        self._state_dir = state_dir
        self._env = env
        self._home = home
        self._clock = clock
        self._processes = processes
        self._ends = processes if isinstance(processes, SeesEnds) else None
        self._agent = agent
        self._at = at
        self._extra_parts = tuple(extra_parts)
        self._progressive = progressive
        self._on_accounts = on_accounts
        self._number = 0
        self._stores: dict[str, AuthStore] = {}  # as they were last, by agent
        self._layout: Layout | None = None
        self._stamps: Mapping[Path | str, Stamp | None] = {}
        self._obstacles: tuple[str, ...] = ()
        self._uid: int | None = None
        self._reads = TimedReads(clock, ANSWER_S if progressive else ANSWER_ONCE_S)
        self._last = LastAnswers(self._reads)
        self._databases = Databases(clock)
        self._versions: tuple[Hashable, ...] = ()
        self._files_elsewhere: tuple[str | Path, ...] = ()
        self._elsewhere: dict[str | Path, Stamp | None] = {}  # as of the last check
        self._auth: AuthReader | None = None
        asks = at is None and port_probe in {ask_healthz, None}
        self._gateway = GatewayReader(
            processes,
            clock,
            self._reads,
            self._last,
            now=at is None,
            port_probe=port_probe if at is None else None,
            live_probe=live_probe if asks else None,
        )
        self._sessions: SessionBackend | None = None
        self._command_lines = CommandLineWatch(processes, clock)
        self._backends = BackendWatch(processes, clock)
        self._keys = KeyWatch(processes, env, home, self._last, now=at is None)
        self._worked: Interned[SessionPlace, Session] = Interned()
        self._others: tuple[ProcessEvidence, ...] | None = None  # if this read had to look for them

    @property
    def reading(self) -> str:
        """What is being read right now, for code that waits for it; empty between two reads."""
        return self._last.reading

    @property
    def layout(self) -> Layout:
        """Where everything is, as of the last read (or now). Raises StateUnreadableError."""
        return self._layout if self._layout is not None else self._located()

    def watch_directories(self) -> tuple[Path, ...]:
        """The directories whose changes matter, exact, each once; some may not exist."""
        layout = self.layout
        places: list[Path] = [layout.state_dir, layout.config_path.parent]
        places += (layout.state_dir / name for name in ("agents", "state"))
        for agent in layout.agents:
            places += [layout.state_dir / "agents" / agent.id, agent.agent_dir, agent.sessions_dir]
        places += [layout.main_agent_dir, layout.oauth_lock_dir, *layout.lock_dirs]
        places += self._databases.linked_directories()
        for part in watching(self._extra_parts):
            places += part.watch_directories()
        return tuple(dict.fromkeys(places))

    def message_text(self, session: Session, at: int) -> str | None:
        """What a person wrote in the message that came at `at` (ms since the epoch) to a session of the last read.

        It is unchanged foreign text. None if the end of its transcript does not contain it, or cannot be read.
        """
        return self._sessions.message_text(session, at) if self._sessions is not None else None

    @property
    def may_change_unseen(self) -> bool:
        """Whether anything was asked for until now whose changes no watched directory shows."""
        alive = self._ends is not None and self._ends.any_alive()
        return alive or self._databases.in_use or bool(self._files_elsewhere)

    def has_changed(self) -> bool:
        """Whether a database was committed to, or replaced, since the last read, or was not read whole in it; whether
        a process ended that was alive then, or a file grew that is in no watched directory.
        """
        ended = self._ends is not None and self._ends.any_ended()
        before, self._elsewhere = self._elsewhere, {path: stamp_of(path) for path in self._files_elsewhere}
        overdue = self._sessions is not None and self._sessions.is_overdue
        committed = self._databases.in_use and self._databases.versions() != self._versions
        return ended or overdue or committed or self._elsewhere != before

    def read(self) -> Snapshot:
        """Read what changed and judge everything again.

        Raises:
            StateUnreadableError: the state directory is not there or not readable, or has no such agent.
        """
        self._last.reading = str(self._state_dir or "the state directory")
        silent: list[Problem] = []
        self._versions = self._last("databases", "its databases", self._databases.versions, (), silent)
        layout = self._where(silent)
        agents = self._wanted_agents(layout)
        taken_at = self._clock.now_ms()
        now = taken_at if self._at is None else self._at
        config = self._config(layout)
        owners = self._last("owners", str(layout.state_dir), lambda: tuple(other_owners(layout)), (), silent)
        warnings = [*silent, *layout.problems, *_assumed(layout), *owners]
        looked: dict[tuple[str, str], OwnAuth] = {}
        infos = tuple(self._agent_info(agent, layout, warnings, looked) for agent in agents)
        problems = self._auth_reader(layout).problems
        warnings += self._last("auth problems", str(layout.state_dir), problems, (), warnings)
        accounts = self._accounts(layout, config, infos, taken_at, warnings)
        stored = self._session_backend(layout)
        self._load_sessions(stored, agents, layout, warnings)
        judge = LockJudge(self._processes, now, layout.storage, config.lock_limits, self._uid)
        site = Site(layout, self._uid, self._obstacles)
        gateway, locks = self._gateway.read(site, agents, config, judge, warnings, growing_files=stored.growing_files)
        now += gateway.clock_offset
        config = replace(config, keys=self._keys.look(layout, config, gateway, warnings))
        command_line = self._command_line(layout, gateway)
        sessions = self._last(
            "transcripts",
            f"transcripts in {layout.state_dir}",
            lambda: stored.judged(gateway, locks, now, command_line),
            (),
            warnings,
        )
        room = None
        if self._at is None and not layout.is_copy:
            room = self._last("room", str(layout.state_dir), lambda: disk_room(layout.state_dir), None, warnings)
        self._number += 1
        snapshot = replace(
            accounts,
            number=self._number,
            gateway=gateway,
            config=config,
            sessions=sessions,
            sessions_unread=_of_agents(stored.unread, layout, agents),
            counting=stored.counting,
            locks=locks,
            lanes=stored.lanes(sessions),
            events=stored.events(),
            warnings=_of_agents(dict.fromkeys(warnings), layout, agents),
            command_line=self._others,
            room=room,
        )
        snapshot = self._with_backends(layout, snapshot)
        for part in self._extra_parts:
            snapshot = self._with_part(part, layout, snapshot)
        files = (path for part in watching(self._extra_parts) for path in part.files_elsewhere())
        self._files_elsewhere = (*stored.growing_files(), *files)
        self._last.reading = ""
        return snapshot

    def _accounts(
        self,
        layout: Layout,
        config: ConfigSummary,
        agents: tuple[AgentInfo, ...],
        taken_at: int,
        warnings: list[Problem],
    ) -> Snapshot:
        """What is known before the sessions are read; passed to the caller's callback at once."""
        accounts = Snapshot(
            number=0,
            taken_at=taken_at,
            host=os.uname().nodename,
            state_dir=str(layout.state_dir),
            generation=layout.generation,
            openclaw_version=layout.version,
            config=config,
            agents=agents,
            judged_at=self._at,
        )
        tell, self._on_accounts = self._on_accounts, None
        if tell is not None:
            keys = self._keys.look(layout, config, Gateway(), warnings)
            tell(replace(accounts, config=replace(config, keys=keys)))
        return accounts

    def _where(self, warnings: list[Problem]) -> Layout:
        """Where everything is, or was when last known. Raises StateUnreadableError."""
        try:
            return self._reads.ask("layout", str(self._state_dir or "the state directory"), self._located)
        except NoAnswerError as silent:
            if self._layout is None:
                raise StateUnreadableError(f"{silent.problem.where} {silent.problem.text}") from None
            warnings.append(silent.problem)
            return self._layout

    def _with_part(self, part: ExtraPart, layout: Layout, snapshot: Snapshot) -> Snapshot:
        """The snapshot with what `part` adds, or with the reason why it adds nothing."""
        try:
            return part(layout, snapshot)
        except ClawtopError:
            raise
        except Exception as error:  # noqa: BLE001 - one part that breaks takes nothing else with it
            problem = _unexpected(error, snapshot.state_dir)
            return replace(snapshot, warnings=(*snapshot.warnings, problem))

    def _load_sessions(
        self, stored: SessionBackend, agents: tuple[AgentPaths, ...], layout: Layout, warnings: list[Problem]
    ) -> None:
        self._last.reading = f"the sessions of {layout.state_dir}"
        try:
            stored.load(agents, layout, warnings)
        except ClawtopError:
            raise
        except Exception as error:  # noqa: BLE001 - as above: the rows stay as they were
            warnings.append(_unexpected(error, str(layout.state_dir)))

    def _located(self) -> Layout:
        """The layout, found again when the configuration, the agents or the kind of store may have changed."""
        before = self._layout
        if before is not None and self._stamps == layout_stamps(before):
            return before
        last_config = before.config if before is not None else None
        layout = locate(
            self._state_dir, env=self._env, home=self._home, last_config=last_config, databases=self._databases
        )
        self._layout, self._stamps = layout, layout_stamps(layout)
        if self._auth is not None:
            self._auth.moved(layout)
        if before is not None and before.storage != layout.storage:
            self._sessions = None
        self._obstacles = () if self._at is not None else mount_obstacles(layout.state_dir)
        self._uid = layout.state_dir.stat().st_uid
        return layout

    def _wanted_agents(self, layout: Layout) -> tuple[AgentPaths, ...]:
        if self._agent is None:
            return layout.agents
        agent = layout.agent(self._agent)
        if agent is None:
            raise StateUnreadableError(layout.no_agent(self._agent), hint=f"agents: {layout.agent_names}")
        return (agent,)

    def _config(self, layout: Layout) -> ConfigSummary:
        config = summarise(layout.config, layout.generation, layout.version, self._env)
        if config.log_file is None:
            return config
        mapped = layout.map_path(expanded(config.log_file, self._env, self._home))
        return replace(config, log_file=None if mapped is None else str(mapped))

    def _auth_reader(self, layout: Layout) -> AuthReader:
        if self._auth is None:
            self._auth = AuthReader(layout, self._clock, self._databases, self._reads)
        return self._auth

    def _session_backend(self, layout: Layout) -> SessionBackend:
        if self._sessions is None:
            self._sessions = session_backend(layout, self._databases, self._reads, progressive=self._progressive)
        return self._sessions

    def _agent_info(
        self, agent: AgentPaths, layout: Layout, warnings: list[Problem], looked: dict[tuple[str, str], OwnAuth]
    ) -> AgentInfo:
        self._last.reading = str(agent.agent_dir)
        try:
            store = self._auth_reader(layout).store(agent, warnings, looked)
        except ClawtopError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            known = self._stores.get(agent.id) or AuthStore(agent.id, str(agent.agent_dir))
            store = replace(known, problem=_unexpected(error, str(agent.agent_dir)))
        self._stores[agent.id] = store
        if store.problem is not None:
            warnings.append(store.problem)
        return AgentInfo(
            id=agent.id,
            agent_dir=str(agent.agent_dir),
            sessions_dir=str(agent.sessions_dir),
            is_default=agent.is_default,
            models=agent.models,
            heartbeat_isolated=agent.heartbeat_isolated,
            name=agent.name,
            store=store,
            configured=agent.configured,
        )

    def _command_line(self, layout: Layout, gateway: Gateway) -> Callable[[], CommandLine]:
        """Processes that work besides the gateway, searched on demand.

        Not asked where a process of this directory may be out of sight: in a copy, on a shared mount, and where the
        gateway lives unseen.
        """
        self._others = None
        unseen = gateway.state is GatewayState.LIVE and gateway.pid is None
        if self._at is not None or self._uid is None or layout.is_copy or self._obstacles or unseen:
            return lambda: NOT_LOOKED
        state_dir, owner = layout.state_dir, self._uid

        def look() -> CommandLine:
            found = self._command_lines.look(state_dir, owner)
            self._others = found.seen
            return found

        return look

    def _with_backends(self, layout: Layout, snapshot: Snapshot) -> Snapshot:
        """The snapshot with what the processes below the gateway show, and the sessions judged with it."""
        gateway, uid = snapshot.gateway, self._uid
        if gateway.state is not GatewayState.LIVE or self._at is not None or uid is None:
            return snapshot
        found = None
        if not layout.is_copy and not self._obstacles:
            found = self._backends.look(gateway, snapshot.config, layout.state_dir, uid)
        snapshot = replace(snapshot, gateway=replace(gateway, backends=found))
        if found is None:
            told = unseen_witnesses(snapshot.config.backends, snapshot.sessions)
        else:
            complete = len(snapshot.agents) == len(layout.agents)
            told = process_witnesses(found, snapshot.sessions, complete=complete) if found else {}
        if not told:
            return snapshot
        sessions = heard_sessions(snapshot, told)
        return replace(snapshot, sessions=self._worked.altered(snapshot.sessions, sessions, session_place))


def _of_agents(problems: Collection[Problem], layout: Layout, chosen: Sequence[AgentPaths]) -> tuple[Problem, ...]:
    """The problems with the agents that their places or session keys belong to; without those of agents that were not
    chosen.
    """
    if not problems:
        return ()
    places: dict[str, str | None] = {}
    for agent in layout.agents:
        for place in {str(agent.agent_dir), str(agent.sessions_dir), str(agent.sessions_store)}:
            places[place] = None if places.get(place, agent.id) != agent.id else agent.id

    def owner(where: str) -> str | None:
        above = next((place for place in (where, *map(str, PurePath(where).parents)) if place in places), None)
        return agent_of(where) if above is None else places[above]

    found = tuple(problem.of(owner(problem.where)) for problem in problems)
    return found if len(chosen) == len(layout.agents) else of_agents(found, {agent.id for agent in chosen})


def _assumed(layout: Layout) -> tuple[Problem, ...]:
    """That this release was not verified, and which one it is treated as."""
    note = semantics_of(layout.version, layout.generation).note
    return (Problem(NOT_LOOKED_AT, str(layout.state_dir), note),) if note and is_version(layout.version) else ()


def _unexpected(error: Exception, where: str) -> Problem:
    from clawtop.crash import unexpected

    return Problem("unexpected", where, str(unexpected(error, "reading it")))
