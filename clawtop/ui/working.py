"""Commands that drain, drive and steer; and what is asked before the dashboard leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from clawtop.errors import RefusedError
from clawtop.text import safe
from clawtop.view.line import Tone, text_of

if TYPE_CHECKING:
    from clawtop.ui.app import ClawtopApp
    from clawtop.ui.driven import DrivenRun
    from clawtop.ui.work import DrainJob

RECEIPT_SECONDS = 12.0
NOT_HERE = "not available in this dashboard"


def _drain(app: ClawtopApp) -> None:
    from clawtop.ui.screens.drain import DrainScreen
    from clawtop.ui.work import session_of

    work, target, snapshot = app.work, app.view.target, app.snapshot
    if work is None or target is None or snapshot is None:
        app.say(f"Drain: {NOT_HERE}", Tone.WARN)
        return
    if work.draining is not None:
        app.say(f"one at a time: this is the drain of {safe(work.draining.log.session, 60)}", Tone.WARN)
        app.push_screen(DrainScreen(work, work.draining.log.session, job=work.draining))
        return
    try:
        session, agent = session_of(snapshot, target)
    except RefusedError as error:
        app.say(f"Drain: {error}", Tone.WARN)
        return
    app.push_screen(DrainScreen(work, session, agent))


def _drive(app: ClawtopApp) -> None:
    from clawtop.ui.screens.drive import DriveScreen

    if app.work is None or app.view.target is None:
        app.say(f"Drive: {NOT_HERE}", Tone.WARN)
    else:
        app.push_screen(DriveScreen(app.work, app.view.target))


def _rotate(app: ClawtopApp) -> None:
    run = _own_run(app)
    if run is not None:
        why_not = run.rotate()
        done = f"run {run.log.run_id} goes on with the next profile; nothing is marked"
        app.say(f"not rotated: {why_not}" if why_not else done, Tone.WARN if why_not else Tone.OK)


def _cancel(app: ClawtopApp) -> None:
    run = _own_run(app)
    if run is not None:
        why_not = run.cancel()
        app.say(f"not cancelled: {why_not}" if why_not else f"run {run.log.run_id} is cancelled", Tone.WARN)


def _own_run(app: ClawtopApp) -> DrivenRun | None:
    return app.work.run_of(app.view.target) if app.work is not None else None


def _under_way(app: ClawtopApp) -> None:
    """The row's run; else the drain; else the latest run; else the last drain."""
    from clawtop.ui.screens.drain import DrainScreen

    work = app.work
    if work is None:
        return
    run = work.run_of(app.view.target)
    if run is None and work.draining is None and work.runs:
        run = work.runs[-1]
    if run is not None:
        from clawtop.ui.screens.run import RunScreen

        app.push_screen(RunScreen(work, run))
    elif work.drain is not None:
        app.push_screen(DrainScreen(work, work.drain.log.session, job=work.drain))


WORK_ACTIONS: Mapping[str, Callable[[ClawtopApp], None]] = {
    "drain": _drain,
    "drive": _drive,
    "run-rotate": _rotate,
    "run-cancel": _cancel,
    "underway": _under_way,
}


def attach(app: ClawtopApp) -> None:
    """Let the app's work speak through it."""
    if app.work is not None:
        app.work.say = app.say
        app.work.show_receipt = partial(_show_receipt, app)


def _show_receipt(app: ClawtopApp, job: DrainJob) -> None:
    """The last word of a drain that nobody watches."""
    from clawtop.ui.screens.drain import DrainScreen

    if app.is_running and not isinstance(app.screen, DrainScreen):
        words = "\n".join([f"drain of {safe(job.log.session)}", *(text_of(line) for line in job.log.receipt)])
        app.notify(words, markup=False, timeout=RECEIPT_SECONDS)


def may_leave(app: ClawtopApp) -> bool:
    """Whether nothing of the dashboard's own is under way; else the operator is asked."""
    if app.work is None or not app.work.busy:
        return True
    from clawtop.ui.screens.leave import LeaveScreen

    app.push_screen(LeaveScreen(app.work))
    return False
