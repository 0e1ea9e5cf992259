"""Causes in the accounts: auth stores, their locks, models, profiles that are cooling."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from clawtop.core.cooldown.fixes import NO_SUCH_MODEL, NeededFix, needed_fix
from clawtop.core.cooldown.profile_state import CLOCK_SKEW, ProfileState, is_usable, profile_state, stat_problems
from clawtop.core.cooldown.windows import active_windows
from clawtop.core.health.advice import advice
from clawtop.core.health.cause import Cause, HealthScene, Level
from clawtop.core.health.wording import SHOWN, some_names
from clawtop.core.locks.removal import BY_HAND
from clawtop.core.locks.staleness import WRITING_MS
from clawtop.core.model import (
    EMPTY_KEY,
    NOT_IMPORTED,
    AgentInfo,
    FailureReason,
    GatewayState,
    LockKind,
    Problem,
    Profile,
    Snapshot,
    TurnOutcome,
    VerdictKind,
    counted,
)
from clawtop.core.model.problem import said_of_it
from clawtop.core.operations.loaded import Pending
from clawtop.core.rotation.forecast import ChainRecovery, schedule_of
from clawtop.core.rules import Schedule
from clawtop.text import safe, shown

_IMPORT = "openclaw doctor --fix"
AUTH_HOLD_MS = 30_000
"""A store is written within milliseconds: a lock that is held for longer blocks others, even if its owner is alive."""


def unreadable_stores(scene: HealthScene) -> Iterator[Cause]:
    stores = [(agent, agent.store) for agent in scene.snapshot.agents if agent.store is not None]
    unread = [(agent, store) for agent, store in stores if store.problem is not None]
    if stores and len(unread) == len(stores) and not any(store.profiles for _, store in stores):
        problem = unread[0][1].problem
        text = said_of_it(problem.text, problem.where) if problem is not None else "unreadable"
        yield Cause("unreadable", f"no auth profile can be read: {shown(text, 200)}", Level.UNREADABLE)
        return
    for agent, store in unread:
        assert store.problem is not None  # noqa: S101 - as they were chosen
        why = shown(said_of_it(store.problem.text, store.problem.where), 160)
        text = f"the auth store of {safe(agent.id, 40)} cannot be read: {why}"
        yield Cause("store-unreadable", text, Level.ATTENTION, (store.problem.where,), agents=(agent.id,))
    waits = any(problem.code in {EMPTY_KEY, NOT_IMPORTED} for problem in scene.snapshot.warnings)
    if not waits and not any(store.profiles for _, store in stores):
        yield from _no_profiles(scene)


def _no_profiles(scene: HealthScene) -> Iterator[Cause]:
    """Without auth profiles, providers may use keys of their own; an answered turn shows that one exists."""
    keys = scene.snapshot.config.keys
    agents = [agent for agent in scene.snapshot.agents if agent.models]
    bare = [agent.id for agent in agents if not any(link.answers for link in scene.chains[agent.id].links)]
    if not bare and (agents or keys.sources):
        return
    remedy = "openclaw models auth paste-token"
    last = max(scene.turns, key=lambda recent: recent.turn.at, default=None)
    if last is not None and last.turn.outcome in {TurnOutcome.ANSWERED, TurnOutcome.SILENT}:
        text = "turns are answered without an auth profile: where their key comes from is not known"
        yield Cause("no-profiles", text, Level.ATTENTION, remedy=remedy)
    elif not keys.complete:
        text = "no auth profiles, and no key found: the gateway's environment cannot be read"
        yield Cause("no-profiles", text, Level.ATTENTION, remedy=remedy)
    elif 0 < len(bare) < len(agents):
        text = f"no auth profiles, and no key for any model of {some_names(bare)}"
        yield Cause("no-profiles", text, Level.SILENT, remedy=remedy, agents=tuple(bare))
    else:
        yield Cause("no-profiles", "no auth profiles: no model can be used", Level.SILENT, remedy=remedy)


def unimported_stores(scene: HealthScene) -> Iterator[Cause]:
    """Agents whose accounts are in a file that their OpenClaw does not read."""
    found: dict[str, list[Problem]] = {EMPTY_KEY: [], NOT_IMPORTED: []}
    for problem in scene.snapshot.warnings:
        if problem.code in found:
            found[problem.code].append(problem)
    for code, problems in found.items():
        if not problems:
            continue
        agents = [agent for agent in scene.snapshot.agents if any(_is_of(problem, agent) for problem in problems)]
        bare = [agent for agent in agents if agent.store is None or not agent.store.profiles]
        lives = code == EMPTY_KEY or scene.snapshot.gateway.state is not GatewayState.LIVE
        names = some_names(agent.id for agent in bare or agents)
        what = f"turns of {names} are sent with an EMPTY key" if code == EMPTY_KEY else "the gateway refuses to start"
        yield Cause(
            "empty-key" if code == EMPTY_KEY else "not-imported",
            f"{what}: credentials were never imported into the database",
            Level.SILENT if lives and bare else Level.ATTENTION,
            tuple(f"{safe(problem.where, 160)}: {shown(problem.text, 160)}" for problem in problems[:SHOWN]),
            _IMPORT,
            agents=tuple(agent.id for agent in agents),
        )


def _is_of(problem: Problem, agent: AgentInfo) -> bool:
    return problem.where.startswith(f"{agent.agent_dir}/")


def jammed_stores(scene: HealthScene) -> Iterator[Cause]:
    for lock in scene.snapshot.locks:
        if lock.file.kind is not LockKind.AUTH:
            continue
        since = lock.since
        if abs(scene.now - since) <= WRITING_MS or lock.openclaw.would_remove is True:
            continue
        agent, stale = safe(lock.file.agent or "?", 40), lock.verdict.kind is VerdictKind.STALE
        held = lock.verdict.kind is VerdictKind.HELD
        if lock.file.content_problem == "unreadable":
            if not lock.file.mtime:
                continue  # its directory is closed: whether there is a lock is not known, and the store says why
            what = "its lock cannot be read"
        elif lock.file.content_problem is not None or lock.pid is None:
            what = "its lock names no owner"
        elif stale:
            what = "the owner of its lock is dead"
        elif scene.now - since <= AUTH_HOLD_MS:
            continue
        elif held:
            what = f"process {lock.pid} has held its lock for more than {AUTH_HOLD_MS // 1000} s"
        else:
            what = f"its lock names process {lock.pid}, and whether that is alive is not known"
        yield Cause(
            "store-jammed",
            f"the auth store of {agent} is jammed: {what}",
            Level.ATTENTION,
            (lock.file.path, "every failure mark waits for it, and so do turns"),
            "remove the lock" if stale else f"restart process {lock.pid}, if it stays" if held else BY_HAND,
            "unlock" if stale else None,
            since if since <= scene.now else None,
            agents=(lock.file.agent,) if lock.file.agent else (),
        )


def models_out(scene: HealthScene) -> Iterator[Cause]:
    """Agents none of whose models can be called, by what would help; and providers that are unavailable to some
    agents.
    """
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
        whom = "any agent" if len(names) == everyone else some_names(names)
        if pending is not None:
            text = f"the gateway has nothing usable for {whom}: it has not loaded what was written"
            yield Cause(
                "models-out",
                text,
                Level.SILENT,
                (f"it loads this {pending.loads}",),
                _reload(pending),
                None,
                None,
                until,
                tuple(names),
            )
            continue
        hint = _hint(scene, chains, until)
        text = f"nothing is usable for {whom}"
        yield Cause("models-out", text, Level.SILENT, (), hint, "clear", None, until, tuple(names))
    yield from _providers_out(scene, {chain.agent for chains in silent.values() for chain in chains})


def _hint(scene: HealthScene, chains: Sequence[ChainRecovery], until: int | None) -> str:
    providers = {link.provider for chain in chains for link in chain.links}
    mend = _mend(scene, [chain.agent for chain in chains], providers)
    if mend is not None:
        return mend
    cooling = [p for p in scene.view.snapshot.profiles if p.provider in providers and _rests(scene, p)]
    if cooling and all(_is_dated_ahead(scene, profile) for profile in cooling):
        return _CLOCK
    return "wait, or clear the windows" if until is not None else "renew or add a credential, or clear the windows"


def _mend(scene: HealthScene, agents: Iterable[str], providers: Set[str]) -> str | None:
    """What to do if neither waiting nor clearing helps: every cooling account needs something else first."""
    snapshot, chosen = scene.view.snapshot, set(agents)
    needs: dict[str, NeededFix] = {}
    for agent in snapshot.agents:
        for profile in agent.store.profiles if agent.id in chosen and agent.store is not None else ():
            schedule = schedule_of(snapshot, profile.provider)
            if profile.provider not in providers or not active_windows(profile.stats, scene.now, schedule):
                continue
            first = needed_fix(profile.stats, scene.now, schedule)
            if first is None:
                return None
            needs[profile.id] = first
    if not needs:
        return None
    if all(first is NO_SUCH_MODEL for first in needs.values()):
        return advice(FailureReason.MODEL_NOT_FOUND)
    some = "; ".join(f"{safe(name, 40)} works once {first.until}" for name, first in list(needs.items())[:SHOWN])
    return f"{some}; clear it then"


_CLOCK = "the clock was set back, or another machine's is ahead: clear the windows"


def _rests(scene: HealthScene, profile: Profile) -> bool:
    return bool(active_windows(profile.stats, scene.now, schedule_of(scene.view.snapshot, profile.provider)))


def _is_dated_ahead(scene: HealthScene, profile: Profile) -> bool:
    schedule = schedule_of(scene.view.snapshot, profile.provider)
    return any(problem.code == CLOCK_SKEW for problem in stat_problems(profile, scene.now, schedule))


def _reload(pending: Pending) -> str:
    return "make the gateway load it: openclaw secrets reload" if pending.reload else "restart the gateway"


def _has_profiles(agent: AgentInfo) -> bool:
    return agent.store is not None and bool(agent.store.profiles)


def _can_answer(snapshot: Snapshot, agent: AgentInfo, chain: ChainRecovery, now: int) -> bool:
    if chain.links:
        return any(link.answers for link in chain.links)
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
    return is_usable(profile, agent.models, now, schedule_of(snapshot, profile.provider))


def _providers_out(scene: HealthScene, silent: set[str]) -> Iterator[Cause]:
    out: dict[str, list[tuple[str, int | None]]] = defaultdict(list)
    for agent in scene.view.snapshot.agents:
        if agent.id in silent:
            continue
        for link in scene.chains[agent.id].links:
            has_any = agent.store is not None and any(p.provider == link.provider for p in agent.store.profiles)
            if (
                has_any
                and not link.answers
                and not any(other.answers for other in scene.chains[agent.id].links if other.provider == link.provider)
            ):
                out[link.provider].append((agent.id, link.at))
    for provider, found in out.items():
        agents = list(dict.fromkeys(name for name, _ in found))
        ends = [at for _, at in found if at is not None]
        whom = "" if len(agents) == len(scene.snapshot.agents) else f" for {some_names(agents)}"
        text = f"{safe(provider, 40)} is out{whom}; other models still answer"
        yield Cause(
            "provider-out", text, Level.ATTENTION, (), _mend(scene, agents, {provider}) or "wait, or clear the windows",
            "clear", None, min(ends, default=None), tuple(agents),
        )  # fmt: skip


def not_loaded(scene: HealthScene) -> Iterator[Cause]:
    for pending in scene.view.pending:
        what = "a change to the auth store" if pending.kind == "store" else f"a {pending.kind}"
        whom = some_names(pending.providers or pending.profiles)
        yield Cause(
            "not-loaded",
            f"{what} of {whom} is written, but the gateway has not loaded it yet",
            Level.SILENT if pending.certain and _all_out(scene) else Level.ATTENTION,
            (pending.why, f"it loads this {pending.loads}"),
            _reload(pending),
            since=pending.at,
            agents=(pending.agent,),
        )


def _all_out(scene: HealthScene) -> bool:
    agents = [agent for agent in scene.view.snapshot.agents if _has_profiles(agent)]
    answers = (_can_answer(scene.view.snapshot, agent, scene.chains[agent.id], scene.now) for agent in agents)
    return bool(agents) and not any(answers)


def cooling_profiles(scene: HealthScene) -> Iterator[Cause]:
    """Profiles that are cooling while others are usable, and credentials that do not recover by themselves."""
    resting: dict[str, int | None] = {}
    limited: dict[str, dict[str, int | None]] = defaultdict(dict)
    broken: list[str] = []
    ahead: list[str] = []
    for profile in scene.view.snapshot.profiles:
        schedule = schedule_of(scene.view.snapshot, profile.provider)
        state, until = profile_state(profile, scene.now, schedule)
        if state in (ProfileState.EXPIRED, ProfileState.INVALID):
            broken.append(profile.id)
        elif state is not ProfileState.USABLE:
            model = _only_model(profile, scene.now, schedule)
            (resting if model is None else limited[model])[profile.id] = until
            if _is_dated_ahead(scene, profile):
                ahead.append(profile.id)
    if broken:
        text = f"{counted(len(broken), 'credential')} to renew: {some_names(broken)}"
        yield Cause("credentials", text, Level.ATTENTION, remedy="openclaw models auth paste-token")
    why = (f"dated ahead of this clock: {some_names(ahead)}",) if ahead else ()
    remedy = _CLOCK if ahead else None
    for what, found in (("unusable for now", resting), *_limited(limited)):
        if found:
            ends = [end for end in found.values() if end is not None]
            text = f"{counted(len(found), 'profile')} {what}: {some_names(found)}"
            yield Cause("profiles-resting", text, Level.ATTENTION, why, remedy, "clear", None, min(ends, default=None))


def _limited(by_model: Mapping[str, Mapping[str, int | None]]) -> Iterator[tuple[str, Mapping[str, int | None]]]:
    return ((f"limited for {safe(model, 40)}", found) for model, found in by_model.items())


def _only_model(profile: Profile, now: int, schedule: Schedule) -> str | None:
    """The one model that the profile's open windows are about; None if other models are cooling too."""
    models = {window.model for window in active_windows(profile.stats, now, schedule)}
    return models.pop() if len(models) == 1 else None
