"""Whether a run is active in a session: all witnesses are weighed, and the answer is yes, no or unknown, with the
reason.

No witness alone is enough (docs/formats.md 8). A stored status outlives a crash and a failed turn, and says "done"
while `agent --local` works; a held lock means a run in 2026.3.28 and 2026.6.11 and at least a write in 2026.5.18 to
2026.6.1; the gateway does not know about command-line runs; a log has gaps. So each witness reports what it saw and
when, the last sign of a run is compared with the last proof of its end, and everything else is unknown. Unknown counts
as held (docs/invariants.md 1), so "no" always has a reason.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from clawtop.core.model import (
    EndedTurn,
    Gateway,
    GatewayState,
    Lock,
    Problem,
    ProcessEvidence,
    Session,
    TurnOutcome,
    VerdictKind,
    Witness,
    WitnessKind,
)
from clawtop.values import dataclass

SETTLING_MS = 60_000
"""Longest quiet time between two attempts of one run: after a longer silence it has ended."""

EMBEDDED_RUN_MS = 15 * 60_000
"""Without a gateway, `openclaw agent --local` may still be running a turn; after this long it counts as gone."""

SILENT_RUN_MS = 30 * 60_000
"""A run without any sign of life for this long may have died unnoticed: whether it is active is unknown."""

TOLD_TWICE_MS = 2_000
"""Two sources report the end of the same attempt within this time of each other, in either order."""

START_SLACK_MS = 2_000
"""A process's start time is known to a second at best."""

CENSUS_EVERY_MS = 2_000
"""The process table is searched at most this often."""

RUNNING = "running"
SETTLED = frozenset({"done", "failed", "killed", "timeout"})
KNOWN_STATUSES = SETTLED | {RUNNING}

_CERTAIN = frozenset({WitnessKind.LOCK, WitnessKind.CLAIM, WitnessKind.PROCESS})
"""What these witnesses see is going on now, whatever was written before."""

_STRENGTH = {kind: rank for rank, kind in enumerate(WitnessKind)}


@dataclass(frozen=True, slots=True)
class TrajectoryRun:
    """A run as a session's trajectory shows it: one run id, with one start per attempt.

    Attributes:
        since, at: its first start and its last event (ms since the epoch).
        type: of the last event; "session.ended" carries `status`.
        attempts: starts that were seen; of a long trajectory only the last part is read.
        timed_out, aborted: as the last end says; `aborted` from outside: a user's stop, an abort or a timeout.
        exhausted: its last model failed, and no attempt follows.
    """

    at: int
    type: str
    status: str | None = None
    since: int | None = None
    run_id: str | None = None
    attempts: int = 1
    provider: str | None = None
    model: str | None = None
    trigger: str | None = None
    timed_out: bool = False
    aborted: bool = False
    exhausted: bool = False

    @property
    def is_open(self) -> bool:
        """Whether its last event does not end an attempt."""
        return self.type != "session.ended"

    @property
    def outcome(self) -> TurnOutcome:
        """How its last attempt ended."""
        if self.is_open:
            return TurnOutcome.OPEN
        if self.status == "success":
            return TurnOutcome.ANSWERED
        if self.timed_out:
            return TurnOutcome.TIMED_OUT
        return TurnOutcome.STOPPED if self.aborted else TurnOutcome.FAILED


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The OpenClaw processes of this state directory other than the gateway.

    Attributes:
        seen: None if nobody looked.
        searched_at: when they were searched (ms since the epoch); None: now. A run that began later is unknown.
    """

    seen: tuple[ProcessEvidence, ...] | None = None
    searched_at: int | None = None

    def may_run(self, since: int | None) -> bool | None:
        """Whether one of them may be working on a run that began then."""
        if self.seen is None or (since is not None and self.searched_at is not None and since > self.searched_at):
            return None
        return any(since is None or p.started_at is None or p.started_at <= since + START_SLACK_MS for p in self.seen)


NOT_LOOKED = CommandLine()


@dataclass(frozen=True, slots=True)
class RunActivity:
    """Whether a run is active, how that is known, and what is wrong with the stored status."""

    active: bool | None
    how: str
    problem: Problem | None = None


# --- what each source says --------------------------------------------------------------------------------------


def lock_witness(lock: Lock | None, *, throughout: bool, now: int, last_sign: int | None) -> Witness | None:
    """What the session write lock shows.

    Args:
        throughout: an attempt of this generation holds it from beginning to end (2026.3.28 and 2026.6.11), so that a
            missing lock means that none is going on, once the run had time to take it.
        last_sign: of a run that is said to be active.
    """
    if lock is not None and lock.leaked is not None:
        return None  # it dates from before its owner restarted in-process
    if lock is not None and lock.verdict.kind is VerdictKind.HELD:
        what = f"its write lock is held by process {lock.pid}"
        return Witness(WitnessKind.LOCK, True, what, since=lock.created_at, pid=lock.pid)
    if lock is not None and lock.verdict.kind is VerdictKind.UNKNOWN:
        return Witness(
            WitnessKind.LOCK, None, "there is a write lock whose owner is not known to be dead", pid=lock.pid
        )
    if lock is None and throughout and (last_sign is None or now - last_sign > SETTLING_MS):
        return Witness(WitnessKind.LOCK, False, "no write lock is held")
    return None


def trajectory_witnesses(
    runs: Iterable[TrajectoryRun],
    gateway: Gateway,
    now: int,
    command_line: CommandLine = NOT_LOOKED,
    *,
    status: str | None = None,
) -> list[Witness]:
    """What a trajectory shows about each run that may be active, and about the end of the last one.

    Args:
        status: as stored. Only a gateway stores "running" (2026.5.20). A settled one says that a failed attempt will
            not be followed by another, unless a process of the command line is about to make one.
    """
    ordered = sorted(runs, key=lambda run: run.at)
    marked = status == RUNNING
    told: list[Witness] = []
    for run in (run for run in ordered if run.is_open):
        began = run.since if run.since is not None else run.at
        local = False if marked or run.trigger in _GATEWAYS_TRIGGERS else command_line.may_run(began)
        followed = any(other is not run and (other.since or other.at) > run.at for other in ordered)
        told.append(_open_run(run, local, gateway, now, followed=followed))
    over = [run for run in ordered if not run.is_open]
    if over:
        last = over[-1]
        conclusive = last.status == "success" or last.exhausted or now - last.at > SETTLING_MS
        conclusive = conclusive or (status in SETTLED and command_line.may_run(last.since) is not True)
        what = "its trajectory ended" if last.status == "success" else "its trajectory ended and nothing followed"
        told.append(_of_run(last, False if conclusive else None, what))
    return told


def _open_run(run: TrajectoryRun, local: bool | None, gateway: Gateway, now: int, *, followed: bool) -> Witness:
    """A run without an end. `local`: whether it may be one of the command line; `followed`: by later runs."""
    began = run.since if run.since is not None else run.at
    what = "its trajectory shows a run that has not ended"
    ours = gateway.state is GatewayState.LIVE and (gateway.started_at is None or began >= gateway.started_at)
    quiet = now - run.at
    if not ours and local is False:
        gone = _WHO_IS_GONE.get(gateway.state)
        return _of_run(run, False if gone else None, gone or "it is not known whether its gateway is alive")
    if ours or local:
        if followed and local is False:
            return _of_run(run, False, "later runs followed it, and no command-line run is active")
        if quiet > SILENT_RUN_MS:
            return _of_run(run, None, f"{what}, without a sign of life for {quiet // 60_000} min")
        return _of_run(run, True, what)
    if gateway.state is GatewayState.UNKNOWN:
        return _of_run(run, None, "it is not known whether its gateway is alive")
    if quiet <= EMBEDDED_RUN_MS:
        return _of_run(run, None, "its gateway is gone, but a command-line run may be under way")
    return _of_run(run, False, "its gateway is gone")


_WHO_IS_GONE = {
    GatewayState.LIVE: "the process that ran it is gone",
    GatewayState.DEAD: "its gateway is gone",
    GatewayState.ABSENT: "no gateway runs it",
}
_GATEWAYS_TRIGGERS = frozenset({"cron", "heartbeat"})
"""What starts a run that is never one of the command line."""


def _of_run(run: TrajectoryRun, running: bool | None, what: str) -> Witness:
    return Witness(
        WitnessKind.TRAJECTORY,
        running,
        what,
        at=run.at,
        since=run.since,
        run_id=run.run_id,
        provider=run.provider,
        model=run.model,
    )


def status_witness(
    session: Session, gateway: Gateway, now: int, command_line: CommandLine = NOT_LOOKED
) -> Witness | None:
    """What the stored status and its times are worth, given the gateway."""
    started, ended = session.started_at, session.ended_at
    if session.status != RUNNING:
        return _settled_witness(session, gateway, now)
    if started is not None and ended is not None and ended > started:
        return _status(session, False, "its end is recorded", at=ended)
    if gateway.state is GatewayState.DEAD:
        return _status(session, False, "its gateway is gone")
    if gateway.state is GatewayState.ABSENT:
        if command_line.may_run(started) is not False and _quiet_ms(session, now) <= EMBEDDED_RUN_MS:
            return _status(session, None, "no gateway runs, but a command-line run may be under way", at=started)
        return _status(session, False, "no gateway runs")
    if gateway.state is GatewayState.LIVE:
        if started is not None and gateway.started_at is not None and started < gateway.started_at:
            return _status(session, False, "it began before this gateway started")
        return _status(session, True, "stored as running, and its gateway is alive", at=started)
    return _status(session, None, "stored as running; it is not known whether its gateway is alive", at=started)


def ends_before_its_start(started: int | None, ended: int | None) -> bool:
    """Whether the times of a row are of two runs: of the later one, only its start is stored (2026.5.20)."""
    return started is not None and ended is not None and ended < started


def _settled_witness(session: Session, gateway: Gateway, now: int) -> Witness | None:
    """A settled status proves the end that it dates, and nothing about a run that began later."""
    if session.status in SETTLED:
        started = session.started_at
        may_live = not gateway.state.is_gone and _quiet_ms(session, now) <= SILENT_RUN_MS
        if may_live and ends_before_its_start(started, session.ended_at):
            return _status(
                session, None, f"{stored_as(session.status or '')}, with an end before its start", at=started
            )
        return settled_witness(session.status or "", session.started_at, session.ended_at)
    if gateway.state.is_gone:
        return _status(session, False, "no gateway runs it")
    return None


def settled_witness(status: str, started: int | None, ended: int | None) -> Witness:
    """What a status of `SETTLED` shows, with its times (ms since the epoch), whatever the gateway does."""
    at = None if ends_before_its_start(started, ended) else ended
    return Witness(WitnessKind.STATUS, False, stored_as(status), at=at, since=started)


def stored_as(status: str) -> str:
    """The wording of a settled status; one shared object for thousands of rows."""
    return sys.intern(f"stored as {status}")


def _status(session: Session, running: bool | None, what: str, at: int | None = None) -> Witness:
    return Witness(WitnessKind.STATUS, running, what, at=at, since=session.started_at)


# --- the judgement -----------------------------------------------------------------------------------------------


def judge(
    session: Session,
    witnesses: Iterable[Witness],
    gateway: Gateway,
    command_line: CommandLine = NOT_LOOKED,
    *,
    now: int | None = None,
) -> RunActivity:
    """Weigh the witnesses: one that sees a run now decides; else compare the last sign of a run with the last proof of
    an end. A missing lock proves no end where a process of its own may work on the run: that takes no lock (2026.6.11).
    `now` (ms since the epoch) lets a doubt about a next attempt end by itself.
    """
    heard = sorted(witnesses, key=lambda witness: _STRENGTH[witness.kind])
    signs = [witness for witness in heard if witness.running is True]
    own = any(witness.kind is WitnessKind.PROCESS and witness.running is not False for witness in heard)
    ends = [w for w in heard if w.running is False and not (own and w.kind is WitnessKind.LOCK)]
    certain = next((witness for witness in signs if witness.kind in _CERTAIN), None)
    if certain is not None:
        return RunActivity(True, certain.what)
    open_signs = [sign for sign in signs if not _is_over(sign, ends, command_line)]
    if open_signs:
        return RunActivity(True, open_signs[0].what)
    doubts = (w for w in heard if w.running is None and not _is_over(w, ends, command_line))
    doubt = next((w for w in doubts if not _was_the_last(w, ends, now)), None)
    if doubt is not None:
        return RunActivity(None, doubt.what)
    if not ends:
        return RunActivity(None, "no status is stored" if session.status != RUNNING else "nobody can tell")
    end = ends[0] if session.status != RUNNING else max(ends, key=_tells_of_an_end)
    return RunActivity(False, end.what, _left_running(session, end, gateway))


def _tells_of_an_end(end: Witness) -> tuple[bool, int, bool]:
    """Which proof best explains how a run ended: a dead gateway, else the latest one with a time."""
    return end.kind is WitnessKind.STATUS and end.at is None, end.at or 0, end.kind is WitnessKind.LOG


def _is_over(sign: Witness, ends: Iterable[Witness], command_line: CommandLine) -> bool:
    """Whether something proves that what `sign` reports has ended since."""
    return any(_ends(end, sign, command_line) for end in ends)


def _ends(end: Witness, sign: Witness, command_line: CommandLine) -> bool:
    if end.run_id is not None and end.run_id == sign.run_id:
        slack = TOLD_TWICE_MS if sign.running is None else 0
        return end.at is None or sign.at is None or end.at + slack >= sign.at
    if sign.kind is WitnessKind.LOCK:
        return False
    if end.kind is WitnessKind.LOCK:
        return True
    local = sign.kind is WitnessKind.TRAJECTORY
    if local and end.kind in _GATEWAYS_OWN and command_line.may_run(sign.since) is not False:
        return False  # the gateway does not know about command-line runs
    if end.at is None:
        return end.kind is not WitnessKind.STATUS  # a status without an end time proves no end
    return sign.at is not None and end.at >= sign.at


def _was_the_last(failed: Witness, ends: Iterable[Witness], now: int | None) -> bool:
    """Whether no attempt followed one that the log calls failed: its trajectory, which recorded it, would show that."""
    at = failed.at
    if failed.kind is not WitnessKind.LOG or at is None or now is None or now - at <= SETTLING_MS:
        return False
    recorded = (end.at for end in ends if end.kind is WitnessKind.TRAJECTORY and end.at is not None)
    return any(at - end <= SETTLING_MS for end in recorded)


_GATEWAYS_OWN = frozenset({WitnessKind.GATEWAY, WitnessKind.LOG, WitnessKind.CLAIM, WitnessKind.TASK})


def _left_running(session: Session, end: Witness, gateway: Gateway) -> Problem | None:
    """What is wrong with a stored "running" that is not true.

    `ghost`: left by a gateway that is gone. `unsettled`: OpenClaw does not update the status of a failed turn for many
    minutes (2026.5.20); nothing waits for it and nothing holds it.
    """
    if session.status != RUNNING:
        return None
    earlier = session.started_at is not None and gateway.started_at is not None
    left = gateway.state is not GatewayState.LIVE or (earlier and (session.started_at or 0) < (gateway.started_at or 0))
    text = f"stored as running, but {end.what}"
    return Problem("ghost" if left else "unsettled", session.key, text)


def lost_turn(session: Session) -> EndedTurn | None:
    """The turn that was interrupted when a gateway ended, and has not been ended since; `at`: its last sign of life.

    Its message may not be stored anywhere: 2026.5.20 writes a transcript with the first answer.
    """
    began = session.started_at
    if began is None or all(problem.code != "ghost" for problem in session.problems):
        return None
    ends = [turn.at for turn in session.turns] + [one.ended_at for one in session.exchanges if one.ended_at is not None]
    if any(at >= began for at in ends):
        return None
    signs = [witness.at for witness in session.witnesses if witness.at is not None]
    at = max((began, session.updated_at or 0, *signs))
    run_id = next((w.run_id for w in session.witnesses if w.kind is WitnessKind.TRAJECTORY and w.run_id), None)
    return EndedTurn(at, TurnOutcome.FAILED, run_id, began, None, "its gateway was gone", "status")


def running_witness(session: Session) -> Witness | None:
    """The most informative witness of the active run: who, since when, with what."""
    signs = [witness for witness in session.witnesses if witness.running is True]
    return min(signs, key=lambda witness: (witness.run_id is None, _STRENGTH[witness.kind]), default=None)


def running_since(session: Session) -> int | None:
    """Since when the run has been active, as far as known.

    A claim is made once a turn; the stored start is that of its last attempt (2026.9.6).
    """
    signs = [w for w in session.witnesses if w.running is True and w.since is not None]
    by_claim = [w.since for w in signs if w.kind is WitnessKind.CLAIM and w.since is not None]
    if by_claim:
        return max(by_claim)
    by_run = [w.since for w in signs if w.kind is not WitnessKind.LOCK and w.since is not None]
    by_lock = [w.since for w in signs if w.since is not None]
    return max(by_run) if by_run else min(by_lock, default=session.started_at if session.status == RUNNING else None)


def last_sign(session: Session) -> int | None:
    """The last sign of life of the active run (ms since the epoch)."""
    return max((w.at for w in session.witnesses if w.running is True and w.at is not None), default=None)


def turns_of(runs: Iterable[TrajectoryRun]) -> tuple[EndedTurn, ...]:
    """The runs of a trajectory that are over, oldest first."""
    over = sorted((run for run in runs if not run.is_open), key=lambda run: run.at)
    return tuple(EndedTurn(run.at, run.outcome, run.run_id, run.since, run.trigger, None, "trajectory") for run in over)


def _quiet_ms(session: Session, now: int) -> int:
    moments = [moment for moment in (session.updated_at, session.started_at) if moment is not None]
    return now - max(moments, default=0)
