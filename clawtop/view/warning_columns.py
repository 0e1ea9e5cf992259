"""Columns of the warnings table."""

from __future__ import annotations

from clawtop.core.model import Problem
from clawtop.text import safe, shown
from clawtop.view.columns import Column, Env
from clawtop.view.humanize import in_zone
from clawtop.view.line import Line, Tone, piece


def _code(problem: Problem, _env: Env) -> Line:
    return piece(f"⚠ {safe(problem.code)}", Tone.WARN)


def _text(problem: Problem, env: Env) -> Line:
    return piece(in_zone(shown(problem.text), env.now, env.zone))


def _where(problem: Problem, _env: Env) -> Line:
    return piece(safe(problem.where), Tone.DIM)


WARNING_COLUMNS: tuple[Column[Problem], ...] = (
    Column("code", "WARNING", 22, _code, lambda p, _e: p.code, grow=6, live=False),
    Column("where", "WHERE", 24, _where, lambda p, _e: p.where, grow=12, live=False, middle=True),
    Column("text", "WHAT", 30, _text, lambda p, _e: p.text, grow=140, live=False),
)
