"""What the details of all kinds of row share: labelled facts, sections, times, a prompt holder."""

from __future__ import annotations

from collections.abc import Iterable

from clawtop.core.model import Problem, PromptHolder
from clawtop.text import safe, shown
from clawtop.view.columns import Env
from clawtop.view.fitting import wrapped
from clawtop.view.humanize import ago, countdown, duration, problem_text, time_near
from clawtop.view.line import EMPTY, Line, Piece, Tone, piece

LABEL_WIDTH = 10
Fact = tuple[str, Line]
"""Label and line; the label may be empty."""


def laid_out(fact: Fact, width: int) -> Iterable[Line]:
    """A fact as lines of at most `width` cells, with continuation lines indented."""
    label, line = fact
    if not label:
        return wrapped(line, width, 2) if line else [EMPTY]
    head: Piece = (f"{label:<{LABEL_WIDTH}} ", Tone.DIM)
    return wrapped((head, *line), width, LABEL_WIDTH + 1)


def known(facts: Iterable[Fact]) -> list[Fact]:
    """Without labels that have no value."""
    return [fact for fact in facts if fact[1] or not fact[0]]


def section(title: str) -> list[Fact]:
    """A blank line and a heading."""
    return [("", EMPTY), ("", piece(title, Tone.HEAD))]


def time_line(ms: int | None, env: Env) -> Line:
    """A clock time and how long ago that is."""
    if ms is None:
        return piece("never, or not recorded", Tone.FAINT)
    return ((time_near(ms, env.now, env.zone), Tone.PLAIN), (f"  {ago(ms, env.now)}", Tone.DIM))


def problem_facts(problems: Iterable[Problem], env: Env) -> list[Fact]:
    """A line for each problem."""
    return [
        (
            "",
            (
                (f"⚠ {safe(problem.code)} ", Tone.WARN),
                (problem_text(problem, env.now, env.zone), Tone.PLAIN),
            ),
        )
        for problem in problems
    ]


def holder_facts(holder: PromptHolder, env: Env) -> list[Fact]:
    """Who holds a session's prompt, since when, who waits for it, and what may go wrong."""
    who = f"pid {holder.pid}" if holder.pid is not None else "process unknown"
    facts: list[Fact] = [
        *section("Held by"),
        ("who", piece(f"{who}, seen by {safe(holder.source)}", Tone.INFO)),
        ("phase", piece(shown(holder.phase))),
        ("lane", piece(safe(holder.lane)) if holder.lane else EMPTY),
        ("run", piece(safe(holder.run_id)) if holder.run_id else EMPTY),
        ("profile", piece(safe(holder.profile)) if holder.profile else EMPTY),
        ("since", time_line(holder.since, env)),
        ("risk", piece(shown(holder.takeover_risk), Tone.WARN) if holder.takeover_risk else EMPTY),
    ]
    for waiter in holder.waiters:
        until = f", gives up in {countdown(waiter.deadline, env.now)}" if waiter.deadline is not None else ""
        text = f"{safe(waiter.lane)} run {safe(waiter.run_id)} for {duration(env.now - waiter.since)}{until}"
        facts.append((f"waiter {waiter.ticket}", piece(text, Tone.WARN)))
    if holder.waits_unseen:
        facts.append(("waiters", piece("queued chat and channel messages are not visible on this version", Tone.DIM)))
    return known(facts)
