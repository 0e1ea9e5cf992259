"""The demo's tour: seven questions of an operator at three in the morning, each answered by one key."""

from __future__ import annotations

from clawtop.commands import command, key_label
from clawtop.values import dataclass
from clawtop.view.fitting import cut, fitted, wrapped
from clawtop.view.line import Line, Tone


@dataclass(frozen=True, slots=True)
class Step:
    """A question, the command whose key answers it, and where the answer is on the screen."""

    question: str
    command_id: str
    answer: str


TOUR: tuple[Step, ...] = (
    Step(
        "Which account works?",
        "forecast",
        "One line per agent: 'answers now with ...'; below it, its models and their usable profiles.",
    ),
    Step(
        "When is the next one back?",
        "overview",
        "LEFT counts down each cooldown; larry has no credit: waiting won't help.",
    ),
    Step(
        "Why is this chat silent?",
        "next-pane",
        "HELD BY says who has it, TROUBLE what it waits for; Enter shows the row in full.",
    ),
    Step(
        "Who holds the lock, and since when?",
        "tree",
        "Each chain runs from the stuck session to the holder; SINCE counts up.",
    ),
    Step(
        "Who waits?",
        "lanes",
        "RUNS and QUEUED of each lane; in the tree, those who wait are named beside the holder.",
    ),
    Step(
        "What did the last operator do?",
        "timeline",
        "The heading says so: somebody cleared an account while you were asleep.",
    ),
    Step(
        "What do I press?",
        "tree",
        "REMEDY names the key: 'u' frees the harbour clerk. Operations need 'a' first.",
    ),
)
"""In the order in which they come up."""


class Tour:
    """The progress; 0 before the first key. It only watches keys: everything else works as usual."""

    def __init__(self) -> None:
        self.done = 0

    @property
    def awaited(self) -> Step | None:
        """The step whose key is next; None at the end."""
        return TOUR[self.done] if self.done < len(TOUR) else None

    def took(self, command_id: str) -> bool:
        """A command was run; returns whether it was the expected one."""
        if self.awaited is None or self.awaited.command_id != command_id:
            return False
        self.done += 1
        return True

    def lines(self, width: int) -> tuple[Line, ...]:
        """The answer to the last question, and the next question with its key; three lines of this width."""
        step = self.awaited
        if self.done:
            answered = TOUR[self.done - 1]
            text: Line = ((f" {answered.question} ", Tone.STRONG), (answered.answer, Tone.PLAIN))
        else:
            text = ((" Something is wrong on the reef. ", Tone.STRONG), ("Seven questions, one key each.", Tone.PLAIN))
        ask: Line
        if step is None:
            ask = ((" That was the tour. ", Tone.ACCENT), ("Stay if you like; q leaves the reef.", Tone.PLAIN))
        else:
            key = key_label(command(step.command_id).keys[0])
            place = f" {self.done + 1} of {len(TOUR)}  "
            ask = ((place, Tone.DIM), (f"{step.question}  press ", Tone.ACCENT), (key, Tone.KEY))
        answer = [cut(line, width) for line in wrapped(text, width - 1, 1)[:2]]
        return (*answer, *[()] * (2 - len(answer)), fitted(ask, width))


TOUR_LINES = 3
"""Lines that a tour uses at the bottom of every view."""
