"""A plan as a preview, and what came of it as a receipt, in lines. Times name their zone: a preview is also copied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import Any

from clawtop.core.operations.plan import Plan
from clawtop.core.operations.receipt import Receipt, Sight
from clawtop.text import safe, shown
from clawtop.view.humanize import in_zone, span, time_near, zone_name
from clawtop.view.line import EMPTY, Line, Tone, piece, wrapped

_TIMES = frozenset({"cooldownUntil", "disabledUntil", "blockedUntil", "lastFailureAt", "lastUsed", "lastProbeAt"})
LABEL = 9


def preview_lines(plan: Plan, now: int, width: int, zone: tzinfo | None = None) -> tuple[Line, ...]:
    """What it does and what is lost, first; then exactly what would change, where, and what to know."""
    lines: list[Line] = wrapped(piece(safe(plan.title), Tone.STRONG), width, 2)
    lines += _bullets("Effect", [in_zone(text, now, zone) for text in plan.effects], "→", Tone.INFO, width)
    lines += _bullets("Lost", plan.loses, "×", Tone.WARN, width)
    lines += _bullets("Know first", plan.warnings, "⚠", Tone.WARN, width)
    if plan.changes:
        lines += [EMPTY, piece("Changes", Tone.HEAD), *_changes(plan, now, width, zone)]
    lines += [EMPTY, *_fact("file", safe(plan.file), width)]
    if plan.proof:
        lines += _fact("proof", shown(", ".join(plan.proof)), width)
    lines += _fact("plan id", f"{plan.fingerprint} (of {safe(plan.target)})", width, Tone.DIM)
    return tuple(lines)


def bulk_lines(
    plans: Sequence[Plan], refused: Sequence[str], now: int, width: int, zone: tzinfo | None = None
) -> tuple[Line, ...]:
    """The same for several plans: what all of them do and lose, then each plan's changes."""
    effects = dict.fromkeys(in_zone(text, now, zone) for plan in plans for text in plan.effects)
    loses = dict.fromkeys(text for plan in plans for text in plan.loses)
    warnings = dict.fromkeys(text for plan in plans for text in plan.warnings)
    lines: list[Line] = []
    for plan in plans:
        lines += wrapped(piece(f"• {safe(plan.title)}", Tone.STRONG), width, 2)
    for text in refused:
        lines += wrapped(piece(f"‖ skipped: {shown(text)}", Tone.WARN), width, 2)
    lines += _bullets("Effect", effects, "→", Tone.INFO, width)
    lines += _bullets("Lost", loses, "×", Tone.WARN, width)
    lines += _bullets("Know first", warnings, "⚠", Tone.WARN, width)
    for plan in plans:
        lines += [EMPTY, *wrapped(piece(safe(plan.title), Tone.HEAD), width, 2)]
        lines += _changes(plan, now, width, zone) if plan.changes else []
        lines += _fact("file", safe(plan.file), width)
        lines += _fact("plan id", plan.fingerprint, width, Tone.DIM)
    return tuple(lines)


def receipt_lines(receipt: Receipt, width: int) -> tuple[Line, ...]:
    """What was done, what the gateway made of it, and how to take it back."""
    reverted = receipt.sight is Sight.REVERTED
    how = f": {receipt.sight_how}" if receipt.sight_how else ""
    lines: list[Line] = wrapped(piece(safe(receipt.title), Tone.STRONG), width)
    lines += wrapped(piece(shown(f"{receipt.sight}{how}"), Tone.BAD if reverted else Tone.OK), width, 2)
    if receipt.waited_ms >= 100:
        lines.append(piece(f"waited {span(receipt.waited_ms)} for the lock", Tone.DIM))
    if receipt.broke:
        lines += wrapped(piece(f"removed first: {shown(receipt.broke)}", Tone.WARN), width, 2)
    for note in receipt.notes:
        lines += wrapped(piece(shown(note), Tone.WARN), width, 2)
    if receipt.follow_up:
        lines += wrapped(piece(f"to make the gateway load it: {' '.join(receipt.follow_up)}", Tone.INFO), width, 2)
    if receipt.undo:
        lines.append(piece("z takes it back", Tone.DIM))
    return tuple(lines)


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
            (_value(change.field, change.before, now, zone), Tone.DIM),
            (" → ", Tone.ACCENT),
            (_value(change.field, change.after, now, zone), Tone.OK),
        )
        lines += wrapped(line, width, widest + 3)
    return lines


def _fact(label: str, text: str, width: int, tone: Tone = Tone.PLAIN) -> list[Line]:
    return wrapped(((f"{label:<{LABEL}} ", Tone.DIM), (text, tone)), width, LABEL + 1)


def _bullets(title: str, texts: Iterable[str], glyph: str, tone: Tone, width: int) -> list[Line]:
    lines = [line for text in texts for line in wrapped(((f" {glyph} ", tone), (shown(text), Tone.PLAIN)), width, 3)]
    return [EMPTY, piece(title, Tone.HEAD), *lines] if lines else []


def _value(field: str | None, value: Any, now: int, zone: tzinfo | None) -> str:
    if value is None:
        return "absent"
    if field in _TIMES and isinstance(value, int):
        return f"{value} ({time_near(value, now, zone)} {zone_name(value, zone)})"
    if isinstance(value, Mapping):
        return safe(", ".join(f"{name} {count}" for name, count in value.items()), 200)
    if isinstance(value, list | tuple):
        return safe(" > ".join(str(item) for item in value))
    return safe(value, 200)
