"""What a gateway that lives and gives no answer is called: starting, busy or frozen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clawtop.core.health.gateway_causes import BUSY_MS, STARTING_MS
from clawtop.core.health.judgement import Level, judge
from clawtop.core.model import Gateway, GatewayState, Generation, ProcessUsage, Serving, Snapshot

NOW = 1_800_000_000_000
OLD = NOW - STARTING_MS - 1
RESTS, WORKS, UNSEEN = (ProcessUsage(1 << 28, cpu=cpu) for cpu in (0.0, 0.9, None))
CASES = [
    (Serving.ANSWERS, OLD, None, WORKS, None, Level.WELL),
    (Serving.SILENT, OLD, NOW, RESTS, "gateway-frozen", Level.SILENT),
    (Serving.SILENT, OLD, NOW, None, "gateway-frozen", Level.SILENT),
    (Serving.SILENT, OLD, NOW, UNSEEN, "gateway-frozen", Level.SILENT),
    (Serving.SILENT, OLD, NOW - 5_000, WORKS, "gateway-busy", Level.ATTENTION),
    (Serving.SILENT, OLD, NOW - BUSY_MS, WORKS, "gateway-frozen", Level.SILENT),
    (Serving.SILENT, NOW - 5_000, NOW, RESTS, "gateway-half-started", Level.ATTENTION),
    (Serving.SILENT, NOW - 5_000, NOW, WORKS, "gateway-half-started", Level.ATTENTION),
    (Serving.REFUSES, OLD, None, WORKS, "gateway-half-started", Level.SILENT),
]


def snapshot(gateway: Gateway) -> Snapshot:
    return Snapshot(1, NOW, "reef", "/claw", Generation.B, "2026.5.20", gateway=gateway)


@pytest.mark.parametrize(("serving", "started_at", "silent_since", "usage", "code", "level"), CASES)
def test_silence_is_judged_by_what_the_process_does(  # noqa: PLR0917
    serving: Serving,
    started_at: int,
    silent_since: int | None,
    usage: ProcessUsage | None,
    code: str | None,
    level: Level,
) -> None:
    gateway = Gateway(GatewayState.LIVE, 7, 18789, started_at, serving=serving, silent_since=silent_since, usage=usage)
    causes = {c.code: c.level for c in judge(snapshot(gateway), NOW).causes}
    gateways = {name: found for name, found in causes.items() if name.startswith("gateway-")}
    assert gateways == ({code: level} if code is not None else {})


@pytest.mark.parametrize(
    ("usage", "has_answered", "code", "level"),
    [
        (RESTS, True, "gateway-frozen", Level.SILENT),
        (WORKS, True, "gateway-busy", Level.ATTENTION),
        (ProcessUsage(1 << 28, cpu=0.14), True, "gateway-busy", Level.ATTENTION),
        (ProcessUsage(1 << 28, cpu=0.03), True, "gateway-frozen", Level.SILENT),
        (RESTS, False, "gateway-half-started", Level.ATTENTION),
    ],
)
def test_a_young_gateway_that_has_answered_before_is_not_starting(
    usage: ProcessUsage, has_answered: bool, code: str, level: Level
) -> None:
    silent = Gateway(GatewayState.LIVE, 7, 18789, NOW - 30_000, serving=Serving.SILENT, silent_since=NOW, usage=usage)
    causes = judge(snapshot(replace(silent, has_answered=has_answered)), NOW).causes
    assert [(c.code, c.level) for c in causes if c.code.startswith("gateway-")] == [(code, level)]


def test_a_busy_gateway_is_judged_anew_when_its_minute_is_over() -> None:
    gateway = Gateway(GatewayState.LIVE, 7, 18789, OLD, serving=Serving.SILENT, silent_since=NOW, usage=WORKS)
    health = judge(snapshot(gateway), NOW)
    assert health.changes_at is not None
    assert health.changes_at <= NOW + BUSY_MS + 1
