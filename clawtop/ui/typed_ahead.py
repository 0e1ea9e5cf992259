"""Keys are handled one at a time: a screen or line that a key opens is ready before the next key is handled.

Textual passes a key to the focused widget and continues with the next one. If several arrive together, from fast
typing or a slow line, those after the key that opens a filter would otherwise act as commands.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from textual import events
from textual.message import Message
from textual.message_pump import MessagePump
from textual.widget import Widget

if TYPE_CHECKING:
    from textual.screen import Screen

AT_ONCE = frozenset({"ctrl+c", "ctrl+l"})
"""Keys that are handled without waiting."""

LOOK_SECONDS = 0.005
MOST_LOOKS = 100
"""Nothing takes this long to open; a screen that never reports ready must not block the keys."""


class KeyHeard(Message, bubble=True):
    """Follows a key through the same queues: when it reaches the app, that key has been handled."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class TypedAheadApp(MessagePump):
    """The app's mixin; must precede Textual's App in the bases."""

    focused: Widget | None
    screen: Screen[object]
    screen_stack: list[Screen[object]]
    _ahead: deque[events.Key]
    _hearing = False
    _looks = 0
    _looks_again = False
    _number = 0

    async def on_event(self, event: events.Event) -> None:
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
            return
        if not self.screen_stack:
            return  # the app is ending: nothing is left to handle it
        if event.key in AT_ONCE:
            await super().on_event(event)
            return
        if "_ahead" not in self.__dict__:
            self._ahead = deque()
        self._ahead.append(event)
        if not self._looks_again:
            await self._hear()

    async def _hear(self) -> None:
        """Handle the next key as soon as what the last one opened is ready."""
        self._looks_again = False
        if not self._ahead or not self.screen_stack:
            return
        try:
            if (self._hearing or not self._is_settled()) and self._looks < MOST_LOOKS:
                self._looks += 1
            else:
                await self._hand_on(self._ahead.popleft())
        finally:  # whatever a key did: the keys after it are handled
            if self._ahead:
                self._looks_again = True
                self.set_timer(LOOK_SECONDS, self._hear)

    async def _hand_on(self, event: events.Key) -> None:
        target = self.focused or self.screen
        self._looks, self._hearing, self._number = 0, True, self._number + 1
        try:
            await super().on_event(event)
        finally:
            self._hearing = target.post_message(KeyHeard(self._number))

    def on_key_heard(self, message: KeyHeard) -> None:
        message.stop()
        if message.number == self._number:  # an earlier one arrives late: that key was not waited for
            self._hearing = False

    def _is_settled(self) -> bool:
        screen = self.screen
        return screen.is_mounted and all(child.is_mounted for child in screen.query(Widget))
