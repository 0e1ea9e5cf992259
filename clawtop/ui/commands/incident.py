"""Commands about an incident as a whole: its file, a recording, controlling a replay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from clawtop.core.model import Event
from clawtop.errors import ClawtopError
from clawtop.text import safe, shown
from clawtop.ui.ports import Playback
from clawtop.ui.shell import Shell
from clawtop.view.line import Tone

SEEK_MS = 10_000


def save_incident(app: Shell) -> None:
    """Write the incident file in a thread, then say where it is."""
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

    app.start(write(), "saving the incident file")


def record(app: Shell) -> None:
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


def steer(act: Callable[[Playback], object]) -> Callable[[Shell], None]:
    """A handler that steers what is replayed."""

    def handle(app: Shell) -> None:
        playback = app.options.incident.playback
        if playback is not None:
            act(playback)
            app.view.refresh_time()

    return handle


def steer_to_event(find: Callable[[Playback], Event | None]) -> Callable[[Shell], None]:
    """A handler that jumps to another event and pauses there, or says that there is none."""

    def handle(app: Shell) -> None:
        playback = app.options.incident.playback
        if playback is None:
            return
        before = playback.now_ms()
        find(playback)
        if playback.now_ms() == before:
            app.say("no more events in this direction")
        app.view.refresh_time()

    return handle


def play_or_pause(playback: Playback) -> None:
    if playback.playing:
        playback.pause()
    else:
        playback.resume()


def seek(playback: Playback, by: int) -> None:
    """Move the replay forward, or back, by a number of ms."""
    playback.seek(playback.now_ms() + by)
