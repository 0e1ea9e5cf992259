"""All problems, from everywhere, and the columns of their table."""

from __future__ import annotations

from clawtop.core.model import Problem
from clawtop.text import safe
from clawtop.view.columns import Column, Env
from clawtop.view.facts import Facts
from clawtop.view.humanize import problem_text
from clawtop.view.line import Line, Tone, piece


def all_problems(facts: Facts) -> tuple[Problem, ...]:
    """Every known problem, each once."""
    found: dict[Problem, None] = dict.fromkeys(facts.snapshot.warnings)
    for agent in facts.agents:
        if agent.store is not None and agent.store.problem is not None:
            found.setdefault(agent.store.problem)
    for view in facts.providers:
        for entry in view.profiles:
            found.update(dict.fromkeys(entry.problems))
    for session in facts.sessions:
        found.update(dict.fromkeys(session.problems))
    return tuple(found)


def problem_id(problem: Problem) -> str:
    """The exact id of a problem's row: what is copied of it."""
    return f"{problem.code}: {problem.where}: {problem.text}"


def _code(problem: Problem, _env: Env) -> Line:
    return piece(f"⚠ {safe(problem.code)}", Tone.WARN)


def _text(problem: Problem, env: Env) -> Line:
    return piece(problem_text(problem, env.now, env.zone))


def _where(problem: Problem, _env: Env) -> Line:
    return piece(safe(problem.where), Tone.DIM)


WARNING_COLUMNS: tuple[Column[Problem], ...] = (
    Column("code", "WARNING", 22, _code, lambda p, _e: p.code, grow=6, live=False),
    Column("where", "WHERE", 24, _where, lambda p, _e: p.where, grow=12, live=False, middle=True),
    Column("text", "WHAT", 30, _text, lambda p, _e: p.text, grow=140, live=False),
)
