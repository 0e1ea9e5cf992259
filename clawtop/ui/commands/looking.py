"""Commands that look: views, pages, filter, sort, the screen itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from clawtop.commands import Arming, Target, TargetKind, command, key_label
from clawtop.core.model import counted
from clawtop.errors import ClawtopError
from clawtop.text import safe, shown
from clawtop.ui.arming import MEANING
from clawtop.ui.commands.driving import may_leave
from clawtop.ui.palettes import THEMES
from clawtop.ui.screens.overview import OverviewScreen
from clawtop.ui.screens.tables import TablesScreen
from clawtop.ui.shell import Shell
from clawtop.view.line import Tone
from clawtop.view.row_sessions import events_of, overview_row

Handler = Callable[[Shell], None]


def on_tables(act: Callable[[TablesScreen], object]) -> Handler:
    """A handler that acts on the view's tables."""

    def handle(app: Shell) -> None:
        if isinstance(app.view, TablesScreen):
            act(app.view)

    return handle


def to_view(view_id: str) -> Handler:
    """A handler that opens a view over the overview."""

    def handle(app: Shell) -> None:
        from clawtop.ui.screens.views import open_view

        if app.view.view_id != view_id:
            app.to_overview()
            app.open(open_view(view_id))

    return handle


def to_overview(app: Shell) -> None:
    app.flash.answer.withdraw()
    app.to_overview()
    app.view.draw_footer()


def arm(app: Shell) -> None:
    state = app.arming.toggle()
    app.say(f"{state}: {MEANING[state]}")
    app.view.refresh_time()
    if state is Arming.ARMED:
        app.on_armed()


def back(app: Shell) -> None:
    """Go back one step: clear the filter, then the marks, then the zoom, then leave this screen, and from a host's
    overview return to the fleet.
    """
    view = app.view
    if isinstance(view, TablesScreen) and view.step_back():
        app.flash.answer.withdraw()
        view.draw_footer()
        return
    if view.view_id != "overview":
        app.to_overview()
    elif app.options.of_fleet:
        leave(app)
    else:
        app.say(f"nothing to go back from; {key_label(command('quit').keys[0])} leaves")


def leave(app: Shell) -> None:
    """Leave the dashboard from the overview or from the view that it opened with; go back from any other view."""
    if app.view.view_id != "overview" and not app.view.opened_first:
        app.to_overview()
    elif may_leave(app):
        app.leave()


def suspend(app: Shell) -> None:
    app.to_shell()


def pause(app: Shell) -> None:
    app.set_paused(not app.paused)


def read_now(app: Shell) -> None:
    app.source.poke()
    app.say("reading the state directory")


def copy(app: Shell) -> None:
    target = app.view.target
    if target is None:
        return
    try:
        app.copy_to_clipboard(target.named)
    except UnicodeEncodeError:  # half of a surrogate pair: valid in JSON, but no terminal takes it
        app.say(f"not copied: {safe(target.named, 80)} cannot be sent to a terminal", Tone.WARN)
    else:
        app.say(f"sent to the terminal's clipboard (tmux may drop it): {safe(target.named, 80)}")


def label(app: Shell) -> None:
    """Name the session under the cursor."""
    from clawtop.ui.screens.label import LabelScreen

    target, save = app.view.target, app.options.save_label
    if target is None or save is None:
        app.say("labels cannot be saved from here", Tone.WARN)
    else:
        app.open(LabelScreen(target.id, app.labels.get(target.id, ""), save, app.options.kept_in))


def save_look(app: Shell) -> None:
    """Save the theme and how this screen's tables are sorted; an empty text stands for a table's default order."""
    save, view = app.options.save_look, app.view
    if save is None:
        app.say("the look cannot be saved from here", Tone.WARN)
        return
    tables = view.tables if isinstance(view, TablesScreen) else ()
    known = app.options.sorting
    orders = {table.id or "": str(table.sorting or "") for table in tables if table.sorting or table.id in known}
    app.start(_keep_look(app, save, orders), "saving the look")


async def _keep_look(app: Shell, save: Callable[[str, Mapping[str, str]], None], orders: Mapping[str, str]) -> None:
    try:
        await asyncio.to_thread(save, app.theme, orders)
    except ClawtopError as error:
        app.say(shown(str(error)), Tone.BAD)
    else:
        app.say(f"saved in {app.options.kept_in}: theme {app.theme}, and how these tables are sorted", Tone.OK)


def next_theme(app: Shell) -> None:
    app.theme = THEMES[(THEMES.index(app.theme) + 1) % len(THEMES)]
    app.say(f"theme: {app.theme}")


def sort(app: Shell) -> None:
    if isinstance(app.view, TablesScreen):
        app.view.sort_next()
        app.say(_order(app.view))


def sort_reverse(app: Shell) -> None:
    if isinstance(app.view, TablesScreen):
        app.view.sort_reverse()
        app.say(_order(app.view))


def _order(view: TablesScreen) -> str:
    sorting = view.current.sorting
    if sorting is None:
        return "sorted in its default order"
    return f"sorted by {sorting.column}, {'descending' if sorting.descending else 'ascending'}"


def mark(app: Shell) -> None:
    if isinstance(app.view, TablesScreen):
        app.say(f"{counted(app.view.toggle_mark(), 'row')} marked; Escape unmarks all")


def zoom(app: Shell) -> None:
    if isinstance(app.view, OverviewScreen):
        app.view.toggle_zoom()


def open_palette(app: Shell) -> None:
    app.open_palette()


def show_help(app: Shell) -> None:
    from clawtop.ui.screens.reading import ReadingScreen
    from clawtop.view.footer import help_lines

    app.open(ReadingScreen("Help", lambda width: help_lines(app.context(), width)))


def show_detail(app: Shell) -> None:
    from clawtop.ui.screens.reading import ReadingScreen
    from clawtop.view.detail import detail_lines

    target = app.view.target
    app.open(ReadingScreen("Detail", lambda width: detail_lines(target, env, width) if (env := app.env) else ()))


# --- from a row of one view to a row of another --------------------------------------------------------------------


def jump(app: Shell) -> None:
    """Jump: in the tree to the root cause first; otherwise to the matching row of the overview."""
    from clawtop.ui.screens.incident import StackedScreen, TreeScreen

    view, snapshot = app.view, app.snapshot
    if isinstance(view, TreeScreen) and view.to_cause():
        return
    subject = view.subject if isinstance(view, StackedScreen) else view.target
    target = overview_row(snapshot, subject) if snapshot is not None and subject is not None else None
    if target is None:
        app.say("nothing in the overview matches this entry", Tone.WARN)
    elif target.kind is TargetKind.LANE:
        app.run_command("lanes")
        app.after_refresh(_select_lane, app, target)
    else:
        app.to_overview()
        app.after_refresh(show_target, app, target)


def show_target(app: Shell, target: Target) -> None:
    """Go to the overview and put the cursor on this row."""
    app.to_overview()
    if isinstance(app.view, OverviewScreen) and not app.view.select(target):
        app.say(f"{target.kind} {safe(target.id, 60)} is gone", Tone.WARN)


def _select_lane(app: Shell, target: Target) -> None:
    from clawtop.ui.screens.incident import LanesScreen

    if isinstance(app.view, LanesScreen) and not app.view.tables[0].select_target(target):
        app.say(f"lane {safe(target.id, 60)} is not reported any more", Tone.WARN)


# --- the timeline --------------------------------------------------------------------------------------------------


def narrow(app: Shell) -> None:
    """Show only this row's events; in the timeline, narrow to what the entry is about."""
    from clawtop.ui.screens.incident import TimelineScreen

    view, target, snapshot = app.view, app.view.target, app.snapshot
    if isinstance(view, TimelineScreen):
        if not view.narrow():
            app.say("this event names no profile, session or lane", Tone.WARN)
        return
    chosen = events_of(snapshot, target) if snapshot is not None and target is not None else None
    if chosen is None:
        app.say("this row's session is not known", Tone.WARN)
        return
    app.to_overview()
    app.open(TimelineScreen(chosen))


def kinds(app: Shell) -> None:
    from clawtop.ui.screens.incident import TimelineScreen

    if isinstance(app.view, TimelineScreen):
        app.view.next_kinds()


def background(app: Shell) -> None:
    from clawtop.ui.screens.incident import TimelineScreen

    if isinstance(app.view, TimelineScreen):
        app.view.toggle_background()
