"""From a command's id to its handler: one for each command that has a key."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clawtop.commands import meant, why_not
from clawtop.ui.commands import driving, incident, looking
from clawtop.ui.commands.looking import on_tables, to_view
from clawtop.ui.commands.operating import operate, unlock_refused
from clawtop.ui.screens.views import SCREENS
from clawtop.ui.shell import Shell
from clawtop.view.line import Tone

Handler = Callable[[Shell], None]

HANDLERS: Mapping[str, Handler] = {
    "overview": looking.to_overview,
    **{view: to_view(view) for view in SCREENS},
    "jump": looking.jump,
    "only": looking.narrow,
    "kinds": looking.kinds,
    "background": looking.background,
    "bundle": incident.save_incident,
    "record": incident.record,
    "detail": looking.show_detail,
    "filter": on_tables(lambda view: view.open_filter()),
    "sort": looking.sort,
    "sort-reverse": looking.sort_reverse,
    "mark": looking.mark,
    "pause": looking.pause,
    "refresh": looking.read_now,
    "copy": looking.copy,
    "label": looking.label,
    "save-look": looking.save_look,
    "theme": looking.next_theme,
    "palette": looking.open_palette,
    "help": looking.show_help,
    "zoom": looking.zoom,
    "up": on_tables(lambda view: view.move_rows(-1)),
    "down": on_tables(lambda view: view.move_rows(1)),
    "page-up": on_tables(lambda view: view.move_pages(-1)),
    "page-down": on_tables(lambda view: view.move_pages(1)),
    "first": on_tables(lambda view: view.move_to_edge(-1)),
    "last": on_tables(lambda view: view.move_to_edge(1)),
    "next-pane": on_tables(lambda view: view.focus_pane(1)),
    "previous-pane": on_tables(lambda view: view.focus_pane(-1)),
    "back": looking.back,
    "quit": looking.leave,
    "suspend": looking.suspend,
    "arm": looking.arm,
    "clear": operate("clear"),
    "clear-model": operate("clear-model"),
    "clear-provider": operate("clear-provider"),
    "rotate": operate("rotate"),
    "rotate-reset": operate("rotate-reset"),
    "unlock": operate("unlock"),
    "undo": operate("undo"),
    "drain": driving.drain,
    "recover": driving.recover,
    "drive": driving.drive,
    "run-rotate": driving.rotate_run,
    "run-cancel": driving.cancel_run,
    "underway": driving.show_underway,
    "replay-play": incident.steer(incident.play_or_pause),
    "replay-step": incident.steer(lambda playback: playback.step(1)),
    "replay-step-back": incident.steer(lambda playback: playback.step(-1)),
    "replay-faster": incident.steer(lambda playback: playback.faster(1)),
    "replay-slower": incident.steer(lambda playback: playback.faster(-1)),
    "replay-forward": incident.steer(lambda playback: incident.seek(playback, incident.SEEK_MS)),
    "replay-back": incident.steer(lambda playback: incident.seek(playback, -incident.SEEK_MS)),
    "replay-event": incident.steer_to_event(lambda playback: playback.next_event()),
    "replay-event-back": incident.steer_to_event(lambda playback: playback.event_before()),
}
"""Command id -> what it does. A handler is called only when `why_not` has nothing against it."""

REFUSED: Mapping[str, Handler] = {"unlock": unlock_refused}
"""What else happens when a command cannot run."""


def run_command(app: Shell, command_id: str) -> None:
    """Run a command of the table, or say why not."""
    context = app.context()
    item = meant(command_id, replaying=context.replaying)
    reason = why_not(item, context)
    if reason is None:
        HANDLERS[item.id](app)
        return
    app.say(f"{item.title}: {reason}", Tone.WARN)
    if item.id in REFUSED:
        REFUSED[item.id](app)
