"""When anything is usable again: each agent's model chain, link by link, and sessions pinned to unusable profiles."""

from __future__ import annotations

from collections.abc import Iterator

from clawtop.commands import Target, TargetKind
from clawtop.core.cooldown.provider_times import open_provider_time
from clawtop.core.cooldown.stats import bypasses_cooldown, next_failure_cost
from clawtop.core.health.silence import Silence, silence_of
from clawtop.core.model import GatewayState, counted
from clawtop.core.rotation.forecast import (
    ChainRecovery,
    Recovery,
    Stranded,
    chain_recovery,
    schedule_of,
    stranded_sessions,
)
from clawtop.text import safe
from clawtop.values import dataclass
from clawtop.view.columns import Column, Env, Table
from clawtop.view.humanize import countdown, duration, time_near
from clawtop.view.line import EMPTY, Line, Piece, Tone, piece
from clawtop.view.long_rows import TableRow


@dataclass(frozen=True, slots=True)
class LinkRow:
    """One candidate of an agent's chain; None is the agent itself, as the heading of its links."""

    chain: ChainRecovery
    link: Recovery | None


def _model(row: LinkRow, _env: Env) -> Line:
    link = row.link
    return piece(f"  {safe(_named(link))}") if link is not None else EMPTY


def _named(link: Recovery) -> str:
    return f"{link.provider}/{link.model or '*'}"


def _now(row: LinkRow, _env: Env) -> Line:
    link = row.link
    if link is None:
        return EMPTY
    if link.usable:
        return piece(f"● {len(link.usable)} usable", Tone.OK)
    if link.key is not None:
        return piece(f"● {safe(link.key)}", Tone.OK)
    return piece("○ none", Tone.BAD)


def _back(row: LinkRow, env: Env) -> Line:
    link = row.link
    if link is None or link.answers:
        return EMPTY
    if link.at is None:
        has_account = env.facts.provider(link.provider, row.chain.agent) is not None
        return piece("not by itself" if has_account else "no account", Tone.BAD)
    return ((countdown(link.at, env.now), Tone.WARN), (f" at {time_near(link.at, env.now, env.zone)}", Tone.DIM))


def _cost(row: LinkRow, env: Env) -> Line:
    """What one more rate limit would cost the profile that the next run starts with."""
    link = row.link
    if link is None or not link.usable:
        return EMPTY
    entry = env.facts.profile(link.usable[0], row.chain.agent)
    if entry is None or bypasses_cooldown(link.provider):
        return piece("nothing", Tone.DIM)
    cost = next_failure_cost(entry.profile.stats, "rate_limit", env.now, schedule_of(env.facts.snapshot, link.provider))
    return piece("none new" if cost.keeps_window else f"+{duration(cost.duration_ms)}", Tone.WARN)


def _waves(row: LinkRow, env: Env) -> Line:
    """Which profiles come back when, in that order, and the times that their providers named."""
    if row.link is None:
        return EMPTY
    parts: list[Piece] = []
    for wave in row.link.waves:
        names = ", ".join(safe(profile_id) for profile_id in wave.ids)
        parts.append((f"{'  ' if parts else ''}{countdown(wave.at, env.now)}: {names}", Tone.DIM))
    for told, profile_id in sorted(_provider_times(row.chain.agent, row.link, env)):
        text = f"its provider says {countdown(told, env.now)}: {safe(profile_id)}"
        parts.append((f"{'  ' if parts else ''}{text}", Tone.WARN))
    return tuple(parts)


def _provider_times(agent: str, link: Recovery, env: Env) -> Iterator[tuple[int, str]]:
    """When providers themselves let accounts of the link be asked again, and which."""
    for profile_id in (*link.usable, *(id_ for wave in link.waves for id_ in wave.ids)):
        entry = env.facts.profile(profile_id, agent)
        told = open_provider_time(entry.profile, env.now, link.model) if entry is not None else None
        if told is not None:
            yield told.until, profile_id


FORECAST_COLUMNS: tuple[Column[LinkRow], ...] = (
    Column("model", "", 34, _model, grow=4, middle=True),
    Column("now", "NOW", 10, _now),
    Column("cost", "IF A 429", 8, _cost, right=True, rank=1),
    Column("back", "BACK IN", 18, _back),
    Column("waves", "WHO COMES BACK WHEN", 24, _waves, grow=60, rank=2),
)


def forecast_table(env: Env) -> Table[LinkRow]:
    """Each agent's chain of candidate models."""
    snapshot = env.facts.health.view.snapshot
    rows: list[TableRow[LinkRow]] = []
    for agent in snapshot.agents:
        chain = chain_recovery(snapshot, agent, env.now)
        rows.append(TableRow(agent.id, LinkRow(chain, None), band=True))
        rows.extend(
            TableRow(
                f"{agent.id}:{link.provider}/{link.model}",
                LinkRow(chain, link),
                Target(TargetKind.PROVIDER, link.provider, agent.id, link.provider, shown=_named(link)),
            )
            for link in chain.links
        )
    return Table(
        "forecast",
        "FORECAST",
        FORECAST_COLUMNS,
        tuple(rows),
        env,
        band=_agent_band,
        ids=lambda row: safe(row.chain.agent),
        empty=(("No agents.", Tone.DIM),),
    )


def _agent_band(row: LinkRow, env: Env) -> Line:
    chain = row.chain
    name: Piece = (env.facts.agent_name(chain.agent), Tone.BAND)
    gateway = env.facts.snapshot.gateway
    gone = _GONE.get(gateway.state)
    if gone is None:
        gone = _SILENT.get(silence_of(gateway, env.now))
    if gone is not None and (env.facts.snapshot.config.gateway_wanted or gateway.state is not GatewayState.ABSENT):
        return (name, (f" does not answer: {gone}", Tone.BAD))
    if env.facts.unknown_chains is not None:
        why = (
            "openclaw.json cannot be read" if env.facts.snapshot.config.unread else "the gateway refused openclaw.json"
        )
        return (name, (f" has unknown models: {why}", Tone.WARN))
    pending = next((n.pending for n in env.facts.health.next if n.agent == chain.agent and n.pending is not None), None)
    if pending is not None:
        return (*_answers(chain, env, name), (f"; the gateway has not loaded a {pending.kind} yet", Tone.WARN))
    return _answers(chain, env, name)


_GONE = {GatewayState.DEAD: "the gateway is dead", GatewayState.ABSENT: "no gateway runs"}
_SILENT: dict[Silence | None, str] = {
    Silence.STARTING: "the gateway is starting",
    Silence.CLOSED: "nothing listens on the gateway's port",
    Silence.FROZEN: "the gateway is frozen",
    Silence.PAUSED: "the gateway's process is paused",
}


def _answers(chain: ChainRecovery, env: Env, name: Piece) -> Line:
    if any(link.answers for link in chain.links):
        with_model = f" answers now with {safe(str(chain.model))}" if chain.model else " can answer now"
        return (name, (with_model, Tone.OK))
    if chain.at is None:
        return (name, (" cannot answer until someone intervenes", Tone.BAD))
    return (name, (f" can answer again in {countdown(chain.at, env.now)}", Tone.WARN))


def _session(row: Stranded, env: Env) -> Line:
    return piece(env.facts.session_name(row.session.key))


def _pin(row: Stranded, _env: Env) -> Line:
    by = row.session.profile_source
    return ((safe(row.profile), Tone.PLAIN), (f" by {safe(by)}" if by else "", Tone.DIM))


def _state(row: Stranded, env: Env) -> Line:
    word = str(row.state) if row.state is not None else "gone"
    left = f" for {countdown(row.until, env.now)}" if row.until is not None else ""
    return piece(word + left, Tone.WARN if row.until is not None else Tone.BAD)


def _moves(row: Stranded, _env: Env) -> Line:
    return piece("moves to another profile", Tone.OK) if row.moves else piece("stays where it is", Tone.BAD)


STRANDED_COLUMNS: tuple[Column[Stranded], ...] = (
    Column(
        "session",
        "SESSION",
        30,
        _session,
        lambda row, env: env.facts.session_name(row.session.key).casefold(),
        grow=20,
        middle=True,
    ),
    Column("pin", "PINNED TO", 26, _pin, lambda row, _env: row.profile, grow=14, middle=True),
    Column("state", "WHICH IS", 20, _state, lambda row, _env: row.until),
    Column("moves", "NEXT RUN", 24, _moves, lambda row, _env: row.moves, rank=1),
)


def stranded_table(env: Env) -> Table[Stranded]:
    """Sessions pinned to a profile that cannot serve them."""
    stranded = stranded_sessions(env.facts.snapshot, env.now)
    blocked = sum(env.facts.blocked.get((s.session.agent, s.session.key), "").startswith("pinned") for s in stranded)
    note = f"{counted(len(stranded), 'session')}, {blocked or 'none'} blocked"
    return Table(
        "stranded",
        "PINNED TO UNUSABLE PROFILES",
        STRANDED_COLUMNS,
        tuple(
            TableRow(
                f"{row.session.agent}:{row.session.key}",
                row,
                Target(TargetKind.SESSION, row.session.key, row.session.agent, session_key=row.session.key),
            )
            for row in stranded
        ),
        env,
        band=lambda _item, _env: EMPTY,
        ids=lambda row: safe(f"{row.session.key} {row.profile}"),
        empty=(("No session is pinned to an unusable profile.", Tone.OK),),
        title_note=((note, Tone.DIM),) if stranded else (),
    )
