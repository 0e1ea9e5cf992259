"""What claims and queued inputs tell of a session (2026.8 on), by what is known of the gateway."""

from __future__ import annotations

import pytest

from clawtop.core.model import Gateway, GatewayState, Session
from clawtop.core.session.turns import Claim, QueuedTurn, Records, told_by_claims

NOW = 1_800_000_000_000
CLAIM = Claim("run-1", "local", NOW - 5_000)
OLD_CLAIM = Claim("run-1", "local", NOW - 500_000)
QUEUED = (QueuedTurn("run-2", NOW - 3_000),)
GATEWAY_BEGAN = NOW - 100_000


@pytest.mark.parametrize(
    ("gateway", "status", "records", "running", "waiters"),
    [
        (GatewayState.LIVE, "running", Records(CLAIM, ()), [True], 0),
        (GatewayState.LIVE, "running", Records(CLAIM, QUEUED), [True], 1),
        (GatewayState.LIVE, "running", Records(OLD_CLAIM, ()), [False], 0),
        (GatewayState.LIVE, "done", Records(None, ()), [False], 0),
        (GatewayState.LIVE, "done", Records(None, QUEUED), [None], 1),
        (GatewayState.DEAD, "running", Records(CLAIM, QUEUED), [False], 0),
        (GatewayState.ABSENT, "running", Records(None, QUEUED), [False], 0),
        (GatewayState.UNKNOWN, "running", Records(CLAIM, QUEUED), [None], 0),
        (GatewayState.UNKNOWN, "done", Records(CLAIM, ()), [None], 0),
        (GatewayState.UNKNOWN, "running", Records(None, ()), [None], 0),
        (GatewayState.UNKNOWN, "done", Records(None, QUEUED), [None], 0),
        (GatewayState.UNKNOWN, "done", Records(None, ()), [False], 0),
    ],
)
def test_what_claims_and_queued_inputs_tell(
    gateway: GatewayState,
    status: str,
    records: Records,
    running: list[bool | None],
    waiters: int,
) -> None:
    session = Session("main", "agent:main:main", "s", None, status=status)
    told = told_by_claims(session, records, Gateway(gateway), GATEWAY_BEGAN, NOW)
    assert [witness.running for witness in told.witnesses] == running
    assert len(told.waiters) == waiters


def test_inputs_that_may_wait_are_counted_where_the_gateway_is_not_known() -> None:
    session = Session("main", "agent:main:main", "s", None, status="done")
    told = told_by_claims(session, Records(None, QUEUED), Gateway(GatewayState.UNKNOWN), None, NOW)
    (witness,) = told.witnesses
    assert (witness.waiting, witness.what) == (1, "it is not known whether its gateway is alive")
