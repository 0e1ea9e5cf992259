"""Takes secrets out of texts: those that were loaded, in every form they may have, and what looks like one."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from clawtop.patterns import regex
from clawtop.values import dataclass

MASK = "•••"

_SECRET_PATTERNS = regex(
    r"""
      (?<![A-Za-z0-9])(?:
          (?:sk|pk|rk|xai|gsk|gh[pousr]|github_pat|gl(?:pat|rt|dt|ptt|cbt|ft|agent|soat|sa|c)|xox[abeoprs]|xapp|pplx|hf|tok
            |key|whsec|shp(?:at|ss|ca|pa)|do[por]_v1|npm|nvapi|r8|tvly|AIza|ya29|GOCSPX|pypi|sbp|hvs|hvb|figd|sntry[su]
            |tskey|sq0(?:atp|csp)|PMAK|NRAK|ATATT3xFfGF0|AGE-SECRET-KEY|lin_api|dp\.[a-z]{2,5}
          )[-_.]?(?<=[-_.za09])[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]+)*
        | A(?:KIA|SIA|GPA|ROA|IDA)[0-9A-Z]{12,}
        | [0-9]{8,12}:[A-Za-z0-9_\-]{30,}
        | (?:ntn|fw|fo1|fm2|ngrok|vercel|secret)_[A-Za-z0-9]{20,}
        | syt_[A-Za-z0-9=_]{20,}
        | EAA[A-Za-z0-9]{40,}
        | BSA[A-Za-z0-9_\-]{26,}
        | 1//0[A-Za-z0-9_\-]{20,}
        | dapi[0-9a-f]{32,}
        | (?:AC|SK)[0-9a-f]{32}(?![0-9A-Za-z])
        | [0-9a-f]{32}-us[0-9]{1,2}(?![0-9A-Za-z])
        | (?:SG\.[A-Za-z0-9_\-]{16,}|pat[A-Za-z0-9]{14})\.[A-Za-z0-9_\-]{16,}
        | v1\.0-[0-9a-f]{24}-[0-9a-f]{32,}
      )
    | (?<=/bot)[0-9]{6,12}:[A-Za-z0-9_\-]{6,}
    | (?<![A-Za-z0-9_\-.])[A-Za-z0-9_\-]{20,30}\.[A-Za-z0-9_\-]{6}\.[A-Za-z0-9_\-]{25,}
    | (?<=[Aa]uthorization:\ )(?:[A-Za-z][A-Za-z0-9\-]{1,19}\ {1,4})?(?:[A-Za-z]{2,20}="[^"\r\n]{0,400}"|[^\s"',;]{6,})
          (?:,\ {0,4}[A-Za-z]{2,20}=(?:"[^"\r\n]{0,400}"|[^\s"',;]+))*
    | (?<=[Cc]ookie:\ )[^\s"',;]+(?:;\ ?[^\s"',;]+)*
    | (?<=[Bb]earer\ )\ {0,8}[A-Za-z0-9._~+/\-]{6,}=*
    | (?<=[Bb]asic\ )\ {0,8}[A-Za-z0-9+/]{8,}=*
    | (?<=\ [Bb]ot\ )[A-Za-z0-9._\-]{20,}
    | (?<=/services/)T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{8,}
    | (?<=/api/webhooks/)[0-9]{6,}/[A-Za-z0-9_\-]{16,}
    | (?<=/webhookb2/)[^\s"']{16,}
    | (?<=://)[^/\s:@]*:[^/\s@]+(?=@)
    """,
    re.VERBOSE,
)
_SECRET_FIELDS = regex(
    r"""(?P<name>(?:(?<![A-Za-z0-9])["']?(?:
            x-api-key|x-goog-api-key|api[-_]?key|apikey|access[-_]?key(?:[-_]?id)?|access[-_]?token|refresh[-_]?token
            |id[-_]?token|auth[-_]?token|bot[-_]?token|session[-_]?token|client[-_]?secret|secret[-_]?access[-_]?key
            |signing[-_]?secret|secret[-_]?key|app[-_]?secret|private[-_]?key|authorization|passphrase|passwd|password|pwd
            |secret|token
            |(?<=[?&])(?:key|sig|signature|auth|code|x-amz-signature|x-amz-security-token|x-amz-credential)
            )|(?-i:(?<=[a-z])(?:Token|Secret|Password|Passphrase|ApiKey|SecretKey|AccessKey|PrivateKey))
        )["']?\s{0,4}[:=]\s{0,4}["']?
        |--(?:[a-z]{2,20}-)?(?:key|token|password|secret|passphrase)\s{1,4}["']?(?!-))
        (?!(?:Bearer|Basic|true|false|null|none|undefined)\b)(?P<value>[^\s"',;&}]{4,})""",
    re.VERBOSE | re.IGNORECASE,
)
_QUOTED = regex(r"%(?:[2-6][0-9A-Fa-f]|7[0-9A-Ea-e])")
_QUOTED_AT_MOST = 2
"""An address in a query in an address is quoted twice."""

_WORDS = regex(r"[A-Za-z0-9_\-.]+")
_JWT_HEAD = "eyJ"
_PEM_BEGIN, _PEM_END = "-----BEGIN ", "-----END "

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
    """

    forms: tuple[tuple[str, str], ...] = ()
    by_head: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    starts: frozenset[str] = frozenset()
    longest: int = 0
    tails: tuple[tuple[str, str], ...] = ()
    by_tail: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


_known_secrets: tuple[str, ...] = ()  # longest first; replaced whole, under _known_lock, so readers need no lock
_known_lock = threading.Lock()


def remember_secrets(values: Iterable[str]) -> None:
    """Add loaded secret values to those that `masked` removes, percent- and base64-encoded too.

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
    )


def _is_secret(value: str) -> bool:
    word = value.strip().lower()
    return len(word) >= _SHORTEST and word not in _PLACEHOLDERS


def _forms(value: str) -> Iterator[str]:
    """A secret verbatim, in a URL, in JSON, and in base64 at any offset of the encoded text."""
    yield value
    raw = value.encode("utf-8", "surrogatepass")
    for kept in ("", "/", "/:+=@"):
        yield quote(raw, safe=kept)
    yield json.dumps(value)[1:-1]
    if len(raw) < 2 * _SHORTEST:
        return
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
    begun = text.rfind(_PEM_BEGIN)
    if begun >= 0 and text.find(_PEM_END, begun) < 0:
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
    spans = _known_spans(_known_of(secrets), text)
    spans += _shaped_spans(text)
    decoded = text
    places: Sequence[int] = range(len(text) + 1)
    for _ in range(_QUOTED_AT_MOST):
        if _QUOTED.search(decoded) is None:
            break
        decoded, inner = _unquoted(decoded)
        places = [places[place] for place in inner]
        spans += [(places[start], places[end]) for start, end in _shaped_spans(decoded)]
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


def _shaped_spans(text: str) -> Sequence[tuple[int, int]]:
    """Spans of text that look like secrets."""
    assigns = ":" in text or "=" in text or "--" in text  # without one, looking for fields only takes time
    spans = [match.span("value") for match in _SECRET_FIELDS.finditer(text)] if assigns else []
    spans += [match.span() for match in _SECRET_PATTERNS.finditer(text)]
    spans += _jwts(text)
    spans += _key_blocks(text)
    return spans


def _unquoted(text: str) -> tuple[str, list[int]]:
    """The text percent-decoded, with the start and the end of each of its characters in the original."""
    out: list[str] = []
    places: list[int] = []
    shown_to = 0
    for match in _QUOTED.finditer(text):
        out += [text[shown_to : match.start()], chr(int(match[0][1:], 16))]
        places += [*range(shown_to, match.start()), match.start()]
        shown_to = match.end()
    out.append(text[shown_to:])
    places += range(shown_to, len(text) + 1)
    return "".join(out), places


def _known_spans(known: _Known, text: str) -> list[tuple[int, int]]:
    """Spans of loaded secrets, also if they are broken by line breaks, blanks, or an escaped line break."""
    if not known.forms or len(text) < _SHORTEST:
        return []
    spans = list(_places(known, text))
    compact = _ESCAPED_BREAK.sub("", text) if "\\" in text else text
    compact = "".join(compact.split())
    if len(compact) != len(text) and len(compact) >= _SHORTEST:
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


def _jwts(text: str) -> Iterator[tuple[int, int]]:
    """JSON Web Tokens: two parts or three, the first of which begins as every JSON object does in base64."""
    if _JWT_HEAD not in text:
        return
    for word in _WORDS.finditer(text):
        start = word[0].find(_JWT_HEAD)
        parts = word[0][start:].split(".") if start >= 0 else []
        if len(parts) > 1 and len(parts[0]) >= 11 and len(parts[1]) >= 4:
            yield word.start() + start, word.end()


def _key_blocks(text: str) -> Iterator[tuple[int, int]]:
    """PEM blocks of private keys, to their end or, cut off, to the end of the text."""
    at = text.find(_PEM_BEGIN)
    while at >= 0:
        head_end = text.find("-----", at + len(_PEM_BEGIN))
        if head_end < 0:
            return
        end = text.find(_PEM_END, head_end)
        if "KEY" in text[at:head_end] and head_end - at < 100:
            yield head_end + 5, len(text) if end < 0 else end
        at = text.find(_PEM_BEGIN, head_end)
