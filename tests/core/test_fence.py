"""Fingerprints and accepted appends, as tables."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.session.fence import MISSING, FileChange, FileFingerprint, accepts_append, change

SEEN = FileFingerprint(True, dev=1, ino=2, size=100, mtime_ns=5, ctime_ns=7)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (SEEN, SEEN, FileChange.NONE),
        (MISSING, MISSING, FileChange.NONE),
        (MISSING, SEEN, FileChange.REPLACED),
        (SEEN, MISSING, FileChange.REPLACED),
        (SEEN, replace(SEEN, ino=3), FileChange.REPLACED),
        (SEEN, replace(SEEN, dev=3), FileChange.REPLACED),
        (SEEN, replace(SEEN, size=101, mtime_ns=6, ctime_ns=8), FileChange.GROWN),
        (SEEN, replace(SEEN, size=101), FileChange.GROWN),
        (SEEN, replace(SEEN, size=99), FileChange.REPLACED),
        (SEEN, replace(SEEN, mtime_ns=6), FileChange.REPLACED),
        (SEEN, replace(SEEN, ctime_ns=8), FileChange.TOUCHED),
        (SEEN, replace(SEEN, mtime_ns=6, ctime_ns=8), FileChange.REPLACED),
    ],
)
def test_change(before: FileFingerprint, now: FileFingerprint, expected: FileChange) -> None:
    assert change(before, now) is expected


ASSISTANT = '{"type":"message","message":{"role":"assistant","content":[]}}'
USER = '{"type":"message","message":{"role":"user","content":"hi"}}'


@pytest.mark.parametrize(
    ("appended", "accepted"),
    [
        (ASSISTANT + "\n", True),
        (ASSISTANT, True),
        (f"{ASSISTANT}\r\n\r\n{ASSISTANT}\n", True),
        ("\n\n", True),
        ("  \t\n", True),
        ('{"role":"assistant"}\n', True),
        ('{"role":"user","message":{"role":"assistant"}}\n', False),
        ('{"role":7,"message":{"role":"assistant"}}\n', True),
        (USER + "\n", False),
        (f"{ASSISTANT}\n{USER}\n", False),
        ("not json\n", False),
        (ASSISTANT[:-1] + "\n", False),
        ('{"message":["role","assistant"]}\n', False),
        ('["assistant"]\n', False),
        ('"assistant"\n', False),
        ("null\n", False),
        ('{"role":"assistant","n":NaN}\n', False),
        ('{"type":"custom","customType":"x"}\n', False),
        ("[" * 100_000, False),
    ],
)
def test_accepted_appends(appended: str, accepted: bool) -> None:
    assert accepts_append(appended.encode()) is accepted


@given(st.binary(max_size=200))
def test_judging_an_append_never_fails(appended: bytes) -> None:
    assert accepts_append(appended) in {True, False}


@given(st.lists(st.sampled_from([ASSISTANT, USER, ""])), st.booleans())
def test_one_line_that_is_not_the_assistants_is_enough(lines: list[str], ended: bool) -> None:
    text = "\n".join(lines) + ("\n" if ended else "")
    assert accepts_append(text.encode()) is (USER not in lines)
    assert accepts_append(json.dumps({"role": "assistant"}).encode() + b"\n" + text.encode()) is (USER not in lines)
