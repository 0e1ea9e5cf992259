"""How clawtop's own engine classifies a failed provider call, where it differs from OpenClaw on purpose.

Only lapsed time is a timeout (thread 62351): one of clawtop's limits, or an answer of 408, 499, 504 or 524 that took as
long as a timeout takes. What fails at once - refused, reset, 5xx, a broken stream - is the server's or the network's,
and another account or model may answer. `REACH` says how far each class goes, `MARKED` whose fault it can be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from clawtop.core.failure.classify import classify_failure
from clawtop.core.failure.engine_tables import CODES, TEXT_LIMIT, WORDS
from clawtop.core.failure.marked import marked_reason
from clawtop.core.failure.record import ErrorRecord, ErrorValue
from clawtop.core.failure.rules import Kind, normalized
from clawtop.core.failure.signal import signal_of
from clawtop.core.failure.status import inferred_status
from clawtop.core.failure.tables_9_6 import CERTIFICATE, CERTIFICATE_CODES
from clawtop.core.model import FailureReason
from clawtop.core.rules import Marking
from clawtop.patterns import regex

LATE_S = 10.0
"""A gateway's 408, 499, 504 or 524 that took this many seconds says that time passed; a quicker one is a failure."""

TIME_STATUSES = frozenset({408, 499, 504, 524})


class Reach(StrEnum):
    """How far a failure reaches: what else would fail in the same way.

    ACCOUNT: this account, or this request: the next account may answer. MODEL: every account of this model would meet
    it; the next model may answer. WINDOW: the conversation is too long: a model with a larger window may answer.
    END: nothing else is tried.
    """

    ACCOUNT = "account"
    MODEL = "model"
    WINDOW = "window"
    END = "end"


REACH: Mapping[FailureReason, Reach] = MappingProxyType(
    {
        FailureReason.FORMAT: Reach.MODEL,
        FailureReason.MODEL_NOT_FOUND: Reach.MODEL,
        FailureReason.EMPTY_RESPONSE: Reach.MODEL,
        FailureReason.TLS_CERTIFICATE: Reach.MODEL,
        FailureReason.CONTEXT_OVERFLOW: Reach.WINDOW,
        FailureReason.MODERATION: Reach.END,
    }
)
"""Classes that are not here reach as far as the account. A timeout is the timeout policy's."""

ENDPOINT_REASONS = frozenset({FailureReason.SERVER_ERROR, FailureReason.NETWORK})
"""The endpoint's trouble, for every account: after two in a row its other accounts are not tried."""

COOLED_REASONS = frozenset(
    {FailureReason.RATE_LIMIT, FailureReason.BILLING, FailureReason.AUTH, FailureReason.AUTH_PERMANENT}
)
"""The account's own: it is marked for these, and not asked again in the same run."""

NEVER_THE_ACCOUNTS = frozenset(
    {
        FailureReason.TIMEOUT,
        FailureReason.FORMAT,
        FailureReason.EMPTY_RESPONSE,
        FailureReason.MODERATION,
        FailureReason.CONTEXT_OVERFLOW,
        FailureReason.MODEL_NOT_FOUND,
        FailureReason.TLS_CERTIFICATE,
        FailureReason.NETWORK,
        FailureReason.SERVER_ERROR,
        FailureReason.UNKNOWN,
        FailureReason.UNCLASSIFIED,
        FailureReason.NO_ERROR_DETAILS,
    }
)
"""The fault of the request, the model, the endpoint, or unknown: no mark, whatever OpenClaw's version does."""


def reach_of(reason: FailureReason | None) -> Reach:
    """How far a failure reaches; one without a class stays with the account."""
    return REACH.get(reason, Reach.ACCOUNT) if reason is not None else Reach.ACCOUNT


def engine_mark(reason: FailureReason | None, marking: Marking) -> FailureReason | None:
    """The reason under which the engine marks an account: the account's own trouble, as its OpenClaw would mark it."""
    if reason is None or reason in NEVER_THE_ACCOUNTS:
        return None
    marked = marked_reason(reason, marking)
    return FailureReason(marked) if marked is not None else None


def reason_of_answer(
    *,
    status: int | None,
    code: str | None,
    message: str,
    provider: str,
    elapsed_s: float | None = None,
    late_s: float = LATE_S,
) -> FailureReason:
    """The class of what a provider answered, in a status or inside of a reply.

    Args:
        elapsed_s: how long the answer took, in seconds; None: unknown, which counts as at once.
        late_s: from how many seconds on such a status counts as a timeout.
    """
    own = _own_reading(status, code, message)
    if own is not None:
        return own
    found = classify_failure(ErrorRecord(message=message, status=status, code=code, is_exception=True), provider)
    if found.kind is Kind.CONTEXT_OVERFLOW:
        return FailureReason.CONTEXT_OVERFLOW
    reason = found.reason if isinstance(found.reason, FailureReason) else None
    if reason not in {None, FailureReason.TIMEOUT, FailureReason.SERVER_ERROR}:
        return _checked(reason, status)
    if status in TIME_STATUSES:
        late = elapsed_s is not None and elapsed_s >= late_s
        return FailureReason.TIMEOUT if late else FailureReason.SERVER_ERROR
    if reason is not None:
        return FailureReason.SERVER_ERROR
    return _by_status_alone(status)


NETWORK_CODES = frozenset(
    {
        *("ECONNRESET", "ECONNREFUSED", "ECONNABORTED", "ENOTFOUND", "EPIPE", "EPROTO", "EAI_AGAIN"),
        *("ENETDOWN", "ENETUNREACH", "ENETRESET", "EHOSTUNREACH", "EHOSTDOWN", "EADDRNOTAVAIL"),
        *("UND_ERR_SOCKET", "UND_ERR_CONNECT", "UND_ERR_CLOSED", "UND_ERR_DNS_RESOLVE_FAILED"),
        "ERR_STREAM_PREMATURE_CLOSE",
    }
)
TIME_CODES = frozenset(
    {
        *("ETIMEDOUT", "ESOCKETTIMEDOUT", "UND_ERR_CONNECT_TIMEOUT"),
        *("UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"),
    }
)
_RAN_OUT = regex(r"\btimed? ?out\b|\bdeadline exceeded\b|连接超时|请求超时", re.ASCII)
_NETWORK = regex(
    r"\b(?:econn(?:reset|refused|aborted)|enotfound|epipe|enet\w{3,8}|ehost\w{4,8}|eai_again)\b|socket hang up"
    r"|fetch failed|network error|connection (?:error|refused|reset)|other side closed",
    re.ASCII,
)


def reason_of_error(error: ErrorValue, provider: str | None = None) -> FailureReason:
    """The class of an error of any origin, as the engine would have raised it.

    The AWS SDK's `$metadata.httpStatusCode` counts as a status, and its exceptions' names as codes.
    """
    signal = signal_of(error, provider)
    status = inferred_status(signal.status if signal.status is not None else sdk_status(error), signal.message)
    code = (signal.code or (error.name if isinstance(error, ErrorRecord) and sdk_status(error) else None) or "").strip()
    text = normalized(signal.message or "")
    if status is None:
        certificate = code.upper() in CERTIFICATE_CODES or CERTIFICATE.find(text) is not None
        if certificate:
            return FailureReason.TLS_CERTIFICATE
        named = isinstance(error, ErrorRecord) and error.name == "TimeoutError"
        if named or code.upper() in TIME_CODES or _RAN_OUT.search(text) is not None:
            return FailureReason.TIMEOUT
        if code.upper() in NETWORK_CODES or _NETWORK.search(text) is not None:
            return FailureReason.NETWORK
    return reason_of_answer(
        status=int(status) if status is not None else None,
        code=code or None,
        message=signal.message or "",
        provider=signal.provider or "",
    )


def sdk_status(error: ErrorValue) -> int | None:
    """The status that the AWS SDK keeps in `$metadata.httpStatusCode`, where OpenClaw does not look."""
    metadata = error.body.get("$metadata") if isinstance(error, ErrorRecord) else None
    status = metadata.get("httpStatusCode") if isinstance(metadata, Mapping) else None
    return status if isinstance(status, int) and not isinstance(status, bool) else None


def _own_reading(status: int | None, code: str | None, message: str) -> FailureReason | None:
    """What the code or the words say where OpenClaw's classifier takes them for something else (or for nothing)."""
    named = CODES.get((code or "").strip().lower())
    if named is not None and not (named is FailureReason.SERVER_ERROR and status is not None):
        return named
    text = message[:TEXT_LIMIT].lower()
    for reason, pattern in WORDS:
        if pattern.search(text) is not None:
            return reason
    return None


def _checked(reason: FailureReason | None, status: int | None) -> FailureReason:
    if status == 407:
        return FailureReason.NETWORK
    return reason or FailureReason.UNKNOWN


def _by_status_alone(status: int | None) -> FailureReason:
    """Statuses that OpenClaw's classifier passes over."""
    if status is None:
        return FailureReason.UNKNOWN
    if status >= 500 or status in {409, 410, 421, 423, 424, 425, 426, 444, 460}:
        return FailureReason.SERVER_ERROR
    if status == 407:
        return FailureReason.NETWORK
    if status == 413:
        return FailureReason.CONTEXT_OVERFLOW
    if status == 451:
        return FailureReason.MODERATION
    return FailureReason.FORMAT if 400 <= status < 500 else FailureReason.UNKNOWN
