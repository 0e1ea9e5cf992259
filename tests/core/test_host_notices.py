"""Notices of a fleet: what became worse or better on which host, once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clawtop.core.fleet.hosts import Host, HostLink
from clawtop.core.fleet.notices import LOST_MS, HostSeen, host_notices
from clawtop.core.fleet.summary import HostSummary

NOW = 1_795_144_327_000
MINUTE = 60_000


def host(level: int = 0, why: str = "all is well", name: str = "reef", **more: object) -> Host:
    summary = HostSummary(NOW, level, why)
    fields = {"link": HostLink.LIVE, "since": NOW - MINUTE, "summary": summary} | more
    return Host(name, **fields)  # type: ignore[arg-type]


WELL, SILENT = host(), host(2, "the gateway is dead")
LOST = replace(host(link=HostLink.UNREACHABLE), why="Connection refused")


def told(*states: Host, now: int = NOW, before: dict[str, HostSeen] | None = None) -> list[str | None]:
    """What is told at each of these states of one host."""
    seen, said = before or {}, []
    for state in states:
        seen, words = host_notices(seen, [state], now, 5 * MINUTE)
        said.append(words)
    return said


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((SILENT, SILENT), [None, None]),
        ((WELL, SILENT, SILENT), [None, "reef: the gateway is dead", None]),
        ((WELL, host(1, "a warning")), [None, None]),
        ((SILENT, host(1, "a warning")), [None, "reef: no longer silent: a warning"]),
        ((SILENT, host(3, "nothing can be read")), [None, "reef: nothing can be read"]),
        ((WELL, LOST, LOST, WELL), [None, "reef: unreachable: Connection refused", None, "reef: reached again"]),
        (
            (WELL, LOST, SILENT),
            [None, "reef: unreachable: Connection refused", "reef: reached again; the gateway is dead"],
        ),
        ((host(link=HostLink.CONNECTING, summary=None), SILENT), [None, None]),
        ((WELL, host(link=HostLink.STALE), SILENT), [None, None, "reef: the gateway is dead"]),
    ],
)
def test_each_change_is_told_once_with_its_host(states: tuple[Host, ...], expected: list[str | None]) -> None:
    assert told(*states) == expected


def test_a_connection_that_comes_back_at_once_is_not_told() -> None:
    short = host(link=HostLink.UNREACHABLE, since=NOW - LOST_MS + 1)
    assert told(WELL, short, WELL) == [None, None, None]


def test_a_session_that_is_blocked_for_too_long_is_told_once_by_the_hosts_own_clock() -> None:
    since = NOW - 5 * MINUTE + 90_000  # the host's clock is 90 s ahead
    waits = host(skew=90_000, summary=HostSummary(NOW, 1, "", blocked=2, oldest_since=since))
    later = host(skew=90_000, summary=HostSummary(NOW, 1, "", blocked=2, oldest_since=since + 1))
    assert told(WELL, later, waits, waits) == [
        None,
        None,
        "reef: 2 sessions blocked, the longest for 5 min",
        None,
    ]


def test_many_hosts_are_counted_and_their_words_are_safe() -> None:
    names = [f"h{n}\x1b[2J" for n in range(9)]
    seen, _ = host_notices({}, [host(name=name) for name in names], NOW, MINUTE)
    _, words = host_notices(seen, [host(2, "dead\x1b[2J", name=name) for name in names], NOW, MINUTE)
    assert words is not None
    assert words.endswith("and 4 more hosts")
    assert "\x1b" not in words
