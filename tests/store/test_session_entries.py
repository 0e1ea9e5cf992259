"""Session entries: what the validator lets pass as sensible is what looking at each field would have made of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.javascript import MAX_SAFE_INTEGER
from clawtop.store.sessions.list_schema import SESSIONS
from clawtop.store.wire import session_entry

VALUES: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.sampled_from([MAX_SAFE_INTEGER, MAX_SAFE_INTEGER + 1, 1.5, 1e300])
    | st.text(st.sampled_from("a \t\x1c\x85\u00a0\u200b\u2028é"), max_size=3)
    | st.just([])
    | st.just({"reason": "quota"})
)
NAMES = ("sessionId", "sessionFile", "status", "model", "updatedAt", "startedAt", "compactionCount", "quotaSuspension")


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_both_ways_make_the_same_of_an_entry(entry: dict[str, Any]) -> None:
    validated = SESSIONS.validate_json(json.dumps({"key": entry}))["key"]
    quick, told = session_entry("key", validated)
    slow, problems = session_entry("key", entry)
    assert {name: quick.get(name) for name in NAMES} == {name: slow.get(name) for name in NAMES}
    assert told == problems


@pytest.mark.parametrize("mark", [True, "sensible", None, 1])
def test_no_file_can_call_its_entry_sensible(mark: Any) -> None:
    entry = {"sensible": mark, "status": 7, "updatedAt": "yesterday"}
    for read in (entry, SESSIONS.validate_json(json.dumps({"key": entry}))["key"]):
        values, problems = session_entry("key", read)
        assert (values.get("status"), values.get("updatedAt")) == (None, None)
        assert [problem.code for problem in problems] == ["wrong-type", "absurd-value"]
