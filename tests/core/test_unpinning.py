"""What takes a pin off a session, by version."""

from __future__ import annotations

import pytest

from clawtop.core.generations import SEMANTICS
from clawtop.core.model import ModelRef, Session
from clawtop.core.session.unpinning import TO_DEFAULT, unpin_messages, words_to_type

OWN, OTHER = ModelRef("fakeai", "fake-model"), ModelRef("backupai", "backup-model")
PINNED = Session("main", "agent:main:main", "s", None, provider="fakeai", model="fake-model", profile="fakeai:two")


@pytest.mark.parametrize(
    ("version", "models", "messages"),
    [
        ("5.x", (OWN,), (TO_DEFAULT,)),
        ("6.11", (OWN, OTHER), (TO_DEFAULT,)),
        ("8.x", (OWN, OTHER), ("/model backupai/backup-model", TO_DEFAULT)),
        ("9.x", (OWN, OTHER), ("/model backupai/backup-model", TO_DEFAULT)),
        ("9.x", (OWN,), ()),
        ("3.28", (OWN,), ()),
    ],
)
def test_what_is_sent(version: str, models: tuple[ModelRef, ...], messages: tuple[str, ...]) -> None:
    remote = SEMANTICS[version].remote
    assert unpin_messages(PINNED, models, remote) == messages
    words = words_to_type(PINNED, models, remote)
    assert words.endswith("@OTHER-PROFILE") if not messages else messages[-1] in words


def test_nothing_is_sent_where_nothing_is_pinned() -> None:
    free = Session("main", "k", "s", None)
    assert unpin_messages(free, (OWN, OTHER), SEMANTICS["5.x"].remote) == ()
