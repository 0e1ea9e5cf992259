"""Where a provider's failures become one typed error. Everything foreign in it is redacted and one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from clawtop.core.failure.engine_reason import LATE_S, reason_of_answer
from clawtop.core.failure.provider_time import provider_wait_ms
from clawtop.core.model import FailureReason
from clawtop.engine.providers.reading import error_of, items, parsed
from clawtop.errors import ClawtopError
from clawtop.text import shown

EXCERPT_CELLS = 600
REQUEST_ID_HEADERS = ("request-id", "x-request-id", "x-amzn-requestid", "cf-ray")


class ErrorKind(StrEnum):
    """Where a call went wrong.

    HTTP: the provider answered with an error status. IN_STREAM: an error event inside a reply that had begun.
    TIMEOUT: one of our limits passed. TRANSPORT: the connection failed or broke. PROTOCOL: the answer is not what
    the api promises. EMPTY: a complete reply without words. FILTERED: a content filter or the model refused.
    TOOLS: the model asked for tools and said nothing. CREDENTIAL: nothing was sent, the credential is unusable.
    """

    HTTP = "http"
    IN_STREAM = "in-stream"
    TIMEOUT = "timeout"
    TRANSPORT = "transport"
    PROTOCOL = "protocol"
    EMPTY = "empty"
    FILTERED = "filtered"
    TOOLS = "tools"
    CREDENTIAL = "credential"


KNOWN_REASONS: Mapping[ErrorKind, FailureReason] = {
    ErrorKind.TIMEOUT: FailureReason.TIMEOUT,
    ErrorKind.TRANSPORT: FailureReason.NETWORK,
    ErrorKind.PROTOCOL: FailureReason.SERVER_ERROR,
    ErrorKind.EMPTY: FailureReason.EMPTY_RESPONSE,
    ErrorKind.FILTERED: FailureReason.MODERATION,
    ErrorKind.TOOLS: FailureReason.MODERATION,
    ErrorKind.CREDENTIAL: FailureReason.AUTH,
}
"""Kinds whose failure reason clawtop knows by itself, rather than from the provider's words."""


class ProviderError(ClawtopError):
    """One provider call failed.

    Attributes:
        kind: where it went wrong.
        provider: the provider's id.
        status: the HTTP status, or the one an in-band error names; None when no answer came.
        code: the provider's error code or type, or the errno name of a broken connection.
        message: one redacted line, in the provider's words if it gave any.
        request_id: the provider's id of the request, for its support.
        retry_after_ms: how long the provider asks to wait, however it says so.
        phase: for timeouts: connect, first-byte, idle or total.
        body: an excerpt of the error body, redacted.
        reason: its class for the engine (`core.failure.engine_reason`).
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        provider: str,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after_ms: int | None = None,
        phase: str | None = None,
        body: str = "",
        hint: str = "",
        reason: FailureReason | None = None,
        elapsed_s: float | None = None,
        late_s: float = LATE_S,
    ) -> None:
        self.message = shown(message, EXCERPT_CELLS)
        super().__init__(self.message, hint=hint)
        self.kind = kind
        self.provider = provider
        self.status = status
        self.code = shown(code, 80) if code else None
        self.request_id = shown(request_id, 80) if request_id else None
        self.retry_after_ms = retry_after_ms
        self.phase = phase
        self.body = shown(body, EXCERPT_CELLS)
        self.reason = reason or KNOWN_REASONS.get(kind) or self._read(message, elapsed_s, late_s)

    def _read(self, message: str, elapsed_s: float | None, late_s: float) -> FailureReason:
        return reason_of_answer(
            status=self.status,
            code=self.code,
            message=message,
            provider=self.provider,
            elapsed_s=elapsed_s,
            late_s=late_s,
        )

    @property
    def timed_out(self) -> bool:
        """A timeout: one of clawtop's limits, or the provider reports one after a wait that long."""
        return self.reason is FailureReason.TIMEOUT

    def facts(self) -> dict[str, Any]:
        """The JSON-ready facts for an event; nothing secret, absent ones left out."""
        facts = {
            "kind": self.kind.value,
            "reason": self.reason.value,
            "status": self.status,
            "code": self.code,
            "request_id": self.request_id,
            "retry_after_ms": self.retry_after_ms,
            "phase": self.phase,
        }
        return {name: value for name, value in facts.items() if value is not None}


def error_object(body: str) -> Mapping[str, Any] | None:
    """The error object of a JSON error body, whatever its nesting; None when there is none."""
    value = parsed(body)
    outer = next(items(value), None)
    if outer is None:
        return {"message": value} if isinstance(value, str) and value else None
    return error_of(outer) or outer


def named(error: Mapping[str, Any]) -> tuple[int | None, str | None, str]:
    """(status, code, message) of an error object; a numeric code is a status, a type replaces a missing code."""
    status: int | None = None
    code: str | None = None
    for name in ("status", "code", "status_code", "http_status", "type", "__type"):
        value = error.get(name)
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599:
            status = status or value
        elif isinstance(value, str) and value and value != "error" and code is None:
            code = value
    kind = error.get("type")
    message = error.get("message", error.get("msg", error.get("detail")))
    if isinstance(message, Mapping):
        message = message.get("message", json.dumps(message)[:400])
    words = [word for word in (kind, message) if isinstance(word, str) and word and word != "error"]
    return status, code, ": ".join(words)


def from_status(  # noqa: PLR0917 - what an HTTP answer is made of
    provider: str,
    status: int,
    headers: Mapping[str, str],
    body: str,
    now_ms: int,
    elapsed_s: float | None = None,
    late_s: float = LATE_S,
) -> ProviderError:
    """The error of an answer whose status is not 2xx. Redirects are errors: a credential never follows one."""
    request_id = next((headers[name] for name in REQUEST_ID_HEADERS if name in headers), None)
    if status < 400:
        return ProviderError(
            ErrorKind.PROTOCOL,
            f"{status} redirect to {headers.get('location', 'nowhere')} not followed",
            provider=provider,
            status=status,
            request_id=request_id,
            hint="set models.providers.<id>.baseUrl to the provider's real address",
            reason=FailureReason.MODEL_NOT_FOUND,
        )
    error = error_object(body)
    _, code, words = named(error) if error is not None else (None, None, "")
    wait = provider_wait_ms({name.lower(): value for name, value in headers.items()}, error, words or body, now_ms)
    return ProviderError(
        ErrorKind.HTTP,
        f"{status} {words or body.strip() or 'status code (no body)'}",
        provider=provider,
        status=status,
        code=code,
        request_id=request_id,
        retry_after_ms=wait,
        body=body,
        elapsed_s=elapsed_s,
        late_s=late_s,
    )


def from_event(
    provider: str,
    error: Mapping[str, Any],
    *,
    now_ms: int = 0,
    elapsed_s: float | None = None,
    late_s: float = LATE_S,
) -> ProviderError:
    """The error of an error event inside a reply."""
    status, code, words = named(error)
    return ProviderError(
        ErrorKind.IN_STREAM,
        (f"{status} " if status else "") + (words or code or "the provider sent an error without details"),
        provider=provider,
        status=status,
        code=code,
        retry_after_ms=provider_wait_ms({}, error, words, now_ms),
        body=json.dumps(dict(error))[: EXCERPT_CELLS * 2],
        elapsed_s=elapsed_s,
        late_s=late_s,
    )


def broke_off(provider: str, words: str = "") -> ProviderError:
    """The reply ended early. `words`: the text that came instead of an event."""
    what = f"the reply ended early: {words}" if words else "the reply ended early"
    return ProviderError(ErrorKind.TRANSPORT, what, provider=provider, code="ECONNRESET", body=words)


def not_the_protocol(provider: str, what: str, body: str = "") -> ProviderError:
    """The answer is not what the api promises."""
    return ProviderError(ErrorKind.PROTOCOL, what, provider=provider, body=body)


def unusable_endpoint(provider: str, what: str) -> ProviderError:
    """clawtop cannot call this model at all, but perhaps another one."""
    return ProviderError(ErrorKind.PROTOCOL, what, provider=provider, reason=FailureReason.MODEL_NOT_FOUND)
