"""A drain in lines: its preview, its progress, and its outcome."""

from __future__ import annotations

from dataclasses import field
from datetime import tzinfo

from clawtop.core.session.drain import OUTCOMES, DrainOutcome, DrainPreview, DrainStage, DrainStep, DrainWishes
from clawtop.text import safe, shown
from clawtop.values import dataclass
from clawtop.view.fitting import wrapped
from clawtop.view.humanize import clock_time, span
from clawtop.view.line import EMPTY, Line, Piece, Tone, piece

STAGES = (DrainStage.SURVEY, DrainStage.CLOSE, DrainStage.WAIT, DrainStage.STOP, DrainStage.UNLOCK, DrainStage.PROVE)
_GAP: Piece = ("  ", Tone.PLAIN)
_STEP_TONES = {DrainStage.DRAINED: Tone.OK, DrainStage.NOT_RELEASED: Tone.BAD}


@dataclass(frozen=True, slots=True)
class DrainWait:
    """What the drain waits for, and until when at most (monotonic seconds). Usually the last step says the same."""

    why: str
    until: float


@dataclass(slots=True)
class DrainLog:
    """A drain being watched; changed on the event loop only. Times are monotonic seconds, except in steps.

    Attributes:
        released: proven; None while it runs.
        receipt: its outcome, one line per fact; empty while it runs.
    """

    session: str
    wishes: DrainWishes
    drain_id: str
    began: float
    steps: list[DrainStep] = field(default_factory=list)
    waiting: DrainWait | None = None
    released: bool | None = None
    receipt: tuple[Line, ...] = ()

    @property
    def stage(self) -> DrainStage:
        return self.steps[-1].stage if self.steps else DrainStage.SURVEY

    def stepped(self, step: DrainStep) -> None:
        """The drain did or found something."""
        self.steps.append(step)
        self.waiting = None

    def waits(self, why: str, until: float) -> None:
        """The drain is waiting."""
        self.waiting = DrainWait(why, until)

    def ended(self, released: bool, *lines: Line) -> None:
        """The drain has ended."""
        self.released = released
        self.waiting = None
        self.receipt = lines

    def left_s(self, now: float) -> float:
        """Seconds until it gives up."""
        return max(0.0, self.began + self.wishes.deadline_s - now)


def option_lines(wishes: DrainWishes, *, can_abort: bool, width: int) -> list[Line]:
    """The options to choose from before it starts."""
    after = "the conversation continues under a fresh session id" if wishes.fresh else "the session is reopened"
    if not can_abort:
        abort: Line = (("not possible: the gateway is not asked (--no-gateway)", Tone.FAINT),)
    elif wishes.abort_in_gateway:
        abort = (("the gateway ends its run; what waits behind it may be dropped", Tone.WARN),)
    else:
        abort = (("its run is left alone", Tone.PLAIN),)
    times = (
        f"a clawtop run is asked to stop after {wishes.stops_after_s:g} s;"
        f" the drain gives up after {wishes.deadline_s:g} s",
        Tone.PLAIN,
    )
    rows: tuple[tuple[str, str, Line], ...] = (
        ("f", "afterwards", piece(after)),
        ("g", "gateway", abort),
        (" ", "deadlines", (times,)),
    )
    return [
        line
        for key, label, value in rows
        for line in wrapped(((f" {key} ", Tone.KEY), (f"{label:<11}", Tone.DIM), *value), width, 14)
    ]


def preview_lines(
    session: str, preview: DrainPreview, wishes: DrainWishes, *, can_abort: bool, width: int
) -> list[Line]:
    """What holds the session and what would be done: the words of `clawtop drain --dry-run`."""
    lines = [*wrapped(piece(f"drain {safe(session)}", Tone.STRONG), width, 2), EMPTY]
    known = preview.of(wishes)
    if known is None or not preview.complete:
        waiting = "checking what that would do" if known is None else "the gateway is being asked what it runs"
        lines += wrapped(piece(waiting, Tone.WARN), width, 3)
    for text in known or ():
        is_step = text[:1].isdigit() or text.startswith(" ")
        tone = Tone.PLAIN if is_step else Tone.INFO
        lines += wrapped(piece(shown(text), Tone.WARN if text.startswith(" ") else tone), width, 3)
    return [*lines, EMPTY, *option_lines(wishes, can_abort=can_abort, width=width)]


def progress_lines(log: DrainLog, now: float, zone: tzinfo | None, width: int) -> list[Line]:
    """Its progress, or how it ended."""
    lines = [
        *wrapped(piece(f"drain {safe(log.session)}", Tone.STRONG), width, 2),
        *wrapped(_stages(log, now), width, 2),
        EMPTY,
    ]
    for step in log.steps:
        if log.receipt and step.stage in OUTCOMES:
            continue  # the receipt says the same, at length
        head: Line = (
            (f"{clock_time(step.at, zone)}  ", Tone.DIM),
            (f"{step.stage:<13}", _STEP_TONES.get(step.stage, Tone.INFO)),
            (shown(step.text), Tone.PLAIN),
        )
        lines += wrapped(head, width, 23)
    if log.receipt:
        return [*lines, EMPTY, *(part for line in log.receipt for part in wrapped(line, width, 2))]
    return [*lines, EMPTY, *_deadlines(log, now, width)]


def _stages(log: DrainLog, now: float) -> Line:
    seen = {step.stage for step in log.steps}
    out: list[Piece] = []
    for stage in STAGES:
        if log.released is None and stage is log.stage:
            left = f" {max(0.0, log.waiting.until - now):.0f}s" if log.waiting is not None else ""
            out += [(f"▶ {stage}", Tone.INFO), (left, Tone.STRONG), _GAP]
        elif stage in seen:
            out += [(f"✓ {stage}", Tone.OK), _GAP]
        else:
            out += [(f"· {stage}", Tone.FAINT), _GAP]
    if log.released is not None:
        out.append(("✓ drained", Tone.OK) if log.released else ("✗ NOT released", Tone.BAD))
    return tuple(out)


def _deadlines(log: DrainLog, now: float, width: int) -> list[Line]:
    wishes = log.wishes
    stop_in = log.began + wishes.stops_after_s - now
    rows: list[Line] = []
    if log.waiting is not None and log.steps and log.steps[-1].text != safe(log.waiting.why):
        rows.append(piece(f"‖ {shown(log.waiting.why)}", Tone.WARN))
    if log.stage is DrainStage.PROVE and log.waiting is not None:
        rows.append(piece(f"proven after another {max(0.0, log.waiting.until - now):.0f} s without a change", Tone.OK))
    elif stop_in > 0:
        rows.append(piece(f"a clawtop run is asked to stop in {stop_in:.0f} s", Tone.PLAIN))
    passed = span(max(0, round((now - log.began) * 1000)))
    rows.append(piece(f"running for {passed}, gives up in {log.left_s(now):.0f} s · drain {log.drain_id}", Tone.DIM))
    return [line for row in rows for line in wrapped(row, width, 2)]


def outcome_lines(outcome: DrainOutcome) -> tuple[Line, ...]:
    """The outcome of a drain, for the screen and the shell."""
    words = tuple(piece(f"  {shown(word)}") for word in outcome.words)
    if outcome.released:
        lines: list[Line] = [piece("drained, and proven:", Tone.OK), *words]
        if outcome.fresh is not None:
            lines.append(piece(f"continue with: clawtop drive --session {safe(outcome.fresh)}", Tone.INFO))
            lines.append(piece("OpenClaw's session list still points to the old transcript", Tone.WARN))
        return tuple(lines)
    lines = [piece("aborted, NOT released:", Tone.BAD), *words]
    lines += [piece(f"  {safe(line)}", Tone.INFO) for line in outcome.remedies]
    return (*lines, resume_line(outcome.drain_id))


def stopped_lines(drain_id: str) -> tuple[Line, ...]:
    """The outcome of a drain that the operator stopped."""
    stopped = "stopped: aborted, NOT released; the session is open again"
    return (piece(stopped, Tone.BAD), resume_line(drain_id))


def resume_line(drain_id: str) -> Line:
    """How to continue."""
    return piece(f"continue later: clawtop drain --resume {drain_id}", Tone.INFO)
