"""What followed a message: told from the entries of a transcript, without keeping a word of it."""

from __future__ import annotations

from typing import Any

import pytest

from clawtop.core.model import TurnOutcome
from clawtop.core.session.exchanges import AGAIN_MS, exchanges

T0 = 1_795_214_000_000
ISO = "2026-11-20T22:33:{:02d}.000Z"


def said(role: str, text: str, second: int = 0, **more: Any) -> dict[str, Any]:
    message = {"role": role, "content": [{"type": "text", "text": text}], **more}
    return {"type": "message", "timestamp": ISO.format(second), "message": message}


def user(text: str = "hello", second: int = 0, **more: Any) -> dict[str, Any]:
    return said("user", text, second, **more)


def bot(text: str = "hi", second: int = 5, stop: str = "stop", **more: Any) -> dict[str, Any]:
    return said("assistant", text, second, stopReason=stop, **more)


def outcomes(*entries: dict[str, Any]) -> list[TurnOutcome]:
    return [exchange.outcome for exchange in exchanges(entries)]


FAILED = bot("[assistant turn failed before producing content]", stop="error", errorMessage="429 too many")
GO_ON = "Continue where you left off. The previous model attempt failed or timed out."
RETRIED = "[Retry after the previous model attempt failed or timed out]\n\nhello"
TOLD = bot("⚠️ API provider returned a billing error", provider="openclaw", model="gateway-injected")


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((user(),), [TurnOutcome.OPEN]),
        ((user(), bot()), [TurnOutcome.ANSWERED]),
        ((user(), bot(stop="toolUse")), [TurnOutcome.OPEN]),
        ((user(), bot(stop="toolUse"), bot("done")), [TurnOutcome.ANSWERED]),
        ((user(), FAILED), [TurnOutcome.FAILED]),
        ((user(), FAILED, user(second=7), FAILED), [TurnOutcome.FAILED]),
        ((user(), FAILED, user(second=7), bot()), [TurnOutcome.ANSWERED]),
        ((user(), FAILED, user("another", 7)), [TurnOutcome.FAILED, TurnOutcome.OPEN]),
        ((user(), bot(), user(second=9)), [TurnOutcome.ANSWERED, TurnOutcome.OPEN]),
        ((user(), FAILED, user(GO_ON, 7), bot()), [TurnOutcome.ANSWERED]),
        ((user(), FAILED, user(f"[Fri 2026-11-27 20:45 UTC] {GO_ON}", 7), FAILED), [TurnOutcome.FAILED]),
        ((user(), FAILED, user(RETRIED, 7), FAILED, user(RETRIED, 9), bot()), [TurnOutcome.ANSWERED]),
        ((user(), bot(), user(GO_ON, 7), bot()), [TurnOutcome.ANSWERED, TurnOutcome.ANSWERED]),
        ((user(GO_ON), bot()), [TurnOutcome.ANSWERED]),
        ((user(), bot("NO_REPLY")), [TurnOutcome.SILENT]),
        ((user(), bot(' {"action": "NO_REPLY"} ')), [TurnOutcome.SILENT]),
        ((user(), bot("NO_REPLY is what I say")), [TurnOutcome.ANSWERED]),
        ((user("[OpenClaw heartbeat poll]"), bot("HEARTBEAT_OK")), [TurnOutcome.SILENT]),
        ((user(), bot("HEARTBEAT_OK")), [TurnOutcome.ANSWERED]),
        ((user(), bot("", stop="aborted")), [TurnOutcome.STOPPED]),
        ((user(), bot("")), [TurnOutcome.FAILED]),
        ((user(), TOLD), [TurnOutcome.FAILED]),
        ((user(), bot(), TOLD, TOLD), [TurnOutcome.ANSWERED, TurnOutcome.FAILED, TurnOutcome.FAILED]),
        ((TOLD,), [TurnOutcome.FAILED]),
        ((bot("Model set to x", provider="openclaw", model="gateway-injected"),), []),
        (({"type": "custom"}, {"type": "message", "message": 5}, user()), [TurnOutcome.OPEN]),
    ],
)
def test_outcomes(entries: tuple[dict[str, Any], ...], expected: list[TurnOutcome]) -> None:
    assert outcomes(*entries) == expected


@pytest.mark.parametrize(
    ("text", "by"),
    [
        ("hello", "user"),
        ("[Fri 2026-11-27 20:45 UTC] hello", "user"),
        ("[OpenClaw heartbeat poll]", "heartbeat"),
        ("[Fri 2026-11-27 20:45 UTC] [OpenClaw heartbeat poll]", "heartbeat"),
        ("[cron:be83 nightly] do it", "cron"),
        ("[Inter-session message] from x", "agent"),
        ('Conversation info (untrusted metadata):\n```json\n{\n  "is_group_chat": true\n}\n```\nhello', "group"),
        ('{\n "is_group_chat": true,\n "was_mentioned": true\n}\nhello', "user"),
        ('{\n "is_group_chat": true,\n "explicitly_mentioned_bot": false\n}\nhello', "unaddressed"),
    ],
)
def test_who_sent_it(text: str, by: str) -> None:
    assert exchanges([user(text)])[0].by == by


def test_the_time_is_when_it_was_asked_and_the_text_is_not_kept() -> None:
    (found,) = exchanges([user("my secret plan", timestamp=T0 - 30_000), FAILED])
    assert (found.asked_at, found.length, found.error) == (T0 - 30_000, 14, "429 too many")
    assert "secret" not in repr(found)


def test_the_same_words_much_later_are_a_new_message() -> None:
    first = user(timestamp=T0)
    again = user(timestamp=T0 + AGAIN_MS + 1)
    assert outcomes(first, FAILED, again) == [TurnOutcome.FAILED, TurnOutcome.OPEN]
