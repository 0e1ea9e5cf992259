"""JSON as servers write it that build it by hand: what a strict parser refuses, and everybody understands.

Trailing commas, control characters inside of strings, and the words that Python prints for a dict.
"""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any

from clawtop import nested

LIMIT = 256 * 1024
"""Longer texts are not mended: a text is looked through again for each kind of fault."""

_COMMA_OR_STRING = re.compile(r'"(?:[^"\\]|\\.)*+\\?(?:"|\Z)|,(?=\s*[}\]])', re.DOTALL)
"""A string that has no end goes to the end of the text, so that no character is looked at twice."""
_PYTHON = re.compile(r"\s*(?:\[\s*)?\{\s*'")


def loads(text: str) -> Any:
    """The value of a JSON text, mended where that is needed. Raises ValueError like `nested.loads`."""
    try:
        return nested.loads(text)
    except nested.TooDeepError:
        raise
    except ValueError:
        if len(text) > LIMIT or text.count("{") + text.count("[") > nested.MAX_DEPTH:
            raise
        return _python(text) if _PYTHON.match(text) is not None else _mended(text)


def _mended(text: str) -> Any:
    without = _COMMA_OR_STRING.sub(lambda found: "" if found[0] == "," else found[0], text)
    return nested.loads(without, strict=False)


def _python(text: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python would rather not see
            return ast.literal_eval(text.strip())
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError("neither JSON nor a Python value") from error
