"""All problems, from everywhere, and the columns of their table."""

from __future__ import annotations

from clawtop.core.model import Problem, Session
from clawtop.core.session.key import split
from clawtop.text import safe
from clawtop.view.columns import Column, Env
from clawtop.view.facts import Facts
from clawtop.view.humanize import problem_text
from clawtop.view.line import Line, Tone, join, piece


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


_TOLD_BELOW = frozenset({"problems", "profiles-resting"})
"""Causes that need no row: one counts the problems that follow, the other is no trouble."""


def trouble(facts: Facts) -> tuple[Problem, ...]:
    """The causes that the headline is judged by, worst first, as problems that name their sessions or agents."""
    return tuple(
        Problem(cause.code, ", ".join(cause.sessions or cause.agents), _remedied(cause.text, cause.remedy))
        for cause in facts.health.causes
        if cause.code not in _TOLD_BELOW
    )


def every_problem(facts: Facts) -> tuple[Problem, ...]:
    """The causes that the headline is judged by, then every known problem."""
    return (*trouble(facts), *all_problems(facts))


def _remedied(text: str, remedy: str | None) -> str:
    """A problem and its remedy."""
    return f"{text}; {remedy}" if remedy else text


def session_named(problem: Problem, facts: Facts) -> Session | None:
    """The one session that a problem is about; None if it names none, or several."""
    return facts.once(_named, facts).get(problem)


def _named(facts: Facts) -> dict[Problem, Session]:
    found = {problem: session for session in facts.sessions for problem in session.problems}
    by_key = {session.key: session for session in facts.sessions}
    alone = (each for each in trouble(facts) if each.where in by_key)
    return {problem: by_key[problem.where] for problem in alone} | found


def problem_id(problem: Problem) -> str:
    """The exact id of a problem's row, for copying."""
    return f"{problem.code}: {problem.where}: {problem.text}"


def _code(problem: Problem, _env: Env) -> Line:
    return piece(f"⚠ {safe(problem.code)}", Tone.WARN)


def _text(problem: Problem, env: Env) -> Line:
    return piece(problem_text(problem, env.now, env.zone))


def _where(problem: Problem, env: Env) -> Line:
    """The agent first and in a piece of its own, so that it stays when a long key or path is elided."""
    directory = f"{env.facts.snapshot.state_dir.rstrip('/')}/agents/"
    parts: list[Line] = []
    for where in problem.where.split(", "):
        agent, rest = split(where)
        if where.startswith(directory) and "/" in where.removeprefix(directory):
            agent, _, rest = where.removeprefix(directory).partition("/")
            parts.append(((f"{safe(agent)}: ", Tone.DIM), (safe(rest), Tone.DIM)))
        elif agent is not None:
            parts.append(((f"{safe(agent)}:", Tone.DIM), (safe(rest), Tone.DIM)))
        else:
            parts.append(piece(safe(where), Tone.DIM))
    return join(parts, (", ", Tone.DIM))


WARNING_COLUMNS: tuple[Column[Problem], ...] = (
    Column("code", "WARNING", 22, _code, lambda p, _e: p.code, grow=6, live=False),
    Column("where", "WHERE", 24, _where, lambda p, _e: p.where, grow=12, live=False, middle=True),
    Column("text", "WHAT", 30, _text, lambda p, _e: p.text, grow=140, live=False),
)
