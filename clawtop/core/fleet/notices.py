"""What an operator should be notified of on the hosts of a fleet: each notice names its host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from clawtop.core.fleet.hosts import Host, HostLink
from clawtop.core.health.judgement import Level
from clawtop.core.model import counted
from clawtop.text import safe, shown
from clawtop.values import dataclass

LOST_MS = 30_000
"""A host gives notice once it is unreachable for this long: a connection that comes back at once is no incident."""
_SHOWN = 5
"""How many hosts one notice lists; the rest are counted."""


@dataclass(frozen=True, slots=True)
class HostSeen:
    """A host when it was last looked at.

    Attributes:
        level: its health, 0 to 3; None before it was first judged.
        lost: not reached for `LOST_MS`.
        overdue_since: since when the session last reported as blocked has been blocked (ms since the epoch, its own
            clock).
    """

    level: int | None = None
    lost: bool = False
    overdue_since: int | None = None


def host_notices(
    before: Mapping[str, HostSeen], hosts: Iterable[Host], now: int, blocked_ms: int
) -> tuple[dict[str, HostSeen], str | None]:
    """(host -> how it is now, what has become worse or better since `before` as one line; None if nothing has).

    The first known state of a host is already on the screen and gives no notice.

    Args:
        now: ms since the epoch, by this machine's clock.
        blocked_ms: a host on which a session has been blocked for this long gets one notice.
    """
    after: dict[str, HostSeen] = {}
    told: list[str] = []
    for host in hosts:
        was = before.get(host.name, HostSeen())
        after[host.name] = seen = _seen(host, was, now, blocked_ms)
        words = "; ".join(_changes(host, was, seen, now))
        if words:
            told.append(f"{safe(host.name, 60)}: {words}")
    more = [f"and {counted(len(told) - _SHOWN, 'more host')}"] if len(told) > _SHOWN else []
    return after, " · ".join((*told[:_SHOWN], *more)) or None


def _seen(host: Host, was: HostSeen, now: int, blocked_ms: int) -> HostSeen:
    if host.link is HostLink.UNREACHABLE and now >= host.since + LOST_MS:
        return HostSeen(was.level, True, was.overdue_since)
    if host.link is not HostLink.LIVE or host.summary is None:
        return was
    oldest = host.summary.oldest_since
    blocked_at = host.ours(oldest)
    overdue = blocked_at is not None and blocked_at + blocked_ms <= now
    return HostSeen(host.level, False, oldest if overdue else None)


def _changes(host: Host, was: HostSeen, seen: HostSeen, now: int) -> Iterator[str]:
    if seen.lost:
        if not was.lost:
            yield f"unreachable: {shown(host.why or 'no answer', 120)}"
        return
    if was.lost:
        yield "reached again"
    if was.level is None or seen.level is None or host.summary is None:
        return
    if seen.level >= Level.SILENT and seen.level != was.level:
        yield shown(host.summary.why, 120)
    elif seen.level < Level.SILENT <= was.level:
        yield f"no longer silent: {shown(host.summary.why, 120)}"
    if seen.overdue_since is not None and seen.overdue_since != was.overdue_since:
        minutes = (now - (host.ours(seen.overdue_since) or now)) // 60_000
        yield f"{counted(host.summary.blocked, 'session')} blocked, the longest for {minutes} min"
