"""Parses almost-JSON, as servers write it that build it by hand: strict parsers refuse it, although it is unambiguous.

Comments, trailing commas, control characters inside of strings, the words that Python prints for a dict, and several
values in a row.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from typing import Any

from clawtop import nested
from clawtop.patterns import regex

LIMIT = 256 * 1024
"""Longer texts are not repaired: the text is scanned once for each kind of fault."""

_STRING = r'"(?:[^"\\]|\\.)*+\\?(?:"|\Z)'
"""An unterminated string extends to the end of the text, so that no character is scanned twice."""
_COMMA_OR_STRING = regex(rf"{_STRING}|,(?=\s*[}}\]])", re.DOTALL)
_COMMENT_OR_STRING = regex(rf"{_STRING}|//[^\r\n]*|/\*(?:[^*]|\*(?!/))*+(?:\*/|\Z)", re.DOTALL)
_BETWEEN = regex(r"(?:[\s\x1e\0,]|\\[nr]|data:|\[DONE\])*", re.IGNORECASE)
"""Separators between values that a server does not separate properly."""
_PYTHON = regex(r"\s*(?:\[\s*)?\{\s*'")


def loads(text: str) -> Any:
    """The value of a JSON text, repaired if necessary. Raises ValueError like `nested.loads`."""
    try:
        return nested.loads(text)
    except nested.TooDeepError:
        raise
    except ValueError:
        if len(text) > LIMIT or text.count("{") + text.count("[") > nested.MAX_DEPTH:
            raise
        return _python(text) if _PYTHON.match(text) is not None else _repaired(text)


def _repaired(text: str) -> Any:
    if "/" in text:
        text = _COMMENT_OR_STRING.sub(lambda found: found[0] if found[0][0] == '"' else " ", text)
    without = _COMMA_OR_STRING.sub(lambda found: "" if found[0] == "," else found[0], text)
    return nested.loads(without, strict=False)


def in_a_row(text: str) -> list[str]:
    """The JSON values of a text that holds several, each as it is written; empty if it contains anything else."""
    decoder, found, at = json.JSONDecoder(), list[str](), 0
    while at < len(text):
        try:
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return []
        found.append(text[at:end])
        between = _BETWEEN.match(text, end)
        at = between.end() if between is not None else end
    return found


def _python(text: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes that are invalid in Python
            return ast.literal_eval(text.strip())
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError("neither JSON nor a Python value") from error
