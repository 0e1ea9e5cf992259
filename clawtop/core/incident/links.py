"""Who waits for what in one snapshot: the roots of the blocking trees and the links below them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from clawtop.core.health.blocked import Blockage, blocked_sessions
from clawtop.core.health.silence import Silence, silence_of
from clawtop.core.health.waiting import complaint_of, complaints
from clawtop.core.incident.lock_link import lock_node
from clawtop.core.incident.node import WEIGHT, Node, NodeKind, Severity
from clawtop.core.incident.profile_links import ProfileLinks, loaded_by
from clawtop.core.model import (
    GATEWAY_LOG,
    AgentInfo,
    Event,
    EventKind,
    GatewayState,
    LockKind,
    PromptHolder,
    Session,
    Snapshot,
    agent_named,
    session_named,
    span,
)
from clawtop.core.operations.loaded import as_gateway_knows
from clawtop.core.session.activity import last_sign, running_since
from clawtop.core.session.attention import retry_of
from clawtop.core.session.listed import concerned_places, locked_key, perhaps_working, troubled, with_key
from clawtop.text import safe, shown

RECENT_TAKEOVER_MS = 10 * 60_000
RETRY_ANSWERS_MS = 5 * 60_000
"""How long after its due time a retry may still be waiting for the provider's answer."""

LONG_WAIT_MS = 2_000
"""OpenClaw warns about waits from this length on; shorter ones are normal."""


class SnapshotIndex:
    """The snapshot, indexed for lookups from every side."""

    def __init__(self, snapshot: Snapshot, now: int, events: tuple[Event, ...]) -> None:
        snapshot = snapshot if snapshot.events is events else replace(snapshot, events=events)
        self.view = as_gateway_knows(snapshot, now)
        self.snapshot = snapshot = self.view.snapshot
        self.now = now
        self.blocked = blocked_sessions(snapshot, now)
        self.locks_by_session = {
            (lock.file.agent, lock.file.session_id): lock
            for lock in snapshot.locks
            if lock.file.kind is LockKind.SESSION
        }
        self.holders_by_file = {holder.session_file: holder for holder in snapshot.holders}
        self.held_by_run = {holder.run_id: holder for holder in snapshot.holders if holder.run_id}
        self.waits_of_run = {waiter.run_id: holder for holder in snapshot.holders for waiter in holder.waiters}
        self.profiles = {
            (agent.id, profile.id): profile
            for agent in snapshot.agents
            if agent.store is not None
            for profile in agent.store.profiles
        }
        self.accounts = ProfileLinks(self.view, now)
        self.lanes = {lane.lane: lane for lane in snapshot.lanes}
        self.complaints = complaints(events, now)
        self.takeovers = {
            name: event
            for event in events
            if event.kind is EventKind.TAKEOVER and now - event.at <= RECENT_TAKEOVER_MS
            if (name := event.session_key or event.session_file) is not None
        }

    # --- roots ---------------------------------------------------------------------------------------------------

    def gateway(self) -> Iterator[Node]:
        """A gateway that is gone, with the turns that died with it, or that does not answer."""
        gateway = self.snapshot.gateway
        stopped = gateway.state is GatewayState.ABSENT and self.snapshot.config.gateway_wanted
        silence = silence_of(gateway, self.now)
        if silence is Silence.STARTING:
            yield Node(
                NodeKind.GATEWAY,
                "gateway",
                "the gateway is starting: no answer yet",
                "process table",
                Severity.BLOCKED,
                since=gateway.started_at,
                advice="wait for it",
            )
        frozen = silence in {Silence.FROZEN, Silence.PAUSED, Silence.CLOSED}
        if gateway.state is not GatewayState.DEAD and not stopped and not frozen:
            return
        left = [session for session in troubled(self.snapshot.sessions) if _died(session)]
        what = "is dead" if gateway.state is GatewayState.DEAD else "does not answer" if frozen else "does not run"
        yield Node(
            NodeKind.GATEWAY,
            "gateway",
            f"the gateway {what}: nothing is answered",
            "process table" if gateway.pid is not None else "port",
            Severity.STUCK,
            since=min((s.started_at for s in left if s.started_at is not None), default=None),
            children=tuple(
                Node(
                    NodeKind.SESSION,
                    session.key,
                    (session_named(session.key), " died with it"),
                    "sessions.json",
                    Severity.BLOCKED,
                    session.agent,
                    since=session.started_at,
                )
                for session in left
            ),
            advice="start the gateway" if stopped else "resume it" if silence is Silence.PAUSED else "restart gateway",
        )

    def unloaded(self) -> Iterator[Node]:
        """Written changes that the gateway has not loaded."""
        for pending in self.view.pending:
            what = "change" if pending.kind == "store" else pending.kind
            state = "not loaded by the gateway" if pending.certain else "not known to be loaded"
            names = ", ".join(safe(name, 40) for name in pending.providers[:3])
            yield Node(
                NodeKind.AGENT,
                f"pending:{pending.agent}:{pending.at}",
                f"{what} of {names}: {state}",
                "journal" if pending.at is not None else GATEWAY_LOG,
                Severity.BLOCKED if pending.by_itself else Severity.STUCK,
                pending.agent,
                since=pending.at,
                advice=loaded_by(pending),
            )

    def store_locks(self) -> Iterator[Node]:
        """Auth store locks that stop an agent's marks, and with them its turns (threads 1 and 2)."""
        for lock in self.snapshot.locks:
            if lock.file.kind is not LockKind.AUTH:
                continue
            chain = lock_node(lock, self.now)
            if chain.severity is Severity.BUSY:
                continue
            yield Node(
                NodeKind.AGENT,
                f"store:{lock.file.agent}",
                ("auth store of ", agent_named(lock.file.agent or "?"), ": every mark waits for its lock"),
                "lock file",
                chain.severity,
                lock.file.agent,
                since=chain.since,
                children=(chain,),
            )

    def agents_without_profiles(self) -> Iterator[Node]:
        """Agents whose whole model chain has no profile to offer."""
        for agent in self.snapshot.agents:
            chain = [self.accounts.all_out(agent, provider, model) for provider, model in _candidates(agent)]
            if not chain or any(part is None for part in chain):
                continue
            parts = tuple({node.id: node for nodes in chain if nodes for node in nodes}.values())
            if not parts:
                continue
            ends = [node.until for node in parts]
            until = min((end for end in ends if end is not None), default=None)
            yield Node(
                NodeKind.AGENT,
                agent.id,
                ("agent ", agent_named(agent.id), ": no profile for its models is usable"),
                "auth store",
                Severity.STUCK if until is None else Severity.BLOCKED,
                agent.id,
                since=min((node.since for node in parts if node.since is not None), default=None),
                until=until,
                children=parts,
            )

    def sessions(self) -> Iterator[Node]:
        """Sessions that are blocked, and those that recently lost a reply."""
        retrying = (session.key for session in perhaps_working(self.snapshot.sessions))
        keys = (*self.takeovers, *(key for _, key in self.blocked), *retrying)
        for place in concerned_places(self.snapshot.sessions, keys=keys, files=self.takeovers):
            session = self.snapshot.sessions[place]
            lost = session.key in self.takeovers or session.file in self.takeovers
            if lost or (session.agent, session.key) in self.blocked or self._retries(session):
                yield self._session(session)

    def orphan_locks(self) -> Iterator[Node]:
        """Leftover locks that no session waits for; those that OpenClaw removes itself are less serious."""
        found = (s for _, key in self.blocked for s in with_key(self.snapshot.sessions, key))
        blocked = {session.session_id for session in found if (session.agent, session.key) in self.blocked}
        for lock in self.snapshot.locks:
            kind = lock.file.kind
            orphan = kind is LockKind.SESSION and lock.file.session_id not in blocked
            if orphan or kind in (LockKind.SESSIONS_STORE, LockKind.OAUTH_REFRESH):
                chain = lock_node(lock, self.now, locked_key(lock, self.snapshot.sessions) if orphan else None)
                if chain.severity is Severity.STUCK:
                    goes = orphan and lock.openclaw.would_remove is True
                    yield chain._replace(severity=Severity.BLOCKED) if goes else chain

    # --- links ---------------------------------------------------------------------------------------------------

    def _session(self, session: Session) -> Node:
        blockage = self.blocked.get((session.agent, session.key))
        children = (tuple(self._waits(session)) or self._slow(session)) if blockage is not None else ()
        children = children or self._retries(session)
        takeover = self.takeovers.get(session.key) or self.takeovers.get(session.file or "")
        does = ""
        if (blockage is not None or self._retries(session)) and session.status == "running":
            does = " running"
        elif takeover is not None:
            does = " lost a reply to a takeover"
        severity = max((child.severity for child in children), key=WEIGHT.__getitem__, default=Severity.BLOCKED)
        lost = blockage is None and takeover is not None
        return Node(
            NodeKind.SESSION,
            session.key,
            (session_named(session.key), does),
            "journal" if lost else "sessions.json",
            Severity.BUSY if lost else severity if severity is not Severity.BUSY else Severity.BLOCKED,
            session.agent,
            since=takeover.at if lost and takeover is not None else _blocked_since(session, children, blockage),
            until=blockage.until if blockage is not None else None,
            children=children,
        )

    def _waits(self, session: Session) -> Iterator[Node]:
        holder = self.holders_by_file.get(session.file or "")
        if holder is not None and (holder.waiters or holder.source == "clawtop"):
            yield self._holder(holder, ())
        lock = self.locks_by_session.get((session.agent, session.session_id))
        if lock is not None:
            chain = lock_node(lock, self.now)
            if chain.severity is not Severity.BUSY or (holder is None and not session.active):
                yield chain
        if session.suspension is not None and session.suspension.holds(self.now, self.snapshot.gateway.started_at):
            yield self._suspension(session)
        blockage = self.blocked.get((session.agent, session.key))
        if session.profile is not None and blockage is not None and blockage.why.startswith("pinned"):
            profile = self.profiles.get((session.agent, session.profile))
            if profile is not None:
                pin = self.accounts.pinned(profile, session.model, session.profile_source)
                yield from (pin,) if pin is not None else ()

    def _retries(self, session: Session) -> tuple[Node, ...]:
        """A run that keeps retrying the failed account, and is silent in the meantime."""
        retry = retry_of(session) if session.active is not False else None
        if retry is None or retry.due < self.now - RETRY_ANSWERS_MS:
            return ()
        node = Node(
            NodeKind.HOLDER,
            session.file or session.key,
            f"OpenClaw is {retry}",
            "gateway log",
            Severity.BLOCKED,
            session.agent,
            since=running_since(session),
            until=retry.due if retry.due > self.now else None,
        )
        return (node,)

    def _slow(self, session: Session) -> tuple[Node, ...]:
        """An OpenClaw turn with no activity, or that its gateway reports as stuck."""
        if session.active is not True or session.file is None:
            return ()
        told = complaint_of(session, self.complaints)
        began = running_since(session)
        signs = (last_sign(session), began, session.updated_at if session.status == "running" else None, 0)
        quiet = self.now - max(moment for moment in signs if moment is not None)
        limits = self.snapshot.config.attention
        silent = quiet > limits.warn_ms
        long = f"no activity for {span(quiet)}" if silent else f"one turn for more than {limits.abort_ms // 60_000} min"
        what = shown(told.text, 80) if told is not None else long
        node = Node(
            NodeKind.HOLDER,
            session.file,
            f"OpenClaw is working: {what}",
            safe(told.source, 30) if told is not None else "sessions.json",
            Severity.BLOCKED,
            session.agent,
            since=began if began is not None or told is None else told.at,
            remedy="drain",
        )
        return (node,)

    def _holder(self, holder: PromptHolder, seen: tuple[str, ...]) -> Node:
        run = holder.run_id or holder.session_file
        if run in seen:
            return Node(
                NodeKind.CYCLE,
                run,
                f"cycle: {_short(run)} waits for itself",
                "holder record",
                Severity.STUCK,
                remedy="drain",
            )
        waiting = self.waits_of_run.get(run)
        lane = self.lanes.get(holder.lane or "")
        children: list[Node] = []
        if waiting is not None:
            children.append(self._holder(waiting, (*seen, run)))
        if lane is not None and lane.limit is not None and (lane.queued or 0) > 0 and (lane.active or 0) >= lane.limit:
            children.append(
                Node(
                    NodeKind.LANE,
                    lane.lane,
                    f"lane {safe(lane.lane, 40)} is full: {lane.active} of {lane.limit} running, {lane.queued} queued",
                    lane.source,
                    Severity.BLOCKED,
                )
            )
        if holder.profile is not None and holder.phase not in _AT_WORK:
            profile = self.profiles.get((holder.agent or "", holder.profile))
            if profile is not None and (node := self.accounts.why_not(profile, None)) is not None:
                children.append(node)
        who = _short(run) if holder.run_id else "OpenClaw"
        count = len(holder.waiters)
        waiters = (
            f", {count} waiting: {', '.join(safe(waiter.lane, 30) for waiter in holder.waiters[:3])}" if count else ""
        )
        severity = max((child.severity for child in children), key=WEIGHT.__getitem__, default=Severity.BUSY)
        if severity is Severity.BUSY and any(self.now - waiter.since >= LONG_WAIT_MS for waiter in holder.waiters):
            severity = Severity.BLOCKED
        return Node(
            NodeKind.HOLDER,
            run,
            f"held by {who} ({_lane_word(holder.lane)}, {safe(holder.phase, 30)}){waiters}",
            "holder record" if holder.source == "clawtop" else safe(holder.source, 30),
            severity,
            holder.agent,
            since=holder.since,
            remedy="drain" if count and not children else None,
            children=tuple(children),
        )

    def _suspension(self, session: Session) -> Node:
        suspension = session.suspension
        assert suspension is not None  # noqa: S101 - the caller looked
        return Node(
            NodeKind.LANE,
            suspension.lane_id or session.key,
            f"lane {safe(suspension.lane_id or '?', 40)} suspended: {shown(suspension.reason, 40)}",
            "sessions.json",
            Severity.BLOCKED,
            session.agent,
            since=suspension.suspended_at,
            until=suspension.expected_resume_by,
        )


def _lane_word(lane: str | None) -> str:
    """A lane by its name; the session's own lane needs none, since the session is shown above."""
    if lane is None:
        return "no lane"
    return "its own lane" if lane.startswith("session:") else safe(lane, 40)


_AT_WORK = frozenset({"prompting", "streaming", "appending", "releasing"})
"""Phases of a clawtop run in which its profile is in use, even if windows have opened since."""


def _candidates(agent: AgentInfo) -> tuple[tuple[str, str | None], ...]:
    """Provider and model of each candidate of an agent; its providers if no models are configured."""
    if agent.models:
        return tuple((ref.provider, ref.model) for ref in agent.models)
    profiles = agent.store.profiles if agent.store is not None else ()
    return tuple((provider, None) for provider in dict.fromkeys(profile.provider for profile in profiles))


def _blocked_since(session: Session, children: tuple[Node, ...], blockage: Blockage | None) -> int | None:
    """Since when a session is blocked: since its run began, but not before the obstacle appeared."""
    obstacles = [child.since for child in children if child.since is not None]
    began = session.started_at if session.status == "running" else None
    since = min(obstacles, default=None)
    found = max(began, since) if began is not None and since is not None else began if since is None else since
    return found if found is not None or blockage is None else blockage.since


def _died(session: Session) -> bool:
    """Whether a run of the session died with its gateway."""
    return bool(session.problems) and any(problem.code == "ghost" for problem in session.problems)


def _short(run: str) -> str:
    return f"run {safe(run, 20)}"
