"""What a session's lock, trajectory and stored status tell of its runs."""

from __future__ import annotations

from collections.abc import Iterable

from clawtop.core.model import (
    EndedTurn,
    Gateway,
    GatewayState,
    Lock,
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

START_SLACK_MS = 2_000
"""A process's start time is known to a second at best."""

CENSUS_EVERY_MS = 2_000
"""The process table is searched at most this often."""

RUNNING = "running"
SETTLED = frozenset({"done", "failed", "killed", "timeout"})
KNOWN_STATUSES = SETTLED | {RUNNING}


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
            return _of_run(run, None, f"{what}, with no activity for {quiet // 60_000} min")
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


_STORED_AS = {status: f"stored as {status}" for status in SETTLED}


def stored_as(status: str) -> str:
    """The wording of a settled status; one shared object for thousands of rows."""
    return _STORED_AS.get(status) or f"stored as {status}"


def _status(session: Session, running: bool | None, what: str, at: int | None = None) -> Witness:
    return Witness(WitnessKind.STATUS, running, what, at=at, since=session.started_at)


def turns_of(runs: Iterable[TrajectoryRun]) -> tuple[EndedTurn, ...]:
    """The runs of a trajectory that are over, oldest first."""
    over = sorted((run for run in runs if not run.is_open), key=lambda run: run.at)
    return tuple(EndedTurn(run.at, run.outcome, run.run_id, run.since, run.trigger, None, "trajectory") for run in over)


def _quiet_ms(session: Session, now: int) -> int:
    moments = [moment for moment in (session.updated_at, session.started_at) if moment is not None]
    return now - max(moments, default=0)
