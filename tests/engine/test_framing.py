"""Events of a body that ends without what should end its last one, however it is cut on its way."""

from __future__ import annotations

import pytest

from clawtop.engine.providers.framing import Frames


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n", b"\n\n"])
def test_the_end_of_a_body_ends_its_last_event(end: bytes) -> None:
    body = b"event: word\ndata: one\n\ndata: two" + end
    for cut in range(len(body) + 1):
        frames = Frames()
        found = [*frames.feed(body[:cut]), *frames.feed(body[cut:]), *frames.rest()]
        assert found == [("word", "one"), ("", "two")], cut
