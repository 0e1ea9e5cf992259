"""What is nested deeper than anybody writes is no JSON to us, wherever it comes from."""

from __future__ import annotations

import json

import pytest

from clawtop import nested
from clawtop.core.failure.pasted import read_error
from clawtop.core.session.fence import accepts_append
from clawtop.engine.gateway.errors import GatewayCallError
from clawtop.engine.gateway.wire import parsed as frame
from clawtop.engine.providers.framing import Frames
from clawtop.engine.providers.reading import parsed
from clawtop.fleet.protocol import ProtocolError, decode

DEPTHS = (nested.MAX_DEPTH + 1, 600, 990, 5_000, 200_000)


def deep(levels: int, form: str) -> str:
    before, after = {"lists": ("[", "]"), "objects": ('{"a":', "}")}[form]
    return '{"error":' + before * levels + "1" + after * levels + "}"


@pytest.mark.parametrize("form", ["lists", "objects"])
@pytest.mark.parametrize("levels", DEPTHS)
def test_every_reader_of_foreign_json_is_bounded_in_depth(levels: int, form: str) -> None:
    text = deep(levels, form)
    with pytest.raises(nested.TooDeepError):
        nested.loads(text)
    assert parsed(text) is None
    with pytest.raises(GatewayCallError):
        frame(text)
    assert not accepts_append(('{"message":{"role":"assistant","content":' + text + "}}\n").encode())
    assert getattr(read_error(text), "message", None) == text
    with pytest.raises(ProtocolError):
        decode(text.encode())
    frames = Frames()
    told = [*frames.feed(text.encode() + b"\n"), *frames.rest()]
    assert [parsed(data) for _, data in told] == [None] * len(told)


@pytest.mark.parametrize("form", ["lists", "objects"])
def test_what_is_not_too_deep_is_read_exactly(form: str) -> None:
    text = deep(nested.MAX_DEPTH - 2, form)
    assert nested.loads(text) == json.loads(text)
    assert parsed(text) == json.loads(text)


def test_what_is_no_json_is_said_as_ever() -> None:
    with pytest.raises(json.JSONDecodeError):
        nested.loads("{")


@pytest.mark.parametrize("value", [[], {}, ["aborted"], None, 5, True, "other"])
def test_only_a_text_is_among_words(value: object) -> None:
    assert not nested.among(value, frozenset({"aborted"}))
    assert nested.among("aborted", frozenset({"aborted"}))
