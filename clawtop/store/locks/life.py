"""Signs of life without a visible process: a gateway in another pid namespace shows only in the files it writes."""

from __future__ import annotations

from collections.abc import Iterable

from clawtop.clock import Clock
from clawtop.store.json_text import stamp_of

LIFE_SECONDS = 60.0
"""How long observed growth counts as a sign of life."""


class LifeWatch:
    """Notices growth between two checks, both made while no owner of the files was visible.

    Data that a process wrote before it died is not a later sign of life, so `forget` starts over.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sizes: dict[str, int] = {}
        self._seen_at: float | None = None

    def forget(self) -> None:
        """An owner is visible, so growth is due to it."""
        self._sizes = {}
        self._seen_at = None

    def shows(self, paths: Iterable[str]) -> bool:
        """Whether one of these files grew between two checks, at most a minute ago."""
        sizes = {path: stamp.size for path in paths if (stamp := stamp_of(path)) is not None}
        if any(size > self._sizes[path] for path, size in sizes.items() if path in self._sizes):
            self._seen_at = self._clock.monotonic()
        self._sizes = sizes
        return self._seen_at is not None and self._clock.monotonic() - self._seen_at < LIFE_SECONDS
