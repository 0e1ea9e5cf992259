"""The overview as text: golden files, reviewed by eye."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest

from clawtop.cells import cells
from clawtop.core.model import ProviderTime, Snapshot
from clawtop.view.plain import plain_lines
from tests.support.golden import assert_golden
from tests.support.worlds import CALM, EMPTY, INCIDENT, MINUTE, NOW, OUT, saying

GOLDEN = Path(__file__).parent / "golden"
WORLDS = {"incident": INCIDENT, "calm": CALM, "out": OUT, "empty": EMPTY}


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", WORLDS)
def test_golden(name: str, width: int) -> None:
    lines = plain_lines(WORLDS[name], NOW, width, zone=UTC)
    assert_golden(GOLDEN / f"{name}-{width}.txt", "\n".join(lines) + "\n")


def test_golden_where_a_provider_itself_said_when() -> None:
    told = ProviderTime(NOW + 59 * MINUTE, NOW - MINUTE, "rate_limit")
    lines = plain_lines(saying(told), NOW, 120, zone=UTC)
    assert_golden(GOLDEN / "provider-time-120.txt", "\n".join(lines) + "\n")
    assert not any("its provider" in line for line in plain_lines(saying(told), told.until, 120, zone=UTC))


@pytest.mark.parametrize("width", [20, 40, 79, 133, 250])
@pytest.mark.parametrize("snapshot", WORLDS.values(), ids=WORLDS)
def test_no_line_is_wider_than_asked_and_none_moves_the_cursor(snapshot: Snapshot, width: int) -> None:
    for line in plain_lines(snapshot, NOW, width, zone=UTC):
        assert cells(line) <= width
        assert line.isprintable()


def test_the_last_line_tells_which_log_is_followed_or_why_none_is() -> None:
    followed = replace(CALM, log_paths=("/tmp/openclaw/a.log", "/tmp/b\x1b.log"), log_how="logging.file")
    assert plain_lines(followed, NOW, 120)[-1] == " log: /tmp/openclaw/a.log, /tmp/b\\x1b.log (logging.file)"
    none = replace(CALM, log_how="no daily file in /tmp/openclaw")
    assert plain_lines(none, NOW, 120)[-1] == " log: none is followed: no daily file in /tmp/openclaw"


def test_long_tables_are_counted_not_listed() -> None:
    lines = plain_lines(INCIDENT, NOW, 100, zone=UTC, most_rows=3)
    assert " and 11 more" in lines
