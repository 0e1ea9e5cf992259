"""All problems, from everywhere, and the columns of their table."""

from __future__ import annotations

from collections.abc import Iterable

from clawtop.core.model import SHARED, Problem, Session
from clawtop.core.session.key import split
from clawtop.core.session.listed import troubled, with_key
from clawtop.text import safe
from clawtop.view.columns import Column, Env
from clawtop.view.facts import Facts
from clawtop.view.humanize import problem_text
from clawtop.view.line import Line, Tone, piece


def all_problems(facts: Facts) -> tuple[Problem, ...]:
    """Every known problem, each once."""
    found = {row_key(problem): problem for problem in facts.warnings}
    told = {problem_id(problem) for problem in facts.warnings}  # with the agent whose store it is
    for agent in facts.agents:
        problem = agent.store.problem if agent.store is not None else None
        if problem is not None and problem_id(problem) not in told:
            found |= _by_key((problem,), agent.id)
    for view in facts.providers:
        for entry in view.profiles:
            owner = entry.profile.owner_agent if entry.profile.owner_agent != SHARED else None
            found |= _by_key(entry.problems, owner)
    for session in troubled(facts.sessions):
        found |= _by_key(session.problems, session.agent)
    return tuple(found.values())


def _by_key(problems: Iterable[Problem], agent: str | None) -> dict[str, Problem]:
    """Problems of this agent by their `row_key`."""
    return {row_key(its): its for its in (problem.of(agent) for problem in problems)}


_TOLD_BELOW = frozenset({"problems", "profiles-resting"})
"""Causes that need no row: one only counts the problems that follow, the other is not a problem."""


def trouble(facts: Facts) -> tuple[Problem, ...]:
    """The causes that the headline is judged by, worst first, as problems that name their sessions or agents."""
    return tuple(
        Problem(
            cause.code,
            ", ".join(cause.sessions or cause.agents),
            _remedied(cause.text, cause.remedy),
            agent=cause.agents[0] if len(cause.agents) == 1 else None,
        )
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
    return facts.once(_named, facts).get(row_key(problem))


def _named(facts: Facts) -> dict[str, Session]:
    of_rows = troubled(facts.sessions)
    found = {key: session for session in of_rows for key in _by_key(session.problems, session.agent)}
    named = ((problem, with_key(facts.sessions, problem.where)) for problem in trouble(facts))
    return {row_key(problem): sessions[-1] for problem, sessions in named if sessions} | found


def problem_id(problem: Problem) -> str:
    """The exact id of a problem's row, for copying."""
    return f"{problem.code}: {problem.where}: {problem.text}"


def row_key(problem: Problem) -> str:
    """A key unique to the problem, also among the same problem of other agents."""
    return f"{problem.agent or ''}|{problem_id(problem)}"


def problem_words(problem: Problem, facts: Facts) -> str:
    """Texts besides its row by which the filter finds a problem: its exact place, and its agent's id and name."""
    agent = [problem.agent, facts.agent_name(problem.agent)] if problem.agent is not None else []
    return safe(" ".join((problem.where, *agent)))


def _mark(_problem: Problem, _env: Env) -> Line:
    return piece("⚠", Tone.WARN)


def _code(problem: Problem, _env: Env) -> Line:
    return piece(safe(problem.code), Tone.WARN)


def _text(problem: Problem, env: Env) -> Line:
    return piece(problem_text(problem, env.now, env.zone))


def _where(problem: Problem, env: Env) -> Line:
    """The agent first and in a piece of its own, so that it stays when a long key or path is elided; of several places
    the first, and how many others there are.
    """
    directory = f"{env.facts.snapshot.state_dir.rstrip('/')}/agents/"
    several = len(env.facts.snapshot.agents) > 1
    where, *others = problem.where.split(", ")
    more: Line = ((f" +{len(others)}", Tone.DIM),) if others else ()
    agent, rest = split(where)
    if where.startswith(directory) and "/" in where.removeprefix(directory):
        agent, _, rest = where.removeprefix(directory).partition("/")
        return ((f"{safe(agent)}: ", Tone.DIM), (safe(rest), Tone.DIM), *more)
    if agent is not None:
        return ((f"{safe(agent)}:", Tone.DIM), (safe(rest), Tone.DIM), *more)
    if problem.agent is not None and where != problem.agent and several:
        return ((f"{safe(problem.agent)}: ", Tone.DIM), (safe(where), Tone.DIM), *more)
    return (*piece(safe(where), Tone.DIM), *more)


WARNING_COLUMNS: tuple[Column[Problem], ...] = (
    Column("mark", "", 1, _mark, live=False),
    Column("code", "", 14, _code, lambda p, _e: p.code, grow=12, rank=1, live=False),
    Column("where", "WHERE", 18, _where, lambda p, _e: p.where, grow=12, live=False, middle=True),
    Column("text", "WHAT", 38, _text, lambda p, _e: p.text, grow=140, live=False),
)
"""Where it is narrow the code is dropped: the place and the words tell rows apart, the code does not."""
