"""Messages between the parts of the screen."""

from __future__ import annotations

from textual.message import Message

from clawtop.commands import Target
from clawtop.core.model import Snapshot


class SnapshotArrived(Message):
    """The hub delivered a snapshot. A later one replaces one that has not been shown yet."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, SnapshotArrived)


class TargetChanged(Message):
    """The cursor of the focused table is on another row; None: there is no row."""

    def __init__(self, target: Target | None) -> None:
        super().__init__()
        self.target = target

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, TargetChanged)


class CommandRequested(Message):
    """A click on a command's words."""

    def __init__(self, command_id: str) -> None:
        super().__init__()
        self.command_id = command_id


class FilterChanged(Message):
    """The operator types a filter; `done` when the input closes."""

    def __init__(self, text: str, *, done: bool) -> None:
        super().__init__()
        self.text = text
        self.done = done
