"""Draining a stuck session: which step comes next, and when the session is proven free.

A drain observes the session repeatedly (`DrainScene`) and asks `decide` what to do. It closes the session to
clawtop's engines, waits for a natural release, asks an engine-owned run to stop, removes a lock that is proven stale,
and says "drained" only after every required witness has said no for long enough (`proof`).
Times are milliseconds of a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from enum import StrEnum

from clawtop.core.locks.staleness import proof_words
from clawtop.core.model import LockFile, LockIdentity, PromptHolder, Verdict, VerdictKind
from clawtop.core.session.fence import FileFingerprint
from clawtop.core.session.proof import Following, Proof
from clawtop.core.session.remedies import AUTOMATIC, Means, Remedy
from clawtop.values import dataclass

SEEN_AGAIN_MS = 1_000
"""A stale lock is removed, and what cannot be known is given up, if it is the same in two checks, this far apart."""

ASK_AGAIN_MS = 1_000

ACT_AGAIN_MS = 5_000
"""A successful abort is repeated if a run is in the session this much later: a waiting input has started."""


class DrainStage(StrEnum):
    """Where a drain is."""

    SURVEY = "survey"
    CLOSE = "close"
    WAIT = "wait"
    STOP = "stop"
    UNLOCK = "unlock"
    PROVE = "prove"
    DRAINED = "drained"
    NOT_RELEASED = "not-released"


OUTCOMES = frozenset({DrainStage.DRAINED, DrainStage.NOT_RELEASED})
"""How a drain ends; its last step."""


@dataclass(frozen=True, slots=True)
class DrainWishes:
    """What the operator asks for, in seconds.

    Attributes:
        deadline_s: for the whole drain. still_s: how long nothing must happen before it counts as drained.
        stop_after_s: how long to wait for a natural release before a run is asked to stop; None: half the deadline.
        abort_in_gateway: a gateway's run may be aborted, by any means that reaches it.
        fresh: carry the conversation over to a fresh session id once it is drained.
        stop_processes: if a run has its own processes below the gateway, they may be stopped.
    """

    deadline_s: float = 60.0
    still_s: float = 3.0
    stop_after_s: float | None = None
    abort_in_gateway: bool = False
    fresh: bool = False
    stop_processes: bool = False

    @property
    def stops_after_s(self) -> float:
        return self.deadline_s / 2 if self.stop_after_s is None else self.stop_after_s


@dataclass(frozen=True, slots=True)
class DrainRequest:
    """Which session to drain, and how.

    Attributes:
        session: its key, or the file of its transcript.
        agent: whose session it is; None: the only agent that has it.
    """

    session: str
    agent: str | None
    wishes: DrainWishes


@dataclass(frozen=True, slots=True)
class DrainStep:
    """One thing that the drain did or found; `at` in ms since the epoch."""

    at: int
    stage: DrainStage
    text: str


@dataclass(frozen=True, slots=True)
class DrainListener:
    """Who is told how a drain goes on.

    Attributes:
        on_step: receives each step.
        on_wait: receives at each observation what the drain waits for, and the seconds left.
    """

    on_step: Callable[[DrainStep], None] = lambda _step: None
    on_wait: Callable[[Wait, float], None] = lambda _wait, _left_s: None


@dataclass(frozen=True, slots=True)
class DrainOutcome:
    """How a drain ended.

    Attributes:
        words: the proof, or what still holds the session.
        fresh: the new transcript's file, where one was asked for.
        offer: a command that would abort the gateway's run, if that is what holds the session.
        remedies: what would end that run, the best first.
    """

    drain_id: str
    released: bool
    words: tuple[str, ...]
    steps: tuple[DrainStep, ...] = ()
    fresh: str | None = None
    offer: str | None = None
    remedies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundLock:
    """The session's write lock and clawtop's verdict on it."""

    file: LockFile
    verdict: Verdict
    pid: int | None


@dataclass(frozen=True, slots=True)
class DrainScene:
    """One observation of the session.

    Attributes:
        closed: the session is closed to clawtop's engines by this drain.
        holder: a run of clawtop's engines.
        openclaw: what the witnesses of OpenClaw's runs say in total.
        fingerprint: of the transcript; equal means unchanged.
        quiet_ms: for how long every witness must say no here.
        may_follow: until then a run may begin in it by itself, and why (`proof.may_follow`).
        asked_at: when the gateway was last queried; None if it need not be.
        remedies: what would end OpenClaw's run, the best first.
        queue: what waits behind that run and what an abort does to it.
    """

    now: int
    closed: bool
    holder: PromptHolder | None
    lock: FoundLock | None
    fingerprint: FileFingerprint
    openclaw: Proof = field(default_factory=Proof)
    quiet_ms: int = 0
    may_follow: Following | None = None
    asked_at: int | None = None
    remedies: tuple[Remedy, ...] = ()
    queue: str | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What the operator allows.

    Attributes:
        deadline: when the drain gives up. stop_at: when it stops waiting for a natural release.
        still_ms: how long nothing may happen before the session counts as drained.
        abort_in_gateway: a gateway's run may be aborted, by any means that reaches it.
        stop_processes: a run's own processes below the gateway may be stopped.
    """

    deadline: int
    stop_at: int
    still_ms: int
    abort_in_gateway: bool = False
    stop_processes: bool = False

    def allows(self, means: Means) -> bool:
        """Whether the drain may apply this remedy by itself."""
        if means is Means.STOP:
            return self.stop_processes
        return means in AUTOMATIC and self.abort_in_gateway


@dataclass(frozen=True, slots=True)
class DrainProgress:
    """What a drain remembers between two observations."""

    stage: DrainStage = DrainStage.SURVEY
    stop_asked_at: int | None = None
    acted: Mapping[Means, int] = field(default_factory=dict)
    stale: LockIdentity | None = None
    stale_since: int = 0
    fingerprint: FileFingerprint | None = None
    still_since: int = 0
    unknown_for_good: tuple[str, int] | None = None
    """What is not known and does not become known by waiting, and since when."""


# --- what to do next ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CloseAdmission:
    """Keep new runs of clawtop's engines out."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do but check again; `why` and `until` are for people."""

    why: str
    until: int


@dataclass(frozen=True, slots=True)
class AskToStop:
    """Ask the engine that holds the prompt to cancel its run."""

    holder: PromptHolder


@dataclass(frozen=True, slots=True)
class EndRun:
    """End OpenClaw's run by this remedy."""

    remedy: Remedy


@dataclass(frozen=True, slots=True)
class RemoveLock:
    """Remove this lock, if it is still the same and its owner is still proven dead."""

    lock: FoundLock


@dataclass(frozen=True, slots=True)
class Drained:
    """The session is drained; `words` is the proof."""

    proof: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotReleased:
    """The deadline passed, or waiting does not help; this still holds the session, or is not known."""

    why: str


DrainAction = CloseAdmission | Wait | AskToStop | EndRun | RemoveLock | Drained | NotReleased


def decide(progress: DrainProgress, scene: DrainScene, terms: Terms) -> tuple[DrainProgress, DrainAction]:
    """The next action, and what to remember."""
    if not scene.closed:
        return replace(progress, stage=DrainStage.CLOSE), CloseAdmission()
    obstacle = held_by(scene)
    if obstacle is None:
        return _prove(replace(progress, unknown_for_good=None), scene, terms)
    progress = replace(progress, fingerprint=None)
    if scene.now >= terms.deadline:
        return replace(progress, stage=DrainStage.NOT_RELEASED), NotReleased(obstacle)
    progress = _lasting(progress, scene, obstacle)
    if progress.unknown_for_good is not None and scene.now - progress.unknown_for_good[1] >= SEEN_AGAIN_MS:
        return replace(progress, stage=DrainStage.NOT_RELEASED), NotReleased(
            f"{obstacle}; waiting does not change that"
        )
    if scene.lock is not None and scene.lock.verdict.kind is VerdictKind.STALE:
        return _unlock(progress, scene, scene.lock, terms)
    if scene.now >= terms.stop_at:
        if scene.holder is not None and _is_due(progress.stop_asked_at, scene.now):
            return replace(progress, stage=DrainStage.STOP, stop_asked_at=scene.now), AskToStop(scene.holder)
        remedy = _due_remedy(progress, scene, terms)
        if remedy is not None:
            acted = {**progress.acted, remedy.means: scene.now}
            return replace(progress, stage=DrainStage.STOP, acted=acted), EndRun(remedy)
    stage = DrainStage.STOP if progress.stop_asked_at is not None or progress.acted else DrainStage.WAIT
    return replace(progress, stage=stage), Wait(obstacle, terms.deadline)


def _lasting(progress: DrainProgress, scene: DrainScene, obstacle: str) -> DrainProgress:
    """Remember since when the only obstacle is something that cannot be known before somebody mends it."""
    missing, seen = scene.openclaw.missing, progress.unknown_for_good
    alone = scene.holder is None and scene.lock is None and missing is not None and missing.lasting
    if not alone:
        return replace(progress, unknown_for_good=None)
    return (
        progress
        if seen is not None and seen[0] == obstacle
        else replace(progress, unknown_for_good=(obstacle, scene.now))
    )


def _due_remedy(progress: DrainProgress, scene: DrainScene, terms: Terms) -> Remedy | None:
    """The best remedy that may be used now: one after the other, each only after waiting for the effect of the last."""
    if scene.openclaw.held is None or not all(_is_over(at, scene.now) for at in progress.acted.values()):
        return None
    allowed = [remedy for remedy in scene.remedies if terms.allows(remedy.means)]
    return min(allowed, key=lambda remedy: progress.acted.get(remedy.means, -1), default=None)


def _is_over(acted_at: int, now: int) -> bool:
    return now - acted_at >= ACT_AGAIN_MS


def held_by(scene: DrainScene) -> str | None:
    """What holds the session, in words; None when nothing does."""
    if scene.holder is not None:
        holder = scene.holder
        return f"clawtop's run {holder.run_id} (pid {holder.pid}, {holder.phase}) holds the prompt"
    if scene.openclaw.held is not None:
        return f"an OpenClaw run: {scene.openclaw.held.words}"
    if scene.lock is not None:
        why = proof_words(scene.lock.verdict.reasons)
        owner = f"of process {scene.lock.pid}" if scene.lock.pid is not None else "that names no process"
        return f"a {scene.lock.verdict.kind} write lock {owner} ({why})"
    if scene.openclaw.missing is not None:
        return f"perhaps an OpenClaw run: {scene.openclaw.missing.words}"
    return None


def _is_due(asked_at: int | None, now: int) -> bool:
    return asked_at is None or now - asked_at >= ASK_AGAIN_MS


def _unlock(
    progress: DrainProgress, scene: DrainScene, lock: FoundLock, terms: Terms
) -> tuple[DrainProgress, DrainAction]:
    progress = replace(progress, stage=DrainStage.UNLOCK)
    if progress.stale != lock.file.identity:
        progress = replace(progress, stale=lock.file.identity, stale_since=scene.now)
    if scene.now - progress.stale_since >= SEEN_AGAIN_MS:
        return replace(progress, stale=None), RemoveLock(lock)
    return progress, Wait("checking a stale write lock once more before it is removed", terms.deadline)


def _prove(progress: DrainProgress, scene: DrainScene, terms: Terms) -> tuple[DrainProgress, DrainAction]:
    if progress.fingerprint != scene.fingerprint:
        if progress.fingerprint is not None and scene.now >= terms.deadline:
            return replace(progress, stage=DrainStage.NOT_RELEASED), NotReleased(
                "the transcript is still being written"
            )
        progress = replace(progress, fingerprint=scene.fingerprint, still_since=scene.now)
    still_ms = max(terms.still_ms, scene.quiet_ms)
    following = scene.may_follow
    until = max(progress.still_since + still_ms, following.until if following is not None else 0)
    proving = replace(progress, stage=DrainStage.PROVE)
    if scene.now < until:
        if following is not None and until == following.until:
            return proving, Wait(f"free; {following.why}", until)
        return proving, Wait(f"free; waiting until the transcript has been unchanged for {still_ms / 1000:g} s", until)
    if scene.asked_at is not None and scene.asked_at < until:
        return proving, Wait("free; asking the gateway once more", until)
    proof = (
        "no run of clawtop's engines holds the prompt",
        *scene.openclaw.proof,
        f"all of this held for {still_ms / 1000:g} s, with its transcript unchanged",
    )
    return replace(progress, stage=DrainStage.DRAINED), Drained(proof)


# --- what an operator is told before -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DrainPreview:
    """What holds the session and what a drain would do, line by line.

    Attributes:
        lines: by whether the gateway is asked to end its run; a choice that is not known is missing.
        complete: False while a gateway whose answer is required has not given it.
    """

    lines: Mapping[bool, tuple[str, ...]]
    complete: bool = True

    def of(self, wishes: DrainWishes) -> tuple[str, ...] | None:
        """The lines for these wishes; None if they are not known."""
        return self.lines.get(wishes.abort_in_gateway)


def preview_of(scene: DrainScene, terms: Terms, *, gateway_live: bool | None, complete: bool) -> DrainPreview:
    """The preview from one observation, for either answer to whether the gateway may end its run."""
    lines = {
        abort: survey(scene, replace(terms, abort_in_gateway=abort), gateway_live=gateway_live)
        for abort in (False, True)
    }
    return DrainPreview(lines, complete)


def survey(scene: DrainScene, terms: Terms, *, gateway_live: bool | None) -> tuple[str, ...]:
    """What is held and by whom, what waits, what would be lost, and what the drain would do, line by line.

    `gateway_live`: None where that is not known.
    """
    lines = [held_by(scene) or "nothing holds the session now"]
    holder = scene.holder
    if holder is not None:
        lines += [f"waiting: run {w.run_id} (pid {w.pid}, lane {w.lane})" for w in holder.waiters]
        lines.append(
            f"stopping that run would lose its reply in progress ({holder.phase}); the transcript stays intact"
        )
    if not scene.openclaw.is_free:
        lines += remedy_lines(scene, terms)
    lines.append("1. close the session to clawtop's engines; waiting runs stay in line")
    if gateway_live is not False:
        lines.append("   a gateway cannot be kept out: it may start a turn here at any time")
    still_s = max(terms.still_ms, scene.quiet_ms) / 1000
    lines += [
        "2. wait for it to be released",
        "3. ask a run of clawtop's engines to stop"
        + ("; have the gateway end its run" if terms.abort_in_gateway else "")
        + ("; stop the run's own processes" if terms.stop_processes else ""),
        "4. remove a write lock whose owner is proven dead; never a living owner's",
        f"5. prove it: no witness reports a run and the transcript is unchanged, for {still_s:g} s",
        "6. reopen the session to clawtop's engines, however the drain ends",
    ]
    return tuple(lines)


def remedy_lines(scene: DrainScene, terms: Terms) -> list[str]:
    """What would end OpenClaw's run, the best first, and what that costs."""
    lines = []
    for number, remedy in enumerate(scene.remedies):
        how = "to end it" if number == 0 else "or"
        command = f": {remedy.command}" if remedy.command is not None else ""
        off = "" if remedy.means not in AUTOMATIC or terms.allows(remedy.means) else " - not allowed for this drain"
        lines.append(f"{how}: {remedy.words}{command}{off}")
    if any(remedy.means in AUTOMATIC for remedy in scene.remedies):
        lines.append("whatever that run has not written yet is then lost")
    if scene.queue is not None:
        lines.append(scene.queue)
    return lines
