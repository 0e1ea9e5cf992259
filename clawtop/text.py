"""The one door from foreign bytes to a screen.

File names, ids, error texts and log lines are hostile until they have been through `safe`; secrets are taken out
by `masked`. JSON output does not use `safe`: ids there are exact and ASCII-escaped by the encoder.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

ELLIPSIS = "…"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
MASK = "•••"

# Unicode categories that can move the cursor, hide or reorder text: controls, format (bidi, zero width), lone
# surrogates, private use, unassigned, line and paragraph separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MAX_COMBINING = 2

_SECRET_PATTERNS = re.compile(
    r"""
      \b(?:sk|pk|rk|xai|gsk|ghp|gho|ghs|pplx|hf|tok|key)[-_][A-Za-z0-9_\-]{8,}
    | \bAIza[0-9A-Za-z_\-]{20,}
    | \bAKIA[0-9A-Z]{12,}
    | \beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{4,}(?:\.[A-Za-z0-9_\-]*)?
    | (?<=[Bb]earer\ )\s*[A-Za-z0-9._~+/\-]{6,}=*
    | (?<=[Bb]asic\ )\s*[A-Za-z0-9+/]{8,}=*
    | (?<=://)[^/\s:@]+:[^/\s@]+(?=@)
    """,
    re.VERBOSE,
)
_SECRET_FIELDS = re.compile(
    r"""(?P<name>(?<![A-Za-z0-9_])["']?(?:x-api-key|api[-_]?key|access[-_]?token|refresh[-_]?token|id[-_]?token|authorization|password|secret)["']?
        \s*[:=]\s*["']?)(?!Bearer\b|Basic\b)(?P<value>[^\s"',;&}]{4,})""",
    re.VERBOSE | re.IGNORECASE,
)

_IN_SECRETS = re.compile(r"[A-Za-z0-9._~+/=:@%-]*\Z")

_known_secrets: tuple[str, ...] = ()  # longest first; replaced whole, under _known_lock, so readers need no lock
_known_lock = threading.Lock()


def remember_secrets(values: Iterable[str]) -> None:
    """Take every loaded secret value into the redaction of `masked`. Values under 6 characters are ignored."""
    global _known_secrets  # noqa: PLW0603 - what the process must never show
    with _known_lock:
        known = set(_known_secrets)
        fresh = {value for value in values if len(value) >= 6} - known
        if fresh:
            _known_secrets = tuple(sorted(known | fresh, key=lambda value: (-len(value), value)))


def whole_words(text: str) -> int:
    """How much of a text that still grows may be masked and shown: all but the last run of characters that secrets are
    made of, of which only a part may be there yet.
    """
    tail = _IN_SECRETS.search(text)
    return tail.start() if tail is not None else len(text)


def masked(text: str) -> str:
    """`text` with every loaded secret and everything that looks like one replaced by a mask.

    All of them are looked for in the text as it is, so that a short secret inside a long one cannot uncover the rest.
    """
    spans = [(at, at + len(secret)) for secret in _known_secrets for at in _places(secret, text)]
    spans += [match.span("value") for match in _SECRET_FIELDS.finditer(text)]
    spans += [match.span() for match in _SECRET_PATTERNS.finditer(text)]
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


def _places(part: str, text: str) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def safe(text: object, limit: int | None = None) -> str:
    """`text` as one line that a terminal shows as it is: no control, bidi, zero-width or surrogate characters.

    Each hidden character becomes a visible `\\xNN` / `\\uNNNN`; runs of combining marks are cut. `limit` elides to
    that many terminal cells.
    """
    raw = text if isinstance(text, str) else str(text)
    if limit is not None and len(raw) > limit * 4 + 16:
        raw = raw[: limit * 4 + 16]
    if raw.isascii() and raw.isprintable():
        return raw if limit is None else elided(raw, limit)
    out: list[str] = []
    combining = 0
    for char in raw:
        if unicodedata.combining(char):
            combining += 1
            if combining > _MAX_COMBINING or not out:
                continue
        else:
            combining = 0
        out.append(_escaped(char) if unicodedata.category(char) in _HIDDEN else char)
    result = "".join(out)
    return result if limit is None else elided(result, limit)


def shown(text: object, limit: int | None = None) -> str:
    """`masked`, then `safe`: what foreign prose (errors, log lines) goes through."""
    return safe(masked(text if isinstance(text, str) else str(text)), limit)


def _escaped(char: str) -> str:
    point = ord(char)
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


_NARROW = re.compile(
    r"[ -~\xa0-\xac\xae-\u02ff\u2010-\u2027\u2030-\u205e\u2190-\u2211\u2298\u2299\u2500-\u25fc\u29d7✓✗⚠]*"
)
"""Text of which every character takes one cell, whatever stands beside it: most of what is drawn."""


def cells(text: str) -> int:
    """Terminal cells that `safe` text takes, by the tables of `wcwidth`: clusters of Thai or Devanagari, emoji with a
    skin tone or a variation selector count as terminals draw them.
    """
    return len(text) if text.isascii() or _NARROW.fullmatch(text) else _cells(text)


@lru_cache(maxsize=4096)
def _cells(text: str) -> int:
    from wcwidth import iter_graphemes, width

    return sum(width(cluster, control_codes="ignore") for cluster in iter_graphemes(text))


def clusters(text: str) -> Iterable[str]:
    """The text in pieces that are never cut: a character with all that is drawn in its place."""
    if text.isascii() or _NARROW.fullmatch(text):
        return text
    from wcwidth import iter_graphemes

    return iter_graphemes(text)


def headed(text: str, width: int) -> str:
    """As much of the beginning as fits into `width` cells."""
    if len(text) <= width and text.isascii():
        return text
    room = width
    out: list[str] = []
    for cluster in clusters(text):
        room -= cells(cluster)
        if room < 0:
            break
        out.append(cluster)
    return "".join(out)


def elided(text: str, width: int) -> str:
    """`text` cut to `width` cells, with an ellipsis where something is gone."""
    if cells(text) <= width:
        return text
    return headed(text, width - 1) + ELLIPSIS if width > 0 else ""


def tailed(text: str, width: int) -> str:
    """As much of the end as fits into `width` cells."""
    if len(text) <= width and text.isascii():
        return text
    room = width
    out: list[str] = []
    for cluster in reversed(list(clusters(text))):
        room -= cells(cluster)
        if room < 0:
            break
        out.append(cluster)
    return "".join(reversed(out))


def elided_middle(text: str, width: int) -> str:
    """`text` cut to `width` cells in its middle: of ids that begin alike, the end tells them apart."""
    if cells(text) <= width:
        return text
    if width <= 0:
        return ""
    head = (width - 1) // 3
    return headed(text, head) + ELLIPSIS + tailed(text, width - 1 - head)
