"""clawtop.patterns against `re.compile`: a late expression answers as a compiled one."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from clawtop.patterns import LatePattern, regex

ASK: dict[str, Callable[[re.Pattern[str]], object]] = {
    "match": lambda it: it.match("Ab1") is not None,
    "fullmatch": lambda it: it.fullmatch("ab1x"),
    "search from a place": lambda it: [found and found.span() for found in (it.search("ab1 ab2", 1), it.search("x"))],
    "finditer": lambda it: [found["digit"] for found in it.finditer("ab1 AB2")],
    "findall": lambda it: it.findall("ab1 ab2"),
    "split": lambda it: it.split("x ab1 y", maxsplit=1),
    "sub": lambda it: it.sub(r"<\g<digit>>", "ab1 ab2"),
    "subn": lambda it: it.subn("", "ab1 ab2", 1),
    "pattern": lambda it: it.pattern,
    "flags": lambda it: it.flags,
    "groups": lambda it: (it.groups, dict(it.groupindex)),
}


@pytest.mark.parametrize("what", ASK)
def test_it_answers_as_a_compiled_one(what: str) -> None:
    expression, flags = r"ab(?P<digit>\d)", re.IGNORECASE | re.ASCII
    late = regex(expression, flags)
    assert [ASK[what](late), ASK[what](late)] == [ASK[what](re.compile(expression, flags))] * 2


def test_it_is_compiled_by_the_first_use_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []

    def counted(self: LatePattern) -> re.Pattern[bytes]:
        compiled.append(self.pattern)
        return re.compile(rb"\d+")

    monkeypatch.setattr(LatePattern, "compiled", counted)
    late = regex(rb"\d+")
    assert compiled == []
    assert [late.match(b"12x"), late.match(b"x"), late.search(b"x1")] != [None] * 3
    assert compiled == [rb"\d+"]


def test_a_mistake_shows_with_the_first_call() -> None:
    wrong = regex("(")
    with pytest.raises(re.error, match="missing \\)"):
        wrong.search("(")
