"""The four points where clawtop deliberately differs from OpenClaw 2026.5.20, each stated once, as a rule.

A conformance test that meets one of them applies the rule to the *expected* side and compares the rest exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

TIMEOUTS_COMPARED_UNDER = "rotate"
"""Difference 1: a timeout ends clawtop's run (`timeouts = terminal`, thread 62351); OpenClaw rotates and falls back.

The rows were made by a program that rotates, so they are compared under `timeouts = rotate`.
"""

CONTENDED_ERROR = "EmbeddedAttemptSessionContendedError"


def coordination_expected(spec: Any, expected: bool, *, classified: bool) -> bool:
    """Difference 2: a contended session is a coordination error (thread 83510); OpenClaw's predicate misses it.

    Args:
        spec: the row's error, in the encoding of the vectors.
        expected: what OpenClaw's predicate answered.
        classified: OpenClaw gave the error a failover class; what the provider said still wins.
    """
    return expected or (not classified and names_contended(spec))


def names_contended(spec: Any) -> bool:
    """Whether an error spec holds a contended-session error, directly or nested as error, cause or reason."""
    if not isinstance(spec, Mapping):
        return False
    props = spec.get("props") or {}
    if CONTENDED_ERROR in (spec.get("name"), props.get("name")):
        return True
    nested = [props[key]["$err"] for key in ("error", "cause", "reason") if _is_nested(props.get(key))]
    nested += [spec[key] for key in ("leaf", "a", "b") if isinstance(spec.get(key), Mapping)]
    return any(names_contended(inner) for inner in nested)


def calls_before_contention(script: Iterable[Any], calls: int, classified: Iterable[int]) -> int | None:
    """Difference 2 in the fallback chain: how many candidates are called where one meets a contended session.

    The chain ends with that call, recorded nowhere, and the caller gets the error as it was raised.

    Args:
        script: what each call of the row gives: "ok", or an error.
        calls: how many calls OpenClaw made, which goes on to the next candidate.
        classified: the calls, counted from 1, whose error OpenClaw gave a failover class: what a provider said wins.

    Returns:
        None where no call met one.
    """
    made = list(script)[:calls]
    said = set(classified)
    return next((n for n, outcome in enumerate(made, start=1) if names_contended(outcome) and n not in said), None)


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping) and "$err" in value


def without_mark_end(calls: Iterable[str]) -> list[str]:
    """Difference 3: no path of a run awaits a mark (thread 57281), so the end of a mark has no place in the order."""
    return [call for call in calls if not call.startswith("mark-end")]


def with_mark_before_escalation(calls: Iterable[str], reason: str | None, *, timed_out: bool) -> list[str]:
    """Difference 4: every classified failure that is no timeout is marked, before any escalation.

    OpenClaw throws a rate limit past its rotation cap, and any failure that it does not rotate for, without a mark.
    Where a row's calls lack one, it belongs before the first step that leaves the profile's provider or ends the run.
    """
    order = list(calls)
    if reason in (None, "timeout") or timed_out or any(call.startswith("mark-start") for call in order):
        return order
    leaves = ("log:fallback_model", "log:surface_error", "log:return_error_payload", "throw")
    place = next((index for index, call in enumerate(order) if call.startswith(leaves)), len(order))
    return [*order[:place], f"mark-start:{reason}", *order[place:]]
