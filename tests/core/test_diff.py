"""What two lists have that is not the same object in the other."""

from __future__ import annotations

import pytest

from clawtop.core.diff import others_than

A, B, C, D = ([name] for name in "abcd")


@pytest.mark.parametrize(
    ("before", "after", "new", "gone"),
    [
        ([A, B, C], [A, B, C], [], []),
        ([A, B, C], [A, D, C], [D], [B]),
        ([A, B, C], [C, A, B], [], []),
        ([A, B], [A, B, C], [C], []),
        ([A, B, C], [A, C], [], [B]),
        ([], [A, B], [A, B], []),
        ([A, B], [["a"], B], [["a"]], [A]),
    ],
)
def test_what_is_not_the_same_object(
    before: list[list[str]], after: list[list[str]], new: list[list[str]], gone: list[list[str]]
) -> None:
    assert others_than(before, after) == new
    assert others_than(after, before) == gone
    assert others_than(tuple(before), tuple(before)) == []
