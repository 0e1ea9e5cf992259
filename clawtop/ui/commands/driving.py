"""Commands that drain, drive and steer; and the question before the dashboard quits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clawtop.errors import RefusedError
from clawtop.text import safe
from clawtop.ui.shell import Shell
from clawtop.view.line import Tone, text_of

if TYPE_CHECKING:
    from clawtop.ui.driven import DrivenRun
    from clawtop.ui.work import DrainJob

NOT_HERE = "not available in this dashboard"


def drain(app: Shell) -> None:
    from clawtop.ui.screens.drain import DrainScreen

    work = app.work
    if work is not None and work.draining is not None:
        app.say(f"one at a time: this is the drain of {safe(work.draining.log.session, 60)}", Tone.WARN)
        app.open(DrainScreen(work, work.draining.log.session, job=work.draining))
        return
    found = _session_of_row(app, "Drain")
    if found is not None and work is not None:
        app.open(DrainScreen(work, *found))


def recover(app: Shell) -> None:
    from clawtop.ui.screens.recover import RecoverScreen

    found = _session_of_row(app, "Recover")
    if found is not None and app.work is not None:
        app.open(RecoverScreen(app.work, *found))


def _session_of_row(app: Shell, doing: str) -> tuple[str, str | None] | None:
    """Session and agent of the row under the cursor; where it has none, or nothing can be done here, that is said."""
    from clawtop.view.row_sessions import session_of

    target, snapshot = app.view.target, app.snapshot
    if app.work is None or target is None or snapshot is None:
        app.say(f"{doing}: {NOT_HERE}", Tone.WARN)
        return None
    try:
        return session_of(snapshot, target)
    except RefusedError as error:
        app.say(f"{doing}: {error}", Tone.WARN)
        return None


def drive(app: Shell) -> None:
    from clawtop.ui.screens.drive import DriveScreen

    if app.work is None or app.view.target is None:
        app.say(f"Drive: {NOT_HERE}", Tone.WARN)
    else:
        app.open(DriveScreen(app.work, app.view.target))


def rotate_run(app: Shell) -> None:
    run = _own_run(app)
    if run is not None:
        why_not = run.rotate()
        done = f"run {run.log.run_id} continues with the next profile; nothing is marked"
        app.say(f"not rotated: {why_not}" if why_not else done, Tone.WARN if why_not else Tone.OK)


def cancel_run(app: Shell) -> None:
    run = _own_run(app)
    if run is not None:
        why_not = run.cancel()
        app.say(f"not cancelled: {why_not}" if why_not else f"run {run.log.run_id} is cancelled", Tone.WARN)


def _own_run(app: Shell) -> DrivenRun | None:
    return app.work.run_of(app.view.target) if app.work is not None else None


def show_underway(app: Shell) -> None:
    """Show the row's run; else the drain under way; else the latest run; else the last drain."""
    from clawtop.ui.screens.drain import DrainScreen

    work = app.work
    if work is None:
        return
    run = work.run_of(app.view.target)
    if run is None and work.draining is None and work.runs:
        run = work.runs[-1]
    if run is not None:
        from clawtop.ui.screens.run import RunScreen

        app.open(RunScreen(work, run))
    elif work.drain is not None:
        app.open(DrainScreen(work, work.drain.log.session, job=work.drain))


def receipt_text(job: DrainJob) -> str:
    """The outcome of a drain in one text, for a drain whose dialog is closed."""
    return "\n".join([f"drain of {safe(job.log.session)}", *(text_of(line) for line in job.log.receipt)])


def may_leave(app: Shell) -> bool:
    """Whether the dashboard may end now. While it drives or drains: False, and the operator is asked."""
    if app.work is None or not app.work.busy:
        return True
    from clawtop.ui.screens.leave import LeaveScreen

    app.open(LeaveScreen(app.work))
    return False
