"""The only parser of foreign JSON: refuses values nested more deeply than the code that walks them can recurse."""

from __future__ import annotations

import json
from collections.abc import Container
from typing import Any, TypeGuard

MAX_DEPTH = 200


class TooDeepError(ValueError):
    """A value is nested deeper than `MAX_DEPTH`."""

    def __init__(self) -> None:
        super().__init__(f"is nested more than {MAX_DEPTH} levels deep")


def loads(text: str | bytes | bytearray, **options: Any) -> Any:
    """`json.loads` for foreign text: nested at most `MAX_DEPTH` deep, so that code that walks it may recurse.

    Raises:
        ValueError: not JSON; TooDeepError: nested deeper.
    """
    try:
        value = json.loads(text, **options)
    except RecursionError:
        raise TooDeepError from None
    return value if _opens_few(text) else shallow(value)


def mapping(value: object) -> dict[str, Any]:
    """A foreign object; an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def _opens_few(text: str | bytes | bytearray) -> bool:
    """Whether there are too few brackets for deep nesting, in any encoding; quick to count."""
    if isinstance(text, str):
        return text.count("{") + text.count("[") <= MAX_DEPTH
    return text.count(b"{") + text.count(b"[") <= MAX_DEPTH


def among(value: object, words: Container[str]) -> TypeGuard[str]:
    """Whether a foreign value is one of `words`. False for a list or an object, for which `in` a set would raise."""
    return isinstance(value, str) and value in words


def shallow(value: Any) -> Any:
    """`value`, checked level by level. Raises TooDeepError."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for part in level
            for child in (part.values() if isinstance(part, dict) else part if isinstance(part, list) else ())
            if isinstance(child, dict | list)
        ]
        if not level:
            return value
    raise TooDeepError
