"""`clawtop drive --batch`: many turns from JSON lines, several at a time; each result is printed when ready."""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from clawtop import nested, threads
from clawtop.cli.drive_output import SCHEMA, JsonOutput, answer_facts, failure_facts, stop_exit
from clawtop.cli.driving import cancel_on_signals, exit_code, model_named, open_driver, read_system, turn_request
from clawtop.errors import ClawtopError, UsageError
from clawtop.redaction import masked
from clawtop.text import safe
from clawtop.values import dataclass

if TYPE_CHECKING:
    from clawtop.core.model import Event, ModelRef
    from clawtop.engine.drive.driver import Driver

JOBS = 4
NOT_BEGUN_EXIT = 5
MAX_BYTES = 256 * 1024 * 1024
FIELDS = frozenset({"id", "session", "message", "model", "system", "new"})


@dataclass(frozen=True, slots=True)
class Item:
    """One turn of a batch. `id` names its result: the line's own, else its number. `line`: that number."""

    id: str
    line: int
    session: str
    message: str
    model: ModelRef | None
    system: str | None
    new: bool


class SessionQueues:
    """The turns that are still to begin: of each session one at a time, as its lines stand in the batch."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._waiting: dict[str, deque[Item]] = {}
        for item in items:
            self._waiting.setdefault(item.session, deque()).append(item)
        self._free = [(waiting[0].line, session) for session, waiting in self._waiting.items()]
        heapq.heapify(self._free)

    def take(self) -> Item | None:
        """The first turn whose session is free; None: those that are left follow turns under way."""
        return self._waiting[heapq.heappop(self._free)[1]].popleft() if self._free else None

    def ended(self, item: Item) -> None:
        """A turn that was taken is over."""
        if waiting := self._waiting[item.session]:
            heapq.heappush(self._free, (waiting[0].line, item.session))


@dataclass
class Batch:
    """A batch under way: what was spent, and the first line that failed, with its exit code."""

    driver: Driver
    args: argparse.Namespace
    out: Any = None
    spent_usd: float = 0.0
    spent_tokens: int = 0
    first_failed: tuple[int, int] | None = None
    answered: int = 0
    failed: int = 0
    not_begun: int = 0
    unpriced: set[str] = field(default_factory=set)
    _starts: asyncio.Lock = field(default_factory=asyncio.Lock)
    _next_start: float = 0.0

    @property
    def is_spent(self) -> bool:
        args = self.args
        over_usd = args.budget is not None and self.spent_usd >= args.budget
        return over_usd or (args.max_tokens_total is not None and self.spent_tokens >= args.max_tokens_total)

    async def one(self, item: Item) -> None:
        """Drive one turn and report its result."""
        await self._my_turn()
        if self.is_spent:
            self.not_begun += 1
            return
        request = turn_request(self.args, item.session, item.message, model=item.model)
        run = self.driver.drive(replace(request, system=item.system, may_create=item.new))
        try:
            answer = await run.result()
        except ClawtopError as error:
            self._ended(item, exit_code(error), _failure(error, run.unstored))
            return
        except asyncio.CancelledError:
            run.cancel()
            await run.ended()
            if run.stored is not None:  # a batch that is resumed does not ask again
                self._ended(item, stop_exit(run.stored), answer_facts(run.stored), ok=True)
            raise
        cost = answer.cost.get("total", 0.0)
        if not cost and answer.usage.total:
            self.unpriced.add(str(answer.model))
        self.spent_usd += cost
        self.spent_tokens += answer.usage.total
        self._ended(item, stop_exit(answer), answer_facts(answer), ok=True)

    async def _my_turn(self) -> None:
        """Wait until the rate lets another turn begin."""
        if self.args.rate is None:
            return
        async with self._starts:
            from clawtop.clock import SystemClock

            clock = SystemClock()
            wait = self._next_start - clock.monotonic()
            if wait > 0:
                await clock.sleep(wait)
            self._next_start = max(clock.monotonic(), self._next_start) + 60.0 / self.args.rate

    def _ended(self, item: Item, code: int, facts: Mapping[str, Any], *, ok: bool = False) -> None:
        if code:
            self.first_failed = min(self.first_failed or (item.line, code), (item.line, code))
        self.answered, self.failed = self.answered + ok, self.failed + (not ok)
        line = json.dumps({"schema": SCHEMA, "type": "result", "id": item.id, "ok": ok, "exit_code": code, **facts})
        print(line, flush=True)
        if self.out is not None:
            self.out.write(line.encode() + b"\n")
            self.out.flush()


def run_batch(args: argparse.Namespace, model: ModelRef | None) -> int:
    """Drive the turns of `--batch`."""
    done = _answered(args.out) if args.resume else frozenset[str]()
    items = [item for item in _items(args, model) if item.id not in done]
    signalled: list[int] = []
    try:
        return threads.run(_run(args, items, len(done), signalled.append))
    except asyncio.CancelledError:
        print("clawtop: cancelled; --resume continues with the lines that have no answer yet", file=sys.stderr)
        return 128 + signalled[0] if signalled else 130


async def _run(args: argparse.Namespace, items: list[Item], resumed: int, signalled: Any) -> int:
    cancel_on_signals(signalled)
    driver = open_driver(args, _Quiet())
    out = _appending(args.out) if args.out is not None else None
    batch = Batch(driver, args, out)
    todo = SessionQueues(items)

    async def worker() -> None:
        while (item := todo.take()) is not None:
            await batch.one(item)
            todo.ended(item)

    try:
        async with driver, asyncio.TaskGroup() as group:
            for _ in range(min(args.jobs or JOBS, len(items))):
                group.create_task(worker())
    finally:
        if out is not None:
            out.close()
    words = [f"{batch.answered} answered", f"{batch.failed} failed"]
    words += [f"{batch.not_begun} not started, the budget is spent"] if batch.not_begun else []
    words += [f"{resumed} already had an answer"] if resumed else []
    if batch.spent_usd:
        words.append(f"{batch.spent_usd:.4f} USD")
    print(f"clawtop: {', '.join(words)}, {batch.spent_tokens} tokens", file=sys.stderr)
    if args.budget is not None and batch.unpriced:
        models = ", ".join(safe(name, 80) for name in sorted(batch.unpriced))
        print(f"clawtop: no price is configured for {models}: its turns do not count against --budget", file=sys.stderr)
    failed = batch.first_failed[1] if batch.first_failed is not None else 0
    return failed or (NOT_BEGUN_EXIT if batch.not_begun else 0)


class _Quiet(JsonOutput):
    """Ignores progress: a batch reports results only."""

    def event(self, event: Event) -> None:
        """Ignore the event."""


def _failure(error: ClawtopError, unstored: str) -> dict[str, Any]:
    kept = {"unstored_text": masked(unstored)} if unstored else {}
    return {"error": type(error).__name__, "title": error.title, "hint": error.hint, **failure_facts(error), **kept}


def _items(args: argparse.Namespace, model: ModelRef | None) -> Iterator[Item]:
    """The turns of the file, checked before the first of them begins. Raises UsageError that names the line."""
    seen: dict[str, int] = {}
    for number, line in enumerate(_text(args.batch).splitlines(), 1):
        if not line.strip():
            continue
        where = f"line {number} of {safe(args.batch, 200)}"
        try:
            raw = nested.loads(line)
        except ValueError:
            raise UsageError(f"{where} is not JSON") from None
        item = _item(raw, where, number, args, model)
        if item.id in seen:
            raise UsageError(f"{where} has the id of line {seen[item.id]}: {safe(item.id, 80)}")
        seen[item.id] = number
        yield item


def _item(raw: Any, where: str, number: int, args: argparse.Namespace, model: ModelRef | None) -> Item:
    if not isinstance(raw, dict):
        raise UsageError(f"{where} is not an object")
    unknown = sorted(set(raw) - FIELDS)
    if unknown:
        raise UsageError(f"{where} has an unknown member: {safe(unknown[0], 60)}")
    session, message, system = raw.get("session", args.session), raw.get("message"), raw.get("system")
    if not isinstance(message, str) or not message.strip():
        raise UsageError(f"{where} has no message")
    if not isinstance(session, str) or not session:
        raise UsageError(f"{where} names no session", hint="give it one, or all of them with --session")
    if system is not None and not isinstance(system, str):
        raise UsageError(f"{where}: system is not text")
    return Item(
        id=str(raw.get("id", number)),
        line=number,
        session=session,
        message=message,
        model=model_named(raw["model"]) if raw.get("model") is not None else model,
        system=system if system is not None else read_system(args.system),
        new=raw["new"] is True if "new" in raw else args.new,
    )


def _text(source: str) -> str:
    if source == "-":
        return sys.stdin.read()
    from clawtop.store import door

    try:
        return door.read(source, MAX_BYTES, follow=door.Follow.OPERATOR).data.decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(f"the batch {safe(source)} cannot be read: {error.strerror or error}") from None


def _appending(path: str) -> Any:
    import os
    from io import BufferedWriter

    from clawtop.store import door
    from clawtop.store.disk import DiskFile

    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return BufferedWriter(DiskFile(door.open_file(path, flags, follow=door.Follow.OPERATOR)))
    except OSError as error:
        raise UsageError(f"{safe(path)} cannot be written: {error.strerror or error}") from None


def _answered(path: str | None) -> frozenset[str]:
    """The ids that a results file has an answer for."""
    if path is None:
        raise UsageError("--resume needs --out FILE, which has the results so far")
    from clawtop.store import door

    try:
        content = door.read(path, MAX_BYTES, follow=door.Follow.OPERATOR).data
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise UsageError(f"{safe(path)} cannot be read: {error.strerror or error}") from None
    found = set[str]()
    for line in content.splitlines():
        try:
            row = nested.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and row.get("ok") is True and isinstance(row.get("id"), str):
            found.add(row["id"])
    return frozenset(found)
