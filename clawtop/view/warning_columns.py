"""Columns of the warnings table."""

from __future__ import annotations

from clawtop.core.model import Problem
from clawtop.text import safe, shown
from clawtop.view.columns import Column, Env
from clawtop.view.line import Line, Tone, piece


def _code(problem: Problem, _env: Env) -> Line:
    return piece(f"⚠ {safe(problem.code)}", Tone.WARN)


def _text(problem: Problem, _env: Env) -> Line:
    return piece(shown(problem.text))


def _where(problem: Problem, _env: Env) -> Line:
    return piece(safe(problem.where), Tone.DIM)


WARNING_COLUMNS: tuple[Column[Problem], ...] = (
    Column("code", "WARNING", 24, _code, lambda p, _e: p.code, grow=6, live=False),
    Column("text", "WHAT", 40, _text, lambda p, _e: p.text, grow=30, live=False),
    Column("where", "WHERE", 14, _where, lambda p, _e: p.where, grow=80, rank=1, live=False, middle=True),
)
