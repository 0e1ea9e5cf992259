"""Strings that try to break out of their cell, for every place of a snapshot, and checks for them in a text."""

from __future__ import annotations

import base64
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, TypeVar
from urllib.parse import quote

T = TypeVar("T")

SECRET = "planted/Credential+7f3a9c11=e5b2"
"""Unlike any known kind of key, so that it can be recognised only by its value."""

CONTROLS = ("\x1b[2J", "\x1b]52;c;AAAA\x07", "\x9b31m", "\r\n", "\x00", "\x7f", "\u202e", "\u2028", "\u200b", "\ud800")
MARKUP = ("[/nope]", "[bold red]", "[link=file:///x]", "[@click=app.quit]", "$(x)", "</text>", "]]>", "&#27;", "{0}")

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def secret_forms(secret: str = SECRET) -> dict[str, str]:
    """Ways in which a secret may appear, and what would show it."""
    return {
        "raw": secret,
        "base64": base64.b64encode(secret.encode()).decode(),
        "base64 inside": base64.b64encode(f"x:{secret}:y".encode()).decode(),
        "percent": quote(secret, safe=""),
        "hexadecimal": secret.encode().hex(),
        "split": f"{secret[:13]}\n  {secret[13:]}",
        "truncated": secret[:24],
    }


def gives_away(text: str, secret: str = SECRET) -> bool:
    """Whether a text shows twelve characters in a row of a secret, in any of its forms, however they are divided."""
    compact = "".join(text.split())
    return any(part in compact for part in _parts(secret))


@cache
def _parts(secret: str) -> tuple[str, ...]:
    forms = ("".join(form.split()) for form in secret_forms(secret).values())
    return tuple({form[at : at + 12]: None for form in forms for at in range(len(form) - 11)})


def hidden_in(text: str) -> list[str]:
    """The characters of a text that a terminal may take for more than text, each once; line feeds are allowed."""
    return [char for char in dict.fromkeys(text) if char != "\n" and unicodedata.category(char) in _HIDDEN]


def everywhere(value: T, change: Callable[[str], str]) -> T:
    """`value` with every string in it changed; enumerations stay what they are."""
    changed: Any = value
    if isinstance(value, str):
        changed = change(value) if type(value) is str else value
    elif is_dataclass(value) and not isinstance(value, type):
        parts = {one.name: everywhere(getattr(value, one.name), change) for one in fields(value) if one.init}
        changed = replace(value, **parts)
    elif isinstance(value, tuple | list | frozenset):
        changed = type(value)(everywhere(part, change) for part in value)
    elif isinstance(value, Mapping):
        changed = {everywhere(key, change): everywhere(part, change) for key, part in value.items()}
    return changed  # type: ignore[no-any-return]


def strings(value: object) -> Iterator[str]:
    """Every string in a value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from strings(key)
            yield from strings(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from strings(part)


PROSE = frozenset(
    {
        *("text", "reason", "data", "argv", "why_unknown", "distrust", "problem", "what", "error", "execution"),
        *("cooldown_reason", "disabled_reason", "blocked_reason", "blocked_source", "cooldown_classification"),
        *("failure_counts", "status", "phase", "openclaw_version", "last_touched_version", "version", "trigger"),
        *("payload", "type", "failing", "profile_source", "blocked_scope", "email", "active_how", "how", "name"),
    }
)
"""Fields of a snapshot's parts that contain foreign prose; the rest are ids, names and paths, which are exact."""


def planted(value: T, prose: str, where: str = "") -> T:
    """`value` with `prose` appended to every text of foreign prose, including keys of mappings."""
    changed: Any = value
    if isinstance(value, str):
        changed = f"{value} {prose}" if type(value) is str and where in PROSE else value
    elif is_dataclass(value) and not isinstance(value, type):
        parts = {one.name: planted(getattr(value, one.name), prose, one.name) for one in fields(value) if one.init}
        changed = replace(value, **parts)
    elif isinstance(value, tuple | list | frozenset):
        changed = type(value)(planted(part, prose, where) for part in value)
    elif isinstance(value, Mapping):
        changed = {planted(key, prose, where): planted(part, prose, where) for key, part in value.items()}
    return changed  # type: ignore[no-any-return]
