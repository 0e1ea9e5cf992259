"""An error as a plain value, whatever its source: a Python exception, a log record, or JSON.

Cycles and any depth of nesting are allowed; nothing here recurses. Messages may hold secrets and stay out of `repr`.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any

from clawtop.core.model import FailureReason
from clawtop.values import dataclass

FAILOVER_NAME = "FailoverError"


@dataclass(frozen=True, slots=True, eq=False)
class ErrorRecord:
    """What an error says about itself.

    Attributes:
        name: its class, "Error" where only that is known, None for a plain object without one.
        status, status_code, code: as found, numbers or strings.
        reason: a string (a failover error's reason, or an abort's), or a nested error.
        error, cause: what it wraps: another error, or any plain value.
        members: the errors of an exception group. (JavaScript's `errors` is not looked into, as in OpenClaw 2026.5.20.)
        is_exception: a thrown error, not merely an object that looks like one.
        details: model, profile_id, session_id, lane, raw_error, suspend of a failover error, where it has them.
        body: other parts of it that may contain details: param, errorBody, body, detail, type; output and result of a
            tool.
        aside: errors alongside it, JavaScript's `errors`, where OpenClaw 2026.8 and later look for local errors only.
        suppressed: the error that it took the place of (JavaScript's `suppressed`; the same from 2026.9 on).
    """

    name: str | None = None
    message: str | None = field(default=None, repr=False)
    status: Any = None
    status_code: Any = None
    code: Any = None
    provider: Any = None
    reason: ErrorValue = field(default=None, repr=False)
    error: ErrorValue = field(default=None, repr=False)
    cause: ErrorValue = field(default=None, repr=False)
    members: tuple[ErrorRecord, ...] = field(default=(), repr=False)
    is_exception: bool = False
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    aside: tuple[ErrorRecord, ...] = field(default=(), repr=False)
    suppressed: ErrorRecord | None = field(default=None, repr=False)

    @property
    def is_failover(self) -> bool:
        """It was classified when it was created; its reason is final."""
        return self.name == FAILOVER_NAME and isinstance(self.reason, str)

    @property
    def is_ours(self) -> bool:
        """It was classified by the engine that raised it, not by its name."""
        return self.is_failover and isinstance(self.reason, FailureReason)

    @property
    def is_simple(self) -> bool:
        """Nothing is nested in it, so reading it once is enough."""
        alone = self.error is None and self.cause is None and self.reason is None
        return alone and not self.members and not self.aside and self.suppressed is None


ErrorValue = ErrorRecord | str | int | float | bool | None
"""An error, or the plain value that was thrown or wrapped in its place."""


def nested(value: ErrorValue) -> tuple[ErrorValue, ...]:
    """What an error wraps, in the order in which it is checked: error, cause, members of a group."""
    if not isinstance(value, ErrorRecord):
        return ()
    inner = (value.error, value.cause, *value.members)
    return tuple(each for each in inner if each is not None and each is not value)


def walk(
    value: ErrorValue, *, reasons: bool = False, aside: bool = False, suppressed: bool = False
) -> Iterator[ErrorValue]:
    """`value` and everything in it, depth first, each record once.

    Args:
        reasons: an abort's reason is looked into too.
        aside, suppressed: so are errors alongside it, and the one that it took the place of.
    """
    stack: list[ErrorValue] = [value]
    seen: set[int] = set()
    while stack:
        current = stack.pop()
        if isinstance(current, ErrorRecord):
            if id(current) in seen:
                continue
            seen.add(id(current))
            inner = nested(current)
            stack.extend((current.reason,) if reasons and isinstance(current.reason, ErrorRecord) else ())
            stack.extend((current.suppressed,) if suppressed and current.suppressed is not None else ())
            stack.extend(reversed(current.aside) if aside else ())
            stack.extend(reversed(inner))
        yield current


# --- from Python exceptions --------------------------------------------------------------------------------------


_NAMES: Mapping[str, str] = MappingProxyType({"CancelledError": "AbortError"})
_DETAILS = ("model", "profile_id", "session_id", "lane", "raw_error", "suspend")


def from_exception(error: BaseException) -> ErrorRecord:
    """`error` with its causes, contexts and group members.

    An exception may carry `status`, `code` and `provider`, and a `reason` that is a `FailureReason`: it then counts as
    classified. An `OSError` has its errno's name as code.
    """
    return _linked(error, _read_exception, _exception_links)


def _read_exception(error: BaseException) -> ErrorRecord:
    kind = type(error).__name__
    reason = getattr(error, "reason", None)
    decided = isinstance(reason, FailureReason)
    grouped = isinstance(error, BaseExceptionGroup)
    return ErrorRecord(
        name=FAILOVER_NAME if decided else _NAMES.get(kind, kind),
        message=None if grouped else _text(error),
        status=_plain(error, "status"),
        status_code=_plain(error, "status_code"),
        code=_code(error),
        provider=_plain(error, "provider"),
        reason=reason if decided or isinstance(reason, str) else None,
        is_exception=True,
        details={name: value for name in _DETAILS if (value := _plain(error, name)) is not None},
    )


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        return ""


def _plain(error: BaseException, name: str) -> Any:
    value = getattr(error, name, None)
    return value if isinstance(value, (str, int, float)) else None


def _code(error: BaseException) -> str | None:
    code = getattr(error, "code", None)
    if isinstance(code, str):
        return code
    if type(error).__name__ == "gaierror":
        return "EAI_AGAIN"
    number = error.errno if isinstance(error, OSError) else None
    return errno.errorcode.get(number) if isinstance(number, int) else None


def _exception_links(error: BaseException) -> dict[str, Any]:
    cause = error.__cause__
    if cause is None and not error.__suppress_context__:
        cause = error.__context__
    links: dict[str, Any] = {"cause": cause}
    if isinstance(error, BaseExceptionGroup):
        links["members"] = error.exceptions
    for name in ("error", "reason"):
        inner = getattr(error, name, None)
        if isinstance(inner, BaseException):
            links[name] = inner
    return links


# --- from plain records ------------------------------------------------------------------------------------------


def from_mapping(record: Mapping[str, Any]) -> ErrorRecord:
    """An error as found in a log or a JSON body, with JavaScript's names (statusCode, profileId), including its
    causes.
    """
    return _linked(record, _read_mapping, _mapping_links)


_MAPPING_DETAILS = (
    ("model", "model"),
    ("profileId", "profile_id"),
    ("sessionId", "session_id"),
    ("lane", "lane"),
    ("rawError", "raw_error"),
    ("suspend", "suspend"),
)


_BODY_PARTS = ("param", "errorBody", "body", "detail", "type", "output", "result", "$metadata")


def _read_mapping(record: Mapping[str, Any]) -> ErrorRecord:
    name, message, reason = record.get("name"), record.get("message"), record.get("reason")
    return ErrorRecord(
        name=name if isinstance(name, str) else None,
        message=message if isinstance(message, str) else None,
        status=record.get("status"),
        status_code=record.get("statusCode"),
        code=record.get("code"),
        provider=record.get("provider"),
        reason=_primitive(reason),
        error=_primitive(record.get("error")),
        cause=_primitive(record.get("cause")),
        is_exception=record.get("stack") is not None,
        details={ours: record[theirs] for theirs, ours in _MAPPING_DETAILS if record.get(theirs) is not None},
        body={name: record[name] for name in _BODY_PARTS if record.get(name) is not None},
    )


def _primitive(value: Any) -> ErrorValue:
    return value if isinstance(value, (str, int, float)) else None


def _mapping_links(record: Mapping[str, Any]) -> dict[str, Any]:
    links: dict[str, Any] = {
        name: inner
        for name in ("error", "cause", "reason", "suppressed")
        if isinstance(inner := record.get(name), Mapping)
    }
    listed = record.get("errors")
    aside = tuple(each for each in (listed if isinstance(listed, list) else ()) if isinstance(each, Mapping))
    return {**links, "aside": aside} if aside else links


# --- linking -----------------------------------------------------------------------------------------------------


def _linked(root: Any, read: Callable[[Any], ErrorRecord], links: Callable[[Any], dict[str, Any]]) -> ErrorRecord:
    """Read `root` and all it links to, each source once, whatever its depth and cycles."""
    made: dict[int, ErrorRecord] = {id(root): read(root)}
    todo = [root]
    while todo:
        source = todo.pop()
        record = made[id(source)]
        for name, inner in links(source).items():
            targets = inner if isinstance(inner, tuple) else (inner,)
            linked: list[ErrorRecord] = []
            for target in targets:
                if target is None:
                    continue
                if id(target) not in made:
                    made[id(target)] = read(target)
                    todo.append(target)
                linked.append(made[id(target)])
            if linked:
                object.__setattr__(record, name, tuple(linked) if name in {"members", "aside"} else linked[0])
    return made[id(root)]
