"""Drains and recoveries on another host from its dashboard: run by the clawtop there, shown here step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from clawtop.core.model import Snapshot
from clawtop.core.operations.outcome import OperationOutcome
from clawtop.core.session.attention import AttentionReport
from clawtop.core.session.drain import (
    DrainListener,
    DrainOutcome,
    DrainPreview,
    DrainRequest,
    DrainStage,
    DrainStep,
    Wait,
)
from clawtop.core.session.recovery import RecoveryMove, SessionRecovery
from clawtop.errors import RefusedError
from clawtop.fleet.protocol import is_whole, texts
from clawtop.fleet.remote import LostError
from clawtop.fleet.steering import Steers, Told
from clawtop.text import shown

WITH_ABORT = "preview_with_gateway_abort"
"""The preview of a drain that has the gateway end its run, whatever was asked for."""

LOOK_S = 60.0
"""How long a preview may take."""


class RemoteDrains:
    """Prepares drains on one host. Made on the event loop; asked from threads too."""

    can_abort = True

    def __init__(self, steers: Steers) -> None:
        self._steers = steers
        self._loop = asyncio.get_running_loop()

    def prepare(self, request: DrainRequest, listener: DrainListener) -> RemoteDrain:
        """A drain of a session there; errors are raised when it is used."""
        return RemoteDrain(self._steers, self._loop, request, listener)


def _words(request: DrainRequest) -> tuple[str, ...]:
    wishes, agent = request.wishes, request.agent
    words = ["drain", f"--deadline={wishes.deadline_s:g}", f"--still={wishes.still_s:g}"]
    words += [f"--stop-after={wishes.stop_after_s:g}"] if wishes.stop_after_s is not None else []
    words += ["--gateway-abort"] if wishes.abort_in_gateway else []
    words += ["--stop-processes"] if wishes.stop_processes else []
    words += ["--fresh"] if wishes.fresh else []
    words += [f"--agent={agent}"] if agent is not None else []
    return (*words, "--", request.session)


class RemoteDrain:
    """One drain there, as `engine.drain.drainer.Drainer`."""

    def __init__(
        self, steers: Steers, loop: asyncio.AbstractEventLoop, request: DrainRequest, listener: DrainListener
    ) -> None:
        self._steers = steers
        self._steered = steers.make()
        self._loop = loop
        self._wishes = request.wishes
        self._words = _words(request)
        self._listener = listener
        self._steps: list[DrainStep] = []
        self.drain_id = self._steered.id

    def preview(self, told: Callable[[DrainPreview], None]) -> DrainPreview:  # noqa: ARG002 - a host answers once
        """What is held and what would be done; called in a thread. Raises ClawtopError."""
        verb, *rest = self._words
        asking = asyncio.run_coroutine_threadsafe(self._steers.ask((verb, "--dry-run", "--json", *rest)), self._loop)
        answer = asking.result(LOOK_S + 10)
        lines = {True: texts(answer[WITH_ABORT])} if WITH_ABORT in answer else {}
        return DrainPreview({**lines, self._wishes.abort_in_gateway: texts(answer.get("preview"))})

    async def drain(self) -> DrainOutcome:
        """Drain. Raises ClawtopError. Cancelling stops it there, and the session is open again."""
        verb, *rest = self._words
        try:
            last = await self._steered.run((verb, "--yes"), self._take, rest=rest)
        except LostError as error:
            found = await self._steered.found(error, "the drain")
            released = found.outcome is OperationOutcome.DONE
            lost = "the connection was lost; the journal there says: " + found.text
            return DrainOutcome(self.drain_id, released, (lost,), steps=tuple(self._steps))
        released = last.get("outcome") == "drained"
        fresh, offer = last.get("fresh"), last.get("offer")
        return DrainOutcome(
            self.drain_id,
            released,
            texts(last.get("proof" if released else "held_by")),
            steps=tuple(self._steps),
            fresh=shown(fresh, 400) if isinstance(fresh, str) else None,
            offer=shown(offer, 400) if isinstance(offer, str) else None,
            remedies=texts(last.get("remedies")),
        )

    def _take(self, line: Told) -> bool:
        if "outcome" in line:
            return True
        stage = next((one for one in DrainStage if one.value == line.get("stage")), None)
        at, left = line.get("at"), line.get("left_s")
        if line.get("type") == "step" and stage is not None and is_whole(at):
            step = DrainStep(at, stage, shown(line.get("text", ""), 300))
            self._steps.append(step)
            self._listener.on_step(step)
        elif line.get("type") == "wait" and isinstance(left, int | float) and 0 <= left < 1e6:
            self._listener.on_wait(Wait(shown(line.get("why", ""), 300), 0), float(left))
        return False


class RemoteRecoveries:
    """Recovers stuck sessions of one host."""

    def __init__(self, steers: Steers, latest: Callable[[], Snapshot | None]) -> None:
        """`latest`: the host's last snapshot, which says what is wrong with a session."""
        self._steers = steers
        self._latest = latest

    def assess(self, session: str, agent: str | None) -> AttentionReport | None:
        """What is wrong with a session according to the host's last snapshot. Raises RefusedError."""
        from clawtop.engine.drain.recovery import assess
        from clawtop.engine.drain.scene import DrainTarget

        snapshot = self._latest()
        rows = snapshot.sessions if snapshot is not None else ()
        mine = (row for row in rows if agent in {None, row.agent} and session in {row.key, row.file})
        row = next((row for row in mine if row.file is not None), None)
        if snapshot is None or row is None:
            raise RefusedError(f"{self._steers.host} has no such session", unchanged="nothing was done")
        return assess(snapshot, DrainTarget(row.agent, row.key, Path(row.file or "")))

    async def recover(
        self,
        engine: object,  # noqa: ARG002 - the one here drives; a recovery there has its own
        session: str,
        agent: str | None,
        wait_s: float,
        told: Callable[[str], None],
    ) -> SessionRecovery:
        """Recover it there, reporting each step. Raises ClawtopError."""

        def take(line: Told) -> bool:
            if line.get("type") in ("step", "told"):
                told(shown(line.get("text", ""), 300))
            return "move" in line

        steered = self._steers.make()
        of_agent = [f"--agent={agent}"] if agent is not None else []
        try:
            last = await steered.run(("recover", "--yes", f"--wait={wait_s:g}"), take, rest=[*of_agent, "--", session])
        except LostError as error:
            raise self._steers.lost(error, "the recovery") from error
        move = next((one for one in RecoveryMove if one.value == last.get("move")), RecoveryMove.NOTHING)
        fresh, free = last.get("fresh"), last.get("free")
        return SessionRecovery(
            move,
            shown(last.get("why", ""), 400),
            free=free is True,
            fresh=shown(fresh, 400) if isinstance(fresh, str) else None,
            words=texts(last.get("words")),
        )
