"""Commands that change something: plan from the snapshot on the screen, preview, ask."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from clawtop.commands import Arming, command
from clawtop.errors import RefusedError
from clawtop.ui.shell import Shell
from clawtop.view.line import Tone


def operate(command_id: str) -> Callable[[Shell], None]:
    """A handler that plans and opens the confirmation; or says why not."""

    def handle(app: Shell) -> None:
        from clawtop.ui.screens.confirm import ConfirmScreen
        from clawtop.view.row_plans import plan_for

        item, target, snapshot, execute = command(command_id), app.view.target, app.snapshot, app.execute
        if snapshot is None or execute is None:
            app.say(f"{item.title}: not available in this dashboard", Tone.WARN)
            return
        try:
            plan = plan_for(command_id, snapshot, target)
        except RefusedError as error:
            app.say(f"{item.title}: {error}", Tone.WARN)
            return
        if plan.is_empty:
            app.say(f"{item.title}: nothing to do, nothing would change", Tone.WARN)
            return
        app.clear_toasts()
        app.open(ConfirmScreen(item, target, plan, execute))

    return handle


def unlock_refused(app: Shell) -> None:
    """The live gateway as a holder is said louder than in a line, and offers no removal."""
    from clawtop.ui.screens.reading import ReadingScreen
    from clawtop.view.row_plans import gateway_holds_lines, held_by_gateway

    lock = held_by_gateway(app.snapshot, app.view.target)
    if lock is not None and app.arming.state is Arming.ARMED:
        app.open(ReadingScreen("The live gateway holds this lock", partial(gateway_holds_lines, lock)))
