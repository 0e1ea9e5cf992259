"""What the incident view asks of the app: the first screen, notices, recording, the incident file, replay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from clawtop.core.incident.blocking import Severity
from clawtop.core.incident.notices import Standing, next_due, notices, standing
from clawtop.core.model import Snapshot
from clawtop.errors import ClawtopError
from clawtop.text import safe, shown
from clawtop.ui.ports import IncidentPorts, Playback
from clawtop.view.line import Tone
from clawtop.view.replay_words import replay_words

if TYPE_CHECKING:
    from clawtop.ui.app import ClawtopApp

SEEK_MS = 10_000


class Vigil:
    """Sees every state that the screen shows. What it remembers: how things stood when it last looked, and when
    something will have been blocked for too long. All on the event loop.
    """

    def __init__(self, ports: IncidentPorts) -> None:
        self._ports = ports
        self._before: Standing | None = None
        self._due: int | None = None
        self.opened = False

    def look(self, app: ClawtopApp, snapshot: Snapshot) -> None:
        """Open the first view on the first snapshot; say what is worth a notice on later ones."""
        if not self.opened:
            self.opened = True
            self._open_first(app)
        if self._ports.playback is not None or app.facts is None:
            return
        blocked_ms = round(self._ports.blocked_minutes * 60_000)
        now = standing(snapshot, app.now, app.facts.passing_tree())
        told = notices(self._before, now, blocked_ms)
        self._before, self._due = now, next_due(now, blocked_ms)
        if told:
            self._tell(app, " · ".join(told))

    def is_due(self, now: int) -> bool:
        """Whether time alone has made something worth another look."""
        return self._due is not None and now >= self._due

    def mood(self, *, paused: bool, also: tuple[str, ...] = ()) -> str:
        """Words about the dashboard itself, for the first line."""
        words = [*(["PAUSED"] if paused else []), *also]
        if self._ports.tape is not None and self._ports.tape.recording is not None:
            words.append("● REC")
        if self._ports.playback is not None:
            words.append(replay_words(self._ports.playback))
        return f" {'  '.join(words)} " if words else ""

    def _open_first(self, app: ClawtopApp) -> None:
        from clawtop.ui.screens.views import open_view

        wanted = self._ports.opens
        if wanted is None:
            blocked = app.facts is not None and any(node.severity is not Severity.BUSY for node in app.facts.tree)
            wanted = "tree" if blocked else "overview"
        if wanted != "overview":
            view = open_view(wanted)
            view.is_first = True
            app.push_screen(view)

    def _tell(self, app: ClawtopApp, text: str) -> None:
        app.say(text, Tone.ACCENT)
        if self._ports.bell:
            app.bell()
        if self._ports.notify:
            driver = app._driver  # as Textual's own copy_to_clipboard writes OSC 52
            if driver is not None:
                driver.write(f"\x1b]9;clawtop: {text}\x07")


# --- commands ----------------------------------------------------------------------------------------------------


def _save(app: ClawtopApp) -> None:
    """Write the incident file behind the screen's back and say where it is."""
    save, snapshot, now = app.options.incident.save, app.snapshot, app.now
    if save is None or snapshot is None:
        app.say("an incident file cannot be written from here", Tone.WARN)
        return

    async def write() -> None:
        try:
            path = await asyncio.to_thread(save, snapshot, now)
        except ClawtopError as error:
            app.say(shown(str(error)), Tone.BAD)
        else:
            app.say(f"saved {safe(path)}: paste it into an issue, or clawtop replay it", Tone.OK)

    app.run_worker(write(), name="bundle", exit_on_error=False)


def _record(app: ClawtopApp) -> None:
    tape = app.options.incident.tape
    if tape is None:
        app.say("a recording cannot be made from here", Tone.WARN)
        return
    try:
        if tape.recording is None:
            if app.snapshot is not None:
                tape.take(app.snapshot)  # right after the first frame, the source has delivered nothing yet
            app.say(f"recording to {safe(tape.start())}", Tone.OK)
        else:
            app.say(f"recorded {safe(tape.stop())}: open it with clawtop replay", Tone.OK)
    except ClawtopError as error:
        app.say(shown(str(error)), Tone.BAD)
    app.view.refresh_time()


def _play(playback: Playback) -> None:
    if playback.playing:
        playback.pause()
    else:
        playback.resume()


def _seek(playback: Playback, by: int) -> None:
    playback.seek(playback.now_ms() + by)


_PLAYBACK: Mapping[str, Callable[[Playback], object]] = {
    "replay-play": _play,
    "replay-step": lambda playback: playback.step(1),
    "replay-step-back": lambda playback: playback.step(-1),
    "replay-faster": lambda playback: playback.faster(1),
    "replay-slower": lambda playback: playback.faster(-1),
    "replay-forward": lambda playback: _seek(playback, SEEK_MS),
    "replay-back": lambda playback: _seek(playback, -SEEK_MS),
    "replay-event": lambda playback: playback.next_event(),
    "replay-event-back": lambda playback: playback.event_before(),
}


def _steer(command_id: str) -> Callable[[ClawtopApp], None]:
    def steer(app: ClawtopApp) -> None:
        playback = app.options.incident.playback
        if playback is None:
            return
        before = playback.now_ms()
        _PLAYBACK[command_id](playback)
        if command_id.startswith("replay-event") and playback.now_ms() == before:
            app.say("there is no further event in this direction")
        app.view.refresh_time()

    return steer


INCIDENT_ACTIONS: Mapping[str, Callable[[ClawtopApp], None]] = {
    "bundle": _save,
    "record": _record,
    **{command_id: _steer(command_id) for command_id in _PLAYBACK},
}
"""Commands that the app itself carries out; the views of the incident handle theirs."""
