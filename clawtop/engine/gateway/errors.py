"""Why a gateway gave no usable answer."""

from __future__ import annotations

from enum import StrEnum


class Trouble(StrEnum):
    """CLOSED: it was not queried, for a reason on clawtop's side. UNREACHABLE: no connection. STARTING: it is not
    ready yet. MUTE: no answer in time. TOKEN: it rejects clawtop's token. SCOPE: it grants too little. UNKNOWN: it has
    no such method. REFUSED: it said no. NONSENSE: the answer is invalid or too large. FOREIGN: it serves another
    directory.
    """

    CLOSED = "closed"
    UNREACHABLE = "unreachable"
    STARTING = "starting"
    MUTE = "mute"
    TOKEN = "token"  # noqa: S105 - a word
    SCOPE = "scope"
    UNKNOWN = "unknown-method"
    REFUSED = "refused"
    NONSENSE = "nonsense"
    FOREIGN = "foreign"


_MAY_BE_DONE = frozenset({Trouble.MUTE, Trouble.NONSENSE})


class GatewayCallError(Exception):
    """A request that got no usable answer. `words` are safe for a screen."""

    def __init__(self, trouble: Trouble, words: str) -> None:
        super().__init__(words)
        self.trouble = trouble
        self.words = words
        self.was_sent = False

    @property
    def leaves_open(self) -> bool:
        """The gateway may have done what it was told: it did not answer, or not intelligibly."""
        return self.was_sent and self.trouble in _MAY_BE_DONE
