"""A plan as a preview and as a receipt: worded once, laid out for the screen and for the shell.

Times name their zone: a preview is also copied. A zone of None is the machine's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Any, NamedTuple

from clawtop.core.locks.staleness import proof_words
from clawtop.core.operations.plan import Plan, PlanKind
from clawtop.core.operations.receipt import NOTHING_TO_DO, Receipt, Sight
from clawtop.text import safe, shown
from clawtop.view.fitting import wrapped
from clawtop.view.humanize import in_zone, span, time_near, zone_name
from clawtop.view.line import EMPTY, Line, Tone, piece

_TIMES = frozenset({"cooldownUntil", "disabledUntil", "blockedUntil", "lastFailureAt", "lastUsed", "lastProbeAt"})
LABEL = 9
SHELL_LABEL = 10
LONG_WAIT_MS = 100
"""The screen does not mention shorter waits for a lock."""


class Remark(NamedTuple):
    """One statement of a plan or a receipt, in one text or several."""

    label: str
    texts: tuple[str, ...]
    tone: Tone = Tone.PLAIN
    glyph: str = ""


def plan_remarks(*plans: Plan, now: int, zone: tzinfo | None = None) -> tuple[Remark, ...]:
    """What plans do, what is lost, and what to know first; statements that several plans share appear once."""
    effects = (tuple(in_zone(text, now, zone) for text in plan.effects) for plan in plans)
    return (
        Remark("Effect", _shared(effects), Tone.INFO, "→"),
        Remark("Lost", _shared(plan.loses for plan in plans), Tone.WARN, "×"),
        Remark("Know first", _shared(plan.warnings for plan in plans), Tone.WARN, "⚠"),
    )


def _shared(texts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(shown(text) for each in texts for text in each))


def receipt_remarks(receipt: Receipt) -> tuple[Remark, ...]:
    """How the gateway reacted, what happened with the store's lock, and what is left to do."""
    how = shown(receipt.sight_how)
    gateway = f"{receipt.sight}: {how}" if how else str(receipt.sight)
    follow_up = safe(" ".join(receipt.follow_up))
    return (
        Remark("removed", (how,), Tone.OK)
        if receipt.kind is PlanKind.UNLOCK
        else Remark("gateway", (gateway,), Tone.BAD if receipt.sight is Sight.REVERTED else Tone.OK),
        Remark("lock", (f"removed a stale one first: {shown(receipt.broke)}",) if receipt.broke else (), Tone.WARN),
        Remark("note", tuple(shown(note) for note in receipt.notes), Tone.WARN),
        Remark("next", (f"to make the gateway load it: {follow_up}",) if follow_up else (), Tone.INFO),
    )


# --- for the screen ----------------------------------------------------------------------------------------------


def preview_lines(plan: Plan, now: int, width: int, zone: tzinfo | None = None) -> tuple[Line, ...]:
    """What it does and what is lost, first; then exactly what would change, where, and what to know."""
    lines: list[Line] = wrapped(piece(safe(plan.title), Tone.STRONG), width, 2)
    lines += _bullets(plan_remarks(plan, now=now, zone=zone), width)
    if plan.changes:
        lines += [EMPTY, piece("Changes", Tone.HEAD), *_changes(plan, now, width, zone)]
    lines += [EMPTY, *_fact("file", safe(plan.file), width)]
    if plan.proof:
        lines += _fact("proof", shown(proof_words(plan.proof)), width)
    lines += _fact("plan id", f"{plan.fingerprint} (of {safe(plan.target)})", width, Tone.DIM)
    return tuple(lines)


def bulk_lines(
    plans: Sequence[Plan], refused: Sequence[str], now: int, width: int, zone: tzinfo | None = None
) -> tuple[Line, ...]:
    """The same for several plans: what all of them do and lose, then each plan's changes."""
    lines: list[Line] = []
    for plan in plans:
        lines += wrapped(piece(f"• {safe(plan.title)}", Tone.STRONG), width, 2)
    for text in refused:
        lines += wrapped(piece(f"‖ skipped: {shown(text)}", Tone.WARN), width, 2)
    lines += _bullets(plan_remarks(*plans, now=now, zone=zone), width)
    for plan in plans:
        lines += [EMPTY, *wrapped(piece(safe(plan.title), Tone.HEAD), width, 2)]
        lines += _changes(plan, now, width, zone) if plan.changes else []
        lines += _fact("file", safe(plan.file), width)
        lines += _fact("plan id", plan.fingerprint, width, Tone.DIM)
    return tuple(lines)


def receipt_lines(receipt: Receipt, width: int) -> tuple[Line, ...]:
    """What was done, how the gateway reacted, and how to undo it."""
    lines: list[Line] = wrapped(piece(safe(receipt.title), Tone.STRONG), width)
    if receipt.waited_ms >= LONG_WAIT_MS:
        lines.append(piece(f"waited {span(receipt.waited_ms)} for the lock", Tone.DIM))
    for each in receipt_remarks(receipt):
        for text in each.texts:
            lines += wrapped(piece(text, each.tone), width, 2)
    if receipt.undo:
        lines.append(piece("z undoes it", Tone.DIM))
    return tuple(lines)


# --- for the shell -----------------------------------------------------------------------------------------------


def plan_text(plan: Plan, now: int) -> Iterator[str]:
    """A plan as labelled lines. `now`: ms since the epoch."""
    yield safe(plan.title)
    yield from _labelled("file", [safe(plan.file)])
    yield from _labelled("change", _change_texts(plan, now))
    yield from _labelled("proof", [shown(proof_words([each])) for each in plan.proof])
    for each in plan_remarks(plan, now=now):
        empty = ("nothing to do",) if plan.is_empty and each.label == "Effect" else each.texts
        yield from _labelled(each.label.lower(), empty)
    yield from _labelled("plan id", [plan.fingerprint])


def receipt_text(receipt: Receipt) -> Iterator[str]:
    """A receipt as labelled lines."""
    if receipt.sight_how == NOTHING_TO_DO:
        yield f"{NOTHING_TO_DO}: {safe(receipt.title)}"
        return
    yield f"{'done' if receipt.exit_code == 0 else 'done, but reverted'}: {safe(receipt.title)}"
    yield from _labelled("file", [safe(receipt.file)])
    yield from _labelled("change", _change_texts(receipt, receipt.at))
    if receipt.lock_how is not None:
        lock = f"waited {span(receipt.waited_ms)}, held {span(receipt.held_ms)}; {shown(receipt.lock_how)}"
        yield from _labelled("lock", [lock])
    for each in receipt_remarks(receipt):
        yield from _labelled(each.label, each.texts)
    yield from _labelled("undo", [f"clawtop undo {receipt.undo}"] if receipt.undo else [])


def _labelled(label: str, texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield f"  {label:<{SHELL_LABEL}} {text}"
        label = ""


def _change_texts(of: Plan | Receipt, now: int) -> Iterator[str]:
    for change in of.changes:
        before, after = (value_text(change.field, value, now) for value in (change.before, change.after))
        yield f"{safe(change.where)}: {before} -> {after}"


# --- both --------------------------------------------------------------------------------------------------------


def _changes(plan: Plan, now: int, width: int, zone: tzinfo | None) -> list[Line]:
    lines: list[Line] = []
    fields = [safe(change.field or change.section) for change in plan.changes]
    widest = max(len(name) for name in fields)
    whose = ""
    for change, name in zip(plan.changes, fields, strict=True):
        if change.key not in (plan.target, whose):
            lines += wrapped(piece(f" {safe(change.key)}", Tone.STRONG), width, 3)
        whose = change.key
        line: Line = (
            (f" {name:<{widest}}  ", Tone.PLAIN),
            (value_text(change.field, change.before, now, zone), Tone.DIM),
            (" → ", Tone.ACCENT),
            (value_text(change.field, change.after, now, zone), Tone.OK),
        )
        lines += wrapped(line, width, widest + 3)
    return lines


def _fact(label: str, text: str, width: int, tone: Tone = Tone.PLAIN) -> list[Line]:
    return wrapped(((f"{label:<{LABEL}} ", Tone.DIM), (text, tone)), width, LABEL + 1)


def _bullets(remarks: Iterable[Remark], width: int) -> list[Line]:
    lines: list[Line] = []
    for each in remarks:
        if each.texts:
            lines += [EMPTY, piece(each.label, Tone.HEAD)]
        for text in each.texts:
            lines += wrapped(((f" {each.glyph} ", each.tone), (text, Tone.PLAIN)), width, 3)
    return lines


def value_text(field: str | None, value: Any, now: int, zone: tzinfo | None = None) -> str:
    """A value of a store as an operator reads it; times as dates beside their number."""
    if value is None:
        return "absent"
    if field in _TIMES and isinstance(value, int):
        return f"{value} ({time_near(value, now, zone)} {zone_name(value, zone)})"
    if isinstance(value, Mapping):
        return shown(", ".join(f"{name} {count}" for name, count in value.items()), 200)
    if isinstance(value, list | tuple):
        return shown(" > ".join(str(item) for item in value))
    return shown(value, 200)
