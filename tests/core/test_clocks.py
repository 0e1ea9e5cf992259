"""A gateway whose clock is wrong: how it is known, and that its times are then judged by it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clawtop.core.health.cause import Level
from clawtop.core.health.judgement import judge
from clawtop.core.locks.clocks import AGREE_MS, clock_offset
from clawtop.core.locks.staleness import START_SLACK_MS
from clawtop.core.model import (
    Gateway,
    GatewayState,
    Lock,
    LockFile,
    LockIdentity,
    LockKind,
    OpenClawVerdict,
    ProcessEvidence,
    Serving,
    Session,
    Verdict,
    VerdictKind,
    Witness,
    WitnessKind,
)
from tests.support.worlds import CALM, NOW

BEGAN = 1_795_214_000_000
WRITTEN = BEGAN + 5_000
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("created", "began", "alive", "offset"),
    [
        pytest.param(WRITTEN, BEGAN, True, 0, id="they agree"),
        pytest.param(WRITTEN - HOUR, BEGAN, True, -HOUR, id="an hour behind"),
        pytest.param(WRITTEN + HOUR, BEGAN, True, HOUR, id="an hour ahead"),
        pytest.param(WRITTEN + HOUR, None, True, HOUR, id="no file was written before its time"),
        pytest.param(WRITTEN - AGREE_MS, BEGAN, True, 0, id="it was busy"),
        pytest.param(WRITTEN - AGREE_MS - 1, BEGAN, True, -AGREE_MS - 1, id="more than that"),
        pytest.param(WRITTEN - HOUR, WRITTEN - 2 * HOUR, True, 0, id="the file was touched later"),
        pytest.param(WRITTEN - HOUR, WRITTEN - HOUR + START_SLACK_MS, True, 0, id="it was, right after the start"),
        pytest.param(WRITTEN - HOUR, None, True, 0, id="its start is not known"),
        pytest.param(WRITTEN - HOUR, BEGAN, False, 0, id="the owner is gone"),
        pytest.param(None, BEGAN, True, 0, id="the lock names no time"),
    ],
)
def test_the_owners_time_beside_the_kernels(created: int | None, began: int | None, alive: bool, offset: int) -> None:
    file = LockFile("/tmp/gateway.1.lock", LockKind.GATEWAY, LockIdentity(1, 1, ""), WRITTEN, {})
    owner = ProcessEvidence(7, alive=alive, started_at=began)
    held = Verdict(VerdictKind.HELD, ("alive", "same-start"))
    lock = Lock(file, 7, created, None, None, owner, held, OpenClawVerdict(False, (), False))
    assert clock_offset(lock) == offset


@pytest.mark.parametrize("offset", [-HOUR, 0, HOUR])
def test_a_run_is_as_old_as_by_the_gateways_clock(offset: int) -> None:
    """Ten seconds by it: neither hung for an hour, nor yet to come; the disagreement itself is named."""
    began = NOW + offset - 10_000
    gateway = Gateway(
        GatewayState.LIVE, 7, 18789, began - HOUR, serving=Serving.ANSWERS, clock_offset=offset, has_answered=True
    )
    sign = Witness(WitnessKind.STATUS, True, "stored as running", at=began, since=began)
    run = Session("main", "agent:main:main", "s", None, status="running", active=True, witnesses=(sign,))
    world = replace(CALM, gateway=gateway, sessions=(run,), warnings=(), taken_at=NOW, judged_at=None)
    assert world.as_of == NOW + offset
    health = judge(world, world.as_of)
    assert [cause.code for cause in health.causes] == (["clocks-disagree"] if offset else [])
    hung = judge(world, world.as_of + HOUR).causes[0]
    assert (hung.code, hung.level) == ("hung", Level.SILENT)


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        (-HOUR + 4, "the gateway's clock is 60 min behind this machine's; times here follow the gateway's"),
        (HOUR, "the gateway's clock is 60 min ahead of this machine's; times here follow the gateway's"),
    ],
)
def test_it_is_said_by_how_much(offset: int, words: str) -> None:
    gateway = Gateway(GatewayState.LIVE, 7, 18789, NOW - HOUR, serving=Serving.ANSWERS, clock_offset=offset)
    (cause,) = judge(replace(CALM, gateway=gateway, sessions=(), warnings=()), NOW).causes
    assert (cause.text, cause.level) == (words, Level.ATTENTION)


def test_a_past_time_is_no_clocks() -> None:
    gateway = Gateway(GatewayState.LIVE, 7, 18789, clock_offset=HOUR)
    assert replace(CALM, gateway=gateway, judged_at=5).as_of == 5
