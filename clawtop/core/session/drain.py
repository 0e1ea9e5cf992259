"""Draining a stuck session: which step comes next, and when it is proven to be over.

A drain looks at the session again and again (`Scene`) and asks `decide` what to do. It closes the session to clawtop's
engines, waits for a natural release, asks an engine-owned run to stop, removes a lock that is proven stale, and says
"drained" only after nothing held the session and its transcript was still for a while. Times are milliseconds of a
monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from clawtop.core.model import LockFile, LockIdentity, PromptHolder, Verdict, VerdictKind
from clawtop.core.session.fence import Fingerprint

SEEN_AGAIN_MS = 1_000
"""A stale lock is removed when it is the same at two looks, this far apart."""

ASK_AGAIN_MS = 1_000


class Stage(StrEnum):
    """Where a drain is."""

    SURVEY = "survey"
    CLOSE = "close"
    WAIT = "wait"
    STOP = "stop"
    UNLOCK = "unlock"
    PROVE = "prove"
    DRAINED = "drained"
    NOT_RELEASED = "not-released"


@dataclass(frozen=True, slots=True)
class DrainWishes:
    """What the operator asks for, in seconds.

    Attributes:
        deadline_s: for the whole drain. still_s: how long nothing may happen before it counts as drained.
        stop_after_s: how long a natural release is waited for before a run is asked to stop; None: half the deadline.
        abort_in_gateway: a gateway's run may be aborted with OpenClaw's own command.
        fresh: carry the conversation over to a fresh session id once it is drained.
    """

    deadline_s: float = 60.0
    still_s: float = 3.0
    stop_after_s: float | None = None
    abort_in_gateway: bool = False
    fresh: bool = False

    @property
    def stops_after_s(self) -> float:
        return self.deadline_s / 2 if self.stop_after_s is None else self.stop_after_s


@dataclass(frozen=True, slots=True)
class DrainStep:
    """One thing that the drain did or found; `at` in ms since the epoch."""

    at: int
    stage: Stage
    text: str


@dataclass(frozen=True, slots=True)
class DrainOutcome:
    """How a drain ended.

    Attributes:
        words: the proof, or what still holds the session.
        fresh: the new transcript's file, where one was asked for.
        offer: a command that would abort the gateway's run, where that is what holds the session.
    """

    drain_id: str
    released: bool
    words: tuple[str, ...]
    steps: tuple[DrainStep, ...] = ()
    fresh: str | None = None
    offer: str | None = None


@dataclass(frozen=True, slots=True)
class OpenClawRun:
    """A run of OpenClaw in the session: going on for certain, or possibly. `how`: how that is known."""

    certain: bool
    how: str
    in_gateway: bool


@dataclass(frozen=True, slots=True)
class FoundLock:
    """The session's write lock and our verdict on it."""

    file: LockFile
    verdict: Verdict
    pid: int | None


@dataclass(frozen=True, slots=True)
class Scene:
    """One look at the session.

    Attributes:
        closed: the session is closed to clawtop's engines by this drain.
        fingerprint: of the transcript; equal means that nobody wrote.
    """

    now: int
    closed: bool
    holder: PromptHolder | None
    run: OpenClawRun | None
    lock: FoundLock | None
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Terms:
    """What the operator allows.

    Attributes:
        deadline: when the drain gives up. stop_at: when it stops waiting for a natural release.
        still_ms: how long nothing may happen before the session counts as drained.
        abort_in_gateway: a gateway's run may be aborted with OpenClaw's own command.
    """

    deadline: int
    stop_at: int
    still_ms: int
    abort_in_gateway: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """What a drain remembers between two looks."""

    stage: Stage = Stage.SURVEY
    stop_asked_at: int | None = None
    abort_asked: bool = False
    stale: LockIdentity | None = None
    stale_since: int = 0
    fingerprint: Fingerprint | None = None
    still_since: int = 0


# --- what to do next ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CloseAdmission:
    """Keep new runs of clawtop's engines out."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do but look again; `why` and `until` are for people."""

    why: str
    until: int


@dataclass(frozen=True, slots=True)
class AskToStop:
    """Ask the engine that holds the prompt to cancel its run."""

    holder: PromptHolder


@dataclass(frozen=True, slots=True)
class AbortInGateway:
    """Have the gateway abort its run, with its own command."""


@dataclass(frozen=True, slots=True)
class RemoveLock:
    """Remove this lock, if it still is this one and its owner is still proven dead."""

    lock: FoundLock


@dataclass(frozen=True, slots=True)
class Drained:
    """It is over, and this is why that is certain."""

    proof: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotReleased:
    """The deadline passed; this still holds the session."""

    why: str


Action = CloseAdmission | Wait | AskToStop | AbortInGateway | RemoveLock | Drained | NotReleased


def decide(progress: Progress, scene: Scene, terms: Terms) -> tuple[Progress, Action]:
    """The next action, and what to remember."""
    if not scene.closed:
        return replace(progress, stage=Stage.CLOSE), CloseAdmission()
    obstacle = held_by(scene)
    if obstacle is None:
        return _prove(progress, scene, terms)
    progress = replace(progress, fingerprint=None)
    if scene.now >= terms.deadline:
        return replace(progress, stage=Stage.NOT_RELEASED), NotReleased(obstacle)
    if scene.lock is not None and scene.lock.verdict.kind is VerdictKind.STALE:
        return _unlock(progress, scene, scene.lock, terms)
    if scene.now >= terms.stop_at:
        if scene.holder is not None and _is_due(progress.stop_asked_at, scene.now):
            return replace(progress, stage=Stage.STOP, stop_asked_at=scene.now), AskToStop(scene.holder)
        if scene.run is not None and scene.run.in_gateway and terms.abort_in_gateway and not progress.abort_asked:
            return replace(progress, stage=Stage.STOP, abort_asked=True), AbortInGateway()
    stage = Stage.STOP if progress.stop_asked_at is not None or progress.abort_asked else Stage.WAIT
    return replace(progress, stage=stage), Wait(obstacle, terms.deadline)


def held_by(scene: Scene) -> str | None:
    """What holds the session, in words; None when nothing does."""
    if scene.holder is not None:
        holder = scene.holder
        return f"clawtop's run {holder.run_id} (pid {holder.pid}, {holder.phase}) holds the prompt"
    if scene.run is not None:
        return f"{'an' if scene.run.certain else 'perhaps an'} OpenClaw run: {scene.run.how}"
    if scene.lock is None:
        return None
    why = ", ".join(scene.lock.verdict.reasons)
    owner = f"of process {scene.lock.pid}" if scene.lock.pid is not None else "that names no process"
    return f"a {scene.lock.verdict.kind} write lock {owner} ({why})"


def _is_due(asked_at: int | None, now: int) -> bool:
    return asked_at is None or now - asked_at >= ASK_AGAIN_MS


def _unlock(progress: Progress, scene: Scene, lock: FoundLock, terms: Terms) -> tuple[Progress, Action]:
    progress = replace(progress, stage=Stage.UNLOCK)
    if progress.stale != lock.file.identity:
        progress = replace(progress, stale=lock.file.identity, stale_since=scene.now)
    if scene.now - progress.stale_since >= SEEN_AGAIN_MS:
        return replace(progress, stale=None), RemoveLock(lock)
    return progress, Wait("a stale write lock is looked at once more before it is removed", terms.deadline)


def _prove(progress: Progress, scene: Scene, terms: Terms) -> tuple[Progress, Action]:
    if progress.fingerprint != scene.fingerprint:
        if progress.fingerprint is not None and scene.now >= terms.deadline:
            return replace(progress, stage=Stage.NOT_RELEASED), NotReleased("somebody still writes the transcript")
        progress = replace(progress, fingerprint=scene.fingerprint, still_since=scene.now)
    until = progress.still_since + terms.still_ms
    if scene.now < until:
        return replace(progress, stage=Stage.PROVE), Wait(
            "nothing holds it; it is watched until it was still for long enough", until
        )
    proof = (
        "no run of clawtop's engines holds the prompt",
        "no run of OpenClaw is going on in it",
        "there is no write lock",
        f"its transcript was still for {terms.still_ms / 1000:g} s",
    )
    return replace(progress, stage=Stage.DRAINED), Drained(proof)


# --- what an operator is told before -----------------------------------------------------------------------------


def survey(scene: Scene, terms: Terms, *, gateway_live: bool | None) -> tuple[str, ...]:
    """What is held and by whom, what waits, what would be lost, and what the drain would do, line by line.

    `gateway_live`: None where that is not known.
    """
    lines = [held_by(scene) or "nothing holds the session now"]
    holder = scene.holder
    if holder is not None:
        lines += [f"waiting: run {w.run_id} (pid {w.pid}, lane {w.lane})" for w in holder.waiters]
        lines.append(f"stopping that run would lose the reply that it is {holder.phase}; its transcript stays whole")
    if scene.run is not None:
        lines.append("what that run has not written yet would be lost if the gateway aborted it")
    lines.append("1. close the session to clawtop's engines; waiting runs stay in line")
    if gateway_live is not False:
        lines.append("   a gateway cannot be kept out: it may start a turn here at any time")
    lines += [
        "2. wait for it to be released",
        "3. ask a run of clawtop's engines to stop"
        + ("; abort a run of the gateway with its own command" if terms.abort_in_gateway else ""),
        "4. remove a write lock whose owner is proven dead; never a living owner's",
        f"5. prove it: nothing holds it and its transcript is still for {terms.still_ms / 1000:g} s",
    ]
    return tuple(lines)
