"""What another host answers to the verbs that run there: plans, receipts, drains, runs, recoveries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

from clawtop.clock import Deadline, SystemClock
from clawtop.core.operations.plan import Plan, PlanKind
from clawtop.core.session.drain import DrainListener, DrainRequest, DrainWishes
from clawtop.core.session.turn_request import TurnRequest
from clawtop.errors import ClawtopError
from clawtop.fleet.draining import RemoteDrains, RemoteRecoveries
from clawtop.fleet.driving import RemoteEngine
from clawtop.fleet.executor import RemoteExecutor
from clawtop.fleet.lines import LineBuffer
from clawtop.fleet.protocol import MAX_LINE
from clawtop.fleet.remote import RemoteOperations
from clawtop.fleet.steering import Steers
from clawtop.fleet.transport import HostSpec
from clawtop.view.line import text_of
from clawtop.view.plan_lines import receipt_lines, receipt_text

PLAN = Plan(PlanKind.CLEAR, "Clear fakeai:one", "fakeai:one", "main", "/s/auth-state.json", "ad6ae1dd86078042")
"""As far-answer.json has it."""


class FarPipe:
    """A far command that says this, in pieces, and ends."""

    def __init__(self, said: bytes, random: Random) -> None:
        size = random.randint(1, 1 + len(said))
        self._chunks = [said[at : at + size] for at in range(0, len(said), size)]
        self._lines = LineBuffer()
        self.longest = MAX_LINE

    async def read_line(self) -> bytes:
        await asyncio.sleep(0)
        while (line := self._lines.next_line(self.longest)) is None:
            if not self._chunks:
                return self._lines.last()
            self._lines.feed(self._chunks.pop(0))
        return line

    def write(self, line: bytes) -> None:
        assert line.endswith(b"\n")

    async def close(self) -> tuple[int | None, str]:
        return 255, "\x1b[2Jclosed"


class HurryingClock(SystemClock):
    """Whoever sleeps on it goes on at once, that much later."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead

    async def sleep(self, seconds: float) -> None:
        self._ahead += max(0.0, seconds)
        await asyncio.sleep(0)

    def timeout_at(self, when: float | None) -> Deadline:
        return super().timeout_at(None if when is None else when - self._ahead)


async def far_verbs(content: bytes, random: Random) -> Sequence[str]:
    """Every verb, answered with this; what is shown of each."""

    async def connect(spec: HostSpec, words: Sequence[str]) -> FarPipe:
        assert spec.name == "far"
        assert all("\0" not in word for word in words)
        return FarPipe(content, random)

    spec, clock, shown = HostSpec("far"), HurryingClock(), list[str]()
    operations = RemoteOperations(spec, connect, clock, who="me@here")
    steers = Steers(spec, connect, clock, operations)

    async def execute() -> None:
        receipt = await RemoteExecutor(operations, "far")(PLAN, None, lambda _: None)  # type: ignore[arg-type]
        shown.extend(text_of(line) for line in receipt_lines(receipt, 80))
        shown.extend(receipt_text(receipt))

    async def drain() -> None:
        listener = DrainListener(lambda step: shown.append(step.text), lambda wait, _left: shown.append(wait.why))
        draining = RemoteDrains(steers).prepare(DrainRequest("s", "main", DrainWishes()), listener)
        preview = await asyncio.to_thread(draining.preview, lambda _: None)
        shown.extend(line for lines in preview.lines.values() for line in lines)
        outcome = await draining.drain()
        shown.extend([*outcome.words, *outcome.remedies, outcome.fresh or "", outcome.offer or ""])

    async def drive() -> None:
        engine = RemoteEngine(steers)
        answer = await engine.drive(TurnRequest("s", "hi", agent="main")).result()
        shown.extend([answer.stop_reason, str(answer.model), answer.profile or "", str(answer.session_file)])
        await engine.aclose()

    async def recover() -> None:
        found = await RemoteRecoveries(steers, lambda: None).recover(None, "s", "main", 5, shown.append)
        shown.extend([found.why, found.fresh or "", *found.words])

    verbs: tuple[Callable[[], Awaitable[Any]], ...] = (execute, drain, drive, recover)
    for verb in verbs:
        try:
            await verb()
        except ClawtopError as error:
            shown.append(str(error))
        except asyncio.CancelledError:
            continue  # as the far side said
    return shown
