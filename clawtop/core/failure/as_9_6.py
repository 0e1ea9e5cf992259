"""How OpenClaw 2026.9 reads an error: what fails at once is the server's, certificates and overflows are classes of
their own, and the provider's own plugin is asked before the tables (`provider_plugins`). 2026.8 reads them by other
tables in the same order (`as_8_2`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

from clawtop.core.failure import phrase_tables as phrases
from clawtop.core.failure import tables_9_6 as tables
from clawtop.core.failure.as_6_11 import AMBIGUOUS_BALANCE, MEANS_MONEY, first_detail, merged
from clawtop.core.failure.phrases import Phrases
from clawtop.core.failure.provider_json import body_of
from clawtop.core.failure.rules import (
    NOTHING,
    Classification,
    Kind,
    MessageRule,
    Reader,
    because,
    finds,
    image_too_large,
    normalized,
    oauth_refresh,
    openai_processing,
    payment_required,
    periodic_limit,
    quoted_402,
    says,
    whole,
)
from clawtop.core.failure.status import CODES, DEFAULT_STATUS, HTML_BODY, Signal, says_nothing
from clawtop.core.model import FailureReason
from clawtop.patterns import regex

Reason = FailureReason

_LEADING = regex(r"(?:http\s*)?(\d{3})(?:(?:\s*:\s*|\s+)[\s\S]|\Z)", re.ASCII)
_ERROR_PREFIX = regex(r"error:\s*", re.ASCII)
_STATUS_INTERNAL = regex(tables.STATUS_INTERNAL, re.ASCII)
_PER_MINUTE = regex(r"\btpm\b|tokens per minute", re.ASCII)
_LIMIT = regex(r"\blimit\s+([\d,]{1,24})", re.ASCII)
_REQUESTED = regex(r"\brequested\s+([\d,]{1,24})", re.ASCII)
_HEADING = regex(r"(?:\A|\n)##\s+\S", re.ASCII)

DEFAULTS: Mapping[str, int] = MappingProxyType(
    {**DEFAULT_STATUS, Reason.TLS_CERTIFICATE: 502, Reason.CONTEXT_OVERFLOW: 413}
)

_NETWORK_CODES = (
    "ECONNRESET ECONNREFUSED ENOTFOUND ETIMEDOUT ESOCKETTIMEDOUT ECONNABORTED EPIPE ENETDOWN EHOSTUNREACH ENETUNREACH"
    " EADDRNOTAVAIL EAI_AGAIN EHOSTDOWN ENETRESET UND_ERR_CONNECT_TIMEOUT UND_ERR_DNS_RESOLVE_FAILED UND_ERR_CONNECT"
    " UND_ERR_SOCKET UND_ERR_HEADERS_TIMEOUT UND_ERR_BODY_TIMEOUT ERR_HTTP2_INVALID_SESSION EPROTO"
    " ERR_SSL_WRONG_VERSION_NUMBER ERR_SSL_PROTOCOL_RETURNED_AN_ERROR ERR_WEBSOCKET_TRANSPORT"
    " ERR_STREAM_PREMATURE_CLOSE"
)
CODES_9: Mapping[str, FailureReason] = MappingProxyType(
    {
        **{code: reason for code, reason in CODES.items() if reason is not Reason.TIMEOUT},
        **dict.fromkeys(_NETWORK_CODES.split(), Reason.TIMEOUT),
        "UNKNOWN_PARAMETER": Reason.FORMAT,
        "DEACTIVATED_WORKSPACE": Reason.AUTH_PERMANENT,
        "SELECTED_AUTH_PROFILE_UNAVAILABLE": Reason.AUTH,
    }
)

_KINDS: Mapping[str, FailureReason] = MappingProxyType(
    {
        "invalid_request_error": Reason.FORMAT,
        "server_error": Reason.SERVER_ERROR,
        "upstream_error": Reason.SERVER_ERROR,
        "overloaded_error": Reason.OVERLOADED,
    }
)

_QUOTED_402 = quoted_402(tables.POINTS_GONE, tables.RATE_LIMIT)

OVERFLOW = Classification(Kind.CONTEXT_OVERFLOW, Reason.CONTEXT_OVERFLOW, "context-overflow")


def _overflow(found: str) -> Classification:
    return Classification(Kind.CONTEXT_OVERFLOW, Reason.CONTEXT_OVERFLOW, "context-overflow", found)


# --- texts ---------------------------------------------------------------------------------------------------------


def timeout_text(text: str) -> str | None:
    """The timeout phrase of a normalized text, or None."""
    return text if text in tables.WHOLE_TIMEOUTS else tables.TIMEOUT.find(text)


def billing_text(text: str) -> str | None:
    """The billing phrase of a normalized text, or None. A document with headings is prose, whatever it says."""
    found = tables.BILLING.find(text)
    if found is None or sum(1 for _ in _HEADING.finditer(text)) > 1:
        return None
    return found


def leading_status(text: str) -> int | None:
    """The HTTP status with which a normalized text begins, `error:` or not."""
    match = _LEADING.match(_ERROR_PREFIX.sub("", text, count=1) if text.startswith("error:") else text)
    status = int(match.group(1)) if match is not None else 0
    return status if 100 <= status < 600 else None


def exceeds_request_ceiling(text: str) -> bool:
    """The request asks for more tokens at once than the limit ever lets through: no wait helps."""
    for part in re.split(r"[.\n]", text):
        rate = _PER_MINUTE.search(part)
        limit = _LIMIT.search(part, rate.end()) if rate is not None else None
        wanted = _REQUESTED.search(part, limit.end()) if limit is not None else None
        if limit is not None and wanted is not None:
            return 0 < _tokens(limit.group(1)) < _tokens(wanted.group(1))
    return False


def _tokens(figure: str) -> int:
    return int(figure.replace(",", "") or "0")


def speaks_of_sizes(text: str) -> bool:
    """The text may be about a conversation that is too long, in the provider's words."""
    return tables.RATE_LIMIT.find(text) is None and tables.SIZE_WORDS.find(text) is not None


def _context_overflow(text: str, _provider: str) -> Classification | None:
    if (tables.TPM.find(text) is not None and not exceeds_request_ceiling(text)) or tables.REASONING.find(text):
        return None
    found = tables.OVERFLOW_SAID.find(text)
    if found is None and speaks_of_sizes(text):
        found = tables.OVERFLOW_OF_PROVIDER.find(text)
    return None if found is None else _overflow(found)


def overflow_last(text: str, _provider: str) -> Classification | None:
    """Words that mean an overflow where nothing else was found."""
    found = tables.OVERFLOW_LAST.find(text)
    return None if found is None else _overflow(found)


def _of_provider(name: str, table: Phrases, reason: FailureReason, rule: str) -> MessageRule:
    def ask(text: str, provider: str) -> Classification | None:
        if provider.strip() != name or (found := table.find(text)) is None:
            return None
        return because(reason, rule, found)

    return ask


def _replay(text: str, _provider: str) -> Classification | None:
    found = tables.REPLAY_INVALID.find(text)
    if found is None and tables.THINKING.find(text) is not None:
        found = tables.BAD_SIGNATURE.find(text)
    return None if found is None else because(Reason.FORMAT, "replay-invalid", found)


def _billing(text: str, _provider: str) -> Classification | None:
    if leading_status(text) == 429 or (found := billing_text(text)) is None:
        return None
    return because(Reason.BILLING, "billing-text", found)


def server_error_field(text: str, _provider: str) -> Classification | None:
    """The body calls itself an error of the server."""
    kind = (body_of(text).kind or "").strip().lower()
    found = next((f'"{kind}"' for known in ("server_error", "upstream_error") if kind == known), None)
    for known in ("server_error", "upstream_error"):
        for field in ("type", "code"):
            found = found or (f'"{field}":"{known}"' if f'"{field}":"{known}"' in text else None)
    if found is None or billing_text(text) or tables.AUTH_PERMANENT.find(text) or tables.AUTH.find(text):
        return None
    return because(Reason.SERVER_ERROR, "server-error-field", found)


def _server_text(text: str, _provider: str) -> Classification | None:
    found = tables.STATUS_INTERNAL_500.find(text) or tables.HTTP_5XX.find(text)
    if found is None:
        rest = _STATUS_INTERNAL.sub("", text, count=1).strip()
        found = text if not rest else tables.SERVER_TEXT.find(rest)
    return None if found is None else because(Reason.TIMEOUT, "server-text", found)


def _api_error(text: str, _provider: str) -> Classification | None:
    if '"type":"api_error"' not in text or (found := tables.API_ERROR_TRANSIENT.find(text)) is None:
        return None
    if billing_text(text) or tables.AUTH.find(text) or tables.AUTH_PERMANENT.find(text):
        return None
    return because(Reason.TIMEOUT, "anthropic-api-error", found)


def _kind_of_body(text: str, _provider: str) -> Classification | None:
    kind = (body_of(text).kind or "").strip().lower()
    reason = _KINDS.get(kind)
    return None if reason is None else because(reason, "error-type", kind)


def status_alone(text: str, provider: str) -> Classification | None:
    """The status with which the text begins, where nothing else was found."""
    status = leading_status(text)
    return None if status is None else by_status(Signal(message=text), status, provider, NOTHING, own=False)


broken_transcript = says(tables.BROKEN_TRANSCRIPT, Reason.FORMAT, "broken-transcript")

RULES: tuple[MessageRule, ...] = (
    image_too_large(tables.IMAGE),
    says(tables.IMAGE_UNSUPPORTED, Reason.FORMAT, "image-unsupported"),
    _of_provider("claude-cli", tables.CLAUDE_CLI_LOGIN, Reason.AUTH, "claude-cli-login"),
    broken_transcript,
    says(tables.SESSION_EXPIRED, Reason.SESSION_EXPIRED, "session-expired-text"),
    says(tables.MODEL_NOT_FOUND, Reason.MODEL_NOT_FOUND, "model-not-found-text"),
    says(tables.WORKERS_AI, Reason.RATE_LIMIT, "provider-limit"),
    says(tables.MODEL_NOT_READY, Reason.OVERLOADED, "bedrock-model-not-ready"),
    says(tables.MODEL_RETIRED, Reason.MODEL_NOT_FOUND, "model-retired"),
    _context_overflow,
    _replay,
    _QUOTED_402,
    _billing,
    periodic_limit(billing_text),
    says(tables.RATE_LIMIT, Reason.RATE_LIMIT, "rate-limit-text"),
    says(tables.OVERLOADED, Reason.OVERLOADED, "overloaded-text"),
    says(tables.FINISHED_IN_ERROR, Reason.SERVER_ERROR, "finished-in-error"),
    server_error_field,
    openai_processing,
    oauth_refresh(tables.OAUTH_REFRESH, tables.OAUTH_REFRESH_FINAL),
    says(tables.AUTH_PERMANENT, Reason.AUTH_PERMANENT, "auth-permanent-text"),
    says(tables.AUTH, Reason.AUTH, "auth-text"),
    whole(phrases.WHOLE_UNKNOWNS, Reason.TIMEOUT, "unknown-error"),
    _server_text,
    _api_error,
    says(tables.FORMAT, Reason.FORMAT, "format-text"),
    whole(phrases.WHOLE_NO_DETAILS, Reason.NO_ERROR_DETAILS, "no-error-details"),
    finds(timeout_text, Reason.TIMEOUT, "timeout-text"),
    overflow_last,
    _kind_of_body,
    status_alone,
)
"""What a text is asked, in order."""

read_words = Reader(RULES)


# --- status, code and words together ---------------------------------------------------------------------------------

_GONE_SAYS = frozenset({Reason.SESSION_EXPIRED, Reason.BILLING, Reason.AUTH_PERMANENT, Reason.AUTH})
_SERVER_SAYS = frozenset({Reason.OVERLOADED, Reason.SERVER_ERROR})
_TIME_STATUSES = frozenset({499, 504, 522, 524})


def by_status(
    signal: Signal, status: int | float, provider: str, words: Classification, *, own: bool
) -> Classification | None:
    """What the status says; None where it says nothing. `own`: the provider's plugin gave the words."""
    text = normalized(signal.message or "")
    name, said = f"status-{status:g}", f"{status:g}"
    if status == 402:
        return _says_402(signal, text, words)
    if status == 429:
        return _says_429(text, provider, words)
    if status in (401, 403):
        if own and words:
            return words
        if (found := tables.AUTH_PERMANENT.find(text)) is not None:
            return because(Reason.AUTH_PERMANENT, "auth-permanent-text", found)
        return words if words.reason == Reason.BILLING else because(Reason.AUTH, name, said)
    if status == 408:
        return because(Reason.TIMEOUT, name, said)
    if status == 410:
        return words if words.reason in _GONE_SAYS else because(Reason.TIMEOUT, name, said)
    if words.kind is Kind.CONTEXT_OVERFLOW:
        return words
    if status == 404:
        heard = words.reason in _GONE_SAYS or words.reason == Reason.FORMAT
        return words if heard else because(Reason.MODEL_NOT_FOUND, name, said)
    if status == 529:
        return because(Reason.OVERLOADED, name, said)
    if status == 499 or 500 <= status < 600:
        if words.reason in _SERVER_SAYS or (status >= 500 and words.reason == Reason.FORMAT):
            return words
        return because(Reason.TIMEOUT if status in _TIME_STATUSES else Reason.SERVER_ERROR, name, said)
    if status in (400, 422):
        if words and words.reason != Reason.SERVER_ERROR:
            return words
        if says_nothing(status, signal.message):
            return Classification(Kind.NONE, None, "no-body", said)
        return because(Reason.FORMAT, name, said)
    return None


def _says_402(signal: Signal, text: str, words: Classification) -> Classification | None:
    if leading_status(text) == 402 and (quoted := _QUOTED_402(text, "")) is not None:
        return quoted
    if leading_status(text) == 402 and signal.status is None:
        return words or None
    return payment_required(text, tables.RATE_LIMIT)[0]


def _says_429(text: str, provider: str, words: Classification) -> Classification:
    ambiguous = AMBIGUOUS_BALANCE.search(text) is not None and not _kind_is_money(text)
    if words.reason == Reason.BILLING and not ambiguous:
        return words
    unpaid = billing_text(text)
    if unpaid is not None and (not ambiguous or any(name in provider for name in MEANS_MONEY)):
        return because(Reason.BILLING, "billing-as-429", unpaid)
    return because(Reason.RATE_LIMIT, "status-429", "429")


def _kind_is_money(text: str) -> bool:
    kind = body_of(text).kind or ""
    return bool(kind) and (billing_text(kind) or billing_text(kind.replace("_", " "))) is not None


def code_reason(code: str | None) -> FailureReason | None:
    """The reason for an error code, in any case."""
    return CODES_9.get(code.strip().upper()) if code else None


Plugin = Callable[[Signal, int | float | None], Classification | None]
"""How the provider's own plugin classifies a signal; the status is the one passed to the plugin."""


class ByStatus(Protocol):
    """What a status says together with the words; None where it says nothing. `own`: the plugin gave the words."""

    def __call__(
        self, signal: Signal, status: int | float, provider: str, words: Classification, *, own: bool
    ) -> Classification | None: ...


class SignalReading(NamedTuple):
    """What differs between the versions that read errors in this way.

    Attributes:
        words: how a text is classified.
        by_status: how a status is.
        code: the reason for an error code.
        body_codes: the code inside the error's body counts too, and one that means a malformed request comes first.
        pages_time_out: an HTML page with a server's status is a timeout, whichever status it is.
    """

    words: Reader
    by_status: ByStatus
    code: Callable[[str | None], FailureReason | None]
    body_codes: bool = True
    pages_time_out: bool = False


def no_plugin(_signal: Signal, _status: int | float | None) -> Classification | None:
    """A provider without a plugin."""
    return None


def read_signal(signal: Signal, plugin: Plugin = no_plugin) -> Classification:
    """The class of an error's status, code and message, after what its provider's plugin says."""
    return read(signal, _READING, plugin)


def read(signal: Signal, reading: SignalReading, plugin: Plugin) -> Classification:
    """The same by the tables of `reading`."""
    provider = (signal.provider or "").lower()
    text = normalized(signal.message or "")
    status = signal.status if signal.status is not None else leading_status(text)
    spoken = reading.words(signal.message or "", provider)
    own = _asked_plugin(signal, status, text, spoken, plugin)
    if own is None and status is None and _is_certificate(signal, text):
        return because(Reason.TLS_CERTIFICATE, "tls-certificate", signal.code or text[:80])
    if own is None and _is_html(status, text):
        if reading.pages_time_out:
            return because(Reason.TIMEOUT, "html-error-page", f"{status:g}")
        return reading.by_status(Signal(status=signal.status), status or 0, provider, NOTHING, own=False) or NOTHING
    code = reading.code(signal.code)
    if reading.body_codes:
        code = code or reading.code(body_of(text).code)
    coded = NOTHING if code is None else because(code, "error-code", signal.code or "")
    if code is Reason.AUTH_PERMANENT:
        return coded
    words = merged(spoken, first_detail(signal, reading.words))
    words = own or (coded if code is Reason.FORMAT and reading.body_codes else merged(words, coded))
    answer = None if status is None else reading.by_status(signal, status, provider, words, own=own is not None)
    if answer:
        return answer
    return coded or (words if answer is None else answer)


_READING = SignalReading(read_words, by_status, code_reason)


def _asked_plugin(
    signal: Signal, status: int | float | None, text: str, spoken: Classification, plugin: Plugin
) -> Classification | None:
    told = signal.status
    if told is None and signal.provider and status in (401, 403, 429):
        told = status
    if not (text or signal.code or status is not None):
        return None
    if told is None and signal.code is None and not speaks_of_sizes(text) and spoken:
        return None
    return plugin(signal, told)


def _is_certificate(signal: Signal, text: str) -> bool:
    if (signal.code or "").strip().upper() in tables.CERTIFICATE_CODES:
        return True
    return tables.CERTIFICATE.find(text) is not None


def _is_html(status: int | float | None, text: str) -> bool:
    if status is None or not (status in (408, 499) or 500 <= status < 600):
        return False
    return HTML_BODY.match(text) is not None
