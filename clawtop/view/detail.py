"""Everything that is known about the row under the cursor, as lines of a given width."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice

from clawtop.commands import Target, TargetKind
from clawtop.core.locks.staleness import proof_words
from clawtop.core.model import SHARED, EventKind, Lock, LockKind, Session, WitnessKind, counted
from clawtop.core.session.attention import retry_of
from clawtop.text import safe, shown
from clawtop.view.columns import Env
from clawtop.view.explain_profile_lines import cost_facts, lapsed_words, window_words
from clawtop.view.fact_lines import Fact, holder_facts, known, laid_out, problem_facts, section, time_line
from clawtop.view.facts import lock_age
from clawtop.view.fitting import wrapped
from clawtop.view.humanize import ago, bar, countdown, duration, is_ahead, problem_text, span, time_near
from clawtop.view.incident_detail import INCIDENT_MAKERS, happened_to
from clawtop.view.line import EMPTY, Line, Tone, piece
from clawtop.view.profile_columns import window_share
from clawtop.view.provider_facts import ProfileFacts
from clawtop.view.provider_times import provider_time_words
from clawtop.view.session_columns import last_answered, last_asked, last_change, words_of
from clawtop.view.warning_columns import every_problem, problem_id
from clawtop.view.words import OPENCLAW_LONG, VERDICTS, profile_words


def detail_lines(target: Target | None, env: Env, width: int) -> tuple[Line, ...]:
    """The detail of a row; a hint if there is none."""
    if target is None:
        return tuple(wrapped(piece("Move the cursor to a row to see its details.", Tone.DIM), width))
    maker = _MAKERS.get(target.kind)
    lines = maker(target, env) if maker else None
    if lines is None:
        gone = f"{target.kind} {safe(target.id)} is gone."
        return tuple(wrapped(piece(gone, Tone.WARN), width))
    return tuple(part for line in lines for part in laid_out(line, width))


# --- profiles ----------------------------------------------------------------------------------------------------


def _profile(target: Target, env: Env) -> list[Fact] | None:
    entry = env.facts.profile(target.id, target.agent or "")
    if entry is None:
        return None
    profile, stats, pins = entry.profile, entry.profile.stats, env.facts.count_pins(entry)
    glyph, word, tone = profile_words(entry)
    facts: list[Fact] = [
        ("", piece(safe(profile.id), Tone.STRONG)),
        ("state", ((f"{glyph} {word}", tone), *_until(entry, env))),
        *_windows(entry, env),
        *problem_facts(entry.problems, env),
        *section("Why it is next" if entry.is_next else "Why it is not next"),
        *_why(entry, env),
        *section("Record"),
        ("errors", piece(counted(stats.error_count or 0, "error") + " in a row")),
        ("by reason", piece(", ".join(f"{shown(r)} ×{n}" for r, n in stats.failure_counts.items()) or "none")),
        *_costs(entry, env),
        ("last used", time_line(stats.last_used, env)),
        ("last fail", time_line(stats.last_failure_at, env)),
        *section("Credential"),
        ("type", piece(shown(profile.credential.type))),
        ("email", piece(shown(profile.credential.email)) if profile.credential.email else EMPTY),
        ("expires", _expires(profile.credential.expires, env)),
        ("owner", _owner(entry, env)),
        ("file", piece(safe(profile.path))),
        ("statistics", _stats_owner(entry, env)),
        *section(f"Pinned sessions: {pins}"),
        *(
            ("", piece(f"{safe(s.key)} ({shown(s.profile_source or 'unknown')})"))
            for s in islice(env.facts.pins(entry), 8)
        ),
    ]
    if pins > 8:
        facts.append(("", piece(f"and {pins - 8} more", Tone.DIM)))
    return known(facts)


def _why(entry: ProfileFacts, env: Env) -> list[Fact]:
    facts: list[Fact] = []
    if entry.rank is not None:
        facts.append(("place", piece(f"{entry.rank}")))
    facts.append(("because", piece(shown(entry.why) or "it is not in the order")))
    view = env.facts.provider(entry.profile.provider, entry.agents[0])
    if view is not None and view.next is not None and not entry.is_next:
        facts.append(("before it", piece(safe(view.next.profile.id))))
    return facts


def _until(entry: ProfileFacts, env: Env) -> Line:
    if entry.until is None or entry.until <= env.now:
        return EMPTY
    return (
        (f" until {time_near(entry.until, env.now, env.zone)}", Tone.PLAIN),
        (f" ({countdown(entry.until, env.now)} left)", Tone.DIM),
    )


def _windows(entry: ProfileFacts, env: Env) -> list[Fact]:
    out: list[Fact] = [(window.kind, piece(window_words(window))) for window in entry.windows]
    if told := provider_time_words(entry.profile, env.now, env.zone):
        out.append(("provider", piece(told, Tone.WARN)))
    share = window_share(entry, env.now)
    if share is not None:
        filled, empty = bar(share, 20)
        out.append(("left", ((filled, profile_words(entry)[2]), (empty, Tone.FAINT), (f" {share:.0%}", Tone.DIM))))
    out.extend((f"{w.kind}", piece(lapsed_words(w, env.now), Tone.DIM)) for w in entry.lapsed)
    return out


def _costs(entry: ProfileFacts, env: Env) -> list[Fact]:
    """What one more failure would cost, for each common reason."""
    found = env.facts.explanation(entry)
    return cost_facts(found, env.facts.snapshot.semantics.retries, env.now, env.zone) if found is not None else []


def _expires(expires: int | None, env: Env) -> Line:
    if expires is None:
        return piece("no end recorded", Tone.FAINT)
    if expires <= env.now:
        return piece(f"{time_near(expires, env.now, env.zone)}, expired {ago(expires, env.now)}", Tone.BAD)
    return piece(f"{time_near(expires, env.now, env.zone)}, in {duration(expires - env.now)}")


def _stats_owner(entry: ProfileFacts, env: Env) -> Line:
    """Where its statistics are, if not beside the credential."""
    whose = entry.profile.stats_owner
    if whose is None or whose == entry.profile.owner_agent:
        return EMPTY
    name = "the store that all agents share" if whose == SHARED else f"the store of agent {env.facts.agent_name(whose)}"
    return piece(f"in {name}")


def _owner(entry: ProfileFacts, env: Env) -> Line:
    owner = env.facts.agent_name(entry.profile.owner_agent)
    if entry.profile.owner_agent in entry.agents:
        return piece(f"agent {owner}")
    if entry.profile.owner_agent == SHARED:
        return piece("the store that all agents share; changes are made there", Tone.INFO)
    return piece(f"inherited from agent {owner}; changes are made in its store", Tone.INFO)


_ORDER_SOURCES: Mapping[str | None, str] = {
    "store": "stored by `models auth order set`; last use is ignored",
    "config": "written in openclaw.json; last use is ignored",
    None: "by kind of credential, then least recently used",
}


def _provider(target: Target, env: Env) -> list[Fact] | None:
    view = env.facts.provider(target.id, target.agent or "")
    if view is None:
        return None
    facts: list[Fact] = [
        ("", piece(safe(view.provider), Tone.STRONG)),
        ("usable", piece(f"{view.usable} of {len(view.profiles)}", Tone.OK if view.usable else Tone.BAD)),
        ("order", piece(_ORDER_SOURCES[view.order_source])),
        ("agents", piece(", ".join(map(env.facts.agent_name, view.agents)))),
    ]
    if view.next is not None:
        facts.append(("next", piece(safe(view.next.profile.id), Tone.STRONG)))
    elif view.back_at is not None:
        back = f"{time_near(view.back_at, env.now, env.zone)} (in {countdown(view.back_at, env.now)})"
        facts.append(("back", piece(back, Tone.WARN)))
    facts += section("Tried in this order")
    for entry in view.profiles:
        glyph, word, tone = profile_words(entry)
        rank = f"{entry.rank:>2}" if entry.rank is not None else " -"
        facts.append(("", ((f"{rank} {safe(entry.profile.id)} ", Tone.PLAIN), (f"{glyph} {word}", tone))))
    return facts


# --- sessions ----------------------------------------------------------------------------------------------------


def _own_process(session: Session, env: Env) -> Line:
    """The process below the gateway that works on its run, with the memory of its whole process tree."""
    own = next((w for w in session.witnesses if w.kind is WitnessKind.PROCESS and w.pid is not None), None)
    if own is None:
        return EMPTY
    memory = f", {own.memory >> 20} MB" if own.memory is not None else ""
    age = f", {span(env.now - own.since)}" if own.since is not None else ""
    return piece(f"{own.pid}, a child of the gateway{memory}{age}")


def _session(target: Target, env: Env) -> list[Fact] | None:
    session = env.facts.session(target.id, target.agent)
    if session is None:
        return None
    glyph, word, tone = words_of(session, env.facts)
    blocked = env.facts.blocked_by(session)
    stored = f" (stored: {shown(session.status)})" if session.status and session.status != word else ""
    facts: list[Fact] = [
        ("", piece(safe(session.key), Tone.STRONG)),
        ("label", piece(shown(env.facts.labels[session.key])) if session.key in env.facts.labels else EMPTY),
        ("name", piece(shown(session.name)) if session.name else EMPTY),
        ("state", ((f"{glyph} {word}", tone), (stored, Tone.DIM))),
        ("because", piece(shown(session.active_how), Tone.DIM) if session.active_how else EMPTY),
        *problem_facts(session.problems, env),
        ("blocked", piece(blocked, Tone.WARN) if blocked else EMPTY),
        ("retries", _retries(session, env)),
        ("process", _own_process(session, env)),
        ("lane", piece(safe(session.lane_class))),
        ("agent", _agent(session, env)),
        ("model", piece(f"{safe(session.provider or '?')}/{safe(session.model or '?')}")),
        ("profile", _pin(session, env)),
        *_suspension(session, env),
        *_exchanges(session, env),
        *section("Times"),
        ("started", time_line(session.started_at, env)),
        ("changed", time_line(last_change(session), env)),
        ("ended", time_line(session.ended_at, env) if session.ended_at is not None else EMPTY),
    ]
    holder = env.facts.holder_of(session)
    if holder is not None:
        facts += holder_facts(holder, env)
    lock = env.facts.lock_of(session)
    if lock is not None:
        facts += [*section("Its write lock"), *_lock_facts(lock, env)]
    elif session.active:
        facts += section("Its write lock")
        facts.append(("", piece(_no_lock(env), Tone.DIM)))
    facts += happened_to(session.key, env)
    facts += section("Transcript")
    facts.append(("", piece(safe(session.file or "none"), Tone.DIM)))
    facts.append(("session id", piece(safe(session.session_id or "none"), Tone.DIM)))
    return known(facts)


def _retries(session: Session, env: Env) -> Line:
    retry = retry_of(session) if session.active is not False else None
    if retry is None:
        return EMPTY
    when = f"; it retries in {duration(retry.due - env.now)}" if retry.due > env.now else ""
    return piece(f"{shown(str(retry))}{when}", Tone.WARN)


def _agent(session: Session, env: Env) -> Line:
    agent, name = safe(session.agent), env.facts.agent_name(session.agent)
    return piece(name if agent in name else f"{name} ({agent})")


def _exchanges(session: Session, env: Env) -> list[Fact]:
    """The last question, the last answer, and the last error."""
    failed = next((each for each in reversed(session.exchanges) if each.error), None)
    told = next(
        (
            event
            for event in reversed(env.facts.snapshot.events)
            if event.kind is EventKind.FAILURE and event.session_key == session.key
        ),
        None,
    )
    error: Line = EMPTY
    if told is not None and (failed is None or (failed.ended_at or failed.asked_at) <= told.at):
        error = ((shown(told.text), Tone.BAD), (f"  {ago(told.at, env.now)}", Tone.DIM))
    elif failed is not None:
        when = failed.ended_at or failed.asked_at
        error = ((shown(failed.error), Tone.BAD), (f"  {ago(when, env.now)}", Tone.DIM))
    asked, answered = last_asked(session), last_answered(session)
    return [
        ("asked", time_line(asked, env) if asked is not None else EMPTY),
        ("answered", time_line(answered, env) if answered is not None or asked is not None else EMPTY),
        ("last error", error),
    ]


def _no_lock(env: Env) -> str:
    if env.facts.snapshot.storage.prompt_unlocked:
        return "No lock now; this OpenClaw releases it while the model answers, so this proves nothing."
    return "No lock now."


def _pin(session: Session, env: Env) -> Line:
    if session.profile is None:
        return piece("not pinned", Tone.FAINT)
    entry = env.facts.profile(session.profile, session.agent)
    how = f"pinned by {shown(session.profile_source or 'unknown')}"
    if entry is None:
        return ((safe(session.profile), Tone.PLAIN), (f"  {how}, not in this agent's store", Tone.WARN))
    glyph, word, tone = profile_words(entry)
    return ((safe(session.profile), Tone.PLAIN), (f"  {glyph} {word}", tone), (f"  {how}", Tone.DIM))


def _suspension(session: Session, env: Env) -> list[Fact]:
    suspension = session.suspension
    if suspension is None:
        return []
    resume = suspension.expected_resume_by
    when = f", expected back {time_near(resume, env.now, env.zone)}" if resume is not None else ""
    lane = f" on lane {safe(suspension.lane_id)}" if suspension.lane_id else ""
    text = f"{shown(suspension.state)} for {shown(suspension.reason)}{lane}{when}"
    return [("quota", piece(text, Tone.NOTE))]


# --- locks -------------------------------------------------------------------------------------------------------


def _lock(target: Target, env: Env) -> list[Fact] | None:
    lock = env.facts.lock(target.id)
    if lock is None:
        return None
    session = env.facts.session_of(lock)
    facts: list[Fact] = [("", piece(f"{_KIND_TITLES[lock.file.kind]}", Tone.STRONG))]
    if session is not None:
        facts.append(("session", piece(safe(session.key))))
    return [*facts, *_lock_facts(lock, env), *section("File"), ("", piece(safe(lock.file.path), Tone.DIM))]


_KIND_TITLES: Mapping[LockKind, str] = {
    LockKind.SESSION: "Session write lock",
    LockKind.AUTH: "Auth store lock",
    LockKind.SESSIONS_STORE: "Sessions store lock",
    LockKind.OAUTH_REFRESH: "OAuth refresh lock",
    LockKind.GATEWAY: "Gateway lock",
}


def _lock_facts(lock: Lock, env: Env) -> list[Fact]:
    glyph, word, tone = VERDICTS[lock.verdict.kind]
    owner = lock.owner
    alive = {True: "alive", False: "dead", None: "unknown"}[owner.alive if owner else None]
    why = f": {shown(owner.why_unknown)}" if owner and owner.why_unknown else ""
    command = shown(" ".join(owner.argv)) if owner and owner.argv else ""
    limit = env.facts.hold_limit(lock)
    age = lock_age(lock, env.now)
    old = ago(lock.since, env.now) if is_ahead(lock.since, env.now) else span(age)
    over = limit is not None and age > limit
    limits = env.facts.snapshot.config.lock_limits
    facts: list[Fact] = [
        ("verdict", ((f"{glyph} {word}", tone), (f"  {shown(proof_words(lock.verdict.reasons))}", Tone.PLAIN))),
        ("OpenClaw", piece(OPENCLAW_LONG[lock.openclaw.would_remove])),
        ("its reason", piece(shown(", ".join(lock.openclaw.reasons)), Tone.DIM) if lock.openclaw.reasons else EMPTY),
        ("content", piece(safe(lock.file.content_problem), Tone.BAD) if lock.file.content_problem else EMPTY),
        ("owner", piece(f"{'not named' if lock.pid is None else f'pid {lock.pid}, {alive}'}{why}")),
        ("command", piece(command, Tone.DIM) if command else EMPTY),
        ("age", piece(old + (" - over its limit" if over else ""), Tone.BAD if over else Tone.PLAIN)),
        ("max hold", piece(duration(limit)) if limit is not None else EMPTY),
    ]
    if lock.file.kind is LockKind.SESSION:
        facts.append(("stale at", piece(f"{duration(limits.stale_ms)}  ({safe(limits.source)})")))
        facts.append(("acquire", piece(f"others give up after {duration(limits.acquire_ms)}")))
    traffic = env.facts.snapshot.lock_traffic.get(lock.file.path)
    if traffic:
        facts.append(("traffic", piece(f"taken {counted(traffic, 'time')} within a minute")))
    return known(facts)


def _warning(target: Target, env: Env) -> list[Fact] | None:
    alike = [each for each in every_problem(env.facts) if problem_id(each) == target.id]
    problem = next((each for each in alike if each.agent == target.agent), alike[0] if alike else None)
    if problem is None:
        return [("", piece(shown(target.id)))]
    places = [("where" if not n else "", piece(shown(place))) for n, place in enumerate(problem.where.split(", "))]
    return known(
        [
            ("", piece(f"⚠ {safe(problem.code)}", Tone.WARN)),
            ("agent", piece(env.facts.agent_name(problem.agent)) if problem.agent is not None else EMPTY),
            ("what", piece(problem_text(problem, env.now, env.zone))),
            *(places if problem.where else ()),
        ]
    )


_MAKERS: Mapping[TargetKind, Callable[[Target, Env], list[Fact] | None]] = {
    TargetKind.PROFILE: _profile,
    TargetKind.PROVIDER: _provider,
    TargetKind.SESSION: _session,
    TargetKind.LOCK: _lock,
    TargetKind.WARNING: _warning,
    **INCIDENT_MAKERS,
}
