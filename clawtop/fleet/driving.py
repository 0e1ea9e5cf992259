"""Runs on another host, driven from its dashboard: the engine there runs them, watched and controlled from here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from clawtop.core.model import Event, EventKind, ModelRef
from clawtop.core.operations.outcome import OperationOutcome
from clawtop.core.session.turn_request import TurnRequest
from clawtop.engine.drive.events import AccountWait, Phase, ReplyDiscarded, ReplyText, RunItem
from clawtop.engine.drive.handle import RunItems
from clawtop.engine.drive.turn import TurnAnswer
from clawtop.engine.providers.base import Usage
from clawtop.errors import ClawtopError, OperationFailedError
from clawtop.fleet.protocol import is_whole
from clawtop.fleet.remote import JournalWord, LostError, told_error
from clawtop.fleet.steering import Steered, Steers, Told
from clawtop.nested import mapping
from clawtop.text import shown

_EVENT = TypeAdapter(Event)


class RemoteEngine:
    """Replaces this machine's driver. Nothing is started before the first `drive`."""

    def __init__(self, steers: Steers) -> None:
        self._steers = steers
        self._drives: set[RemoteDrive] = set()

    @property
    def journal_problem(self) -> ClawtopError | None:
        """The journal is the host's, which reports its own problems."""
        return None

    def drive(self, request: TurnRequest) -> RemoteDrive:
        """Begin a turn there."""
        model, timeout_s, wait_s = request.model, request.timeout_s, request.wait_for_account_s
        options = {
            "--agent": request.agent,
            "--lane": request.lane,
            "--model": None if model is None else f"{model.provider}/{model.model}",
            "--timeout": None if timeout_s is None else f"{timeout_s:g}",
            "--wait-for-account": None if wait_s is None else f"{wait_s:g}",
        }
        given = [f"{name}={value}" for name, value in options.items() if value is not None]
        words = ("drive", f"--session={request.session}", f"--on-contention={request.on_contention.value}", *given)
        drive = RemoteDrive(self._steers.make(), words, request.message)
        self._drives.add(drive)
        drive.task.add_done_callback(lambda _: self._drives.discard(drive))
        return drive

    async def aclose(self) -> None:
        """Stop all runs."""
        drives = tuple(self._drives)
        for drive in drives:
            drive.cancel()
        for drive in drives:
            await drive.ended()


class RemoteDrive:
    """One turn on another host, as `engine.drive.handle.Drive`."""

    def __init__(self, steered: Steered, words: Sequence[str], message: str) -> None:
        self.run_id = steered.id
        self._steered = steered
        self._items = RunItems()
        self.task: asyncio.Task[TurnAnswer] = asyncio.get_running_loop().create_task(
            self._turn(words, message), name=f"run {steered.id} on {steered.host}"
        )
        self.task.add_done_callback(self._over)

    def __aiter__(self) -> AsyncIterator[RunItem]:
        return aiter(self._items)

    async def result(self) -> TurnAnswer:
        """The answer. Raises ClawtopError; CancelledError when it was cancelled."""
        return await asyncio.shield(self.task)

    async def ended(self) -> None:
        """Wait until it has ended, whatever the outcome."""
        await asyncio.wait({self.task})

    def rotate(self) -> str | None:
        """Ask for the next profile; the host's answer arrives as an event."""
        if self.task.done():
            return "the run has ended"
        return None if self._steered.say({"rotate": True}) else "the host cannot be reached yet"

    def cancel(self) -> None:
        """End it: everything that it holds there is released."""
        self.task.cancel()

    def _over(self, task: asyncio.Task[TurnAnswer]) -> None:
        if not task.cancelled():
            task.exception()  # the result is available on request
        self._items.end()

    async def _turn(self, words: Sequence[str], message: str) -> TurnAnswer:
        try:
            last = await self._steered.run(words, self._take, first={"message": message})
        except LostError as error:
            return self._from_the_journal(await self._steered.found(error, "the run"))
        if last["type"] == "error":
            raise self._failure(last)
        return _answer(last)

    def _take(self, line: Told) -> bool:
        """One line; whether it is the last."""
        match line.get("type"):
            case "answer":
                return True
            case "text" if isinstance(line.get("text"), str):
                self._items.put(ReplyText(line["text"]))
            case "discarded" if is_whole(line.get("chars")):
                self._items.put(ReplyDiscarded(line["chars"]))
            case "phase" if is_whole(line.get("at")):
                self._items.put(Phase(shown(line.get("phase", ""), 40), line["at"]))
            case "waiting" if isinstance(line.get("profile"), str) and is_whole(line.get("left_ms")):
                until = self._steered.now_ms() + line["left_ms"]
                self._items.put(AccountWait(shown(line["profile"], 120), until))
            case "event" if line.get("run_id") == self.run_id:
                self._hear(line)
            case "rotated" if isinstance(line.get("why"), str):
                self._items.put(self._notice(f"not rotated: {shown(line['why'], 200)}"))
        return False

    def _hear(self, line: Told) -> None:
        facts = {name: value for name, value in line.items() if name not in {"schema", "type"}}
        facts |= {name: shown(value, 300) for name, value in facts.items() if isinstance(value, str)}
        forced = mapping(line.get("data")).get("forced") is True
        try:
            self._items.put(_EVENT.validate_python({**facts, "data": {"forced": True} if forced else {}}))
        except ValidationError:
            self._items.put(self._notice("an unexpected event: the clawtop there is another version"))

    def _notice(self, text: str) -> Event:
        return Event(0, EventKind.NOTICE, self._steered.host, text, run_id=self.run_id)

    def _failure(self, last: Told) -> ClawtopError:
        return told_error(self._steered.host, last, OperationFailedError)

    def _from_the_journal(self, found: JournalWord) -> TurnAnswer:
        if found.outcome is not OperationOutcome.DONE:
            raise OperationFailedError(
                f"{self._steered.host}: the connection was lost; its journal says: {found.text}",
                unchanged="a turn that fails leaves the session as it was",
            )
        return TurnAnswer(
            text="",
            model=ModelRef("the model there", ""),
            profile=None,
            usage=Usage(),
            stop_reason="the connection was lost; the reply is in the session there",
            session_file=Path(),
            session_id="",
            forked_from=None,
            attempts=_whole(found.data.get("requests")),
            duration_ms=0,
        )


def _answer(line: Told) -> TurnAnswer:
    told, counts = line, mapping(line.get("tokens"))
    provider, _, model = shown(told.get("model", ""), 120).partition("/")
    forked, profile = told.get("forked_from"), told.get("profile")
    return TurnAnswer(
        text="",
        model=ModelRef(provider, model),
        profile=shown(profile, 120) if isinstance(profile, str) else None,
        usage=Usage(
            input=_whole(counts.get("input")),
            output=_whole(counts.get("output")),
            cache_read=_whole(counts.get("cache_read")),
            cache_write=_whole(counts.get("cache_write")),
        ),
        stop_reason=shown(told.get("stop_reason", ""), 60),
        session_file=Path(shown(told.get("session_file", ""), 400)),
        session_id=shown(told.get("session_id", ""), 120),
        forked_from=Path(shown(forked, 400)) if isinstance(forked, str) else None,
        attempts=_whole(told.get("requests")),
        duration_ms=_whole(told.get("duration_ms")),
    )


def _whole(value: object) -> int:
    return value if is_whole(value) else 0
