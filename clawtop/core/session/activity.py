"""Whether a run is active in a session: all witnesses are weighed, and the answer is yes, no or unknown, with the
reason.

No witness alone is enough (docs/formats.md 8). A stored status outlives a crash and a failed turn, and says "done"
while `agent --local` works; a held lock means a run in 2026.3.28 and 2026.6.11 and at least a write in 2026.5.18 to
2026.6.1; the gateway does not know about command-line runs; a log has gaps. So each witness reports what it saw and
when, the last sign of a run is compared with the last proof of its end, and everything else is unknown. Unknown counts
as held (docs/invariants.md 1), so "no" always has a reason.
"""

from __future__ import annotations

from collections.abc import Iterable

from clawtop.core.model import (
    EndedTurn,
    Gateway,
    GatewayState,
    Problem,
    Session,
    TurnOutcome,
    Witness,
    WitnessKind,
)
from clawtop.core.session.disk_witness import NOT_LOOKED, RUNNING, SETTLING_MS, CommandLine
from clawtop.values import dataclass

TOLD_TWICE_MS = 2_000
"""Two sources report the end of the same attempt within this time of each other, in either order."""

_CERTAIN = frozenset({WitnessKind.LOCK, WitnessKind.CLAIM, WitnessKind.PROCESS})
"""What these witnesses see is going on now, whatever was written before."""

_STRENGTH = {kind: rank for rank, kind in enumerate(WitnessKind)}


@dataclass(frozen=True, slots=True)
class RunActivity:
    """Whether a run is active, how that is known, and what is wrong with the stored status."""

    active: bool | None
    how: str
    problem: Problem | None = None


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
        return RunActivity(None, "no status is stored" if session.status != RUNNING else "no witness knows")
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
