"""Documents that comments cite are in the package, with the sections that are cited."""

from __future__ import annotations

import re
from pathlib import Path

import clawtop

PACKAGE = Path(clawtop.__file__).parent
ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(
    path
    for directory in (PACKAGE, ROOT / "tests")
    for suffix in ("*.py", "*.mjs")
    for path in directory.rglob(suffix)
    if path != Path(__file__)
)
CITED = re.compile(r"(?<![\w/])(docs/\w+\.md|[a-z]+\.md(?= \d))((?:,? (?:and )?\d+(?:\.\d+)?)*)")
"""A page of the package with its sections, or a page of anywhere that is cited by section."""


def citations(text: str) -> list[tuple[str, list[str]]]:
    """(page, sections) of every page that a text names."""
    return [(page, re.findall(r"\d+(?:\.\d+)?", numbers)) for page, numbers in CITED.findall(text)]


def sections(page: str) -> set[str]:
    return set(re.findall(r"^#{2,3} (\d+(?:\.\d+)?)\.? ", (PACKAGE / page).read_text(), re.MULTILINE))


def test_every_cited_page_and_section_is_there() -> None:
    """Pages of the package are cited as docs/NAME.md."""
    missing = []
    for path in SOURCES:
        for page, numbers in citations(path.read_text()):
            there = sections(page) if (PACKAGE / page).is_file() else None
            if there is None or not set(numbers) <= there:
                missing.append(f"{path.relative_to(ROOT)} cites {page} {' '.join(numbers)}")
    assert missing == []


def test_citations_are_found() -> None:
    assert citations("as it is (docs/formats.md 2.1, 2.2 and 5; 2026.5.20).") == [
        ("docs/formats.md", ["2.1", "2.2", "5"])
    ]
    assert sum(bool(citations(path.read_text())) for path in SOURCES) > 20


def test_the_pages_speak_of_no_place_outside() -> None:
    for page in sorted((PACKAGE / "docs").glob("*.md")):
        for word in ("/work/", "samples/", "harness", "worktree"):
            assert word not in page.read_text(), page.name
