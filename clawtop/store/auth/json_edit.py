"""Changing one of OpenClaw's JSON files without losing anything in it.

`parse` keeps every key in its order, every string exactly (lone surrogates too) and every number with its digits on
disk; `dump` writes them back as `JSON.stringify(value, null, 2)` would, with those digits. Content that JavaScript
would silently drop (duplicate keys) is refused, so that changing one entry never loses another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any, NoReturn, TypeAlias

from clawtop.errors import RefusedError
from clawtop.nested import loads
from clawtop.patterns import regex
from clawtop.text import safe

Value: TypeAlias = "dict[str, Value] | list[Value] | str | Number | int | bool | None"
"""The values that `parse` returns; new integers may be plain ints."""

_LONE_SURROGATE = regex("[\ud800-\udfff]")
_INDENT = "  "


class Number(float):
    """A number that remembers its digits: has the value that JavaScript would read, and is written as it was."""

    digits: str

    def __new__(cls, digits: str) -> Number:
        number = super().__new__(cls, digits)
        number.digits = digits
        return number

    def __deepcopy__(self, memo: object) -> Number:
        return self


def parse(content: bytes, where: str) -> dict[str, Value]:
    """The JSON object that `content` is.

    Raises:
        RefusedError: it is not UTF-8, not JSON, not an object, or has duplicate keys; `where` names the file.
    """
    try:
        value = loads(
            content.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=Number,
            parse_float=Number,
            parse_constant=_not_json,
        )
    except _DuplicateKeyError as error:
        raise _refused(where, f"has the key {safe(error.key, 60)} twice") from None
    except (ValueError, RecursionError):
        raise _refused(where, "is not JSON" if content.strip() else "is empty") from None
    if not isinstance(value, dict):
        raise _refused(where, "is not a JSON object")
    return value


def dump(value: Mapping[str, Any]) -> bytes:
    """`value` as OpenClaw writes its files: two spaces of indentation and a newline at the end."""
    out: list[str] = []
    _write(value, "\n", out)
    out.append("\n")
    return "".join(out).encode("utf-8")


def dump_compact(value: Mapping[str, Any]) -> bytes:
    """`value` as OpenClaw writes its rows: without any space."""
    out: list[str] = []
    _write_compact(value, out)
    return "".join(out).encode("utf-8")


def plain(value: Any) -> Any:
    """`value` with ordinary ints and floats, for code that does not know `Number`."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, Number):
        return int(value) if value.is_integer() else float(value)
    return value


class _DuplicateKeyError(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        raise _DuplicateKeyError(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return members


def _not_json(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _refused(where: str, why: str) -> RefusedError:
    return RefusedError(
        f"{safe(where)} {why}; changing it could lose what it holds",
        unchanged="nothing was written",
        hint="repair the file first",
    )


def _string(text: str) -> str:
    return _LONE_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", encode_basestring(text))


def _write(value: Any, line: str, out: list[str]) -> None:
    """Append the text of `value`; `line` is a newline with the indentation of its line."""
    if isinstance(value, str):
        out.append(_string(value))
    elif isinstance(value, Number):
        out.append(value.digits)
    elif isinstance(value, Mapping):
        _write_members(((_string(key) + ": ", item) for key, item in value.items()), "{}", line, out)
    elif isinstance(value, list | tuple):
        _write_members((("", item) for item in value), "[]", line, out)
    else:
        out.append(json.dumps(value, allow_nan=False))


def _write_members(members: Any, brackets: str, line: str, out: list[str]) -> None:
    inner = line + _INDENT
    separator = brackets[0]
    for head, item in members:
        out += (separator, inner, head)
        _write(item, inner, out)
        separator = ","
    out.append(brackets if separator == brackets[0] else line + brackets[1])


def _write_compact(value: Any, out: list[str]) -> None:
    if isinstance(value, str):
        out.append(_string(value))
    elif isinstance(value, Number):
        out.append(value.digits)
    elif isinstance(value, Mapping):
        separator = "{"
        for key, item in value.items():
            out += (separator, _string(key), ":")
            _write_compact(item, out)
            separator = ","
        out.append("}" if value else "{}")
    elif isinstance(value, list | tuple):
        separator = "["
        for item in value:
            out.append(separator)
            _write_compact(item, out)
            separator = ","
        out.append("]" if value else "[]")
    else:
        out.append(json.dumps(value, allow_nan=False))
