"""From a command's id to what is done: the view's handler, the app's action, an operation, a view; or why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clawtop.commands import Target, command, why_not
from clawtop.text import safe
from clawtop.ui.actions import ACTIONS, REFUSED
from clawtop.ui.screens.main import MainScreen
from clawtop.view.line import Tone

if TYPE_CHECKING:
    from clawtop.ui.app import ClawtopApp


def run_command(app: ClawtopApp, command_id: str) -> None:
    """Run a command of the table, or say why not."""
    item = command(command_id)
    context = app.view.context
    reason = why_not(item, context)
    if reason is not None:
        app.say(f"{item.title}: {reason}", Tone.WARN)
        if command_id in REFUSED:
            REFUSED[command_id](app, context)
        return
    handler = app.view.handler(command_id)
    if handler is not None:
        handler()
    elif command_id in ACTIONS:
        ACTIONS[command_id](app)
    elif item.dangerous and app.operator is not None:
        app.operator.start(app, item, context)
    else:
        _open_view(app, command_id)


def _open_view(app: ClawtopApp, command_id: str) -> None:
    from clawtop.ui.screens.views import VIEWS, open_view

    if command_id not in VIEWS:
        app.say(f"{command(command_id).title}: not available in this dashboard", Tone.WARN)
    elif app.view.view_id != command_id:
        app.do_overview()
        app.push_screen(open_view(command_id))


def show_target(app: ClawtopApp, target: Target) -> None:
    """Go to the overview and to this row."""
    app.do_overview()
    view = app.view
    if isinstance(view, MainScreen) and not view.select(target):
        app.say(f"{target.kind} {safe(target.id, 60)} is not in the state any more", Tone.WARN)
