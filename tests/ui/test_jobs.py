"""The engine of a dashboard's runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from clawtop.core.session.turn_request import TurnRequest
from clawtop.errors import RefusedError
from clawtop.ui.jobs import Jobs
from clawtop.ui.ports import JobPorts
from tests.support.clocks import ManualClock

pytestmark = pytest.mark.anyio


class Engine:
    """Refuses every turn."""

    def drive(self, request: TurnRequest) -> Any:
        raise RefusedError(f"{request.session} is not driven")


async def test_runs_that_begin_at_once_share_one_engine() -> None:
    made: list[Engine] = []

    def engine() -> Any:
        made.append(Engine())
        return made[-1]

    nothing: Any = None
    jobs = Jobs(JobPorts(drains=nothing, engine=engine, recoveries=nothing), ManualClock())
    runs = (jobs.start_run(TurnRequest(session, "hello")) for session in ("one", "two"))
    refused = await asyncio.gather(*runs, return_exceptions=True)
    assert [type(error) for error in refused] == [RefusedError, RefusedError]
    assert len(made) == 1
