"""Session keys: taken apart and put together in one place."""

from __future__ import annotations

import pytest

from clawtop.core.session.key import agent_of, key_of, short_key, split


@pytest.mark.parametrize(
    ("key", "agent", "rest", "short"),
    [
        ("agent:main:main", "main", "main", "main"),
        ("agent:scuttle:main", "scuttle", "main", "scuttle:main"),
        ("agent:main:telegram:direct:7", "main", "telegram:direct:7", "telegram:direct:7"),
        ("agent:main:", "main", "", ""),
        ("agent:main", None, "agent:main", "agent:main"),
        ("main", None, "main", "main"),
        ("agents:main:main", None, "agents:main:main", "agents:main:main"),
        ("", None, "", ""),
    ],
)
def test_a_key_names_its_agent_only_where_something_follows_it(
    key: str, agent: str | None, rest: str, short: str
) -> None:
    assert (split(key), agent_of(key), short_key(key)) == ((agent, rest), agent, short)
    if agent is not None:
        assert key_of(agent, rest) == key
