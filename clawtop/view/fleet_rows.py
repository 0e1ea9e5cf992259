"""A fleet as rows and lines: one line per host, the accounts that hosts share, who can still answer, one timeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import tzinfo
from typing import Any

from clawtop.commands import Command, Target, TargetKind, key_label
from clawtop.core.fleet.hosts import Host, HostLink, exit_code, worst_first
from clawtop.core.fleet.merged import Answering, HostEvent, answering, timeline
from clawtop.core.fleet.shared import SharedAccount, shared_accounts
from clawtop.core.model import Snapshot, counted
from clawtop.text import safe, shown
from clawtop.view.columns import Column, Env, Table, heading, placed, render_row
from clawtop.view.facts import Facts
from clawtop.view.fitting import cut, with_right, wrapped
from clawtop.view.humanize import age, clock_time, countdown, duration, zone_name
from clawtop.view.line import EMPTY, Line, Piece, Tone, join, piece, width_of
from clawtop.view.long_rows import TableRow

STATES: dict[int, tuple[str, str, Tone]] = {
    0: ("●", "well", Tone.OK),
    1: ("▲", "attention", Tone.WARN),
    2: ("■", "silent", Tone.BAD),
    3: ("?", "unreadable", Tone.BAD),
}
"""Level -> glyph, word and tone; never colour alone."""

LINKS: dict[HostLink, tuple[str, str, Tone]] = {
    HostLink.CONNECTING: ("…", "connecting", Tone.DIM),
    HostLink.STALE: ("?", "stale", Tone.WARN),
    HostLink.UNREACHABLE: ("✗", "unreachable", Tone.BAD),
}

MOST_NAMED = 8
"""A line names no more hosts than these; the table has them all."""

_GAP: Piece = ("  ", Tone.PLAIN)


def state_of(host: Host) -> Piece:
    """The host's state in one word."""
    glyph, word, tone = LINKS[host.link] if host.link is not HostLink.LIVE else STATES[host.level]
    if host.link is HostLink.LIVE and host.summary is None:
        glyph, word, tone = "…", "reading", Tone.DIM
    return f"{glyph} {word}", tone


def _name(host: Host, _env: Env) -> Line:
    return piece(safe(host.name), Tone.STRONG)


def _state(host: Host, _env: Env) -> Line:
    return (state_of(host),)


def _usable(host: Host, _env: Env) -> Line:
    if host.summary is None:
        return EMPTY
    usable, known = host.summary.usable, host.summary.known
    return piece(f"{usable}/{known}", Tone.BAD if known and not usable else Tone.PLAIN)


def _next(host: Host, env: Env) -> Line:
    at = host.ours(host.summary.next_at) if host.summary is not None else None
    return piece(countdown(at, env.now)) if at is not None and at > env.now else EMPTY


def _blocked(host: Host, env: Env) -> Line:
    if host.summary is None or not host.summary.blocked:
        return EMPTY
    since = host.ours(host.summary.oldest_since)
    return piece(f"{host.summary.blocked} {age(since, env.now) if since is not None else ''}".rstrip(), Tone.WARN)


def _stale(host: Host, _env: Env) -> Line:
    return piece(str(host.summary.stale_locks), Tone.WARN) if host.summary and host.summary.stale_locks else EMPTY


def _taken(host: Host, _env: Env) -> Line:
    return piece(str(host.summary.takeovers), Tone.WARN) if host.summary and host.summary.takeovers else EMPTY


def _openclaw(host: Host, _env: Env) -> Line:
    if host.summary is None:
        return EMPTY
    return piece(f"{safe(host.summary.generation or '?', 2)} {safe(host.summary.version or 'unknown', 14)}", Tone.DIM)


def _lag(host: Host, _env: Env) -> Line:
    return piece(f"{host.lag}ms" if host.lag is not None else "", Tone.DIM)


def _about(host: Host, env: Env) -> Line:
    return piece(about(host, env.now), Tone.DIM)


FLEET_COLUMNS: tuple[Column[Host], ...] = (
    Column("host", "HOST", 12, _name, lambda h, _e: h.name, grow=20, live=False),
    Column("state", "STATE", 13, _state, lambda h, _e: h.level, live=False),
    Column("usable", "USABLE", 7, _usable, lambda h, _e: h.summary and h.summary.usable, right=True, live=False),
    Column("next", "NEXT", 6, _next, lambda h, _e: h.ours(h.summary.next_at) if h.summary else None, right=True),
    Column("blocked", "BLOCKED", 8, _blocked, lambda h, _e: -h.summary.blocked if h.summary else None, right=True),
    Column(
        "stale", "STALE", 5, _stale, lambda h, _e: -h.summary.stale_locks if h.summary else None, right=True, rank=4
    ),
    Column("taken", "TAKEN", 5, _taken, lambda h, _e: -h.summary.takeovers if h.summary else None, right=True, rank=5),
    Column("openclaw", "OPENCLAW", 12, _openclaw, lambda h, _e: h.summary and h.summary.version, rank=3, live=False),
    Column("lag", "LAG", 6, _lag, lambda h, _e: h.lag, right=True, rank=6, live=False),
    Column("about", "ABOUT", 18, _about, grow=200, rank=1),
)
"""STALE: locks whose owner is dead. TAKEN: session takeovers within the hour."""

_NO_FACTS = Facts(Snapshot(0, 0, "", "", None, None), 0, None)
"""A host's row is made from the summary alone, without a snapshot."""


def fleet_table(hosts: Iterable[Host], now: int, zone: tzinfo | None = None) -> Table[Host]:
    """The hosts in the order given. `now`: ms since the epoch, by the local clock."""
    rows = tuple(TableRow(host.name, host, Target(TargetKind.HOST, host.name)) for host in hosts)
    return Table(
        id="fleet",
        title="Fleet",
        columns=FLEET_COLUMNS,
        rows=rows,
        env=Env(_NO_FACTS, now, zone),
        band=_name,
        ids=fleet_search,
        empty=piece("No hosts given: clawtop --host HOST", Tone.DIM),
    )


def first_line(hosts: Sequence[Host], now: int, width: int, zone: tzinfo | None = None) -> Line:
    """The screen's title and the clock; exactly `width` cells."""
    left: Line = ((" clawtop  ", Tone.ACCENT), ("fleet  ", Tone.STRONG), (counted(len(hosts), "host"), Tone.DIM))
    right: Line = ((f"{clock_time(now, zone)} {zone_name(now, zone)}".rstrip() + " ", Tone.STRONG),)
    return with_right(left, right, width)


WORDS: dict[str, tuple[str, str]] = {
    "detail": ("Open host", "Open this host's whole dashboard; q there comes back here."),
    "next-pane": ("Below", "Show the next page below: shared accounts, who can answer, the timeline."),
    "previous-pane": ("Below, back", "Show the previous page below."),
    "filter": ("Filter", "Show only hosts whose cells contain a text; Escape clears it."),
    "sort": ("Sort", "Sort by the next column; after the last, the worst host first."),
    "sort-reverse": ("Reverse", "Reverse the sort order."),
    "refresh": ("Try again", "Retry unreachable hosts now."),
    "back": ("Back", "Clear the filter."),
    "quit": ("Quit", "Leave the fleet."),
}
"""Commands with another meaning or title here: command id -> title and help."""


def hints(commands: Iterable[Command], width: int) -> Line:
    """The footer: what the keys do here. The last hint is shown at every width, and as many of the others as fit."""
    *parts, last = [((key_label(item.keys[0]), Tone.KEY), (f" {_words(item)[0]}", Tone.PLAIN)) for item in commands]
    while parts and width_of(join((*parts, last), _GAP)) >= width:
        parts.pop()
    return cut(((" ", Tone.PLAIN), *join((*parts, last), _GAP)), width)


def help_lines(commands: Iterable[Command], width: int) -> tuple[Line, ...]:
    """Every key of the fleet and what it does; then the glyphs."""
    lines: list[Line] = []
    for item in commands:
        title, said = _words(item)
        keys = " ".join(key_label(key) for key in item.keys)
        lines += wrapped(((f"{keys:<11} ", Tone.KEY), (f"{title:<14} ", Tone.STRONG), (said, Tone.PLAIN)), width, 27)
    glyphs = [((f"{glyph} {word}", tone),) for glyph, word, tone in (*STATES.values(), *LINKS.values())]
    return (*lines, EMPTY, *wrapped((("Symbols     ", Tone.DIM), *join(glyphs, _GAP)), width, 12))


def _words(item: Command) -> tuple[str, str]:
    return WORDS.get(item.id, (item.title, item.help))


def fleet_search(host: Host) -> str:
    """The text of a host that the filter searches."""
    summary = host.summary
    words = (host.name, state_of(host)[0], host.why, summary.version or "" if summary else "")
    return shown(" ".join(words))


def about(host: Host, now: int) -> str:
    """The most important fact about this host, in one sentence."""
    if host.link is HostLink.LIVE:
        skew = round((host.skew or 0) / 1000) * 1000
        drift = f"; its clock is {duration(abs(skew))} {'ahead' if skew > 0 else 'behind'}" if abs(skew) > 5_000 else ""
        why = safe(host.why or (host.summary.why if host.summary else ""), 200)
        told = _not_before(host.ours(host.summary.next_provider_at) if host.summary else None, now)
        return f"{why}{told}{drift}".removeprefix("; ")
    since = f", for {duration(max(0, now - host.since))}" if host.since else ""
    heard = f"; last heard {duration(now - host.heard_at)} ago" if host.heard_at is not None else ""
    again = (
        f"; next try in {countdown(host.retry_at, now)}" if host.retry_at is not None and host.retry_at > now else ""
    )
    hint = f" → {safe(host.hint, 120)}" if host.hint else ""
    return f"{safe(host.why, 200) or str(host.link)}{since}{heard}{again}{hint}"


def _not_before(until: int | None, now: int) -> str:
    """When a provider itself allows an account again; empty if it named no time, or the time has come."""
    return f"; its provider says not before {countdown(until, now)}" if until is not None and until > now else ""


def about_line(host: Host | None, now: int) -> Line:
    """The host under the cursor in full: its row may be cut off."""
    return () if host is None else ((f" {safe(host.name, 40)}: ", Tone.DIM), (about(host, now), Tone.PLAIN))


def headline(hosts: Iterable[Host]) -> Line:
    """How many hosts are in which state."""
    listed = tuple(hosts)
    live = [host for host in listed if host.link is HostLink.LIVE]
    by_level = {level: sum(host.level == level for host in live) for level in (2, 3, 1, 0)}
    parts: list[Line] = [
        ((f"{STATES[level][0]} {count} {STATES[level][1]}", STATES[level][2]),)
        for level, count in by_level.items()
        if count
    ]
    away = len(listed) - len(live)
    if away:
        parts.append(((f"✗ {away} unreachable", Tone.BAD),))
    usable = sum(host.summary.usable for host in live if host.summary)
    known = sum(host.summary.known for host in live if host.summary)
    parts.append(((f"{usable} of {known} accounts usable", Tone.PLAIN),))
    return (*((f" {counted(len(listed), 'host')}: ", Tone.PLAIN),), *join(parts, (" · ", Tone.FAINT)))


def shared_line(account: SharedAccount, now: int) -> Line:
    """An account on several hosts, with the hosts where it is cooling."""
    cooling = _some(
        f"{safe(name, 30)} {countdown(until, now) if until is not None and until > now else 'until cleared'}"
        for name, until in account.cooling.items()
    )
    where, rest = "usable everywhere", ""
    if cooling:
        where = f"cooling on {cooling}"
        usable = _some(safe(name, 30) for name in account.usable_on)
        rest = f"; still tried on {usable}" if usable else "; usable on no host"
    rest += _not_before(account.provider_until, now)
    return (
        (f"{safe(account.profile, 40)}  ", Tone.STRONG),
        (f"{counted(len(account.hosts), 'host')}: {where}{rest}", Tone.WARN if cooling else Tone.DIM),
    )


def _some(words: Iterable[str]) -> str:
    """The first of many words, and how many more there are."""
    listed = list(words)
    more = len(listed) - MOST_NAMED
    return ", ".join(listed[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def answering_line(answer: Answering, now: int) -> Line:
    """An agent that can answer now, or when it can."""
    name = (f"{safe(answer.host, 30)} {safe(answer.agent, 30)}  ", Tone.STRONG)
    if answer.at is None:
        return name, ("not by itself", Tone.BAD)
    if answer.at <= now:
        return name, ("can answer now", Tone.OK)
    return name, (f"in {countdown(answer.at, now)}", Tone.WARN)


def timeline_line(item: HostEvent, zone: tzinfo | None) -> Line:
    """What happened on a host, by the local clock."""
    return (
        (f"{clock_time(item.moment.at, zone)}  ", Tone.DIM),
        (f"{safe(item.host, 24)}  ", Tone.STRONG),
        (safe(item.moment.text, 300), Tone.PLAIN),
    )


def plain_lines(hosts: Iterable[Host], now: int, width: int, zone: tzinfo | None = None) -> Iterator[Line]:
    """The whole fleet as text."""
    ordered = worst_first(hosts)
    table = fleet_table(ordered, now, zone)
    columns = placed(table.columns, width)
    yield headline(ordered)
    yield ()
    yield heading(columns, None, ((table.title, Tone.TITLE),))
    yield from (render_row(row, table, columns, table.env) for row in table.rows)
    for title, lines in (
        ("Accounts on several hosts", [shared_line(each, now) for each in shared_accounts(ordered)]),
        ("Who can answer", [answering_line(each, now) for each in answering().of(ordered)]),
    ):
        if lines:
            yield ()
            yield piece(title, Tone.TITLE)
            yield from lines


def report(hosts: Iterable[Host], now: int) -> dict[str, Any]:
    """The object of `clawtop fleet status --json`, schema 1. Times by the local clock, ms since the epoch."""
    ordered = worst_first(hosts)
    return {
        "schema": 1,
        "taken_at": now,
        "level": exit_code(ordered),
        "hosts": [_host(host) for host in ordered],
        "shared_accounts": [
            {
                "provider": account.provider,
                "profile": account.profile,
                "hosts": list(account.hosts),
                "cooling": dict(account.cooling),
                "usable_on": list(account.usable_on),
                "provider_until": account.provider_until,
            }
            for account in shared_accounts(ordered)
        ],
        "answering": [{"host": item.host, "agent": item.agent, "at": item.at} for item in answering().of(ordered)],
        "timeline": [
            {"at": item.moment.at, "host": item.host, "kind": item.moment.kind, "text": item.moment.text}
            for item in timeline().of(ordered)
        ],
    }


def _host(host: Host) -> dict[str, Any]:
    summary = host.summary
    return {
        "name": host.name,
        "link": host.link.value,
        "level": host.level,
        "why": host.why or (summary.why if summary else ""),
        "hint": host.hint,
        "since": host.since,
        "heard_at": host.heard_at,
        "retry_at": host.retry_at,
        "skew_ms": host.skew,
        "lag_ms": host.lag,
        "clawtop": host.clawtop,
        "state_dir": host.state_dir,
        "openclaw_version": summary.version if summary else None,
        "generation": summary.generation if summary else None,
        "gateway": summary.gateway if summary else None,
        "usable": summary.usable if summary else None,
        "profiles": summary.known if summary else None,
        "next_at": host.ours(summary.next_at) if summary else None,
        "next_provider_at": host.ours(summary.next_provider_at) if summary else None,
        "blocked": summary.blocked if summary else None,
        "blocked_since": host.ours(summary.oldest_since) if summary else None,
        "stale_locks": summary.stale_locks if summary else None,
        "takeovers": summary.takeovers if summary else None,
    }
