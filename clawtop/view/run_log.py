"""What one driven run has reported so far: phases, attempts, events, the reply. `heard` and its like add to it."""

from __future__ import annotations

from dataclasses import field, replace

from clawtop.core.model import Event, EventKind
from clawtop.core.session.turn_request import TurnRequest
from clawtop.values import dataclass
from clawtop.view.line import Line, Tone

HOLDER, LOCK = "holder", "lock"
STEPS = ("lane", HOLDER, LOCK, "prompt", "stream", "append")
"""The phases of a run, in words."""

_STEP_OF_PHASE = {
    "waiting-lane": "lane",
    "locking": HOLDER,
    "prompting": "prompt",
    "streaming": "stream",
    "appending": "append",
}

KEPT_EVENTS = 200


@dataclass(frozen=True, slots=True)
class RequestLine:
    """One request of the run. `verdict` is empty while it is under way."""

    number: int
    model: str
    profile: str | None
    began: int
    ended: int | None = None
    verdict: str = ""
    ok: bool = False


@dataclass(slots=True)
class RunLog:
    """A run being watched; changed on the event loop only, by whoever listens to the run.

    Attributes:
        began: ms since the epoch. step_since: the same, of the current step.
        account: the account that it waits for, and when that is usable again (ms since the epoch).
        text: the reply so far; `voided` counts the characters of discarded partial replies.
        end: the outcome, one line per fact; None while it runs.
    """

    run_id: str
    request: TurnRequest
    began: int
    step: str = "lane"
    step_since: int = 0
    passed: set[str] = field(default_factory=set)
    attempts: list[RequestLine] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    account: tuple[str, int] | None = None
    text: str = ""
    voided: int = 0
    ended_at: int | None = None
    end: tuple[Line, ...] | None = None
    ended_well: bool = False

    @property
    def waits_for(self) -> str | None:
        """The holder it is waiting for, in the words of the latest event about it."""
        told = self.events[-1] if self.events else None
        return told.text if told is not None and told.kind is EventKind.WAIT else None

    def entered(self, phase: str, at: int) -> None:
        """The run entered a phase of the engine."""
        self.account = None
        step = _STEP_OF_PHASE.get(phase)
        if step is None:
            return
        self._to(step, at)
        if step == HOLDER:  # another attempt begins
            self.passed -= {HOLDER, LOCK, "prompt", "stream"}

    def waits_for_account(self, profile: str, until: int) -> None:
        """Every account is cooling; the run continues when this one is back."""
        self.account = (profile, until)

    def happened(self, event: Event) -> None:
        """The engine reported something about the run."""
        self.events = [*self.events[-KEPT_EVENTS:], event]
        match event.kind:
            case EventKind.ACQUIRE if self.step == HOLDER:
                self._to(LOCK, event.at)
            case EventKind.ATTEMPT:
                self._close(event.at, "given up")
                model = f"{event.provider}/{event.model}"
                self.attempts.append(RequestLine(len(self.attempts) + 1, model, event.profile, event.at))
            case EventKind.FAILURE:
                self._close(event.at, f"{event.reason or 'failed'}: {event.text}")
            case EventKind.ROTATE if event.data.get("forced"):
                self._close(event.at, "rotated by hand, no mark")
            case EventKind.TAKEOVER:
                self._close(event.at, "taken over")
            case EventKind.REPLY:
                self._close(event.at, "replied", ok=True)

    def said(self, text: str) -> None:
        """Another piece of the reply."""
        self.text += text

    def discarded(self) -> None:
        """The reply so far is discarded."""
        self.voided += len(self.text)
        self.text = ""

    def over(self, at: int, lines: tuple[Line, ...], *, well: bool) -> None:
        """The run has ended."""
        self._close(at, "cut short")
        if well:
            self.passed |= set(STEPS)
        self.ended_at, self.end, self.ended_well, self.account = at, lines, well, None

    def _to(self, step: str, at: int) -> None:
        if step != self.step:
            self.passed.add(self.step)
        self.passed.discard(step)
        self.step, self.step_since = step, at

    def _close(self, at: int, verdict: str, *, ok: bool = False) -> None:
        if self.attempts and self.attempts[-1].ended is None:
            self.attempts[-1] = replace(self.attempts[-1], ended=at, verdict=verdict, ok=ok)


def end_lines(title: str, tone: Tone, *facts: str) -> tuple[Line, ...]:
    """How a run ended: one word, then the details."""
    return (((title, tone),), *(((fact, Tone.PLAIN),) for fact in facts if fact))
