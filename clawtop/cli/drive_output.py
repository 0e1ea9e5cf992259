"""What `clawtop drive` prints: progress and reply as text, or typed events as JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clawtop.errors import ClawtopError
from clawtop.redaction import masked, whole_words
from clawtop.text import safe

if TYPE_CHECKING:
    from clawtop.core.model import Event
    from clawtop.engine.drive.events import RunItem
    from clawtop.engine.drive.turn import TurnAnswer

SCHEMA = 1
TOLD = frozenset({"rotate", "fallback", "wait", "contended", "takeover", "notice", "failure", "mark-lost", "lock"})
"""Events that a person at a shell sees on stderr while the reply streams."""

LENGTH_EXIT, REFUSED_EXIT, TOOLS_EXIT = 10, 11, 12
STOP_EXITS: Mapping[str, int] = {"length": LENGTH_EXIT, "filter": REFUSED_EXIT, "refusal": REFUSED_EXIT}


def stop_exit(answer: TurnAnswer) -> int:
    """The exit code of a written reply: 0, or why it is incomplete."""
    if answer.tool_calls:
        return TOOLS_EXIT
    return STOP_EXITS.get(answer.stop_reason, 0)


def stop_words(answer: TurnAnswer) -> str | None:
    """Why a reply is incomplete, for people; None if it is complete."""
    if answer.tool_calls:
        return f"the model also asked for tools, which were dropped: {', '.join(map(safe, answer.tool_calls[:8]))}"
    match answer.stop_reason:
        case "length":
            return "the reply was cut at its token limit"
        case "filter":
            return f"the provider's filter cut the reply ({safe(answer.filtered or 'content filter', 80)})"
        case "refusal":
            return "the model refused"
    return None


def failure_facts(error: ClawtopError) -> dict[str, Any]:
    """What a failed turn says beyond its title: each model's failure, and when something is usable again."""
    from clawtop.engine.drive.chain import AllModelsFailedError
    from clawtop.engine.drive.turn import UnknownSessionError
    from clawtop.engine.providers.errors import ProviderError

    if isinstance(error, ProviderError):
        return {"provider": error.provider, **error.facts()}
    if isinstance(error, UnknownSessionError):
        return {"near": list(error.near)}
    if not isinstance(error, AllModelsFailedError):
        return {}
    attempts = [
        {
            "model": str(one.model),
            "reason": one.reason,
            "status": one.status,
            "code": one.code,
            "error": masked(one.error),
        }
        for one in error.summary.attempts
    ]
    return {"attempts": attempts, "soonest_recovery": error.summary.soonest_recovery}


def event_facts(event: Event) -> dict[str, Any]:
    """An event of the engine as JSON, without what it does not say."""
    from dataclasses import asdict

    facts = {name: value for name, value in asdict(event).items() if value is not None and value != {}}
    return facts | {"kind": event.kind.value}


def answer_facts(answer: TurnAnswer) -> dict[str, Any]:
    """An answer, JSON-ready: ids exact, prose masked."""
    usage = answer.usage
    return {
        "text": masked(answer.text),
        "model": str(answer.model),
        "profile": answer.profile,
        "session_file": str(answer.session_file),
        "session_id": answer.session_id,
        "forked_from": None if answer.forked_from is None else str(answer.forked_from),
        "stop_reason": answer.stop_reason,
        "dropped_tool_calls": list(answer.tool_calls),
        "filtered": answer.filtered,
        "requests": answer.attempts,
        "duration_ms": answer.duration_ms,
        "tokens": {
            "input": usage.input,
            "output": usage.output,
            "cache_read": usage.cache_read,
            "cache_write": usage.cache_write,
            "total": usage.total,
        },
        "cost_usd": answer.cost.get("total"),
    }


class Words:
    """Cuts a stream between words, so that a secret split over two pieces is still recognised and masked."""

    def __init__(self) -> None:
        self._held = ""

    def add(self, text: str) -> str:
        """What can be shown now: everything but the last run of characters that secrets are made of."""
        self._held += text
        cut = whole_words(self._held)
        ready, self._held = self._held[:cut], self._held[cut:]
        return masked(ready)

    def rest(self) -> str:
        ready, self._held = self._held, ""
        return masked(ready)


def show_text(text: str) -> None:
    """Write a piece of a reply on stdout; `text` is masked already."""
    print("\n".join(safe(line.replace("\t", "    ")) for line in text.split("\n")), end="", flush=True)


FEW_S = 10


class ToldNowAndThen:
    """When a wait is reported again: every second of the last ten, and before that every `pause_s` seconds."""

    def __init__(self, pause_s: int) -> None:
        self._pause_s = pause_s
        self._told_at: int | None = None
        self._until: int | None = None

    def is_due(self, until: int, now: int) -> bool:
        """Whether to report at `now` a wait that lasts until `until`, both in ms since the epoch."""
        due = (
            self._told_at is None
            or until != self._until
            or until - now <= FEW_S * 1000
            or now - self._told_at >= self._pause_s * 1000
        )
        if due:
            self._told_at, self._until = now, until
        return due


class TurnOutput:
    """Where a turn is shown. `event` gets every engine event, `item` what the run itself yields."""

    def __init__(self) -> None:
        self._words = Words()

    def event(self, event: Event) -> None:
        raise NotImplementedError

    def item(self, item: RunItem) -> None:
        raise NotImplementedError

    def answer(self, answer: TurnAnswer) -> None:
        raise NotImplementedError

    def failed(self, error: ClawtopError, code: int, unstored: str) -> None:
        """The turn failed; `unstored` is a complete reply that could not be written down."""
        raise NotImplementedError

    def ended(self) -> None:
        """Nothing follows."""

    def problem(self, error: ClawtopError) -> None:
        print(f"clawtop: {error}", file=sys.stderr)

    def stuck(self, why: str, session: str) -> None:
        raise NotImplementedError


class TextOutput(TurnOutput):
    """The reply on stdout, progress on stderr.

    On a terminal the reply streams; elsewhere it is written once it is whole, so that it contains nothing of a failed
    attempt.
    """

    def __init__(self, *, streams: bool) -> None:
        super().__init__()
        self._streams = streams
        self._pieces: list[str] = []
        self._back_at: int | None = None
        self._in_place = sys.stderr.isatty()
        self._countdown = ToldNowAndThen(1 if self._in_place else 60)
        self._counted = 0

    def event(self, event: Event) -> None:
        if event.kind.value in TOLD:
            self._end_count()
            print(f"clawtop: {event.kind.value}: {event.text}", file=sys.stderr)
        if "back_at" in event.data:
            self._back_at = event.data["back_at"]

    def item(self, item: RunItem) -> None:
        from clawtop.engine.drive.events import AccountWait, ReplyDiscarded, ReplyText

        if isinstance(item, AccountWait):
            self._count(item.profile, item.until)
            return
        self._end_count()
        if isinstance(item, ReplyText):
            self._add(self._words.add(item.text))
        elif isinstance(item, ReplyDiscarded):
            self._add(self._words.rest())
            self._pieces.clear()
            words = "\nclawtop: discard the text shown so far" if self._streams else "clawtop: the reply broke off"
            print(f"{words}; the next attempt starts over", file=sys.stderr)

    def _count(self, profile: str, until: int) -> None:
        """The awaited account and the time left: on a terminal in one line that counts down, elsewhere now and then."""
        from clawtop.clock import SystemClock
        from clawtop.view.humanize import countdown

        now = SystemClock().now_ms()
        if not self._countdown.is_due(until, now):
            return
        line = f"clawtop: waiting for {safe(profile, 60)}, usable again in {countdown(until, now)} (Ctrl-C gives up)"
        if not self._in_place:
            print(line, file=sys.stderr, flush=True)
            return
        print(f"\r{line:<{self._counted}}", end="", file=sys.stderr, flush=True)
        self._counted = len(line)

    def _end_count(self) -> None:
        if self._counted:
            print(f"\r{'':<{self._counted}}\r", end="", file=sys.stderr, flush=True)
            self._counted = 0

    def answer(self, answer: TurnAnswer) -> None:
        self._end_count()
        self._add(self._words.rest())
        show_text("".join(self._pieces) + "\n")
        if answer.forked_from is not None:
            print(f"clawtop: the session was busy; this turn is in {safe(answer.session_file)}", file=sys.stderr)
        words = stop_words(answer)
        if words is not None:
            print(f"clawtop: {words}", file=sys.stderr)

    def failed(self, error: ClawtopError, code: int, unstored: str) -> None:  # noqa: ARG002 - the shell shows the code
        from clawtop.clock import SystemClock
        from clawtop.view.humanize import countdown

        self._end_count()
        self._add(self._words.rest())
        print(f"clawtop: {error}", file=sys.stderr)
        if unstored:
            print("clawtop: the reply could not be stored; it is printed on standard output", file=sys.stderr)
            show_text(("" if self._streams else masked(unstored)) + "\n")
        if self._back_at is not None:
            left = countdown(self._back_at, SystemClock().now_ms())
            print(f"clawtop: the first profile is usable again in {left}", file=sys.stderr)

    def stuck(self, why: str, session: str) -> None:
        print(f"clawtop: the session is stuck ({why}); clawtop recover {safe(session, 120)} frees it", file=sys.stderr)

    def _add(self, text: str) -> None:
        if self._streams:
            show_text(text)
        else:
            self._pieces.append(text)


class JsonOutput(TurnOutput):
    """One JSON object per line: ASCII-escaped, ids exact, prose redacted.

    The end of a run that began is its last line: answer or error, and the marks, come before it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._countdown = ToldNowAndThen(FEW_S)
        self._end: Event | None = None

    def event(self, event: Event) -> None:
        if event.kind.value == "run-end":
            self._end = event
        else:
            self._event(event)

    def ended(self) -> None:
        if self._end is not None:
            self._event(self._end)
            self._end = None

    def _event(self, event: Event) -> None:
        self._line("event", event_facts(event))

    def item(self, item: RunItem) -> None:
        from clawtop.clock import SystemClock
        from clawtop.engine.drive.events import AccountWait, Phase, ReplyDiscarded, ReplyText

        match item:
            case AccountWait(profile, until):
                now = SystemClock().now_ms()
                if self._countdown.is_due(until, now):
                    facts = {"profile": profile, "until": until, "left_ms": max(0, until - now)}
                    self._line("waiting", facts)
            case ReplyText(text):
                self._text(self._words.add(text))
            case ReplyDiscarded(chars):
                self._words.rest()
                self._line("discarded", {"chars": chars})
            case Phase(name, at):
                self._line("phase", {"phase": name, "at": at})

    def answer(self, answer: TurnAnswer) -> None:
        self._text(self._words.rest())
        self._line("answer", answer_facts(answer))

    def failed(self, error: ClawtopError, code: int, unstored: str) -> None:
        self._text(self._words.rest())
        facts = {"error": type(error).__name__, "title": error.title, "hint": error.hint, "unchanged": error.unchanged}
        kept = {"unstored_text": masked(unstored)} if unstored else {}
        self._line("error", facts | failure_facts(error) | kept | {"exit_code": code})

    def stuck(self, why: str, session: str) -> None:
        self._line("stuck", {"session": session, "why": why})

    def _text(self, text: str) -> None:
        if text:
            self._line("text", {"text": text})

    @staticmethod
    def _line(kind: str, facts: Mapping[str, Any]) -> None:
        print(json.dumps({"schema": SCHEMA, "type": kind, **facts}), flush=True)
