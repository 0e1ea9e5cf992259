"""The table of causes: each finder looks at the scene and says what is wrong, since when, how it shows, what helps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from clawtop.core.cooldown.profile_state import ProfileState, profile_state
from clawtop.core.health.cause import FAILING_FROM, JUST_NOW_MS, PATIENCE_MS, Cause, Finder, Level, Scene
from clawtop.core.health.loaded import Pending
from clawtop.core.health.turns import RecentTurn
from clawtop.core.health.waiting import Unanswered
from clawtop.core.model import (
    AgentInfo,
    EventKind,
    GatewayState,
    LockKind,
    Outcome,
    Profile,
    Serving,
    Snapshot,
    VerdictKind,
)
from clawtop.core.rotation.forecast import ChainRecovery, schedule_of
from clawtop.text import safe, shown

_SHOWN = 3
WRITING_MS = 2_000
"""A store lock without an owner that is younger may be in the middle of its writing."""

STARTING_MS = 90_000
"""A gateway takes up to half a minute to answer after its start, on a slow machine longer."""

MEMORY_SHARE = 0.9


def _names(names: Iterable[str], room: int = 40) -> str:
    listed = list(dict.fromkeys(names))
    some = ", ".join(safe(name, room) for name in listed[:_SHOWN])
    return f"{some} and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else some


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _span(ms: int) -> str:
    seconds = max(0, ms) // 1000
    if seconds < 120:
        return f"{seconds} s"
    minutes = seconds // 60
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"


def _short(key: str) -> str:
    """A session key without `agent:<id>:`."""
    parts = key.split(":", 2)
    return parts[2] if len(parts) == 3 and parts[0] == "agent" else key


# --- the gateway -------------------------------------------------------------------------------------------------


def _gateway(scene: Scene) -> Iterator[Cause]:
    gateway, snapshot = scene.snapshot.gateway, scene.snapshot
    evidence = (gateway.how,) if gateway.how else ()
    if gateway.state is GatewayState.DEAD:
        left = [s.key for s in snapshot.sessions if any(p.code == "ghost" for p in s.problems)]
        died = f"; {_count(len(left), 'turn')} died with it" if left else ""
        who = f"process {gateway.pid} is gone" if gateway.pid is not None else "its process is gone"
        yield Cause(
            "gateway-dead",
            f"the gateway is dead ({who}): nothing is answered{died}",
            Level.SILENT,
            evidence,
            "restart the gateway: openclaw gateway restart",
            since=_gone_since(scene),
            sessions=tuple(left),
        )
    elif gateway.state is GatewayState.ABSENT and snapshot.config.gateway_wanted:
        yield Cause(
            "gateway-stopped",
            "no gateway runs, though one is configured: nothing is answered",
            Level.SILENT,
            evidence,
            "start the gateway: openclaw gateway",
            since=_gone_since(scene),
        )
    elif gateway.state is GatewayState.UNKNOWN and snapshot.judged_at is None:
        code = "gateway-distrusted" if gateway.distrust is not None else "gateway-unknown"
        why = gateway.distrust or gateway.how or "nothing tells"
        yield Cause(code, f"whether the gateway lives is not known: {shown(why, 120)}", Level.ATTENTION, evidence)
    if gateway.state is GatewayState.LIVE:
        yield from _serving(scene)
        yield from _memory(scene)


def _gone_since(scene: Scene) -> int | None:
    """The last sign of the gateway that is gone."""
    events = (e.at for e in scene.snapshot.events if e.source == "gateway-log" and e.at <= scene.now)
    return max(events, default=None)


def _serving(scene: Scene) -> Iterator[Cause]:
    gateway = scene.snapshot.gateway
    young = gateway.started_at is not None and scene.now - gateway.started_at <= STARTING_MS
    if gateway.serving is Serving.SILENT and not young:
        yield Cause(
            "gateway-frozen",
            "the gateway is frozen: its port connects, and nothing is answered",
            Level.SILENT,
            (f"process {gateway.pid} lives" if gateway.pid is not None else "its port is open",),
            "restart the gateway: openclaw gateway restart",
        )
    elif gateway.serving in (Serving.REFUSES, Serving.SILENT):
        age = scene.now - gateway.started_at if gateway.started_at is not None else None
        since = f" {_span(age)} after its start" if age is not None else ""
        level = Level.ATTENTION if young else Level.SILENT
        advice = "wait for it" if young else "look at its log; restart it: openclaw gateway restart"
        yield Cause(
            "gateway-half-started",
            f"the gateway's process lives, but does not answer{since}",
            level,
            (f"nothing listens on port {gateway.port}",),
            advice,
            since=gateway.started_at,
        )
    health = gateway.health
    if health is not None and (health.ready is False or health.degraded):
        failing = ", ".join(safe(name, 40) for name in health.failing)
        what = f"not ready: {failing or 'it does not say why'}" if health.ready is False else "its event loop is behind"
        yield Cause("gateway-degraded", f"the gateway says of itself: {what}", Level.ATTENTION)


def _memory(scene: Scene) -> Iterator[Cause]:
    usage = scene.snapshot.gateway.usage
    if usage is None or usage.limit is None or usage.memory < usage.limit * MEMORY_SHARE:
        return
    share = round(100 * usage.memory / usage.limit)
    yield Cause(
        "out-of-memory",
        f"the gateway is about to run out of memory: {share} % of its {usage.limit >> 20} MB",
        Level.SILENT,
        remedy="restart the gateway before it is killed: openclaw gateway restart",
    )


# --- what can be read --------------------------------------------------------------------------------------------


def _stores(scene: Scene) -> Iterator[Cause]:
    stores = [(agent, agent.store) for agent in scene.snapshot.agents if agent.store is not None]
    unread = [(agent, store) for agent, store in stores if store.problem is not None]
    if stores and len(unread) == len(stores) and not any(store.profiles for _, store in stores):
        problem = unread[0][1].problem
        text = problem.text if problem is not None else "unreadable"
        yield Cause("unreadable", f"no auth profile can be read: {shown(text, 200)}", Level.UNREADABLE)
        return
    for agent, store in unread:
        assert store.problem is not None  # noqa: S101 - as they were chosen
        text = f"the auth store of {safe(agent.id, 40)} cannot be read: {shown(store.problem.text, 160)}"
        yield Cause("store-unreadable", text, Level.ATTENTION, (store.problem.where,), agents=(agent.id,))
    if not any(store.profiles for _, store in stores):
        text = "there are no auth profiles: no model can be asked"
        yield Cause("no-profiles", text, Level.SILENT, remedy="openclaw models auth paste-token")


def _jams(scene: Scene) -> Iterator[Cause]:
    for lock in scene.snapshot.locks:
        if lock.file.kind is not LockKind.AUTH:
            continue
        since = lock.created_at if lock.created_at is not None else lock.file.mtime
        if scene.now - since <= WRITING_MS or lock.openclaw.would_remove is True:
            continue
        agent = safe(lock.file.agent or "?", 40)
        if lock.file.content_problem is not None or lock.pid is None:
            what = "its lock names no owner"
        elif lock.verdict.kind is VerdictKind.STALE:
            what = "the owner of its lock is dead"
        else:
            continue
        yield Cause(
            "store-jammed",
            f"the auth store of {agent} is jammed: {what}",
            Level.ATTENTION,
            (lock.file.path, "every mark of a failure waits for it, and turns with it"),
            "remove the lock" if lock.verdict.kind is VerdictKind.STALE else "look at the lock, and remove it by hand",
            "unlock",
            since,
            agents=(lock.file.agent,) if lock.file.agent else (),
        )


# --- what can be asked -------------------------------------------------------------------------------------------


def _models(scene: Scene) -> Iterator[Cause]:
    """Agents of whose models none can be asked, by what would help; and providers that are out for some."""
    silent: dict[tuple[int | None, Pending | None], list[ChainRecovery]] = defaultdict(list)
    for agent in scene.view.snapshot.agents:
        chain = scene.chains[agent.id]
        if not _has_profiles(agent) or _can_answer(scene.view.snapshot, agent, chain, scene.now):
            continue
        stale = next(
            (p for p in scene.view.pending if {link.provider for link in chain.links} & set(p.providers)), None
        )
        silent[_back(scene.view.snapshot, agent, chain, scene.now), stale].append(chain)
    everyone = len(scene.snapshot.agents)
    for (until, pending), chains in sorted(silent.items(), key=lambda item: (item[0][0] is None, item[0][0] or 0)):
        names = [chain.agent for chain in chains]
        whom = "any agent" if len(names) == everyone else _names(names)
        if pending is not None:
            text = f"the gateway has nothing usable for {whom}: what was written is not loaded"
            yield Cause(
                "models-out",
                text,
                Level.SILENT,
                (f"live {pending.loads}",),
                _reload(pending),
                None,
                None,
                until,
                tuple(names),
            )
            continue
        hint = "wait, or clear the windows" if until is not None else "renew or add a credential, or clear the windows"
        text = f"nothing is usable for {whom}"
        yield Cause("models-out", text, Level.SILENT, (), hint, "clear", None, until, tuple(names))
    yield from _providers_out(scene, {chain.agent for chains in silent.values() for chain in chains})


def _reload(pending: Pending) -> str:
    return "make the gateway load it: openclaw secrets reload" if pending.reload else "restart the gateway"


def _has_profiles(agent: AgentInfo) -> bool:
    return agent.store is not None and bool(agent.store.profiles)


def _can_answer(snapshot: Snapshot, agent: AgentInfo, chain: ChainRecovery, now: int) -> bool:
    if chain.links:
        return any(link.usable for link in chain.links)
    return any(_usable(snapshot, agent, profile, now) for profile in (agent.store.profiles if agent.store else ()))


def _back(snapshot: Snapshot, agent: AgentInfo, chain: ChainRecovery, now: int) -> int | None:
    if chain.links:
        return chain.at
    ends = (
        (profile_state(p, now, schedule_of(snapshot, p.provider))[1] for p in agent.store.profiles)
        if agent.store
        else ()
    )
    return min((end for end in ends if end is not None), default=None)


def _usable(snapshot: Snapshot, agent: AgentInfo, profile: Profile, now: int) -> bool:
    models: list[str | None] = [ref.model for ref in agent.models if ref.provider == profile.provider]
    schedule = schedule_of(snapshot, profile.provider)
    return any(profile_state(profile, now, schedule, model)[0] is ProfileState.USABLE for model in models or [None])


def _providers_out(scene: Scene, silent: set[str]) -> Iterator[Cause]:
    out: dict[str, list[tuple[str, int | None]]] = defaultdict(list)
    for agent in scene.view.snapshot.agents:
        if agent.id in silent:
            continue
        for link in scene.chains[agent.id].links:
            has_any = agent.store is not None and any(p.provider == link.provider for p in agent.store.profiles)
            if (
                has_any
                and not link.usable
                and not any(other.usable for other in scene.chains[agent.id].links if other.provider == link.provider)
            ):
                out[link.provider].append((agent.id, link.at))
    for provider, found in out.items():
        agents = list(dict.fromkeys(name for name, _ in found))
        ends = [at for _, at in found if at is not None]
        whom = "" if len(agents) == len(scene.snapshot.agents) else f" for {_names(agents)}"
        text = f"{safe(provider, 40)} is out{whom}; other models still answer"
        yield Cause(
            "provider-out", text, Level.ATTENTION, (), "wait, or clear the windows", "clear", None,
            min(ends, default=None), tuple(agents),
        )  # fmt: skip


def _unloaded(scene: Scene) -> Iterator[Cause]:
    for pending in scene.view.pending:
        what = "a change of the auth store" if pending.kind == "store" else f"a {pending.kind}"
        whom = _names(pending.providers or pending.profiles)
        yield Cause(
            "not-loaded",
            f"{what} of {whom} is written, but not loaded by the gateway yet",
            Level.SILENT if pending.certain and _all_out(scene) else Level.ATTENTION,
            (pending.why, f"live {pending.loads}"),
            _reload(pending),
            since=pending.at,
            agents=(pending.agent,),
        )


def _all_out(scene: Scene) -> bool:
    agents = [agent for agent in scene.view.snapshot.agents if _has_profiles(agent)]
    answers = (_can_answer(scene.view.snapshot, agent, scene.chains[agent.id], scene.now) for agent in agents)
    return bool(agents) and not any(answers)


def _resting(scene: Scene) -> Iterator[Cause]:
    """Profiles that rest while others serve, and credentials that do not come back by themselves."""
    resting: dict[str, int | None] = {}
    broken: list[str] = []
    for agent in scene.view.snapshot.agents:
        for profile in agent.store.profiles if agent.store is not None else ():
            if profile.owner_agent != agent.id:
                continue
            state, until = profile_state(profile, scene.now, schedule_of(scene.view.snapshot, profile.provider))
            if state in (ProfileState.EXPIRED, ProfileState.INVALID):
                broken.append(profile.id)
            elif state is not ProfileState.USABLE:
                resting[profile.id] = until
    if broken:
        text = f"{_count(len(broken), 'credential')} to renew: {_names(broken)}"
        yield Cause("credentials", text, Level.ATTENTION, remedy="openclaw models auth paste-token")
    if resting:
        ends = [end for end in resting.values() if end is not None]
        text = f"{_count(len(resting), 'profile')} at rest: {_names(resting)}"
        yield Cause("profiles-resting", text, Level.ATTENTION, (), None, "clear", None, min(ends, default=None))


# --- whether turns succeed ---------------------------------------------------------------------------------------


def _turns(scene: Scene) -> Iterator[Cause]:
    """Agents whose last turns all failed; and single failures of just now."""
    by_agent: dict[str, list[RecentTurn]] = defaultdict(list)
    for turn in scene.turns:
        by_agent[turn.agent].append(turn)
    for agent, turns in by_agent.items():
        row: list[RecentTurn] = []
        for turn in reversed(turns):
            if turn.succeeded:
                break
            if turn.failed:
                row.append(turn)
        if len(row) >= FAILING_FROM:
            first = row[-1]
            why = _reasons(row)
            yield Cause(
                "turns-failing",
                f"the last {len(row)} turns of {safe(agent, 40)} failed{why}",
                Level.SILENT,
                tuple(_told(turn, scene.now) for turn in row[:_SHOWN]),
                "see the timeline for why",
                since=first.turn.at,
                agents=(agent,),
                sessions=tuple(dict.fromkeys(turn.session for turn in row)),
            )
            continue
        fresh = [turn for turn in turns if turn.failed and (turn in row or scene.now - turn.turn.at <= JUST_NOW_MS)]
        if fresh:
            yield Cause(
                "turn-failed",
                f"{_count(len(fresh), 'turn')} of {safe(agent, 40)} failed lately{_reasons(fresh)}",
                Level.ATTENTION,
                tuple(_told(turn, scene.now) for turn in fresh[:_SHOWN]),
                since=fresh[0].turn.at,
                agents=(agent,),
                sessions=tuple(dict.fromkeys(turn.session for turn in fresh)),
            )


def _reasons(turns: Iterable[RecentTurn]) -> str:
    reasons = [turn.turn.reason or _WORDS.get(turn.turn.outcome, "") for turn in turns]
    named = [safe(reason, 40) for reason in dict.fromkeys(reasons) if reason]
    return f" ({', '.join(named[:2])})" if named else ""


_WORDS = {Outcome.TIMED_OUT: "timeout", Outcome.DROPPED: "takeover", Outcome.HUNG: "hung"}


def _told(turn: RecentTurn, now: int) -> str:
    what = turn.turn.reason or _WORDS.get(turn.turn.outcome, str(turn.turn.outcome))
    return f"{safe(_short(turn.session), 60)}: {safe(what, 80)}, {_span(now - turn.turn.at)} ago"


def _dropped(scene: Scene) -> Iterator[Cause]:
    share, dropped = scene.counted.share_dropped, scene.counted.dropped
    if share is None or not dropped:
        return
    percent = f"{100 * share:.0f} %" if share >= 0.01 else "under 1 %"
    yield Cause(
        "turns-dropped",
        f"{percent} of turns lost their reply to another lane ({dropped} in a day)",
        Level.ATTENTION,
        remedy="give heartbeats a session of their own: isolatedSession: true",
    )


def _unanswered(scene: Scene) -> Iterator[Cause]:
    warn_ms = scene.snapshot.config.attention.warn_ms
    gone = scene.snapshot.gateway.state in (GatewayState.DEAD, GatewayState.ABSENT)
    overdue = [one for one in scene.waiting.unanswered if gone or scene.now - one.since > PATIENCE_MS]
    if overdue:
        oldest = overdue[0]
        bad = any(_is_silence(one, scene, warn_ms) for one in overdue)
        text = f"{_count(len(overdue), 'message')} without an answer, the oldest for {_span(scene.now - oldest.since)}"
        yield Cause(
            "unanswered",
            text,
            Level.SILENT if bad else Level.ATTENTION,
            tuple(_waits(one, scene.now) for one in overdue[:_SHOWN]),
            since=oldest.since,
            agents=tuple(dict.fromkeys(one.agent for one in overdue)),
            sessions=tuple(one.session for one in overdue),
        )


def _is_silence(one: Unanswered, scene: Scene, warn_ms: int) -> bool:
    """Whether nothing of the agent was answered since: an old message that was lost is no silent bot."""
    if scene.now - one.since <= warn_ms:
        return False
    return not any(t.agent == one.agent and t.succeeded and t.turn.at > one.since for t in scene.turns)


def _waits(one: Unanswered, now: int) -> str:
    size = f", {one.length} characters" if one.length else ""
    return f"{safe(_short(one.session), 60)} waits for {_span(now - one.since)}{size}: {_BECAME[one.outcome]}"


_BECAME = defaultdict(
    lambda: "its turn failed",
    {
        Outcome.OPEN: "nothing runs for it",
        Outcome.TIMED_OUT: "its turn timed out",
        Outcome.DROPPED: "its reply was lost",
        Outcome.HUNG: "its turn hung",
    },
)


def _hung(scene: Scene) -> Iterator[Cause]:
    abort_ms = scene.snapshot.config.attention.abort_ms
    for background in (False, True):
        found = [one for one in scene.hung if one.background is background and not one.only_long]
        if not found:
            continue
        bad = not background and any(one.complaint is not None or one.quiet_ms > abort_ms for one in found)
        oldest = min((one.since for one in found if one.since is not None), default=None)
        long = f" for {_span(scene.now - oldest)}" if oldest is not None else ""
        yield Cause(
            "hung",
            f"{_count(len(found), 'run')} without a sign of life{long}: {_names(_short(one.session) for one in found)}",
            Level.SILENT if bad else Level.ATTENTION,
            tuple(safe(one.complaint, 160) for one in found[:_SHOWN] if one.complaint),
            "drain the session",
            "drain",
            oldest,
            agents=tuple(dict.fromkeys(one.agent for one in found)),
            sessions=tuple(one.session for one in found),
        )


# --- what else needs a hand --------------------------------------------------------------------------------------


def _blocked(scene: Scene) -> Iterator[Cause]:
    hangs = {(one.agent, one.session) for one in scene.hung if not one.only_long}
    found = {key: why for key, why in scene.blocked.items() if key not in hangs}
    if found:
        since = min((b.since for b in found.values() if b.since is not None), default=None)
        yield Cause(
            "blocked",
            f"{_count(len(found), 'session')} blocked: {_names(_short(key) for _, key in found)}",
            Level.ATTENTION,
            tuple(f"{safe(_short(key), 60)}: {why.why}" for (_, key), why in list(found.items())[:_SHOWN]),
            since=since,
            sessions=tuple(key for _, key in found),
        )


def _queues(scene: Scene) -> Iterator[Cause]:
    """Lanes that are full while turns wait for them."""
    for lane in scene.snapshot.lanes:
        queued, limit = lane.queued or 0, lane.limit
        if limit is None or queued == 0 or (lane.active or 0) < limit or lane.lane.startswith("session:"):
            continue
        text = f"lane {safe(lane.lane, 40)} is full: {lane.active} of {limit} run, {queued} wait"
        yield Cause("queue-grows", text, Level.ATTENTION, (safe(lane.source, 40),))


def _locks(scene: Scene) -> Iterator[Cause]:
    leaked = [lock for lock in scene.snapshot.locks if lock.leaked is not None]
    for lock in leaked[:_SHOWN]:
        yield Cause(
            "leaked-lock",
            f"a session lock is left over: {safe(lock.leaked, 160)}",
            Level.ATTENTION,
            (lock.file.path,),
            "restart the gateway's process; OpenClaw takes it away itself once it is over its stale limit",
            since=lock.created_at,
        )
    stale = [
        lock
        for lock in scene.snapshot.locks
        if lock.verdict.kind is VerdictKind.STALE and lock.file.kind is not LockKind.GATEWAY and lock.leaked is None
    ]
    if stale:
        keeps = sum(lock.openclaw.would_remove is False for lock in stale)
        note = f", {keeps} of them OpenClaw will not remove" if keeps else ""
        yield Cause(
            "stale-lock",
            f"{_count(len(stale), 'stale lock')}{note}",
            Level.ATTENTION,
            tuple(lock.file.path for lock in stale[:_SHOWN]),
            "remove what its owner left",
            "unlock",
        )


ADVICE = frozenset(
    {
        "heartbeat-shares-session",
        "fallbacks-share-provider",
        "lock-limit-below-run-timeout",
        "inotify-limit",
        "ghost",
        "unsettled",
    }
)
"""Findings that are advice, or news of what is over: they are shown, and nothing is wrong with the state now."""


def _problems(scene: Scene) -> Iterator[Cause]:
    told = [p for p in scene.snapshot.warnings if p.code not in ADVICE]
    told += [p for session in scene.snapshot.sessions for p in session.problems if p.code not in ADVICE]
    if told:
        text = f"{_count(len(told), 'finding')}: {shown(told[0].text, 120)}"
        evidence = tuple(f"{safe(p.where, 100)}: {shown(p.text, 160)}" for p in told[:_SHOWN])
        yield Cause("problems", text, Level.ATTENTION, evidence)


def _reverted(scene: Scene) -> Iterator[Cause]:
    for event in scene.snapshot.events:
        if event.kind is EventKind.REVERTED and scene.now - event.at <= JUST_NOW_MS * 10:
            yield Cause("not-loaded", shown(event.text, 160), Level.ATTENTION, since=event.at)


FINDERS: Final[tuple[Finder, ...]] = (
    _stores,
    _gateway,
    _models,
    _unloaded,
    _turns,
    _unanswered,
    _hung,
    _jams,
    _dropped,
    _blocked,
    _queues,
    _locks,
    _resting,
    _reverted,
    _problems,
)
