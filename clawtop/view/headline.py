"""The first line, and the headline in words: what is usable now, when anything is again, who is blocked, what needs
a hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from clawtop.commands import Arming
from clawtop.core.cooldown.stats import ProfileState
from clawtop.core.model import GatewayState, Lock, LockKind, VerdictKind
from clawtop.text import cells, safe, shown
from clawtop.view.columns import Env
from clawtop.view.facts import Facts, lock_age
from clawtop.view.humanize import clock_time, countdown, counted, duration, time_near, zone_name
from clawtop.view.line import EMPTY, Line, Piece, Tone, cut, fitted, join, width_of
from clawtop.view.words import GATEWAYS

_DOT: Piece = (" · ", Tone.FAINT)
_BLANKS: Piece = ("  ", Tone.PLAIN)
_MARGIN: Line = ((" ", Tone.PLAIN),)
_CALM: Line = (("Nothing is blocked and nothing needs a hand.", Tone.DIM),)
_EMPTY: Line = ((" EMPTY ", Tone.BADGE_WARN), (" No auth profiles here.", Tone.PLAIN))
WRITING_MS = 2_000
DISARM_WARNING_MS = 60_000
"""The last minute of being armed is counted down."""

ARMING_BADGES: dict[Arming, Tone] = {
    Arming.READ_ONLY: Tone.BADGE_CALM,
    Arming.ARMED: Tone.BADGE_BAD,
    Arming.LOCKED: Tone.BADGE_CALM,
}


def arming_badge(arming: Arming, disarms_in_ms: int | None) -> Line:
    """READ-ONLY or ARMED, in one piece; with a countdown before it ends by itself."""
    word = str(arming)
    if arming is Arming.ARMED and disarms_in_ms is not None and disarms_in_ms <= DISARM_WARNING_MS:
        word = f"{word} {max(0, -(-disarms_in_ms // 1000))}s"
    return ((f" {word} ", ARMING_BADGES[arming]),)


def first_line(
    env: Env,
    width: int,
    arming: Arming = Arming.READ_ONLY,
    disarms_in_ms: int | None = None,
    state: str = "",
) -> Line:
    """Host, state directory, generation and version, gateway, clock and arming; exactly `width` cells.

    The arming badge and the clock always stand; the directory gives way first, then host and version. `state` is one
    word about the dashboard itself, such as PAUSED.
    """
    snapshot = env.facts.snapshot
    glyph, word, tone = GATEWAYS[snapshot.gateway.state]
    details = [f"pid {snapshot.gateway.pid}"] if snapshot.gateway.pid is not None else []
    details += [f":{snapshot.gateway.port}"] if snapshot.gateway.port is not None else []
    version = safe(snapshot.openclaw_version or "version unknown", 16)
    generation = str(snapshot.generation) if snapshot.generation else "no state"
    clock = (
        clock_time(env.now, env.zone) if snapshot.judged_at is None else f"at {time_near(env.now, env.now, env.zone)}"
    )
    clock = f"{clock} {zone_name(env.now, env.zone)}".rstrip()
    right = join(
        [((state, Tone.BADGE_WARN),) if state else EMPTY, ((clock, Tone.STRONG),), arming_badge(arming, disarms_in_ms)],
        (" ", Tone.PLAIN),
    )
    brand: Line = ((" clawtop  ", Tone.ACCENT),)
    gateway: Line = ((f"{glyph} {word}", tone),)
    gateway_long: Line = (*gateway, (f" {' '.join(details)}" if details else "", Tone.DIM))
    versions: Line = ((f"{generation} ", Tone.DIM), (version, Tone.PLAIN))
    host: Line = ((safe(snapshot.host, 24), Tone.STRONG),)
    room = width - width_of(right) - 1
    place = snapshot.state_dir
    for parts in (
        (brand, host, _directory(place, 60), versions, gateway_long),
        (brand, host, _directory(place, 24), versions, gateway_long),
        (brand, host, _directory(place, 16), versions, gateway),
        (_MARGIN, host, _directory(place, 16), versions, gateway),
        (_MARGIN, host, _directory(place, 11), versions, gateway),
        (_MARGIN, host, versions, gateway),
        (_MARGIN, versions, gateway),
        (_MARGIN, gateway),
        (),
    ):
        left = (parts[0] if parts else ()) + join(parts[1:], _BLANKS)
        if width_of(left) <= room:
            break
    return cut((*fitted(left, max(0, width - width_of(right))), *right), width)


def _directory(path: str, room: int) -> Line:
    """The end of a path says more than its beginning."""
    shown = safe(path)
    if cells(shown) > room:
        shown = "…" + shown[-(room - 1) :]
    return ((shown, Tone.DIM),)


def headline(env: Env) -> tuple[Line, Line]:
    """Two lines: what can be used, and what is in the way."""
    standing = env.facts.once(_standing, env.facts)
    return _usable(standing, env), standing.trouble


@dataclass(frozen=True, slots=True)
class _Outage:
    """A provider of which some agents can use no profile."""

    provider: str
    agents: tuple[str, ...]
    back_at: int | None


@dataclass(frozen=True, slots=True)
class _Standing:
    """What the headline says of a state, whatever the time.

    Attributes:
        badge: the one word; the line ends with it where `counts` is empty.
        counts: how many profiles are usable.
        stranded: agents that have no usable profile.
        out: providers of which some agents can use none.
        trouble: the whole second line.
    """

    badge: Line
    counts: Line
    stranded: tuple[str, ...]
    out: tuple[_Outage, ...]
    trouble: Line


def _standing(facts: Facts) -> _Standing:
    trouble = join([*_blocked(facts), *_hand(facts), *_blocked_names(facts)], _DOT) or _CALM
    entries = {(e.profile.owner_agent, e.profile.id): e for view in facts.providers for e in view.profiles}
    if not entries:
        problem = next((a.store.problem for a in facts.agents if a.store and a.store.problem), None)
        blind = (
            ((" BLIND ", Tone.BADGE_BAD), (f" No auth profile can be read: {safe(problem.text)}", Tone.PLAIN))
            if problem
            else None
        )
        return _Standing(blind or _EMPTY, (), (), (), trouble)
    usable = sum(entry.state is ProfileState.USABLE for entry in entries.values())
    stranded = tuple(agent.id for agent in facts.agents if _stranded(facts, agent.id))
    out = tuple(_out(facts))
    if stranded:
        badge: Piece = (" OUT ", Tone.BADGE_BAD)
    elif out:
        badge = (" DEGRADED ", Tone.BADGE_WARN)
    else:
        badge = (" OK " if usable == len(entries) else " SERVING ", Tone.BADGE_OK)
    counts: Line = ((f"{usable} of {len(entries)} profiles usable", Tone.STRONG),)
    return _Standing((badge, (" ", Tone.PLAIN)), counts, stranded, out, trouble)


def _usable(standing: _Standing, env: Env) -> Line:
    facts = env.facts
    if not standing.counts:
        return standing.badge
    if standing.stranded:
        everyone = len(standing.stranded) == len(facts.agents)
        agents = "any agent" if everyone else ", ".join(safe(agent, 20) for agent in standing.stranded)
        nothing: Line = ((f"nothing is usable for {agents}", Tone.BAD),)
        back: Line = ((_back(env, standing.stranded), Tone.STRONG),)
        parts = [nothing, back, standing.counts]
    elif standing.out:
        parts = [standing.counts, *(_provider_out(outage, env) for outage in standing.out[:3])]
    else:
        parts = [standing.counts, *_next(facts)]
    return (*standing.badge, *join(parts, _DOT))


def _next(facts: Facts) -> list[Line]:
    """Which profile each provider's next run starts with."""
    firsts = [view.next.profile.id for view in facts.providers if view.next is not None]
    shown = ", ".join(safe(first, 28) for first in dict.fromkeys(firsts[:3]))
    return [(("next: ", Tone.DIM), (shown, Tone.PLAIN))] if shown else []


def _stranded(facts: Facts, agent: str) -> bool:
    """Whether the agent has profiles, and none is usable."""
    mine = [view for view in facts.providers if agent in view.agents]
    return bool(mine) and all(view.usable == 0 for view in mine)


def _back(env: Env, agents: tuple[str, ...]) -> str:
    views = env.facts.providers
    ends = [view.back_at for view in views if view.back_at is not None and set(view.agents) & set(agents)]
    if not ends:
        return "nothing comes back by itself"
    first = min(ends)
    return f"first back {time_near(first, env.now, env.zone)} (in {countdown(first, env.now)})"


def _out(facts: Facts) -> list[_Outage]:
    outages: dict[str, _Outage] = {}
    for view in facts.providers:
        if view.usable:
            continue
        known = outages.get(view.provider, _Outage(view.provider, (), None))
        ends = [end for end in (known.back_at, view.back_at) if end is not None]
        outages[view.provider] = _Outage(view.provider, known.agents + view.agents, min(ends, default=None))
    return list(outages.values())


def _provider_out(outage: _Outage, env: Env) -> Line:
    everyone = len(outage.agents) == len(env.facts.agents)
    who = "" if everyone else f" for {safe(', '.join(outage.agents), 24)}"
    name = f"{safe(outage.provider, 24)} out{who}, "
    if outage.back_at is None:
        return ((f"{name}not back by itself", Tone.WARN),)
    return ((f"{name}back in {countdown(outage.back_at, env.now)}", Tone.WARN),)


def _blocked(facts: Facts) -> list[Line]:
    blocked = len(facts.blocked)
    waiting = sum(len(holder.waiters) for holder in facts.snapshot.holders)
    lines: list[Line] = []
    if blocked:
        lines.append(((f"‖ {counted(blocked, 'session')} blocked", Tone.WARN),))
    if waiting:
        lines.append(((f"{waiting} waiting", Tone.WARN),))
    return lines


def _blocked_names(facts: Facts) -> list[Line]:
    """Who is blocked; last on the line, because it is what may be cut off."""
    keys = [key.removeprefix(f"agent:{agent}:") for agent, key in islice(facts.blocked, 4)]
    return [(("blocked: ", Tone.DIM), (", ".join(safe(key, 32) for key in keys), Tone.PLAIN))] if keys else []


def _hand(facts: Facts) -> list[Line]:
    """What will not go away by itself."""
    lines: list[Line] = []
    if facts.snapshot.gateway.state is GatewayState.DEAD:
        lines.append((("✗ the gateway is dead", Tone.BAD),))
    stale = [lock for lock in facts.locks if lock.verdict.kind is VerdictKind.STALE]
    keeps = [lock for lock in stale if lock.openclaw.would_remove is False and lock.file.kind is not LockKind.GATEWAY]
    if stale:
        lines.append(((f"✗ {counted(len(stale), 'stale lock')}", Tone.BAD),))
    if keeps:
        lines.append(((f"{len(keeps)} that OpenClaw will not remove", Tone.BAD),))
    jammed = [lock for lock in facts.locks if _jams(lock, facts.now)]
    if jammed:
        lines.append(((f"✗ {counted(len(jammed), 'auth store')} jammed", Tone.BAD),))
    ghosts = sum(session.status == "running" and session.active is False for session in facts.sessions)
    if ghosts:
        lines.append(((f"○ {counted(ghosts, 'ghost')}", Tone.BAD),))
    broken = {
        entry.profile.id
        for view in facts.providers
        for entry in view.profiles
        if entry.state in (ProfileState.EXPIRED, ProfileState.INVALID)
    }
    if broken:
        lines.append(((f"⊘ {counted(len(broken), 'credential')} to renew", Tone.BAD),))
    warnings = len(facts.snapshot.warnings)
    if warnings:
        lines.append(((f"⚠ {counted(warnings, 'warning')}", Tone.WARN),))
    return lines


def _jams(lock: Lock, now: int) -> bool:
    """Whether a store lock names no owner and is too old to be in the middle of its writing."""
    return (
        lock.file.kind is LockKind.AUTH and lock.file.content_problem is not None and lock_age(lock, now) > WRITING_MS
    )


class Unread(NamedTuple):
    """Why the state cannot be read, safe to show, and since when (ms since epoch)."""

    why: str
    since: int

    @classmethod
    def of(cls, error: object, now: int, before: Unread | None) -> Unread:
        """After another failed read; the first one of a row counts."""
        return cls(shown(str(error)), now if before is None else before.since)


def unread_lines(unread: Unread, now: int, *, anything_shown: bool) -> tuple[Line, Line]:
    """In the headline's place while the state cannot be read: what is wrong, and how old what stands below is."""
    if anything_shown:
        since = f"What stands here was read {duration(now - unread.since)} ago; it is tried again by itself."
    else:
        since = "Nothing has been read yet; it is tried again by itself."
    return ((" BLIND ", Tone.BADGE_BAD), (f" {unread.why}", Tone.PLAIN)), ((since, Tone.WARN),)


def unread_first_line(width: int, arming: Arming) -> Line:
    """The first line while nothing has been read yet."""
    badge = arming_badge(arming, None)
    brand: Line = ((" clawtop", Tone.ACCENT),)
    return cut((*fitted(brand, max(0, width - width_of(badge))), *badge), width)
