"""How many turns are using each account right now, across all clawtop processes of the state directory.

Simultaneous turns would all take the least recently used account, since that only changes once one of them succeeds;
so the number of turns in flight is compared before the time of the last use. This process's turns are counted here;
those of others are in the registry's records, which name each holder's account.

Mutable state: `_own`, touched by the event loop's thread only; `_others`, what was last read of the records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from clawtop.clock import Clock
from clawtop.store.own.admissions import profiles_in_flight

LOOK_S = 0.05
"""Records of others are read again after this."""


class InFlight:
    """The count for one state directory."""

    def __init__(self, holders: Path, clock: Clock) -> None:
        self._holders = holders
        self._clock = clock
        self._own: Counter[str] = Counter()
        self._others: Mapping[str, int] = {}
        self._looked: float | None = None

    @contextmanager
    def using(self, profile: str | None) -> Iterator[None]:
        """Count a turn's use of an account while it lasts."""
        if profile is None:
            yield
            return
        self._own[profile] += 1
        try:
            yield
        finally:
            self._own[profile] -= 1
            if not self._own[profile]:
                del self._own[profile]

    def counts(self) -> Mapping[str, int]:
        """Turns by profile."""
        now = self._clock.monotonic()
        if self._looked is None or now - self._looked >= LOOK_S:
            self._looked = now
            self._others = profiles_in_flight(self._holders)
        return self._own + Counter(self._others) if self._others else self._own
