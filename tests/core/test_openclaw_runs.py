"""Whose process works on a run of OpenClaw that holds no lock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clawtop.core.model import Gateway, GatewayState, ProcessEvidence, Witness, WitnessKind
from clawtop.core.session.openclaw_runs import openclaw_holders
from tests.support.worlds import CALM, GATEWAY_PID, NOW, SECOND, session

BEGAN = NOW - 70 * SECOND
SEEN = Witness(WitnessKind.TRAJECTORY, True, "its trajectory shows a run", at=NOW, since=BEGAN)
OWN = Witness(WitnessKind.PROCESS, True, "a process works on it", since=BEGAN, pid=77)
TYPED = tuple(ProcessEvidence(pid, True) for pid in (8123, 8124))


def denied(at: int | None) -> Witness:
    return Witness(WitnessKind.GATEWAY, False, "the gateway knows of no run in it", at=at)


@pytest.mark.parametrize(
    ("witnesses", "others", "pid"),
    [
        ((SEEN,), TYPED, GATEWAY_PID),
        ((SEEN, OWN), TYPED, 77),
        ((SEEN, denied(None)), TYPED[:1], 8123),
        ((SEEN, denied(NOW)), TYPED[:1], 8123),
        ((SEEN, denied(NOW)), TYPED, None),
        ((SEEN, denied(NOW)), None, None),
        ((SEEN, denied(BEGAN - 1)), TYPED[:1], GATEWAY_PID),
        ((SEEN, replace(denied(NOW), running=None)), TYPED[:1], GATEWAY_PID),
    ],
)
def test_a_run_is_the_gateways_unless_it_was_asked_since_and_said_no(
    witnesses: tuple[Witness, ...], others: tuple[ProcessEvidence, ...] | None, pid: int | None
) -> None:
    at_work = replace(session("main", "main", 1, active=True), witnesses=witnesses)
    gateway = Gateway(GatewayState.LIVE, GATEWAY_PID, 18789)
    snapshot = replace(CALM, sessions=(at_work,), locks=(), gateway=gateway, command_line=others)
    (holder,) = openclaw_holders(snapshot, lambda _file: False)
    assert holder.pid == pid
