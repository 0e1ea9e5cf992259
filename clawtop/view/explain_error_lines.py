"""An explained error, in lines: its class, its mark and what follows, for OpenClaw and for clawtop's engine."""

from __future__ import annotations

from collections.abc import Iterator

from clawtop.core.failover.consequences import Consequence
from clawtop.core.failover.explained import ByEngine, ByOpenClaw, Explained
from clawtop.core.generations import Chosen
from clawtop.text import safe, shown
from clawtop.view.aligned import aligned
from clawtop.view.humanize import duration
from clawtop.view.words import retry_words

_TEXT_CELLS = 400

_ACTIONS = {
    "rotate_profile": "rotates to the next profile",
    "fallback_model": "the next model is tried",
    "surface_error": "the error is shown",
    "continue_normal": "no failover; the answer is kept as it is",
    "return_error_payload": "the error is returned as the answer",
}


def error_lines(found: Explained, version: str | None, chosen: Chosen, timeouts: str) -> Iterator[str]:
    """The error, what OpenClaw does with it, what clawtop's engine does, and where they differ on purpose."""

    theirs, ours = found.openclaw, found.engine
    yield from aligned([("error", shown(ours.follows.failure.detail, _TEXT_CELLS))])
    yield ""
    yield f"OpenClaw {safe(version or chosen.row.name, 40)}:"
    told = theirs.found
    matched = f", matched “{shown(told.matched, 60)}”" if told.matched else ""
    status = f", HTTP {told.status:g}" if told.status is not None else ""
    yield from aligned(
        [
            *([("note", chosen.note)] if chosen.note else []),
            ("class", safe(told.reason or _CLASSES[told.kind]) + status),
            ("rule", (safe(told.rule) or "none matches") + matched),
            ("timeout", "yes" if told.timeout or told.reason == "timeout" else "no"),
            ("local fault", "yes: the run ends with this error" if told.coordination else "no"),
            ("mark", _openclaw_mark(theirs)),
            ("retries", retry_words(theirs.retries) if told.failure else "no"),
            *([("words", "say that the same request may succeed on retry")] if theirs.replayable else []),
            ("chain", "goes on to the next model" if theirs.moves_on else "ends with this error"),
        ],
        indent="  ",
    )
    if theirs.follows:
        yield "  What follows an attempt:"
    yield from aligned([_side_facts(side) for side in theirs.follows], indent="    ")
    yield ""
    yield "clawtop's engine:"
    yield from aligned(
        [
            ("class", _own_class(ours)),
            ("local fault", "yes: the run ends with the true error" if ours.local else "no"),
            ("mark", _own_mark(ours)),
            *(
                [("back", f"in {duration(round(ours.wait_ms))}, as the provider says")]
                if ours.wait_ms is not None
                else []
            ),
            ("chain", "goes on to the next model" if ours.follows.chain_moves_on else "ends with this error"),
        ],
        indent="  ",
    )
    if ours.follows.sides:
        yield f"  What follows an attempt (timeouts = {timeouts}):"
    else:
        yield "  The run ends with exactly this error: no other profile, no other model, nothing recorded."
    yield from aligned([_side_facts(side) for side in ours.follows.sides], indent="    ")
    if found.differences:
        yield ""
        yield "Where clawtop differs on purpose:"
        yield from aligned([(each.id, each.text) for each in found.differences], indent="  ")


_CLASSES = {
    "none": "not a failure of a provider",
    "context_overflow": "the conversation is too long for the model",
    "reason": "unclassified",
}


def _openclaw_mark(theirs: ByOpenClaw) -> str:
    if not theirs.found.marked:
        return "none"
    when = ", before it rotates: the run waits for the auth store" if theirs.marks_first else ""
    return f"the profile is marked ({safe(theirs.found.marked)}){when}"


def _own_class(ours: ByEngine) -> str:
    if ours.local:
        return "a fault on this machine or in one session"
    return safe(ours.reason) if ours.reason else "not a failure of a provider"


def _own_mark(ours: ByEngine) -> str:
    if ours.marked is None:
        return "none: the profile stays as it is"
    return f"the profile is marked ({safe(ours.marked)}), after the rotation and without waiting"


def _side_facts(side: Consequence) -> tuple[str, str]:
    where = f"{side.stage}, {'with a fallback' if side.fallback_configured else 'no fallback'}"
    if side.first == side.last:
        return where, _ACTIONS[side.first.action]
    return where, f"{_ACTIONS[side.first.action]}; when none is left, {_ACTIONS[side.last.action]}"
