"""An error from what an operator pasted: plain text, an error as JSON, or a line of OpenClaw's log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clawtop import nested
from clawtop.core.failure.record import ErrorValue, from_mapping
from clawtop.patterns import regex

_ERROR_KEYS = frozenset({"name", "message", "status", "statusCode", "code", "cause", "reason"})
_LOG_KEYS = frozenset({"_meta", "logLevelId", "0", "1"})
_TEXT_FIELDS = ("error", "rawErrorPreview", "errorPreview", "errorMessage", "detail")
_STATUS_FIELDS = ("status", "httpCode")
_PROVIDER_FIELDS = ("provider", "candidateProvider", "failoverProvider")
_QUOTED = regex(r"""\b(?:error|rawError)="(?P<text>(?:[^"\\]|\\.)*)\"""")
_DETAIL = regex(r"\bdetail=(?P<text>.+)$", re.DOTALL)


def read_error(
    text: str, *, provider: str | None = None, status: int | None = None, code: str | None = None
) -> ErrorValue:
    """The error that `text` describes. Explicit arguments win over what the text says.

    A JSON object with an error's fields is read as that error, one of a log line by its error; everything else, bodies
    of provider answers included, is the text of a message - which is how OpenClaw receives them.
    """
    parsed = _object(text)
    if parsed is None:
        found: dict[str, Any] = {"message": _within_line(text.strip())}
    elif _LOG_KEYS & parsed.keys():
        found = _of_log_line(parsed)
    elif _ERROR_KEYS & parsed.keys():
        found = dict(parsed)
    else:
        found = {"message": text.strip()}
    given = {"provider": provider, "status": status, "code": code}
    return from_mapping({**found, **{name: value for name, value in given.items() if value is not None}})


def _object(text: str) -> Mapping[str, Any] | None:
    try:
        parsed = nested.loads(text)
    except ValueError:
        return None
    return parsed if isinstance(parsed, Mapping) else None


def _within_line(line: str) -> str:
    """The error that a log line quotes (`lane task error: ... error="..."`, `... detail=...`), else the line."""
    match = _QUOTED.search(line) or _DETAIL.search(line)
    return match["text"] if match else line


def _of_log_line(line: Mapping[str, Any]) -> dict[str, Any]:
    parts = [line.get(name) for name in ("0", "1", "2")]
    fields = {key: value for part in parts if isinstance(part, Mapping) for key, value in part.items()}
    texts = [part for part in reversed(parts) if isinstance(part, str)]
    spoken = _first(fields, _TEXT_FIELDS)
    message = spoken if isinstance(spoken, str) else str(line.get("message") or next(iter(texts), ""))
    found = {
        "message": _within_line(message),
        "status": _first(fields, _STATUS_FIELDS),
        "code": fields.get("code"),
        "provider": _first(fields, _PROVIDER_FIELDS),
    }
    return {name: value for name, value in found.items() if value is not None}


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((fields[name] for name in names if fields.get(name) is not None), None)
