"""Takes secrets out of texts: those that were loaded, in every form they may have, and what looks like one."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from clawtop.patterns import regex
from clawtop.secret_shapes import PEM_BEGIN, PEM_END, shaped_spans, unquoted
from clawtop.values import dataclass

MASK = "•••"

_HELD_BACK = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=:@%-"
LONGEST_SECRET = 16 * 1024
"""The most characters held back of a growing text; no key is longer."""

_SHORTEST = 6
_TELLING = 12
"""This many leading characters of a longer secret are masked too: a quote of it may have been cut off."""

_PLACEHOLDERS = frozenset(
    {
        *("ollama", "dummy", "nokey", "no-key", "placeholder", "changeme", "change-me", "not-needed", "notneeded"),
        *("unused", "example", "default", "secret", "password", "token", "apikey", "api-key", "api_key", "local"),
        *("localhost", "lm-studio", "lmstudio", "anything", "whatever", "sample", "openai", "anthropic", "google"),
        *("unknown", "undefined", "required", "optional", "disabled", "enabled"),
    }
)
"""Placeholders for keys that are not needed: common words in logs, not secrets."""


@dataclass(frozen=True, slots=True)
class _Known:
    """The loaded secrets, in every form in which they may appear in a text.

    Attributes:
        forms: as they were loaded, and encoded, each by the prefix that reveals it.
        by_head: the forms by their first characters.
        starts: what a form may begin with that is shorter than those.
        longest: length of the longest form.
        tails: the secrets as they were loaded, each by its end: the second of two lines may have no more of it.
        by_tail: the same by the first characters of that end.
        has_breaks: a form has blanks or escaped line breaks in it, so that it is not found where those are left out.
    """

    forms: tuple[tuple[str, str], ...] = ()
    by_head: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    starts: frozenset[str] = frozenset()
    longest: int = 0
    tails: tuple[tuple[str, str], ...] = ()
    by_tail: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    has_breaks: bool = False


_known_secrets: tuple[str, ...] = ()  # longest first; replaced whole, under _known_lock, so readers need no lock
_known_lock = threading.Lock()


def remember_secrets(values: Iterable[str]) -> None:
    """Add loaded secret values to those that `masked` removes, percent-, base64- and hexadecimally encoded too.

    Values under 6 characters and placeholders ("ollama", "none") are ignored.
    """
    global _known_secrets  # noqa: PLW0603 - what the process must never show
    with _known_lock:
        known = set(_known_secrets)
        fresh = {value for value in values if _is_secret(value)} - known
        if fresh:
            _known_secrets = tuple(sorted(known | fresh, key=lambda value: (-len(value), value)))


@lru_cache(maxsize=4)
def _known_of(values: tuple[str, ...]) -> _Known:
    forms = {form for value in values for form in _forms(value)}
    by_head: dict[str, list[str]] = {}
    for form in forms:
        by_head.setdefault(form[:_SHORTEST], []).append(form)
    tails = [(value[-_TELLING:], value) for value in values if len(value) >= 2 * _TELLING and "://" not in value]
    by_tail: dict[str, list[tuple[str, str]]] = {}
    for tail, value in tails:
        by_tail.setdefault(tail[:_SHORTEST], []).append((tail, value))
    return _Known(
        tuple((_beginning(form), form) for form in forms),
        {head: tuple(found) for head, found in by_head.items()},
        frozenset(form[:length] for form in forms for length in range(1, _SHORTEST)),
        max(map(len, forms), default=0),
        tuple(tails),
        {head: tuple(found) for head, found in by_tail.items()},
        any("\\" in form or "".join(form.split()) != form for form in forms),
    )


def _is_secret(value: str) -> bool:
    word = value.strip().lower()
    return len(word) >= _SHORTEST and word not in _PLACEHOLDERS


def _forms(value: str) -> Iterator[str]:
    """A secret verbatim, in a URL, in JSON, in hexadecimal digits, and in base64 at any offset of the encoded text."""
    yield value
    raw = value.encode("utf-8", "surrogatepass")
    for kept in ("", "/", "/:+=@"):
        yield quote(raw, safe=kept)
    yield json.dumps(value)[1:-1]
    if len(raw) < 2 * _SHORTEST:
        return
    yield raw.hex()
    yield raw.hex().upper()
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw + b"\0\0").decode("ascii")
        inner = text[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6]  # independent of the bytes around it
        yield inner
        yield inner.replace("+", "-").replace("/", "_")


def whole_words(text: str) -> int:
    """How much of a text that still grows may be masked and shown: all but the last run of characters that secrets are
    made of, of which only a part may be there yet, and but a key block or a divided secret whose end is still to come.
    """
    end = _before_a_begun(text, len(text.rstrip(_HELD_BACK)))
    begun = text.rfind(PEM_BEGIN)
    if begun >= 0 and text.find(PEM_END, begun) < 0:
        end = min(end, begun)
    return max(end, len(text) - LONGEST_SECRET)


def _before_a_begun(text: str, end: int) -> int:
    """Where at the end of `text[:end]` a loaded secret begins whose rest may follow after a break; else `end`."""
    known = _known_of(_known_secrets)
    first = max(0, end - min(LONGEST_SECRET, 4 * known.longest))
    last = end - 1 if text.endswith("\\", first, end) else end  # the character after the backslash has not arrived yet
    window = text[first:last]
    begun = _begun(known, "".join(_ESCAPED_BREAK.sub("", window).split()))
    return first + _unbroken(window)[-begun] if begun else end


def _begun(known: _Known, text: str) -> int:
    """How many characters at the end of `text` are the beginning of a loaded secret, whose end is missing."""
    last, found = text[-_SHORTEST:], 0
    for _, form in known.forms if len(last) == _SHORTEST else ():
        at = form.find(last)
        while 0 <= at < len(form) - _SHORTEST:
            if at + _SHORTEST > found and text.endswith(form[: at + _SHORTEST]):
                found = at + _SHORTEST
            at = form.find(last, at + 1)
    if found:
        return found
    shorter = range(min(len(last), _SHORTEST - 1), 0, -1)
    return next((length for length in shorter if last[-length:] in known.starts), 0)


def masked(text: str) -> str:
    """`text` with every loaded secret and everything that looks like one replaced by a mask.

    All of them are looked for in the text as it is, so that a short secret inside a long one cannot uncover the rest.
    """
    return _masked_short(text, _known_secrets) if len(text) <= _SHORT_TEXT else _masked(text, _known_secrets)


_SHORT_TEXT = 300


@lru_cache(maxsize=2048)
def _masked_short(text: str, secrets: tuple[str, ...]) -> str:
    """A short text often comes again: an event is masked when it is made and by each that writes it down."""
    return _masked(text, secrets)


def _masked(text: str, secrets: tuple[str, ...]) -> str:
    known = _known_of(secrets)
    spans = _known_spans(known, text) + shaped_spans(text)
    for decoded, places in unquoted(text):
        found = _known_spans(known, decoded) + shaped_spans(decoded)
        spans += [(places[start], places[end]) for start, end in found]
    if not spans:
        return text
    out: list[str] = []
    shown_to = 0
    masked_to = -1
    for start, end in sorted(spans):
        if start > masked_to:
            out += [text[shown_to:start], MASK]
        masked_to = shown_to = max(masked_to, end)
    return "".join((*out, text[shown_to:]))


def masked_words(value: Any, *, keys: bool = False) -> Any:
    """JSON-ready values with every text in them masked; with `keys`, the names in mappings as well."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, list | tuple):
        return [masked_words(part, keys=keys) for part in value]
    if isinstance(value, Mapping):
        return {masked(key) if keys else key: masked_words(part, keys=keys) for key, part in value.items()}
    return value


def _known_spans(known: _Known, text: str) -> list[tuple[int, int]]:
    """Spans of loaded secrets, also if they are broken by line breaks, blanks, or an escaped line break."""
    if not known.forms or len(text) < _SHORTEST:
        return []
    compact = _ESCAPED_BREAK.sub("", text) if "\\" in text else text
    compact = "".join(compact.split())
    whole = len(compact) == len(text)
    spans = list(_places(known, text)) if whole or known.has_breaks else []
    if not whole and len(compact) >= _SHORTEST:
        divided = list(_places(known, compact))
        if divided:
            at = _unbroken(text)
            spans += [(at[start], at[end - 1] + 1) for start, end in divided]
    return spans


_ESCAPED_BREAK = regex(r"\\[nrt]")
"""A line break or a tab as JSON and Python escape it in a string."""


def _unbroken(text: str) -> list[int]:
    """The positions of characters that are neither blanks nor part of an escaped line break."""
    breaks = {place for match in _ESCAPED_BREAK.finditer(text) for place in range(*match.span())}
    return [index for index, char in enumerate(text) if not char.isspace() and index not in breaks]


def _places(known: _Known, text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of every known form, and of its beginning where the rest was cut off.

    By the form where they are few, by the text where it is short.
    """
    yield from _ends_in(known, text)
    if len(known.forms) <= max(64, len(text) // 4):
        for beginning, form in known.forms:
            at = text.find(beginning)
            while at >= 0:
                yield at, _end_of(form, text, at)
                at = text.find(beginning, at + 1)
        return
    heads = known.by_head
    for at in range(len(text) - _SHORTEST + 1):
        for form in heads.get(text[at : at + _SHORTEST], ()):
            if text.startswith(_beginning(form), at):
                yield at, _end_of(form, text, at)


def _ends_in(known: _Known, text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each end of a loaded secret whose beginning is elsewhere, or which is whole."""
    if len(known.tails) <= max(64, len(text) // 4):
        for tail, value in known.tails:
            at = text.find(tail)
            while at >= 0:
                yield _start_of(value, text, at), at + _TELLING
                at = text.find(tail, at + 1)
        return
    for at in range(len(text) - _TELLING + 1):
        for tail, value in known.by_tail.get(text[at : at + _SHORTEST], ()):
            if text.startswith(tail, at):
                yield _start_of(value, text, at), at + _TELLING


def _start_of(value: str, text: str, at: int) -> int:
    """Where the part of `value` begins whose last characters are in `text` at `at`."""
    start, inner = at, len(value) - _TELLING
    while start > 0 and inner > 0 and text[start - 1] == value[inner - 1]:
        start, inner = start - 1, inner - 1
    return start


def _beginning(form: str) -> str:
    """The prefix that reveals a secret although its end is missing; an address counts only as a whole."""
    beginning = form[:_TELLING]
    return form if "://" in beginning or "%3A%2F" in beginning else beginning


def _end_of(form: str, text: str, at: int) -> int:
    """Where the part of `form` that is in `text` at `at` ends."""
    if text.startswith(form, at):
        return at + len(form)
    end = at + _TELLING
    while end < len(text) and text[end] == form[end - at]:
        end += 1
    return end
