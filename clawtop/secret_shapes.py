"""What looks like a secret although nobody loaded it: keys by their prefixes, values by the names before them, tokens
and key blocks.

A key that is nothing but random characters, and has no such name before it, cannot be told from an id and is not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from clawtop.patterns import regex

PEM_BEGIN, PEM_END = "-----BEGIN ", "-----END "

_RUNS = regex(r"[A-Za-z0-9_\-.]{11,}")
"""Where `_WORDS` may match, none of which is shorter: most words of a text are."""

_WORDS = regex(
    r"""
      (?<![A-Za-z0-9])(?:
          (?:sk|pk|rk|xai|gsk|gh[pousr]|github_pat|gl(?:pat|rt|dt|ptt|cbt|ft|agent|soat|sa|c)|xox[abeoprs]|xapp|pplx|hf|tok
            |key|whsec|shp(?:at|ss|ca|pa)|do[por]_v1|npm|nvapi|r8|tvly|AIza|ya29|GOCSPX|pypi|sbp|hvs|hvb|figd|sntry[su]
            |tskey|sq0(?:atp|csp)|PMAK|NRAK|ATATT3xFfGF0|AGE-SECRET-KEY|lin_api|dp\.[a-z]{2,5}
          )[-_.]?(?<=[-_.za09])[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]+)*
        | A(?:KIA|SIA|GPA|ROA|IDA)[0-9A-Z]{12,}
        | (?:ntn|fw|fo1|fm2|ngrok|vercel|secret)_[A-Za-z0-9]{20,}
        | EAA[A-Za-z0-9]{40,}
        | BSA[A-Za-z0-9_\-]{26,}
        | dapi[0-9a-f]{32,}
        | (?:AC|SK)[0-9a-f]{32}(?![0-9A-Za-z])
        | [0-9a-f]{32}-us[0-9]{1,2}(?![0-9A-Za-z])
        | (?:SG\.[A-Za-z0-9_\-]{16,}|pat[A-Za-z0-9]{14})\.[A-Za-z0-9_\-]{16,}
        | v1\.0-[0-9a-f]{24}-[0-9a-f]{32,}
      )
    | (?<![A-Za-z0-9_\-.])[A-Za-z0-9_\-]{20,30}\.[A-Za-z0-9_\-]{6}\.[A-Za-z0-9_\-]{25,}
    """,
    re.VERBOSE,
)
_BESIDE: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (needles, regex(pattern, re.VERBOSE))
    for needles, pattern in (
        (("/bot",), r"(?<=/bot)[0-9]{6,12}:[A-Za-z0-9_\-]{6,}"),
        ((":",), r"(?<![A-Za-z0-9])[0-9]{8,12}:[A-Za-z0-9_\-]{30,}"),
        (("syt_",), r"(?<![A-Za-z0-9])syt_[A-Za-z0-9=_]{20,}"),
        (("1//0",), r"(?<![A-Za-z0-9])1//0[A-Za-z0-9_\-]{20,}"),
        (
            ("uthorization: ",),
            r"""(?<=[Aa]uthorization:\ )
                (?:[A-Za-z][A-Za-z0-9\-]{1,19}\ {1,4})?(?:[A-Za-z]{2,20}="[^"\r\n]{0,400}"|[^\s"',;]{6,})
                (?:,\ {0,4}[A-Za-z]{2,20}=(?:"[^"\r\n]{0,400}"|[^\s"',;]+))*""",
        ),
        (("ookie: ",), r"""(?<=[Cc]ookie:\ )[^\s"',;]+(?:;\ ?[^\s"',;]+)*"""),
        (("earer ",), r"(?<=[Bb]earer\ )\ {0,8}[A-Za-z0-9._~+/\-]{6,}=*"),
        (("asic ",), r"(?<=[Bb]asic\ )\ {0,8}[A-Za-z0-9+/]{8,}=*"),
        ((" Bot ", " bot "), r"(?<=\ [Bb]ot\ )[A-Za-z0-9._\-]{20,}"),
        (("/services/",), r"(?<=/services/)T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{8,}"),
        (("/api/webhooks/",), r"(?<=/api/webhooks/)[0-9]{6,}/[A-Za-z0-9_\-]{16,}"),
        (("/webhookb2/",), r"""(?<=/webhookb2/)[^\s"']{16,}"""),
        (("://",), r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"),
    )
)
"""Secrets by what is before them or in them: each with the texts one of which it cannot be without."""

_FIELDS = regex(
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
_NAMES = (
    *("token", "secret", "api-key", "api_key", "apikey", "access-key", "access_key", "accesskey", "private", "pass"),
    *("pwd", "authorization", "--", "?", "&"),
)
"""One of these is in every text in which `_FIELDS` matches, in lower case."""

_QUOTED = regex(r"%(?:[2-6][0-9A-Fa-f]|7[0-9A-Ea-e])")
_QUOTED_AT_MOST = 2
"""An address in a query in an address is quoted twice."""

_JWT_WORDS = regex(r"[A-Za-z0-9_\-.]+")
_JWT_HEAD = "eyJ"


def shaped_spans(text: str) -> list[tuple[int, int]]:
    """Spans of text that look like secrets; they may overlap."""
    spans = [match.span() for run in _RUNS.finditer(text) for match in _WORDS.finditer(text, run.start(), run.end())]
    for needles, pattern in _BESIDE:
        if any(needle in text for needle in needles):
            spans += [match.span() for match in pattern.finditer(text)]
    if (":" in text or "=" in text or "--" in text) and _is_named_in(text.casefold()):
        spans += [match.span("value") for match in _FIELDS.finditer(text)]
    spans += _jwts(text)
    spans += _key_blocks(text)
    return spans


def _is_named_in(text: str) -> bool:
    return any(name in text for name in _NAMES)


def unquoted(text: str) -> Iterator[tuple[str, Sequence[int]]]:
    """The text percent-decoded, once and twice, with the place of each of its characters and of its end in `text`;
    nothing where it is not encoded.
    """
    places: Sequence[int] = range(len(text) + 1)
    for _ in range(_QUOTED_AT_MOST):
        if _QUOTED.search(text) is None:
            return
        text, inner = _decoded(text)
        places = [places[place] for place in inner]
        yield text, places


def _decoded(text: str) -> tuple[str, list[int]]:
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


def _jwts(text: str) -> Iterator[tuple[int, int]]:
    """JSON Web Tokens: two parts or three, the first of which begins as every JSON object does in base64."""
    if _JWT_HEAD not in text:
        return
    for word in _JWT_WORDS.finditer(text):
        start = word[0].find(_JWT_HEAD)
        parts = word[0][start:].split(".") if start >= 0 else []
        if len(parts) > 1 and len(parts[0]) >= 11 and len(parts[1]) >= 4:
            yield word.start() + start, word.end()


def _key_blocks(text: str) -> Iterator[tuple[int, int]]:
    """PEM blocks of private keys, to their end or, cut off, to the end of the text."""
    at = text.find(PEM_BEGIN)
    while at >= 0:
        head_end = text.find("-----", at + len(PEM_BEGIN))
        if head_end < 0:
            return
        end = text.find(PEM_END, head_end)
        if "KEY" in text[at:head_end] and head_end - at < 100:
            yield head_end + 5, len(text) if end < 0 else end
        at = text.find(PEM_BEGIN, head_end)
