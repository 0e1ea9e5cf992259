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
        ('{\n "is_group_chat": true,\n "was_mentioned": true\n}\nhello', "addressed"),
        ('{\n "is_group_chat": true,\n "explicitly_mentioned_bot": true\n}\nhello', "addressed"),
        ('{\n "is_group_chat": true,\n "explicitly_mentioned_bot": false\n}\nhello', "unaddressed"),
    ],
)
def test_who_sent_it(text: str, by: str) -> None:
    assert exchanges([user(text)])[0].by == by


def in_channel(text: str, id_: str | None, **more: Any) -> dict[str, Any]:
    """A channel's message as 2026.8.2 and 2026.9.6 store it."""
    about = {"senderName": "Ann", "transport": {"channel": "telegram", "conversationRef": "conv_b01476b0"}}
    if id_ is not None:
        about["transport"]["messageId"] = id_  # type: ignore[index]
    message = {"role": "user", "content": text, "timestamp": T0, "__openclaw": about, **more}
    return {"type": "message", "timestamp": ISO.format(0), "message": message}


INFO_5_20 = """Conversation info (untrusted metadata):
```json
{{
  "chat_id": "telegram:-100123",
  "message_id": "2",
  "sender_id": "4242",
  "conversation_label": "Lab room id:-100123",
  "sender": "Ann",
  "timestamp": "Sat 2026-11-28 21:30 UTC",
  "group_subject": "Lab room",
  "inbound_event_kind": "{kind}",
  "is_group_chat": true{more}
}}
```

"""
"""What 2026.5.20 puts before a message of a group."""

ROOM_5_20 = (
    "[OpenClaw room event]\n\ninbound_event_kind: room_event\n\nvisible_reply_contract: message_tool_only\n\n"
    "Room context:\n" + INFO_5_20.format(kind="room_event", more="") + "Current event:\n#1 Ann: who brings bread?"
)


@pytest.mark.parametrize(
    ("entry", "by"),
    [
        pytest.param(user(INFO_5_20.format(kind="user_request", more="") + "hello"), "group", id="5.20, in a group"),
        pytest.param(
            user(INFO_5_20.format(kind="user_request", more=',\n  "was_mentioned": true') + "@bot hello"),
            "addressed",
            id="5.20, to the bot",
        ),
        pytest.param(user(ROOM_5_20), "unaddressed", id="5.20, to others"),
        pytest.param(in_channel("#1 Ann: who brings bread?", "1"), "unaddressed", id="9.6, to others"),
        pytest.param(in_channel("#1 Ann: bread?\n#2 Bob: me", "2"), "unaddressed", id="9.6, two at once to others"),
        pytest.param(in_channel("@bot what is the time?", "2"), "user", id="9.6, in a group or to the bot alone"),
        pytest.param(in_channel("#1 is the best", "12"), "user", id="9.6, begins like another message"),
        pytest.param(in_channel("#1 Ann: hello", None), "user", id="9.6, without an id"),
        pytest.param(in_channel("#1 Ann: hello", "1", __openclaw="odd"), "user", id="odd notes"),
    ],
)
def test_for_whom_a_group_message_was(entry: dict[str, Any], by: str) -> None:
    assert exchanges([entry])[0].by == by


def test_the_time_is_when_it_was_asked_and_the_text_is_not_kept() -> None:
    (found,) = exchanges([user("my secret plan", timestamp=T0 - 30_000), FAILED])
    assert (found.asked_at, found.length, found.error) == (T0 - 30_000, 14, "429 too many")
    assert "secret" not in repr(found)


def test_the_same_words_much_later_are_a_new_message() -> None:
    first = user(timestamp=T0)
    again = user(timestamp=T0 + AGAIN_MS + 1)
    assert outcomes(first, FAILED, again) == [TurnOutcome.FAILED, TurnOutcome.OPEN]


def test_the_failure_of_an_attempt_is_known_until_the_next_one_ends() -> None:
    """Else a turn that goes on failing would look well for a second at each retry (2026.3.28)."""
    asked = user(timestamp=T0)
    failed_at = exchanges([asked, FAILED])[0].ended_at
    (again,) = exchanges([asked, FAILED, asked])
    assert (again.outcome, again.ended_at, again.error) == (TurnOutcome.OPEN, None, None)
    assert (again.failed_at, again.failed_with) == (failed_at, "429 too many")
    (third,) = exchanges([asked, FAILED, asked, asked])
    assert (third.failed_at, third.failed_with) == (failed_at, "429 too many")
    (answered,) = exchanges([asked, FAILED, asked, bot()])
    assert (answered.outcome, answered.failed_at) == (TurnOutcome.ANSWERED, None)
