"""Messages from one clawtop process to a claimant in another, through a named pipe.

The pipe is beside the process's liveness lock (`store.own.presence`). A message may get lost: waiters also check by
themselves.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from enum import StrEnum
from pathlib import Path

from clawtop.core.session.admission import Claimant
from clawtop.store import door
from clawtop.store.disk import disk
from clawtop.store.own.presence import Presence, cannot_coordinate

_serial = itertools.count(1)  # next() is atomic


class Word(StrEnum):
    """The messages that one process can send another about a claimant."""

    WAKE = "wake"
    """Your turn may have come: try again."""
    STOP = "stop"
    """A drain wants the session: stop the run."""
    LOST = "lost"
    """The session may no longer be held: stop the run, and write nothing more."""


class WakeChannel:
    """A named pipe beside the liveness lock, for messages to the claimants of this process."""

    def __init__(self, presence: Presence) -> None:
        """Raises RefusedError if there is no space for it."""
        self.name = f"{presence.member}.{next(_serial)}.wake"
        self._path = presence.directory / "processes" / self.name
        try:
            disk.mkfifo(self._path, 0o600)
            # Opened for writing too, so that a pipe without writers does not stay at end of file.
            self.descriptor = door.open_pipe(self._path, os.O_RDWR)
        except OSError as error:
            raise cannot_coordinate(presence.directory, error) from error

    def heard(self) -> tuple[tuple[Word, str], ...]:
        """The messages since the last call, each with the token of the claimant it is for."""
        try:
            said = os.read(self.descriptor, 65536).decode("ascii", "replace")
        except BlockingIOError:
            return ()
        pairs = (line.partition(" ") for line in said.splitlines())
        return tuple((Word(word), token) for word, _, token in pairs if word in _WORDS)

    def close(self) -> None:
        os.close(self.descriptor)
        disk.unlink_if_there(self._path)


_WORDS = frozenset(Word)


def tell(directory: Path, who: Claimant, word: Word = Word.WAKE) -> None:
    """Send a message to a claimant in another process. It may get lost: waiters also check by themselves."""
    if not who.wake or "/" in who.wake:
        return
    with contextlib.suppress(OSError):
        descriptor = door.open_pipe(directory / "processes" / who.wake, os.O_WRONLY)
        try:
            disk.write(descriptor, f"{word} {who.token}\n".encode("ascii", "replace"))
        finally:
            os.close(descriptor)
