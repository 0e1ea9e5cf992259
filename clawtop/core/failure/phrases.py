"""Sets of texts: fixed phrases, and patterns for variable ones."""

from __future__ import annotations

import re
from functools import cache

from clawtop.values import dataclass


@cache
def compiled(expression: str) -> re.Pattern[str]:
    """Compiled on first use, since there are hundreds; boundaries and character classes are JavaScript's: ASCII."""
    return re.compile(expression, re.ASCII)


@dataclass(frozen=True, slots=True)
class Pattern:
    """Expressions that must all match; tried only if one of `needles` occurs, which keeps the common case cheap."""

    needles: tuple[str, ...]
    expressions: tuple[str, ...]

    def find(self, text: str) -> str | None:
        """What the first expression matched, where all of them match."""
        if not any(needle in text for needle in self.needles):
            return None
        matches = [compiled(expression).search(text) for expression in self.expressions]
        return matches[0].group(0) if matches[0] is not None and None not in matches else None


@dataclass(frozen=True, slots=True)
class OrderedPhrase:
    """Expressions of which each must follow the one before: on the same line, or anywhere after it.

    Finds what `a.*b` would, in time linear in the text: taking the first match leaves the most room for the next.
    """

    needle: str
    expressions: tuple[str, ...]
    anywhere: bool = False

    def find(self, text: str) -> str | None:
        """What the first expression matched, where all of them follow."""
        if self.needle not in text:
            return None
        return next((found for part in self._parts(text) if (found := self._in(part)) is not None), None)

    def _parts(self, text: str) -> list[str]:
        return [text] if self.anywhere else text.split("\n")

    def _in(self, part: str) -> str | None:
        first, at = None, 0
        for expression in self.expressions:
            match = compiled(expression).search(part, at)
            if match is None:
                return None
            first, at = first if first is not None else match.group(0), match.end()
        return first


@dataclass(frozen=True, slots=True)
class Phrases:
    """One class of texts: fixed phrases, and patterns for those that vary."""

    literals: tuple[str, ...] = ()
    patterns: tuple[Pattern | OrderedPhrase, ...] = ()

    def find(self, text: str) -> str | None:
        """The part of the lower-cased `text` that belongs to the class, or None."""
        for literal in self.literals:
            if literal in text:
                return literal
        for pattern in self.patterns:
            found = pattern.find(text)
            if found is not None:
                return found
        return None


def pattern(needles: str, *expressions: str) -> Pattern:
    """A `Pattern`; `needles` are separated by `|`."""
    return Pattern(tuple(needles.split("|")), expressions)


def ordered(needle: str, *expressions: str, anywhere: bool = False) -> OrderedPhrase:
    """An `OrderedPhrase`; every matching text contains `needle`."""
    return OrderedPhrase(needle, expressions, anywhere)
