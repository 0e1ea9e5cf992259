"""The rules by which each OpenClaw version classifies errors, by their names in `generations.SEMANTICS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from types import MappingProxyType

from clawtop.core.failure import as_3_28, as_6_11, as_8_2, as_9_6
from clawtop.core.failure import rules as common
from clawtop.core.failure.local_9_6 import Local, aborted_7_1, aborted_9_6, lacks_tool_result, local_8_2, local_9_6
from clawtop.core.failure.provider_plugins import plugin_of, plugin_of_8_2
from clawtop.core.failure.record import ErrorValue
from clawtop.core.failure.rules import Classification
from clawtop.core.failure.status import DEFAULT_STATUS, Signal, code_reason, read_signal
from clawtop.core.model import FailureReason
from clawtop.core.rules import ErrorDialect
from clawtop.values import dataclass

LOCK_TIMEOUT = "OPENCLAW_SESSION_WRITE_LOCK_TIMEOUT"
LOCK_STALE = "OPENCLAW_SESSION_WRITE_LOCK_STALE"
TAKEOVER = "EmbeddedAttemptSessionTakeoverError"
CONTENDED = "EmbeddedAttemptSessionContendedError"
OWN_LOCK_CODES = frozenset({"CLAWTOP_SESSION_TAKEOVER", "CLAWTOP_SESSION_CONTENDED"})


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """One way of classifying errors.

    Attributes:
        of_signal: the class of a status, code and words together.
        of_words: the class of a bare text, where it is not simply a signal without status.
        timeout_text: the timeout phrase of a normalized text.
        default_status: the HTTP status that represents a reason if the provider gave none.
        code_reason: the reason that an error code stands for.
        failover_by_name: an object named FailoverError is one.
        outside_in: causes are checked before the words, and only causes (2026.3.28).
        lock_codes, local_names: codes and names of errors that mean contention on one session.
        aborted: whether an error's code means that somebody ended the run; None: the name AbortError does.
        local: whether an error is local by other signs as well; None: only codes and names decide.
        takeover_wins: a takeover that is the error itself ends the chain, whatever a provider said.
        local_unclassified: whether anything in an error without a class is local by other signs (2026.7).
        ends_local_trouble: a full disk or a locked file ends the run instead of walking the models.
        describes_context: a description carries the session, the lane and the provider's own words.
    """

    of_signal: Callable[[Signal], Classification]
    timeout_text: Callable[[str], str | None]
    of_words: Callable[[str, str], Classification] | None = None
    default_status: Mapping[str, int] = field(default_factory=lambda: DEFAULT_STATUS)
    code_reason: Callable[[str | None], FailureReason | None] = code_reason
    failover_by_name: bool = True
    outside_in: bool = False
    lock_codes: frozenset[str] = frozenset({LOCK_TIMEOUT})
    local_names: frozenset[str] = frozenset({TAKEOVER})
    local: Callable[[ErrorValue], Local] | None = None
    takeover_wins: bool = False
    local_unclassified: Callable[[ErrorValue], bool] | None = None
    ends_local_trouble: bool = False
    describes_context: bool = True
    aborted: Callable[[ErrorValue], bool] | None = None


def _with_plugin(signal: Signal) -> Classification:
    return as_9_6.read_signal(signal, plugin_of(signal.provider))


def _with_plugin_8_2(signal: Signal) -> Classification:
    return as_8_2.read_signal(signal, plugin_of_8_2(signal.provider))


_5_20 = Dialect(read_signal, common.timeout_text)
_6_11 = replace(
    _5_20,
    of_signal=as_6_11.read_signal,
    timeout_text=as_6_11.timeout_text,
    lock_codes=frozenset({LOCK_TIMEOUT, LOCK_STALE}),
    takeover_wins=True,
)
_7_1 = replace(
    _6_11,
    of_signal=as_6_11.read_signal_7_1,
    default_status=as_6_11.DEFAULTS_7_1,
    local_unclassified=lacks_tool_result,
    aborted=aborted_7_1,
)
_3_28 = Dialect(
    as_3_28.read_signal,
    as_3_28.timeout_text,
    of_words=as_3_28.read_words,
    default_status=as_3_28.DEFAULTS,
    failover_by_name=False,
    outside_in=True,
    lock_codes=frozenset(),
    local_names=frozenset(),
    describes_context=False,
)
_9_6 = Dialect(
    _with_plugin,
    as_9_6.timeout_text,
    default_status=as_9_6.DEFAULTS,
    lock_codes=frozenset(),
    local_names=frozenset(),
    code_reason=as_9_6.code_reason,
    local=local_9_6,
    aborted=aborted_9_6,
)
_8_2 = replace(_9_6, of_signal=_with_plugin_8_2, code_reason=as_8_2.code_reason, local=local_8_2, aborted=aborted_7_1)

CLAWTOP = replace(
    _5_20,
    lock_codes=_5_20.lock_codes | OWN_LOCK_CODES,
    local_names=_5_20.local_names | {CONTENDED},
    ends_local_trouble=True,
)
"""clawtop's own engine. A contended session is local, as a takeover is (thread 83510)."""

DIALECTS: Mapping[ErrorDialect, Dialect] = MappingProxyType(
    {
        ErrorDialect.V3_28: _3_28,
        ErrorDialect.V5_20: _5_20,
        ErrorDialect.V6_11: _6_11,
        ErrorDialect.V7_1: _7_1,
        ErrorDialect.V8_2: _8_2,
        ErrorDialect.V9_6: _9_6,
    }
)
