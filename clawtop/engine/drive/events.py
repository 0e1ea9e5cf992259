"""What a run reports: events for the journal, and the reply's text for whoever listens to this run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from clawtop.clock import Clock
from clawtop.core.model import ENGINE, Event, EventKind, ModelRef
from clawtop.text import shown
from clawtop.values import dataclass

TEXT_CELLS = 300


@dataclass(frozen=True, slots=True)
class ReplyText:
    """The next piece of the reply. Not journaled: the text is in the transcript."""

    text: str


@dataclass(frozen=True, slots=True)
class ReplyDiscarded:
    """The text streamed so far (`chars` of it) is void: the attempt failed or was abandoned by a rotation."""

    chars: int


@dataclass(frozen=True, slots=True)
class Phase:
    """Where the run is now; `at` in ms since the epoch. The names are those of `PromptHolder.phase`."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class AccountWait:
    """Every account is cooling, and the run waits for `profile`, which is usable again at `until` (ms since the
    epoch). Sent every second: another account may return sooner by then.
    """

    profile: str
    until: int


RunItem = Event | ReplyText | ReplyDiscarded | Phase | AccountWait


@dataclass(frozen=True, slots=True)
class Teller:
    """Emits the events of one run, with their common fields."""

    clock: Clock
    emit: Callable[[Event], None]
    run_id: str
    agent: str
    session_key: str | None
    session_file: str
    lane: str

    def tell(
        self,
        kind: EventKind,
        text: str,
        *,
        model: ModelRef | None = None,
        profile: str | None = None,
        reason: str | None = None,
        duration_ms: int | None = None,
        session_file: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Emit an event of this run, now. `text` may contain foreign text: it is redacted and made one line here."""
        self.emit(
            Event(
                at=self.clock.now_ms(),
                kind=kind,
                source=ENGINE,
                text=shown(text, TEXT_CELLS),
                agent=self.agent,
                session_key=self.session_key,
                session_file=session_file or self.session_file,
                lane=self.lane,
                run_id=self.run_id,
                provider=model.provider if model else None,
                model=model.model if model else None,
                profile=profile,
                reason=reason,
                duration_ms=duration_ms,
                data=data or {},
            )
        )
