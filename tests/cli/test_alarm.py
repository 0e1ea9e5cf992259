"""The alarm of verbs that keep looking: each notice once, and no judging while nothing can have changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clawtop.cli.alarm import LOOK_AGAIN_MS, Alarm
from clawtop.core.health import judgement
from clawtop.core.model import Snapshot
from tests.support.worlds import CALM, NOW, OUT, SECOND, agent, cooling, profile


class Told:
    """An alarm, what it told, and how often it judged."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.notices: list[str] = []
        self.judged = 0
        self.alarm = Alarm(self.notices.append, 5)
        judge = judgement.judge

        def counted(snapshot: Snapshot, now: int) -> judgement.Health:
            self.judged += 1
            return judge(snapshot, now)

        monkeypatch.setattr(judgement, "judge", counted)

    def look(self, snapshot: Snapshot, *times: int) -> None:
        for now in times:
            self.alarm.look(snapshot, now)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    return Told(monkeypatch)


def test_a_state_that_does_not_change_is_judged_once_a_minute(told: Told) -> None:
    told.look(CALM, *range(NOW, NOW + LOOK_AGAIN_MS, 2 * SECOND))
    assert told.judged == 1
    told.look(CALM, NOW + LOOK_AGAIN_MS)
    assert told.judged == 2


def test_another_snapshot_is_judged_at_once_and_told(told: Told) -> None:
    told.look(CALM, NOW)
    told.look(replace(OUT, gateway=CALM.gateway), NOW + SECOND)
    assert told.notices == ["nothing is usable for any agent"]


def test_a_window_that_ends_is_told_when_it_ends(told: Told) -> None:
    accounts = (profile("openai:a"), profile("openai:b", cooling(22 * SECOND)))
    told.look(replace(CALM, agents=(agent("main", accounts),)), *range(NOW, NOW + 40 * SECOND, 2 * SECOND))
    assert told.notices == ["usable again: openai:b"]
    assert told.judged <= 3


def test_a_clock_that_is_set_back_does_not_silence_it(told: Told) -> None:
    accounts = (profile("openai:a"), profile("openai:b", cooling(22 * SECOND)))
    told.look(replace(CALM, agents=(agent("main", accounts),)), NOW, NOW - 3_600_000, NOW - 3_600_000 + 2 * SECOND)
    assert told.judged == 2
