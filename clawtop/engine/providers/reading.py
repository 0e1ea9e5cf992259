"""Reading replies leniently: only what is needed is checked.

Providers send counts as strings, floats or null, ids as numbers, texts as lists of parts. None of that makes a reply
worthless, so each of these functions returns the sensible reading and never raises.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from clawtop import nested
from clawtop.core.javascript import is_finite
from clawtop.engine.providers import json_repair

Object = Mapping[str, Any]


def parsed(data: str) -> Any:
    """The value of an event's data, JSON or nearly JSON; None if it is neither."""
    try:
        return json_repair.loads(data)
    except ValueError:
        return None


def obj(value: object) -> Object:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> Iterator[Object]:
    """The objects of a list, of lists in it, or of an object that numbers them; any other object is a list of one."""
    if isinstance(value, Mapping):
        if value and all(isinstance(key, str) and key.isdecimal() for key in value):
            value = list(value.values())
        else:
            yield value
    if isinstance(value, list):
        for item in value:
            if isinstance(item, Mapping):
                yield item
            elif isinstance(item, list):
                yield from (inner for inner in item if isinstance(inner, Mapping))


def text(value: object) -> str:
    """`value` if it is text, else nothing."""
    return value if isinstance(value, str) else ""


def name(value: object) -> str | None:
    """An id or a model's name: text, or a number used as one."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None


def count(*values: object) -> int:
    """The first of `values` that is a count, whatever it is written as; 0 without one."""
    for value in values:
        number: object = value
        if isinstance(value, str):
            try:
                number = float(value)
            except ValueError:
                continue
        if isinstance(number, bool) or not isinstance(number, int | float) or not is_finite(number):
            continue
        if number >= 0:
            return int(number)
    return 0


TEXT_PARTS = frozenset({"text", "output_text", "refusal", ""})
THINKING_PARTS = frozenset({"thinking", "reasoning", "reasoning_text", "summary_text"})


def said(content: object) -> tuple[str, str]:
    """(text, thinking) of a message's content: a string, a part, or a list of parts of any api."""
    if isinstance(content, str):
        return content, ""
    if isinstance(content, int | float) and not isinstance(content, bool):
        return str(content), ""
    if isinstance(content, list):
        pieces = [said(part) for part in content]
        return "".join(piece for piece, _ in pieces), "".join(thought for _, thought in pieces)
    if not isinstance(content, Mapping):
        return "", ""
    kind = content.get("type")
    if nested.among(kind, THINKING_PARTS):
        inner = content.get("thinking", content.get("reasoning", content.get("text")))
        return "", "".join(said(inner))
    if kind is None or nested.among(kind, TEXT_PARTS):
        named = (content[key] for key in ("text", "refusal", "content", "parts") if key in content)
        return said(next(named, None))
    return "", ""


REPLY_FIELDS = frozenset(
    {"choices", "content", "candidates", "output", "delta", "message_stop", "content_block", "usage", "done", "role"}
)
"""Fields that a chunk of a reply has, in any API."""
PLAIN_FIELDS = frozenset({"response", "generated_text", "token", "results", "output_text"})
"""Fields that a chunk of a plain completion has (`plain`)."""
WRAPPERS = ("data", "result", "response")
WORD_FIELDS = ("message", "msg", "Message", "errorMessage", "error_msg", "error_message")
STATUS_FIELDS = ("status", "code", "status_code", "error_type")
FAILED_CODES = ("code", "statusCode", "status_code", "errcode", "error_code")


def unwrapped(value: dict[str, Any]) -> dict[str, Any]:
    """The content of a gateway's own envelope."""
    if "type" in value or REPLY_FIELDS & value.keys():
        return value
    for wrapper in WRAPPERS:
        inner = value.get(wrapper)
        if isinstance(inner, dict) and (REPLY_FIELDS | PLAIN_FIELDS) & inner.keys():
            return inner
    return _body_of(value) or value


def _body_of(value: dict[str, Any]) -> dict[str, Any] | None:
    """An HTTP answer as a function of a cloud returns it, where its gateway passes it on as it is."""
    inner = value.get("body")
    inner = parsed(inner) if isinstance(inner, str) else inner
    if not isinstance(inner, dict) or "statusCode" not in value:
        return None
    return {"status": value["statusCode"], **inner} if count(value["statusCode"]) >= 400 else inner


def words_of(event: Object) -> Object | None:
    """The text of an object that is not part of a reply, as an error object; None if it has none."""
    if REPLY_FIELDS & event.keys():
        return None
    words = next((found for key in WORD_FIELDS if (found := text(event.get(key)))), None)
    code = next((event[key] for key in FAILED_CODES if event.get(key) is not None), None)
    return None if words is None else {"code": code, "message": words}


def _enveloped(event: Object) -> Object | None:
    """The error of an envelope that reports a failure."""
    inner = obj(event.get("base_resp"))  # MiniMax
    if count(inner.get("status_code")):
        return {"code": name(inner.get("status_code")), "message": text(inner.get("status_msg"))}
    failed = event.get("success") is False or any(
        count(event.get(key)) not in {0, 200} for key in FAILED_CODES if key in event
    )
    return words_of(event) if failed and "type" not in event else None


def _worded(message: str, event: Object) -> Object:
    return {"message": message, **{key: event[key] for key in STATUS_FIELDS if key in event}}


def error_of(event: Object) -> Object | None:
    """The error that an event holds, wherever its server puts it; None where it holds none.

    `{"error": {...}}` and `{"error": "text"}` (most), `{"object": "error", ...}` (vLLM), `{"type": "error", ...}`,
    `{"detail": ...}` (FastAPI), `{"message": ..., "code" or "__type": ...}` (gateways, AWS), `{"errors": [...]}` and
    `{"error": [...]}` (Cloudflare), `{"success": false, "msg": ...}`, `{"fault": {"faultstring": ...}}` (Apigee),
    `{"base_resp": {"status_code": 1008, ...}}` (MiniMax).
    """
    error = next((event[key] for key in ("error", "Error", "errors") if event.get(key)), None)
    if isinstance(error, list):
        error = next((one for one in error if isinstance(one, Mapping | str) and one), None)
    if isinstance(error, Mapping) and error:
        return {**{key: event[key] for key in ("status", "code") if key in event}, **error}
    if isinstance(error, int | float) and not isinstance(error, bool):
        return {"code": error, "message": next(filter(None, (text(event.get(key)) for key in WORD_FIELDS)), "")}
    if isinstance(error, str) and error:
        return _worded(error, event)
    fault = obj(event.get("fault"))  # Apigee
    if text(fault.get("faultstring")):
        return {"message": fault["faultstring"], "code": obj(fault.get("detail")).get("errorcode")}
    if event.get("object") == "error" or event.get("type") == "error":
        return event
    if "detail" in event and not ({"choices", "content", "candidates", "output"} & event.keys()):
        detail = event["detail"]
        found = next(items(detail), None)
        if isinstance(detail, str) and detail:
            return _worded(detail, event)
        if found is not None and "error" in found:
            return error_of({"error": found["error"]}) or found
        return found or {"message": json.dumps(detail)[:400]} if detail else None
    return _enveloped(event)
