"""The tables of the overview: profiles by provider in the order they are tried, sessions, locks, warnings."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Hashable, Sequence
from functools import partial
from typing import TypeVar

from clawtop.commands import Target, TargetKind
from clawtop.core.carried import Ordering, derived
from clawtop.core.model import NOT_IMPORTED, Lock, Problem, Session, VerdictKind, counted, session_place
from clawtop.core.model.problem import said_of_it
from clawtop.core.session.disk_witness import RUNNING
from clawtop.core.session.listed import of_file, with_key, working
from clawtop.text import safe
from clawtop.view.columns import Env, Table
from clawtop.view.facts import Facts
from clawtop.view.humanize import countdown, problem_text
from clawtop.view.line import Line, Piece, Tone, join
from clawtop.view.lock_columns import LOCK_COLUMNS, lock_ids
from clawtop.view.long_rows import LongRows, TableRow
from clawtop.view.profile_columns import PROFILE_COLUMNS, ProfileRow, profile_ids
from clawtop.view.provider_facts import ProfileFacts, ProviderFacts
from clawtop.view.session_columns import SESSION_COLUMNS, last_change, session_ids
from clawtop.view.warning_columns import (
    WARNING_COLUMNS,
    all_problems,
    every_problem,
    problem_id,
    problem_words,
    row_key,
    session_named,
)

T = TypeVar("T")

_DOT: Piece = (" · ", Tone.FAINT)


def _kept(env: Env, basis: object, make: Callable[[Env], Table[T]]) -> Table[T]:
    """The table of an earlier judgement of the same snapshot, if its rows follow from an equal `basis`: what else rows
    and their order depend on is the snapshot's, the operator's labels and the chosen agent.
    """
    facts = env.facts
    key = make, env.grouped, env.zone, facts.agent
    basis = basis, dict(facts.labels)
    known: Table[T] | None = facts.memory.table(key, facts.snapshot, basis)
    table = known.at(env) if known is not None and known.rows else make(env)
    facts.memory.keep(key, facts.snapshot, basis, table)
    return table


def profile_table(env: Env) -> Table[ProfileRow]:
    """Profiles in groups: a provider as a set of agents sees it, then its profiles in the order they are tried."""
    facts = env.facts
    return _kept(env, (facts.providers, facts.unloaded), _profile_table)


def _profile_table(env: Env) -> Table[ProfileRow]:
    rows: list[TableRow[ProfileRow]] = []
    facts = env.facts
    for view in facts.providers:
        agent = view.agents[0]
        where = f"{view.provider}@{agent}"
        rows.append(TableRow(where, view, Target(TargetKind.PROVIDER, view.provider, agent, view.provider), band=True))
        rows.extend(
            TableRow(
                f"{entry.profile.id}@{agent}",
                entry,
                Target(TargetKind.PROFILE, entry.profile.id, agent, view.provider),
            )
            for entry in view.profiles
        )
    inherited = any(e.profile.owner_agent not in e.agents for v in facts.providers for e in v.profiles)
    kept = {"owner": inherited, "agent": not all(view.everyone for view in facts.providers)}
    columns = tuple(c for c in PROFILE_COLUMNS if kept.get(c.id, True))
    usable, total = facts.usable
    return Table(
        "profiles",
        "PROFILES",
        columns,
        tuple(rows),
        env,
        band=_provider_band,
        ids=profile_ids,
        empty=_why_empty(env),
        title_note=((f"{usable}/{total}", Tone.DIM),) if total else (),
        thing=_profile,
    )


def _profile(item: ProfileRow) -> Hashable:
    """The identity that the title counts: a profile counts once, however many agents see it."""
    assert isinstance(item, ProfileFacts)  # noqa: S101 - only bands are made from providers
    return item.profile.owner_agent, item.profile.id


def _why_empty(env: Env) -> Line:
    stores = [agent.store for agent in env.facts.snapshot.agents if agent.store is not None]
    problem = next((store.problem for store in stores if store.problem is not None), None)
    if problem is not None:
        return _not_read(problem, env)
    if any(warning.code == NOT_IMPORTED for warning in env.facts.snapshot.warnings):
        return (("None is in use yet: `openclaw doctor --fix` imports them.", Tone.WARN),)
    keys = env.facts.snapshot.config.keys
    named = dict.fromkeys(model.provider for agent in env.facts.snapshot.agents for model in agent.models)
    told = [f"{safe(name, 40)}: {safe(keys.sources[name], 60)}" for name in named if name in keys.sources]
    if told:
        return ((f"No auth profiles, and none is needed: {'; '.join(told[:3])}.", Tone.DIM),)
    if not keys.complete:
        return (("No auth profiles. Whether the gateway has keys of its own is not known.", Tone.DIM),)
    return (("No auth profiles. `openclaw models auth paste-token` adds one.", Tone.DIM),)


_NOT_BACK = "and none comes back by itself"


def _provider_band(item: ProfileRow, env: Env) -> Line:
    assert isinstance(item, ProviderFacts)  # noqa: S101 - bands are made from providers only
    parts: list[Line] = [((safe(item.provider), Tone.BAND),)]
    waiting = sum(entry.serves and entry.profile.id in env.facts.unloaded for entry in item.profiles)
    usable = item.usable - waiting
    tone = Tone.DIM if usable == len(item.profiles) else Tone.WARN if usable else Tone.BAD
    if waiting:
        parts.append(((f"{usable} of {len(item.profiles)} usable, {waiting} not loaded by the gateway yet", tone),))
    elif item.next is not None or (usable and env.facts.unknown_chains is not None):
        parts.append(((f"{usable} of {len(item.profiles)} usable", tone),))
    else:
        what = f"{usable} usable for other models" if usable else "none usable"
        back = f"first back in {countdown(item.back_at, env.now)}" if item.back_at is not None else _NOT_BACK
        parts.append(((f"{what}, {back}", tone),))
    if env.facts.unread_stores.intersection(item.agents):
        parts.append((("as last read", Tone.WARN),))
    if item.order_source is not None:
        parts.append(((f"order from {item.order_source}", Tone.DIM),))
    if not item.everyone or len(env.facts.agents) > 1:
        agents = "all agents" if item.everyone else ", ".join(map(env.facts.agent_name, item.agents))
        parts.append(((agents, Tone.DIM),))
    return join(parts, _DOT)


def session_table(env: Env) -> Table[Session]:
    """Sessions: what needs attention first, then what runs, then the most recent."""
    return _kept(env, dict(env.facts.blocked), _session_table)


def _session_table(env: Env) -> Table[Session]:
    facts = env.facts
    columns = tuple(c for c in SESSION_COLUMNS if c.id != "agent" or len(facts.agents) > 1)
    running = sum(True for _ in working(facts.sessions))
    return Table(
        "sessions",
        "SESSIONS",
        columns,
        LongRows(_ordered_sessions(facts), facts.sessions, _session_row, partial(_session_of_row, facts)),
        env,
        band=lambda _item, _env: (),
        ids=session_ids,
        empty=_why_no_sessions(env),
        title_note=((f"{len(facts.sessions)}", Tone.DIM), (f" · {running} ▶" if running else "", Tone.OK)),
    )


def _not_read(problem: Problem, env: Env) -> Line:
    told = said_of_it(problem_text(problem, env.now, env.zone), safe(problem.where, 200))
    return ((f"Not read: {told}.", Tone.WARN),)


def _why_no_sessions(env: Env) -> Line:
    problem = next(iter(env.facts.snapshot.sessions_unread), None)
    if problem is not None:
        return _not_read(problem, env)
    return (("No sessions yet: no messages have reached these agents.", Tone.DIM),)


def _session_row(session: Session) -> TableRow[Session]:
    target = Target(TargetKind.SESSION, session.key, session.agent, session.provider)
    return TableRow(f"{session.agent}|{session.key}", session, target)


def _session_of_row(facts: Facts, key: str) -> Session | None:
    agent, _, name = key.partition("|")
    return facts.session(name, agent)


def _standing(session: Session) -> tuple[int, int, str, str, str]:
    """A session's sort key, from the session alone."""
    rank = 0 if session.problems else 1 if session.active else 2 if session.status == RUNNING else 3
    changed = last_change(session) or session.started_at or 0
    return rank, -changed, session.agent, session.key, session.file or ""


_BY_STANDING = Ordering[Session, Session](lambda session: (session,), _standing)


BISECTED = 64
"""Few rows are found by bisection in an order this many times longer: each takes a dozen comparisons."""


def _without(ordered: Sequence[Session], some: Collection[Session]) -> list[Session]:
    """The sessions in their order, without some of them."""
    if len(ordered) < BISECTED * len(some):
        gone = {*map(session_place, some)}
        return [session for session in ordered if session_place(session) not in gone]
    others: list[Session] = []
    start = 0
    for place in sorted(bisect_left(ordered, _standing(session), key=_standing) for session in some):
        others += ordered[start:place]
        start = place + 1
    return [*others, *ordered[start:]]


def _ordered_sessions(facts: Facts) -> Sequence[Session]:
    """Sessions by their sort key; blocked ones are among those with problems, held ones among those that run."""
    ordered = derived(facts.sessions, _BY_STANDING)
    raised = {id(session): (1, session) for file in facts.held_files for session in of_file(facts.sessions, file)}
    named = ((agent, session) for agent, key in facts.blocked for session in with_key(facts.sessions, key))
    raised |= {id(session): (0, session) for agent, session in named if session.agent == agent}
    raised = {key: (rank, session) for key, (rank, session) in raised.items() if rank < _standing(session)[0]}
    if not raised:
        return ordered
    others = _without(ordered, [session for _, session in raised.values()])

    def standing(session: Session) -> tuple[int, int, str, str, str]:
        own = _standing(session)
        return raised[id(session)][0] if id(session) in raised else own[0], *own[1:]

    top = bisect_left(others, 2, key=lambda session: _standing(session)[0])
    return [*sorted([*others[:top], *(session for _, session in raised.values())], key=standing), *others[top:]]


_VERDICT_ORDER = {VerdictKind.STALE: 0, VerdictKind.UNKNOWN: 1, VerdictKind.HELD: 2}


def lock_table(env: Env) -> Table[Lock]:
    """Lock files: stale ones first, then by age."""
    return _kept(env, (), _lock_table)


def _lock_table(env: Env) -> Table[Lock]:
    facts = env.facts
    ordered = sorted(
        facts.locks,
        key=lambda lock: (_VERDICT_ORDER[lock.verdict.kind], lock.since, lock.file.path),
    )
    traffic = sum(facts.snapshot.lock_traffic.values())
    note: tuple[Piece, ...] = ((f"{len(ordered)}", Tone.DIM),)
    if traffic:
        note = (*note, (f" · {traffic}/min", Tone.DIM))
    idle = "No locks now." + (f" {counted(traffic, 'lock')} came and went within a minute." if traffic else "")
    return Table(
        "locks",
        "LOCKS",
        tuple(c for c in LOCK_COLUMNS if {"agent": len(facts.agents) > 1, "path": not env.grouped}.get(c.id, True)),
        tuple(TableRow(k.file.path, k, Target(TargetKind.LOCK, k.file.path, k.file.agent)) for k in ordered),
        env,
        band=lambda _item, _env: (),
        ids=lock_ids,
        empty=((idle, Tone.DIM),),
        title_note=note,
    )


def trouble_table(env: Env) -> Table[Problem]:
    """The causes that the headline is judged by, then all known problems."""
    return _problem_table(env, every_problem(env.facts))


def warning_table(env: Env) -> Table[Problem]:
    """All known problems, for a view that shows the headline as well."""
    return _problem_table(env, all_problems(env.facts))


def _problem_table(env: Env, problems: tuple[Problem, ...]) -> Table[Problem]:
    general = len(env.facts.warnings)  # as in the headline; the others are also on their rows
    note = f"{len(problems)}, {general} general" if 0 < general < len(problems) else f"{len(problems)}"
    return Table(
        "warnings",
        "WARNINGS",
        WARNING_COLUMNS,
        tuple(TableRow(row_key(p), p, _problem_target(p, env.facts)) for p in problems),
        env,
        band=lambda _item, _env: (),
        ids=partial(problem_words, facts=env.facts),
        empty=(("No known problems.", Tone.DIM),),
        title_note=((note, Tone.DIM),),
    )


def _problem_target(problem: Problem, facts: Facts) -> Target:
    session = session_named(problem, facts)
    if session is None:
        return Target(TargetKind.WARNING, problem_id(problem), problem.agent)
    return Target(TargetKind.WARNING, problem_id(problem), session.agent, session_key=session.key)
