"""Compares each state that is shown with the one before: decides which view opens first, and what deserves a notice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from clawtop.core.model import Snapshot
from clawtop.text import safe
from clawtop.ui.ports import IncidentPorts
from clawtop.ui.shell import Shell
from clawtop.view.line import Tone, text_of
from clawtop.view.overview import first_view
from clawtop.view.replay_words import replay_words

if TYPE_CHECKING:
    from clawtop.core.incident.notices import NoticeState
    from clawtop.core.operations.receipt import Receipt

LookAgain = Callable[[Snapshot], "Awaitable[tuple[Receipt, ...]]"]
"""Returns new receipts of operations that the gateway had not loaded at first:
`engine.operations.execute.Operations.look_again`.
"""


class Noticed(Protocol):
    """An app that can ring, notify, and show toasts."""

    def bell(self) -> None: ...
    def tell_terminal(self, text: str) -> None: ...


def pass_on(text: str, apps: Iterable[Noticed], ports: IncidentPorts) -> None:
    """Pass a notice on outside the screen, in the ways that the operator configured."""
    for app in apps:
        if ports.bell:
            app.bell()
        if ports.notify:
            app.tell_terminal(text)
    if ports.on_notice is not None:
        ports.on_notice(text)


class Notifier:
    """Sees every state. Remembers the last one, and when something will have been blocked for too long.

    All on the event loop.
    """

    def __init__(self, ports: IncidentPorts) -> None:
        self._ports = ports
        self._before: NoticeState | None = None
        self._due: int | None = None
        self.opened = False
        self.look_again: LookAgain | None = None
        self._asking = False

    def look(self, app: Shell, snapshot: Snapshot) -> None:
        """Open the first view on the first snapshot; say what is worth a notice on later ones."""
        from clawtop.core.incident.notices import captions, next_due, notice_state, notices  # after the first paint

        if not self.opened:
            self.opened = True
            self._open_first(app)
        if self._ports.playback is not None or app.facts is None:
            return
        if self.look_again is not None and not self._asking:
            self._asking = True
            app.start(self._late_receipts(app, snapshot, self.look_again), "looking at earlier operations")
        blocked_ms = round(self._ports.blocked_minutes * 60_000)
        now = notice_state(snapshot, app.now, app.facts.health)
        for caption in captions(self._before.at if self._before is not None else None, snapshot.events):
            app.tell(caption)
        told = notices(self._before, now, blocked_ms)
        self._before, self._due = now, next_due(now, blocked_ms)
        if told:
            text = " · ".join(told)
            app.tell(text)
            pass_on(text, (app,), self._ports)

    async def _late_receipts(self, app: Shell, snapshot: Snapshot, look_again: LookAgain) -> None:
        """Show a receipt again once the gateway's reaction to the operation is known."""
        try:
            receipts = await look_again(snapshot)
        finally:
            self._asking = False
        for receipt in receipts:
            from clawtop.view.plan_lines import receipt_lines

            lines = receipt_lines(receipt, 60)
            app.toast("\n".join(text_of(line) for line in lines))
            reverted = receipt.exit_code != 0
            app.tell(f"{receipt.sight}: {safe(receipt.title)}", Tone.BAD if reverted else Tone.OK)

    def is_due(self, now: int) -> bool:
        """Whether the passage of time alone requires another check."""
        return self._due is not None and now >= self._due

    def mood(self, *, paused: bool, also: tuple[str, ...] = ()) -> str:
        """What the dashboard itself is doing, for the first line: paused, a run, a recording; empty when nothing."""
        words = [*(["PAUSED"] if paused else []), *also]
        if self._ports.tape is not None and self._ports.tape.recording is not None:
            words.append("● REC")
        if self._ports.playback is not None:
            words.append(replay_words(self._ports.playback))
        return f" {'  '.join(words)} " if words else ""

    def _open_first(self, app: Shell) -> None:
        from clawtop.ui.screens.views import open_view

        wanted = self._ports.opens
        if wanted is None:
            wanted = first_view(app.facts) if app.facts is not None else "overview"
        if wanted != "overview":
            view = open_view(wanted)
            view.opened_first = True
            app.open(view)
