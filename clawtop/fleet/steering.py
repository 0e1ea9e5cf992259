"""A long-running verb on another host - a run, a drain, a recovery - controlled from here over lines of JSON.

The far side stops what it does when its stdin ends, so that nothing continues unwatched; if the far side does not
notice a lost connection at once, its journal has the outcome afterwards.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clawtop.clock import Clock
from clawtop.core.operations.outcome import OperationOutcome
from clawtop.errors import ClawtopError, OperationFailedError
from clawtop.fleet.protocol import DEAD_S, MAX_OPENED_LINE, ProtocolError, decode, encode
from clawtop.fleet.remote import (
    JournalWord,
    LostError,
    RemoteOperations,
    journal_word,
    lost_connection,
    refusal,
    searches,
)
from clawtop.fleet.transport import Connect, HostSpec, Pipe
from clawtop.text import shown

Told = Mapping[str, Any]

STOPPING_S = 10.0
"""How long a far verb may take to stop on request; then its connection is closed, which stops it too."""


class Steered:
    """One running far verb. Everything on one event loop; use it once.

    Attributes:
        id: names it in the host's journal.
    """

    def __init__(self, spec: HostSpec, connect: Connect, clock: Clock, operations: RemoteOperations) -> None:
        self.id = f"fleet-{secrets.token_hex(6)}"
        self.host = spec.name
        self._spec = spec
        self._connect = connect
        self._clock = clock
        self._operations = operations
        self._pipe: Pipe | None = None
        self._stopping = False

    def now_ms(self) -> int:
        """The time here, in ms since the epoch."""
        return self._clock.now_ms()

    def say(self, message: Told) -> bool:
        """Send the far verb a message; returns whether one is running."""
        if self._pipe is not None:
            self._pipe.write(encode(message))
        return self._pipe is not None

    async def run(
        self,
        words: Sequence[str],
        take: Callable[[Told], bool],
        *,
        first: Told | None = None,
        rest: Sequence[str] = (),
    ) -> Told:
        """Start `clawtop WORDS --steered ID REST`; hand its lines to `take`, which says whether a line is the last.

        Returns the last line. A cancelled call tells the far verb to stop, and waits for its last line for a while.

        Raises:
            CancelledError: it was stopped, here or there.
            LostError: the connection ended without a last line.
            ClawtopError: the host refused; the title names the host.
        """
        try:
            pipe = await self._connect(self._spec, (*words, "--json", "--steered", self.id, *rest))
        except OSError as error:
            raise LostError(error.strerror or str(error)) from error
        self._pipe = pipe
        if first is not None:
            pipe.write(encode(first))
        reading = asyncio.create_task(self._read(pipe, take), name=f"{words[0]} on {self.host}")
        try:
            try:
                last = await asyncio.shield(reading)
            except asyncio.CancelledError:
                if reading.done():
                    raise
                self.say({"cancel": True})
                last = await self._stopped(reading)
        finally:
            self._pipe = None
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            code, said = await asyncio.shield(pipe.close())
        if last is None:
            raise LostError(said.strip().rpartition("\n")[2] or f"exit {code}")
        if last.get("type") == "cancelled":
            raise asyncio.CancelledError
        if last.get("type") != "error" and isinstance(last.get("error"), dict):
            raise refusal(self.host, last)
        return last

    async def _stopped(self, reading: asyncio.Task[Told | None]) -> Told | None:
        try:
            async with self._clock.timeout(STOPPING_S):
                return await asyncio.shield(reading)
        except (TimeoutError, LostError):
            raise asyncio.CancelledError from None

    async def _read(self, pipe: Pipe, take: Callable[[Told], bool]) -> Told | None:
        """Lines until the last one; None when the stream ended before it. Raises LostError on silence, and garbage."""
        pipe.longest = MAX_OPENED_LINE
        while True:
            try:
                async with self._clock.timeout(DEAD_S):
                    line = await pipe.read_line()
                if not line:
                    return None
                message = decode(line)
            except TimeoutError:
                raise LostError(f"no data for {round(DEAD_S)} s") from None
            except ProtocolError as error:
                raise LostError(f"it sends an unexpected answer: {shown(error, 120)}") from error
            if message.get("type") in ("error", "cancelled") or isinstance(message.get("error"), dict):
                return message
            if take(message):
                return message

    async def found(self, lost: LostError, what: str) -> JournalWord:
        """Its outcome, from the host's journal. Raises OperationFailedError if it cannot be determined."""
        words = str(lost)
        async for _ in searches(self._clock):
            try:
                answer = await self._operations.ask(("receipt", self.id, "--json"))
            except (LostError, ClawtopError) as error:
                words = str(error)
            else:
                told = journal_word(answer)
                if told.outcome in {OperationOutcome.DONE, OperationOutcome.FAILED}:
                    return told
                words = "it was under way" if told.outcome is OperationOutcome.BEGUN else "it had not started"
        raise lost_connection(self.host, self.id, words, during=what, unchanged="its outcome is not known")


class Steers:
    """Makes steered verbs of one host."""

    def __init__(self, spec: HostSpec, connect: Connect, clock: Clock, operations: RemoteOperations) -> None:
        self.host = spec.name
        self._parts = (spec, connect, clock, operations)

    def make(self) -> Steered:
        return Steered(*self._parts)

    def lost(self, error: LostError, what: str) -> OperationFailedError:
        """The connection was lost, and the host's journal has no word on `what` under its id."""
        return OperationFailedError(
            f"the connection to {self.host} was lost during {what}: {shown(error, 200)}",
            unchanged="its outcome is not known",
        )

    async def ask(self, words: Sequence[str]) -> Mapping[str, Any]:
        """The JSON object of a read-only verb. Raises what the host refuses with; OperationFailedError."""
        try:
            return await self._parts[3].ask(words)
        except LostError as error:
            raise OperationFailedError(
                f"{self.host} does not answer: {shown(error, 200)}", unchanged="nothing was changed"
            ) from error
