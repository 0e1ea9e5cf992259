"""Reads that may hang: each source has its own deadline, and one that misses it delays nobody else.

A hanging disk or mount blocks a system call indefinitely. So a source is read in a thread, which is abandoned when its
time is over: a late result is used in the next read. No source is asked again before it has answered, so there are
never more threads than hanging sources.
"""

from __future__ import annotations

import contextvars
import queue
import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from clawtop.clock import Clock, processor_seconds
from clawtop.core.model import Moment, Problem, Sentence, joined, timed_problem
from clawtop.text import safe

T = TypeVar("T")

NO_ANSWER = "no-answer"
"""The code of the problem of a source that does not answer."""

ANSWER_S = 5.0
"""How long a repeatedly read source has to answer."""

ANSWER_ONCE_S = 30.0
"""The same for commands that read everything only once."""

NEXT_ANSWER_S = 0.25
"""The same while another source does not answer: usually they are on the same mount."""


WORKS = 0.02
"""A thread that uses this share of a processor is reading something large; a hung one uses none."""


class NoAnswerError(Exception):
    """A source has not answered in time. `problem` says since when, and how old its last data is."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


class TimedReads:
    """Reads the sources of one reader. Used by one thread at a time; `ask` starts the others.

    Mutable state: `_silent` (what has not answered yet), `_answered` (when each did last, ms since epoch), `_worker`.
    """

    def __init__(self, clock: Clock, seconds: float | None) -> None:
        """`seconds`: how long a source has; None: without limit, in the caller's own thread."""
        self._clock = clock
        self._seconds = seconds
        self._silent: dict[str, _SourceRead] = {}
        self._answered: dict[str, int] = {}
        self._worker: _Worker | None = None

    def ask(self, source: str, where: str, read: Callable[[], T]) -> T:
        """What `read` returns or raises, or the late result of the last time. `where` names the source for people.

        Raises NoAnswerError. `read` may still be running then: it must touch nothing that others use.
        """
        if self._seconds is None:
            return read()
        question = self._silent.get(source)
        if question is None:
            seconds = NEXT_ANSWER_S if self._silent else self._seconds
            question = self._begun(read)
        else:
            seconds = 0.0
        if not question.answered(seconds):
            self._silent[source] = question
            if self._worker is not None and question.worker is self._worker:
                self._worker.questions.put(None)  # its last one; the next read uses another thread
                self._worker = None
            raise NoAnswerError(self._problem(source, where, question))
        self._silent.pop(source, None)
        value: T = question.result()
        self._answered[source] = self._clock.now_ms()
        return value

    def is_silent(self, source: str) -> bool:
        """Whether it was asked and has not answered."""
        return source in self._silent

    def _begun(self, read: Callable[[], Any]) -> _SourceRead:
        if self._worker is None:
            self._worker = _Worker()
            # A reader that is no longer referenced ends its thread, and with it its open databases.
            weakref.finalize(self, self._worker.questions.put, None).atexit = False
        question = _SourceRead(read, self._clock.now_ms(), self._worker)
        self._worker.questions.put(question)
        return question

    def _problem(self, source: str, where: str, question: _SourceRead) -> Problem:
        last = self._answered.get(source)
        known: Sentence = (
            "nothing is known about it" if last is None else ("what is shown of it was read at ", Moment(last))
        )
        began: Sentence = ("has not answered since ", Moment(question.asked_at), ": a disk or a mount that hangs; ")
        return timed_problem(NO_ANSWER, safe(where), joined(began, known))


class LastAnswers:
    """The latest answers of one reader's sources. Used by one thread at a time.

    Attributes:
        reading: where something is being read right now.
    """

    def __init__(self, reads: TimedReads) -> None:
        self._reads = reads
        self._kept: dict[str, Any] = {}
        self.reading = ""

    def __call__(self, source: str, where: str, read: Callable[[], T], else_: Any, warnings: list[Problem]) -> T:
        """The result of `read`; if it does not answer in time, the last one or `else_`, with a warning."""
        self.reading = where
        try:
            found = self._kept[source] = self._reads.ask(source, where, read)
        except NoAnswerError as silent:
            warnings.append(silent.problem)
            found = self._kept.get(source, else_)
        value: T = found
        return value


class _SourceRead:
    """One read, by another thread."""

    def __init__(self, read: Callable[[], Any], asked_at: int, worker: _Worker) -> None:
        self._read = read
        self._context = contextvars.copy_context()
        self._value: Any = None
        self._error: BaseException | None = None
        self.asked_at = asked_at
        self.worker = worker
        self.done = threading.Event()

    def answered(self, seconds: float) -> bool:
        """Whether it answers within this many seconds, or later if the thread is working rather than hanging."""
        if seconds <= 0:
            return self.done.is_set()
        waited, worked = 0.0, self.worker.worked()
        while not self.done.wait(seconds):
            waited, before, worked = waited + seconds, worked, self.worker.worked()
            if worked - before < seconds * WORKS or waited >= ANSWER_ONCE_S:
                return False
        return True

    def answer(self) -> None:
        try:
            self._value = self._context.run(self._read)
        except BaseException as error:  # noqa: BLE001 - it is the asker's
            self._error = error
        finally:
            self.done.set()

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value


class _Worker:
    """A thread that reads; a daemon, so that it never keeps the process alive."""

    def __init__(self) -> None:
        self.questions: queue.SimpleQueue[_SourceRead | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="clawtop reader", daemon=True)
        self._thread.start()

    def worked(self) -> float:
        """CPU seconds used. Called only while the thread has work: the clock of an ended thread must not be read."""
        return (processor_seconds(self._thread.ident) if self._thread.ident is not None else None) or 0.0

    def _work(self) -> None:
        while (question := self.questions.get()) is not None:
            question.answer()
            del question  # the result belongs to the caller; the waiting thread must not keep it alive
