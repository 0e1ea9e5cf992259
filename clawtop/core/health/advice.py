"""What an operator does about turns that fail, by their reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from clawtop.core.model import FailureReason
from clawtop.patterns import regex

_UNREACHED = regex(
    r"connection error|fetch failed|getaddrinfo|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ECONNRESET",
    re.IGNORECASE,
)
"""How the programs below OpenClaw say that no provider was reached, which it calls a timeout."""

_NO_ROOM = regex(r"ENOSPC|EDQUOT|no space left on device|database or disk is full", re.IGNORECASE)
_ROOM = "make room on the disk of OpenClaw's state: it cannot write there"

_STATUS = regex(r"(?:HTTP )?(\d{3})\b", re.ASCII)
_RENEW = "renew the key or the login: openclaw models auth paste-token"
_PAY = "give the account credit, or add another account"
_REACH = "check this host's network and DNS: no provider was reached"
_ADVICE: Mapping[str, str] = MappingProxyType(
    {
        FailureReason.AUTH: _RENEW,
        FailureReason.AUTH_PERMANENT: _RENEW,
        FailureReason.SESSION_EXPIRED: _RENEW,
        FailureReason.BILLING: _PAY,
        FailureReason.NETWORK: _REACH,
        FailureReason.MODEL_NOT_FOUND: "the provider does not have this model: choose another with openclaw models set",
        FailureReason.TIMEOUT: "the provider does not answer in time: see its status page",
        FailureReason.OVERLOADED: "the provider is overloaded: see its status page, or add a model of another one",
        FailureReason.SERVER_ERROR: "the provider has an error of its own: see its status page",
        FailureReason.FORMAT: "the provider rejects the request itself: another account does not help",
        FailureReason.CONTEXT_OVERFLOW: "the conversation is too long for the model: compact or reset the session",
    }
)
_BY_STATUS: Mapping[str, FailureReason] = MappingProxyType(
    {"401": FailureReason.AUTH, "403": FailureReason.AUTH, "402": FailureReason.BILLING}
)


def advice(reason: str | None) -> str | None:
    """What to do. `reason`: OpenClaw's word for it, a provider's error, or both as `kind: error`. None: not known."""
    if reason is None:
        return None
    if _NO_ROOM.search(reason):
        return _ROOM
    kind, _, said = reason.partition(": ")
    if kind not in _ADVICE:
        kind, said = "", reason
    if kind in {"", FailureReason.TIMEOUT} and _UNREACHED.search(said):
        return _REACH
    status = _STATUS.match(said)
    return _ADVICE.get(kind or (_BY_STATUS.get(status[1], "") if status is not None else ""))
