"""The first line, and the headline in words: what is usable now, when anything is again, who is blocked, what needs
attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from clawtop.cells import cells, elided_middle
from clawtop.commands import Arming
from clawtop.core.cooldown.stats import ProfileState
from clawtop.core.health.judgement import Cause, Health, Level
from clawtop.core.health.wording import GATEWAY_NOT_SEEN
from clawtop.core.model import GatewayState, LockKind, ProcessUsage, VerdictKind, counted
from clawtop.core.session.key import short_key
from clawtop.text import safe, shown
from clawtop.values import dataclass
from clawtop.view.columns import Env
from clawtop.view.facts import Facts
from clawtop.view.fitting import cut_at_words, with_right
from clawtop.view.humanize import clock_time, countdown, duration, time_near, zone_name
from clawtop.view.line import EMPTY, Line, Piece, Tone, join, width_of
from clawtop.view.words import gateway_words

_DOT: Piece = (" · ", Tone.FAINT)
_BLANKS: Piece = ("  ", Tone.PLAIN)
_MARGIN: Line = ((" ", Tone.PLAIN),)
_CALM = "Nothing is blocked and nothing needs attention"
DISARM_WARNING_MS = 60_000
"""The last minute before disarming is counted down."""

ARMING_BADGES: dict[Arming, Tone] = {
    Arming.READ_ONLY: Tone.BADGE_CALM,
    Arming.ARMED: Tone.BADGE_BAD,
    Arming.LOCKED: Tone.BADGE_CALM,
}


def arming_badge(arming: Arming, disarms_in_ms: int | None) -> Line:
    """READ-ONLY or ARMED as one piece, with a countdown before it disarms itself."""
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

    The arming badge and the clock always stay; the directory is shortened first, then host and version. `state` is one
    word about the dashboard itself, such as PAUSED.
    """
    snapshot = env.facts.snapshot
    glyph, word, tone = gateway_words(snapshot.gateway, env.now)
    details = [f"pid {snapshot.gateway.pid}"] if snapshot.gateway.pid is not None else []
    details += [f":{snapshot.gateway.port}"] if snapshot.gateway.port is not None else []
    details += usage_words(snapshot.gateway.usage)
    version = shown(snapshot.openclaw_version or "version unknown", 16)
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
    return with_right(left, right, width)


def usage_words(usage: ProcessUsage | None) -> list[str]:
    """What the gateway's process uses, in words: memory, swap if any, its share of a core."""
    if usage is None:
        return []
    words = [f"{usage.memory >> 20} MB"]
    words += [f"{usage.swap >> 20} MB swapped"] if usage.swap >> 20 else []
    words += [f"{round(100 * usage.cpu)} % CPU"] if usage.cpu is not None else []
    return words


def _directory(path: str, room: int) -> Line:
    """A path elided at its start: the end says more."""
    shown = safe(path)
    if cells(shown) > room:
        shown = "…" + shown[-(room - 1) :]
    return ((shown, Tone.DIM),)


def headline(env: Env, width: int | None = None) -> tuple[Line, Line]:
    """Two lines: whether turns succeed and what is usable, and what is in the way.

    In at most `width` cells each, if it is given: lists name as many as fit and count the others, words stay whole.
    """
    facts = env.facts
    badge, said = _badge(facts.health), _said(env)
    after = _not_loaded(facts)
    if facts.health.level < Level.SILENT:
        taken = width_of((*badge, *join([*said, *after], _DOT)))
        said.append(_next(facts, _room(width, taken)))
    trouble = facts.once(_trouble, facts)
    second = join([trouble, _blocked_names(facts, _room(width, width_of(trouble)))], _DOT) or _remedy(facts.health)
    lines = (*badge, *join([*said, *after], _DOT)), second
    return lines if width is None else (cut_at_words(lines[0], width), cut_at_words(lines[1], width))


def _room(width: int | None, taken: int) -> int | None:
    """The cells left for one more part of a line; None: any number."""
    return None if width is None else width - taken - (cells(_DOT[0]) if taken else 0)


_LEAST_NAME = 12
"""Fewer cells of a name are useless."""


def _listed(head: str, names: Sequence[str], total: int, room: int | None) -> Line:
    """As many of the names as fit into `room` cells, and how many of `total` are left out; empty if not one fits."""
    for count in range(len(names), 0, -1):
        text = ", ".join(names[:count]) + _more(total - count)
        if room is None or cells(head + text) <= room:
            return ((head, Tone.DIM), (text, Tone.PLAIN))
    left = (room or 0) - cells(head + _more(total - 1))
    if not names or left < _LEAST_NAME:
        return EMPTY
    return ((head, Tone.DIM), (elided_middle(names[0], left) + _more(total - 1), Tone.PLAIN))


def _more(count: int) -> str:
    return f" and {count} more" if count else ""


_BADGE_TONES = {
    Level.WELL: Tone.BADGE_OK,
    Level.ATTENTION: Tone.BADGE_WARN,
    Level.SILENT: Tone.BADGE_BAD,
    Level.UNREADABLE: Tone.BADGE_BAD,
}
_GOES_WITHOUT_SAYING = frozenset({"profiles-resting", "provider-out"})
"""Causes that the counts and the provider lines already show."""


def reading_lines(facts: Facts) -> tuple[Line, Line]:
    """In the headline's place while only the accounts have been read: whether turns succeed is not known yet."""
    parts: list[Line] = [((facts.usable_words, Tone.STRONG),)] if facts.usable[1] else []
    parts.append((("sessions and locks are being read", Tone.DIM),))
    return ((" READING ", Tone.BADGE_CALM), (" ", Tone.PLAIN), *join(parts, _DOT)), EMPTY


def _badge(health: Health) -> Line:
    """The state as one word; the only place that colours it."""
    calm = all(cause.code == "profiles-resting" for cause in health.causes)
    tone = Tone.BADGE_OK if calm else _BADGE_TONES[health.level]
    return ((f" {health.badge} ", tone), (" ", Tone.PLAIN))


def _said(env: Env) -> list[Line]:
    """The parts of the first line: the worst cause, counts, unusable providers, lost replies."""
    facts, health = env.facts, env.facts.health
    worst = health.causes[0] if health.causes else None
    parts: list[Line] = []
    if worst is not None and worst.code not in _GOES_WITHOUT_SAYING:
        tone = Tone.BAD if worst.level >= Level.SILENT else Tone.WARN
        parts.append(((worst.text, tone),))
    if worst is not None and worst.code == "models-out":
        parts.append(((_back(env, worst), Tone.STRONG),))
    if facts.usable[1]:
        parts.append(((facts.usable_words, Tone.STRONG),))
    if facts.snapshot.counting:
        parts.append(((f"{facts.snapshot.counting:,} sessions still to be read", Tone.DIM),))
    if worst is None or worst.code != "models-out":
        parts += [_provider_out(outage, env) for outage in facts.once(_out, facts)[:3]]
    dropped = next((cause for cause in health.causes if cause.code == "turns-dropped"), None)
    if dropped is not None and dropped is not worst:
        parts.append(((dropped.text, Tone.WARN),))
    return parts


def _back(env: Env, cause: Cause) -> str:
    if cause.until is None:
        return "nothing comes back by itself"
    return f"first back {time_near(cause.until, env.now, env.zone)} (in {countdown(cause.until, env.now)})"


@dataclass(frozen=True, slots=True)
class _Outage:
    """A provider of which some agents can use no profile."""

    provider: str
    agents: tuple[str, ...]
    back_at: int | None


def _next(facts: Facts, room: int | None) -> Line:
    """The profile that each provider's next run starts with."""
    if facts.unknown_chains is not None:
        return (("next: ", Tone.DIM), ("unknown", Tone.WARN))
    firsts = [view.next.profile.id for view in facts.providers if view.next is not None]
    gateways = {item.on_disk: item.profile for item in facts.health.next if item.pending is not None}
    asked = [gateways.get(first, first) for first in dict.fromkeys(firsts)]
    names = [elided_middle(safe(name), 28) for name in asked if name is not None]
    return _listed("next: ", names[:3], len(names), room)


def _not_loaded(facts: Facts) -> list[Line]:
    """Changes that the gateway has not loaded, unless they are the worst cause."""
    pending = facts.health.view.pending
    worst = facts.health.causes[0] if facts.health.causes else None
    if not pending or (worst is not None and worst.code == "not-loaded"):
        return []
    return [((f"{counted(len(pending), 'change')} not loaded by the gateway yet", Tone.WARN),)]


def _out(facts: Facts) -> list[_Outage]:
    outages: dict[str, _Outage] = {}
    for view in facts.providers:
        if any(entry.serves and entry.profile.id not in facts.unloaded for entry in view.profiles):
            continue
        known = outages.get(view.provider, _Outage(view.provider, (), None))
        ends = [end for end in (known.back_at, view.back_at) if end is not None]
        outages[view.provider] = _Outage(view.provider, known.agents + view.agents, min(ends, default=None))
    return list(outages.values())


def _provider_out(outage: _Outage, env: Env) -> Line:
    everyone = len(outage.agents) == len(env.facts.agents)
    who = "" if everyone else f" for {safe(', '.join(map(env.facts.agent_name, outage.agents)), 24)}"
    name = f"{safe(outage.provider, 24)} out{who}, "
    if outage.back_at is None:
        return ((f"{name}not back by itself", Tone.WARN),)
    return ((f"{name}back in {countdown(outage.back_at, env.now)}", Tone.WARN),)


def _trouble(facts: Facts) -> Line:
    severe, mild = _others(facts.health)
    remedy = _silence_ends(facts.health)
    what = [((f"→ {remedy}", Tone.DIM),)] if remedy is not None else []
    return join([*severe, *_blocked(facts), *_hand(facts), *what, *mild], _DOT)


def _silence_ends(health: Health) -> str | None:
    """The remedy for what silences bots: of the worst cause, or of the turns whose messages have no answer."""
    if health.level < Level.SILENT:
        return None
    worst, *others = health.causes
    turns = (cause.remedy for cause in others if cause.code in {"turns-failing", "turn-failed"})
    return worst.remedy or (next(turns, None) if worst.code == "unanswered" else None)


def _remedy(health: Health) -> Line:
    """The remedy for the worst cause; reassuring words only if there is none."""
    if not health.causes:
        return ((f"{_CALM}." if health.gateway_seen else f"Nothing needs attention; {GATEWAY_NOT_SEEN}.", Tone.DIM),)
    worst = health.causes[0]
    return ((f"→ {worst.remedy}" if worst.remedy else "Nothing else needs attention.", Tone.DIM),)


_TOLD_APART = frozenset(
    {
        *("profiles-resting", "provider-out", "turns-dropped", "blocked", "stale-lock", "store-jammed"),
        *("credentials", "problems", "not-loaded", "no-profiles", "unreadable"),
    }
)
"""Causes that the rest of the two lines covers in its own words."""


def _others(health: Health) -> tuple[list[Line], list[Line]]:
    """Other problems besides the worst cause, those that silence bots first."""
    told = [cause for cause in health.causes[1:] if cause.code not in _TOLD_APART][:3]
    severe: list[Line] = [((cause.text, Tone.BAD),) for cause in told if cause.level >= Level.SILENT]
    return severe, [((cause.text, Tone.WARN),) for cause in told if cause.level < Level.SILENT]


def _blocked(facts: Facts) -> list[Line]:
    blocked = len(facts.blocked)
    waiting = sum(len(holder.waiters) for holder in facts.snapshot.holders)
    lines: list[Line] = []
    if blocked:
        lines.append(((f"‖ {counted(blocked, 'session')} blocked", Tone.WARN),))
    if waiting:
        lines.append(((f"{waiting} waiting", Tone.WARN),))
    return lines


def _blocked_names(facts: Facts, room: int | None) -> Line:
    keys = [facts.given_name(key) or short_key(key) for _, key in islice(facts.blocked, 4)]
    return _listed("blocked: ", [elided_middle(safe(key), 32) for key in keys], len(facts.blocked), room)


def _hand(facts: Facts) -> list[Line]:
    """What needs the operator, since it does not resolve itself."""
    lines: list[Line] = []
    worst = facts.health.causes[0].code if facts.health.causes else ""
    stale = [lock for lock in facts.locks if lock.verdict.kind is VerdictKind.STALE and lock.leaked is None]
    if facts.snapshot.gateway.state is GatewayState.DEAD:
        stale = [lock for lock in stale if lock.file.kind is not LockKind.GATEWAY]
    keeps = [lock for lock in stale if lock.openclaw.would_remove is False and lock.file.kind is not LockKind.GATEWAY]
    if stale and worst != "stale-lock":  # else the first line has said it
        lines.append(((f"✗ {counted(len(stale), 'stale lock')}", Tone.BAD),))
    if keeps and worst != "stale-lock":
        lines.append(((f"{len(keeps)} that OpenClaw will not remove", Tone.BAD),))
    jammed = [cause for cause in facts.health.causes[1:] if cause.code == "store-jammed"]
    if jammed:
        action = "remove its lock" if all(cause.command for cause in jammed) else "check its lock by hand"
        lines.append(((f"✗ {counted(len(jammed), 'auth store')} jammed: {action}", Tone.BAD),))
    broken = {
        entry.profile.id
        for view in facts.providers
        for entry in view.profiles
        if entry.state in (ProfileState.EXPIRED, ProfileState.INVALID)
    }
    if broken:
        lines.append(((f"⊘ {counted(len(broken), 'credential')} to renew", Tone.BAD),))
    warnings = len(facts.warnings)
    if warnings:
        lines.append(((f"⚠ {counted(warnings, 'warning')}", Tone.WARN),))
    return lines


class Unread(NamedTuple):
    """Why the state cannot be read, safe to show, and since when (ms since epoch)."""

    why: str
    since: int

    @classmethod
    def of(cls, error: object, now: int, before: Unread | None) -> Unread:
        """The same after another failed read; `since` stays that of the first in a row."""
        return cls(shown(str(error)), now if before is None else before.since)


def unread_lines(unread: Unread, now: int, *, anything_shown: bool) -> tuple[Line, Line]:
    """Shown instead of the headline while the state cannot be read: what is wrong, and how old the data below is."""
    if anything_shown:
        since = f"Stale: read {duration(now - unread.since)} ago; retrying."
    else:
        since = "Nothing has been read yet; retrying."
    return ((" BLIND ", Tone.BADGE_BAD), (f" {unread.why}", Tone.PLAIN)), ((since, Tone.WARN),)


def unread_first_line(width: int, arming: Arming) -> Line:
    """The first line before anything has been read."""
    badge = arming_badge(arming, None)
    brand: Line = ((" clawtop", Tone.ACCENT),)
    return with_right(brand, badge, width)
