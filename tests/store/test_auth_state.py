"""A change of values as a change of JSON: for any store, nothing but the named fields is touched."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clawtop.core.model import UsageStats
from clawtop.core.operations.edit import AuthState, ClearWindows, SetOrder, differences
from clawtop.errors import RefusedError
from clawtop.store.auth.state import Documents, is_empty

KNOWN = (
    "cooldownUntil",
    "cooldownReason",
    "cooldownModel",
    "disabledUntil",
    "disabledReason",
    "errorCount",
    "lastUsed",
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**15) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ENTRIES = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(KNOWN, JUNK),
            "failureCounts": st.dictionaries(st.sampled_from(["rate_limit", "auth", "odd"]), JUNK, max_size=3),
            "novel": JUNK,
        },
    ),
    JUNK,
)
IDS = st.sampled_from(["p:one", "p:two", "q:x", ""])
CHANGING = st.fixed_dictionaries(
    {},
    optional={
        "usageStats": st.dictionaries(IDS, ENTRIES, max_size=4),
        "order": st.dictionaries(st.sampled_from(["p", "q"]), st.lists(IDS, max_size=3), max_size=2),
        "lastGood": st.dictionaries(st.sampled_from(["p", "q"]), JUNK, max_size=2),
        "novel": JUNK,
    },
)


def split(state: dict[str, Any] | None, embedded: dict[str, Any] | None = None) -> Documents:
    return Documents(
        {"version": 1, "profiles": {"p:one": {}}, **(embedded or {})}, state, "/s/auth-state.json", split=True
    )


@settings(max_examples=300)
@given(state=CHANGING, profile=IDS)
def test_clearing_one_profile_changes_its_entry_alone(state: dict[str, Any], profile: str) -> None:
    untouched = copy.deepcopy(state)
    documents = split({"version": 1, **state})
    before = documents.in_force()
    after = before.changed_by(ClearWindows((profile,)))
    document = documents.changed(before, after)
    shown = {change.field for change in differences(before, after)}

    stats, old = document.pop("usageStats", {}), untouched.pop("usageStats", {})
    was, becomes = old.pop(profile, None), stats.pop(profile, None)
    assert document == {"version": 1, **untouched}
    assert stats == old
    if isinstance(was, dict) and isinstance(becomes, dict):
        assert {key for key in {**was, **becomes} if was.get(key) != becomes.get(key)} <= shown
    else:
        assert was == becomes


@settings(max_examples=200)
@given(state=CHANGING, embedded=CHANGING, profile=IDS)
def test_what_is_in_force_afterwards_is_what_was_meant(
    state: dict[str, Any], embedded: dict[str, Any], profile: str
) -> None:
    documents = split({"version": 1, **state}, embedded)
    before = documents.in_force()
    after = before.changed_by(SetOrder("p", ("p:two", "p:one"))).changed_by(ClearWindows((profile,)))
    if before == after:
        return
    document = documents.changed(before, after)
    assert split(document, embedded).in_force() == replace(after, profiles=frozenset({"p:one"}))


def test_a_new_entry_makes_its_section_and_the_last_one_takes_it_away() -> None:
    none = AuthState()
    one = AuthState(stats={"p:one": UsageStats(error_count=1)}, order={"p": ("p:one",)})
    document = split(None).changed(none, one)
    assert document == {"version": 1, "usageStats": {"p:one": {"errorCount": 1}}, "order": {"p": ["p:one"]}}
    assert not is_empty(document)
    gone = split(document).changed(one, none)
    assert gone == {"version": 1}
    assert is_empty(gone)
    assert not is_empty({"version": 1, "novel": None})


def test_counts_that_are_not_ours_survive_a_count_that_is() -> None:
    raw = {"usageStats": {"p:one": {"failureCounts": {"rate_limit": 1, "odd": "x"}}}}
    documents = split(raw)
    before = documents.in_force()
    after = replace(before, stats={"p:one": UsageStats(failure_counts={"rate_limit": 2, "auth": 1})})
    counts = documents.changed(before, after)["usageStats"]["p:one"]["failureCounts"]
    assert counts == {"rate_limit": 2, "odd": "x", "auth": 1}


def test_a_section_that_is_no_object_is_refused() -> None:
    with pytest.raises(RefusedError, match="order beside"):
        split({"order": []}).in_force()
