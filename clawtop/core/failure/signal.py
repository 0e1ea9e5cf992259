"""What an error says about itself or the errors it wraps: status, code, message, provider, local contention."""

from __future__ import annotations

from clawtop.core.failure.provider_json import details_of
from clawtop.core.failure.record import ErrorRecord, ErrorValue, walk
from clawtop.core.failure.status import Signal
from clawtop.core.javascript import is_finite

MAX_STATUS_DIGITS = 16


def _status_of(value: ErrorValue) -> int | float | None:
    if not isinstance(value, ErrorRecord):
        return None
    status = value.status if value.status is not None else value.status_code
    if isinstance(status, str):
        return int(status) if _is_digits(status) and len(status) < MAX_STATUS_DIGITS else None
    if isinstance(status, bool) or not isinstance(status, (int, float)):
        return None
    return status if is_finite(status) else None


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _code_of(value: ErrorValue) -> str | None:
    if not isinstance(value, ErrorRecord):
        return None
    if isinstance(value.code, str):
        return value.code.strip() or None
    status = value.status
    if not isinstance(status, str) or _is_digits(status):
        return None
    return status.strip() or None


def _message_of(value: ErrorValue) -> str | None:
    if isinstance(value, ErrorRecord):
        return value.message or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return value or None


def _provider_of(value: ErrorValue) -> str | None:
    if not isinstance(value, ErrorRecord) or not isinstance(value.provider, str):
        return None
    return value.provider.strip() or None


def direct_signal(value: ErrorValue) -> Signal:
    return Signal(_status_of(value), _code_of(value), _message_of(value), _provider_of(value))


def signal_of(value: ErrorValue, provider_hint: str | None = None) -> Signal:
    """The first status, code, message and provider that the error or anything it wraps has, depth first."""
    if not isinstance(value, ErrorRecord) or value.is_simple:
        provider = _provider_of(value) or provider_hint
        return Signal(_status_of(value), _code_of(value), _message_of(value), provider, details_of(value))
    status: int | float | None = None
    code = message = provider = None
    for each in walk(value):
        status = _status_of(each) if status is None else status
        code = code or _code_of(each)
        message = message or _message_of(each)
        provider = provider or _provider_of(each)
        if status is not None and code and message and provider:
            break
    return Signal(status, code, message, provider or provider_hint, details_of(value))


def holds_code(value: ErrorValue, codes: frozenset[str]) -> bool:
    """Whether the error or anything it wraps has one of these codes."""
    return bool(codes) and _any(value, "code", codes)


def holds_name(value: ErrorValue, names: frozenset[str]) -> bool:
    """Whether the error or anything it wraps has one of these names."""
    return bool(names) and _any(value, "name", names)


def _any(value: ErrorValue, attribute: str, known: frozenset[str]) -> bool:
    if not isinstance(value, ErrorRecord) or value.is_simple:
        return _is(value, attribute, known)
    return any(_is(each, attribute, known) for each in walk(value, reasons=True))


def _is(value: ErrorValue, attribute: str, known: frozenset[str]) -> bool:
    found = getattr(value, attribute, None)
    return isinstance(found, str) and found in known
