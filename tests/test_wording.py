"""The operator's words keep the rules that can be stated: how errors are put together, and phrases that are out."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from clawtop.commands import COMMANDS
from clawtop.errors import RefusedError

PACKAGE = Path(__file__).resolve().parent.parent / "clawtop"
SOURCES = sorted(PACKAGE.rglob("*.py"))
PARTS_OF_AN_ERROR = {"unchanged", "hint"}
OUT = re.compile(
    r"needs? a hand|empty purse|\bat rest\b|of ours\b|has to be\b|\w\(s\)|else than\b|for want of|let it go on"
    r"|\bmend the\b|(?:that|it) names nobody|takes it back|not taken in\b|leads nowhere"
    r"|sign of life|nobody has\b|in the past\b|\blet go in time|\b(?:not|it) begun\b|nothing tells",
    re.IGNORECASE,
)
"""Paraphrases of what has a plain name: needs attention, no credit, idle, clawtop's, must be, for lack of, resume, fix,
no owner, undoes, not accepted, dangling, activity, live only, released in time, started,
no evidence."""


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """The module, parsed once for all tests."""
    return ast.parse(path.read_text())


def literals(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every string that is not a docstring; `{}` for what an f-string fills in."""
    tree = tree_of(path)
    described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    passed_over = described | inside
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in passed_over:
            text = text_of(node)
            if text is not None:
                yield node.lineno, text


def text_of(node: ast.AST) -> str | None:
    """The text of a string or an f-string; None for anything else."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "{}" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def test_no_phrase_that_is_out() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text[:80]}"
        for path in SOURCES
        for line, text in literals(path)
        if OUT.search(text)
    ]
    assert found == []


def test_what_was_not_changed_and_what_to_do_are_fragments() -> None:
    """`ClawtopError` joins them to sentences: each comes without a capital, a full stop and blanks around it."""
    odd = []
    for path in SOURCES:
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.Call):
                continue
            for keyword in node.keywords:
                text = text_of(keyword.value) if keyword.arg in PARTS_OF_AN_ERROR else None
                first = (text or "").split(" ", 1)[0]
                if text and (text != text.strip() or text.endswith(".") or (first.istitle() and first not in NAMES)):
                    odd.append(f"{path.relative_to(PACKAGE)}:{node.lineno}: {text}")
    assert odd == []


NAMES = {"OpenClaw", "OpenClaw's"}


@pytest.mark.parametrize(
    ("hint", "told"),
    [
        ("look again", "it is held. Nothing was changed. Look again"),
        ("clawtop status lists the locks", "it is held. Nothing was changed. clawtop status lists the locks"),
        ("--reset removes it", "it is held. Nothing was changed. --reset removes it"),
        ("/etc/hosts names it", "it is held. Nothing was changed. /etc/hosts names it"),
    ],
)
def test_each_sentence_of_an_error_begins_with_a_capital_unless_it_is_typed_as_it_stands(hint: str, told: str) -> None:
    assert str(RefusedError("it is held", unchanged="nothing was changed", hint=hint)) == told


def test_a_command_is_one_sentence_about_what_it_does() -> None:
    for item in COMMANDS:
        for text in (item.help, item.verb_help or item.help):
            assert text[:1].isupper(), item.id
            assert text.endswith("."), item.id
            assert "  " not in text, item.id
