"""Conversations as models are asked with them: calls and results paired, pictures and tools left out, length cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.conversation import (
    NO_RESULT,
    Image,
    Message,
    Text,
    ToolCall,
    ToolResult,
    as_words,
    merged,
    paired,
    trimmed,
    without_images,
)

ASKS = Message("assistant", (Text("I look."), ToolCall("c1", "read", {"path": "/reef"})))
GIVES = Message("user", (ToolResult("c1", "read", "a crab"),))


def test_a_call_that_was_never_answered_gets_a_result_that_says_so() -> None:
    said = paired([Message("user", "look"), ASKS, Message("user", "never mind")])
    assert [message.role for message in said] == ["user", "assistant", "user", "user"]
    (result,) = said[2].blocks
    assert result == ToolResult("c1", "read", NO_RESULT, is_error=True)


def test_a_result_without_its_call_is_left_out() -> None:
    assert paired([GIVES, Message("user", "hello")]) == [Message("user", "hello")]
    both = Message("user", (ToolResult("gone", "read", "x"), Text("hello")))
    assert paired([both]) == [Message("user", (Text("hello"),))]


def test_what_is_paired_stays_as_it_is() -> None:
    talk = [Message("user", "look"), ASKS, GIVES, Message("assistant", "A crab.")]
    assert paired(talk) == talk


def test_pictures_and_tools_are_left_out_where_a_model_takes_none_and_counted() -> None:
    look = Message("user", (Text("look"), Image("image/png", "aGk=")))
    said, pictures = without_images([look, ASKS])
    assert pictures == 1
    assert "omitted" in said[0].text
    words, calls = as_words([look, ASKS, GIVES])
    assert calls == 2
    assert [message.role for message in words] == ["user", "assistant"]


def test_neighbours_of_one_role_become_one_message() -> None:
    talk = [Message("user", "a"), Message("user", "b"), Message("user", ""), Message("assistant", "c")]
    assert [message.text for message in merged(talk)] == ["a\n\nb", "c"]
    mixed = merged([Message("user", "a"), GIVES])
    assert len(mixed) == 1
    assert len(mixed[0].blocks) == 2


def test_the_oldest_messages_go_first_and_a_result_never_stands_alone() -> None:
    talk = [Message("user", "x" * 400), ASKS, GIVES, Message("assistant", "A crab."), Message("user", "and now?")]
    kept, left_out = trimmed(talk, 60)
    assert kept == talk[4:]
    assert left_out == 4
    assert trimmed(talk, 10_000) == (talk, 0)
    assert trimmed([Message("user", "x" * 4000)], 1)[1] == 0


messages = st.lists(
    st.builds(Message, st.sampled_from(["user", "assistant"]), st.text(max_size=40))
    | st.sampled_from([ASKS, GIVES, Message("user", (ToolResult("other", "read", "?"),))]),
    max_size=12,
)


@given(messages)
def test_every_call_has_one_result_and_every_result_its_call(talk: list[Message]) -> None:
    waiting: set[str] = set()
    for message in paired(talk):
        for block in message.blocks:
            if isinstance(block, ToolCall):
                waiting.add(block.id)
            elif isinstance(block, ToolResult):
                assert block.id in waiting
                waiting.discard(block.id)
    assert not waiting


@given(messages, st.integers(0, 300))
def test_what_is_cut_is_a_beginning(talk: list[Message], budget: int) -> None:
    kept, left_out = trimmed(talk, budget)
    assert kept == talk[left_out:]
    assert bool(kept) == bool(talk)


@pytest.mark.parametrize("block", [Text("abcd" * 10), ToolResult("c", "read", "abcd" * 10)])
def test_words_cost_a_token_for_four_characters(block: Text | ToolResult) -> None:
    assert Message("user", (block,)).tokens - Message("user", ()).tokens == 10
