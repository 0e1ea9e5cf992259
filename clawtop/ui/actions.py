"""What the app itself does for a command: a table of small functions. Views handle theirs before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from clawtop.commands import Arming, Context
from clawtop.text import safe
from clawtop.ui.arming import MEANING
from clawtop.ui.incident import INCIDENT_ACTIONS
from clawtop.ui.theme import THEMES
from clawtop.ui.working import WORK_ACTIONS, may_leave

if TYPE_CHECKING:
    from clawtop.ui.app import ClawtopApp


def _arm(app: ClawtopApp) -> None:
    state = app.arming.toggle()
    app.say(f"{state}: {MEANING[state]}")
    app.view.refresh_time()
    if state is Arming.ARMED:
        app.on_armed()


def _quit(app: ClawtopApp) -> None:
    """Back to the overview; from there, and from the view that opened first, leave."""
    if app.view.view_id != "overview" and not app.view.is_first:
        app.pop_screen()
    elif may_leave(app):
        app.exit(return_code=0)


def _pause(app: ClawtopApp) -> None:
    app.set_paused(not app.paused)


def _refresh(app: ClawtopApp) -> None:
    app.source.poke()
    app.say("reading the state directory")


def _copy(app: ClawtopApp) -> None:
    target = app.view.target
    if target is not None:
        app.copy_to_clipboard(target.id)
        app.say(f"copied: {safe(target.id, 80)}")


def _theme(app: ClawtopApp) -> None:
    app.theme = THEMES[(THEMES.index(app.theme) + 1) % len(THEMES)]
    app.say(f"theme: {app.theme}")


def _help(app: ClawtopApp) -> None:
    from clawtop.ui.screens.reading import ReadingScreen
    from clawtop.view.footer import help_lines

    app.push_screen(ReadingScreen("Help", lambda width: help_lines(app.view.context, width)))


def _detail(app: ClawtopApp) -> None:
    from clawtop.ui.screens.reading import ReadingScreen
    from clawtop.view.detail import detail_lines

    target = app.view.target
    app.push_screen(
        ReadingScreen("Detail", lambda width: detail_lines(target, app.env, width) if app.env is not None else ())
    )


ACTIONS: Mapping[str, Callable[[ClawtopApp], None]] = {
    "overview": lambda app: app.do_overview(),
    "quit": _quit,
    "arm": _arm,
    "pause": _pause,
    "refresh": _refresh,
    "copy": _copy,
    "theme": _theme,
    "palette": lambda app: app.action_command_palette(),
    "help": _help,
    "detail": _detail,
    **INCIDENT_ACTIONS,
    **WORK_ACTIONS,
}


def _unlock_refused(app: ClawtopApp, context: Context) -> None:
    """The live gateway as a holder is said louder than in a line, and offers no removal."""
    from clawtop.ui.operate import gateway_holds_lines, held_by_gateway
    from clawtop.ui.screens.reading import ReadingScreen

    lock = held_by_gateway(context.snapshot, context.target)
    if lock is not None and context.arming is Arming.ARMED:
        app.push_screen(ReadingScreen("The live gateway holds this lock", partial(gateway_holds_lines, lock)))


REFUSED: Mapping[str, Callable[[ClawtopApp, Context], None]] = {"unlock": _unlock_refused}
"""What else happens when a command cannot run."""
