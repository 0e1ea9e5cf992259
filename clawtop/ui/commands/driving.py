"""Commands that drain, drive and steer; and the question before the dashboard quits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clawtop.errors import RefusedError
from clawtop.text import safe
from clawtop.ui.shell import Shell
from clawtop.view.line import Tone, text_of

if TYPE_CHECKING:
    from clawtop.ui.driven import DrivenRun
    from clawtop.ui.jobs import DrainJob

NOT_HERE = "not available in this dashboard"


def drain(app: Shell) -> None:
    from clawtop.ui.screens.drain import DrainScreen

    jobs = app.jobs
    if jobs is not None and jobs.draining is not None:
        app.say(f"one at a time: this is the drain of {safe(jobs.draining.log.session, 60)}", Tone.WARN)
        app.open(DrainScreen(jobs, jobs.draining.log.session, job=jobs.draining))
        return
    found = _session_of_row(app, "Drain")
    if found is not None and jobs is not None:
        app.open(DrainScreen(jobs, *found))


def recover(app: Shell) -> None:
    from clawtop.ui.screens.recover import RecoverScreen

    found = _session_of_row(app, "Recover")
    if found is not None and app.jobs is not None:
        app.open(RecoverScreen(app.jobs, *found))


def _session_of_row(app: Shell, doing: str) -> tuple[str, str | None] | None:
    """Session and agent of the row under the cursor; None after telling the operator that it has none, or that nothing
    can be done here.
    """
    from clawtop.view.row_sessions import session_of

    target, snapshot = app.view.target, app.snapshot
    if app.jobs is None or target is None or snapshot is None:
        app.say(f"{doing}: {NOT_HERE}", Tone.WARN)
        return None
    try:
        return session_of(snapshot, target)
    except RefusedError as error:
        app.say(f"{doing}: {error}", Tone.WARN)
        return None


def drive(app: Shell) -> None:
    from clawtop.ui.screens.drive import DriveScreen

    if app.jobs is None or app.view.target is None:
        app.say(f"Drive: {NOT_HERE}", Tone.WARN)
    else:
        app.open(DriveScreen(app.jobs, app.view.target))


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
    return app.jobs.run_of(app.view.target) if app.jobs is not None else None


def show_underway(app: Shell) -> None:
    """Show the row's run; else the drain under way; else the latest run; else the last drain."""
    from clawtop.ui.screens.drain import DrainScreen

    jobs = app.jobs
    if jobs is None:
        return
    run = jobs.run_of(app.view.target)
    if run is None and jobs.draining is None and jobs.runs:
        run = jobs.runs[-1]
    if run is not None:
        from clawtop.ui.screens.run import RunScreen

        app.open(RunScreen(jobs, run))
    elif jobs.drain is not None:
        app.open(DrainScreen(jobs, jobs.drain.log.session, job=jobs.drain))


def receipt_text(job: DrainJob) -> str:
    """The outcome of a drain in one text, for a drain whose dialog is closed."""
    return "\n".join([f"drain of {safe(job.log.session)}", *(text_of(line) for line in job.log.receipt)])


def may_leave(app: Shell) -> bool:
    """Whether the dashboard may end now. While it drives or drains: False, and the operator is asked."""
    if app.jobs is None or not app.jobs.busy:
        return True
    from clawtop.ui.screens.leave import LeaveScreen

    app.open(LeaveScreen(app.jobs))
    return False
