"""What the lanes view says of the gateway's own words."""

from __future__ import annotations

from dataclasses import replace

from clawtop.core.model import Gateway, GatewayState, GatewayWords, LaneStats
from clawtop.view.lane_rows import source_notes
from tests.support.worlds import CALM, NOW

LIVE = replace(CALM, gateway=Gateway(GatewayState.LIVE, 7, 18789))


def notes(words: GatewayWords | None, *lanes: LaneStats) -> dict[str, tuple[int, str]]:
    snapshot = replace(LIVE, gateway=replace(LIVE.gateway, words=words), lanes=lanes)
    return {note.source: (note.lanes, note.text) for note in source_notes(snapshot)}


def test_before_it_was_asked_nothing_is_said_of_it() -> None:
    assert {source for source in notes(None) if source in {"gateway", "gateway-events"}} == set()


def test_why_it_was_not_asked_is_said() -> None:
    assert notes(GatewayWords(NOW, problem="the gateway is not asked (--no-gateway)"))["gateway"] == (
        0,
        "the gateway is not asked (--no-gateway)",
    )


def test_its_lanes_are_counted_by_question() -> None:
    lanes = (LaneStats("main", "main", "gateway"), LaneStats("session:k", "main", "gateway-events"))
    found = notes(GatewayWords(NOW, "2026.9.6"), *lanes)
    assert found["gateway"][0] == found["gateway-events"][0] == 1
