"""What an operator reads of an error."""

from __future__ import annotations

import pytest

from clawtop.errors import LockNotObtainedError
from clawtop.view.error_lines import error_lines
from clawtop.view.line import text_of


@pytest.mark.parametrize(
    ("title", "holder", "lines"),
    [
        ("the lock was not free", "pid 99", ["✗ the lock was not free", "held by pid 99", "nothing was written"]),
        ("it is held by pid 99", "pid 99", ["✗ it is held by pid 99", "nothing was written"]),
        ("the lock was not free", "", ["✗ the lock was not free", "nothing was written"]),
    ],
)
def test_who_holds_a_lock_is_said_once(title: str, holder: str, lines: list[str]) -> None:
    error = LockNotObtainedError(title, holder=holder, unchanged="nothing was written")
    assert [text_of(line) for line in error_lines(error)] == lines
