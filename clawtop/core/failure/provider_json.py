"""The JSON in an error's text: its type and code, which are more precise than its prose."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from clawtop import nested
from clawtop.core.failure.record import ErrorRecord
from clawtop.patterns import regex
from clawtop.values import dataclass

TEXT_LIMIT = 16_384
MAX_DEPTH = 60
"""Deeper nesting is not read: no provider nests like that."""

MAX_DETAILS = 12
DETAIL_LIMIT = 1000

_STATUS = regex(r"(?:http\s*)?\d{3}(?:\s*:\s*|\s+)", re.ASCII | re.IGNORECASE)
_SPEAKER = regex(
    r"(?:error|(?:[a-z][\w-]{0,60}\s+)?api\s*error|apierror|(?:openai|anthropic|gateway|codex)\s*error)"
    r"(?:\s+\d{3})?[:\s-]+",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Body:
    """What an error's JSON says; None if there is none."""

    kind: str | None = None
    code: str | None = None
    message: str | None = None


@lru_cache(maxsize=256)
def body_of(text: str) -> Body:
    """The body of a text such as `429 {"error": {...}}`; lower-casing the text before is allowed."""
    rest = text[:TEXT_LIMIT].strip()
    for expression in (_STATUS, _SPEAKER):
        match = expression.match(rest)
        rest = rest[match.end() :].strip() if match is not None else rest
    payload = _object(rest)
    if payload is None:
        return Body()
    error = payload.get("error")
    inner = error if isinstance(error, Mapping) else {}
    code, kind = _text(inner.get("code")), _text(inner.get("type"))
    if not isinstance(error, Mapping):
        kind = _text(error)
    elif code is not None and not kind:
        kind = code
    said = _text(inner.get("message"))
    return Body(
        kind if kind is not None else _text(payload.get("type")),
        code or _text(payload.get("code")),
        said if said is not None else _text(payload.get("message")),
    )


def _object(text: str) -> Mapping[str, Any] | None:
    if not (text.startswith("{") and text.endswith("}")) or _depth(text) > MAX_DEPTH:
        return None
    try:
        parsed = nested.loads(text)
    except ValueError:
        return None
    return parsed if isinstance(parsed, Mapping) and _is_error(parsed) else None


def _depth(text: str) -> int:
    """An upper bound on how deeply the text's values are nested: brackets in strings count too."""
    deepest = depth = 0
    for character in text:
        if character in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "}]":
            depth -= 1
    return deepest


def _is_error(payload: Mapping[str, Any]) -> bool:
    error = payload.get("error")
    if payload.get("type") == "error" or any(
        isinstance(payload.get(name), str) for name in ("request_id", "requestId")
    ):
        return True
    if isinstance(error, Mapping):
        return any(isinstance(error.get(name), str) for name in ("message", "type", "code"))
    return isinstance(error, str) and isinstance(payload.get("message"), str)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


# --- the other texts of an error's body ------------------------------------------------------------------------------

_TELLING = ("message", "param", "code", "type", "error", "detail", "body")


def details_of(value: object) -> tuple[str, ...]:
    """The texts of an error's body besides its message, in the order they are checked; limited in number."""
    if not isinstance(value, ErrorRecord) or (value.error is None and not value.body):
        return ()
    found: list[str] = []
    seen: set[int] = set()
    for part in (*(value.body.get(name) for name in ("param", "errorBody", "body", "detail")), value.error):
        _collect(part, found, seen, 0)
    return tuple(found)


def _collect(value: object, found: list[str], seen: set[int], depth: int) -> None:
    if value is None or len(found) >= MAX_DETAILS or depth > MAX_DEPTH:
        return
    if isinstance(value, str):
        _append(value, found)
        text = value.strip()
        if text.startswith("{") and text.endswith("}") and len(text) <= TEXT_LIMIT and _depth(text) <= MAX_DEPTH:
            try:
                parsed = nested.loads(text)
            except ValueError:
                return
            _collect(parsed, found, seen, depth + 1)
        return
    if isinstance(value, bool):
        _append("true" if value else "false", found)
        return
    if isinstance(value, int | float):
        _append(f"{value:g}" if isinstance(value, float) else str(value), found)
        return
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, ErrorRecord):
        parts: Mapping[str, object] = {**value.body, "message": value.message, "code": value.code, "error": value.error}
    elif isinstance(value, Mapping):
        parts = value
    else:
        return
    for name in _TELLING:
        _collect(parts.get(name), found, seen, depth + 1)


def _append(text: str, found: list[str]) -> None:
    short = text.strip()[:DETAIL_LIMIT]
    if short and short not in found and len(found) < MAX_DETAILS:
        found.append(short)
