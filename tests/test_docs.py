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


def test_each_promise_names_tests_and_commands_that_are_there() -> None:
    text = (PACKAGE / "docs/invariants.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (.+) \| (.*)\|$", text, re.MULTILINE)
    assert [number for number, _, _ in rows] == re.findall(r"^## (\d+)\. ", text, re.MULTILINE)
    for number, tests, commands in rows:
        named = re.findall(r"`(\S+)`", tests)
        assert named, number
        for path in named:
            found = [ROOT / path] if path.endswith(".py") else list((ROOT / path).glob("test_*.py"))
            assert found, f"promise {number} names {path}"
            assert all("def test_" in each.read_text() for each in found), f"promise {number}: {path}"
        for module in re.findall(r"`python -m (tests\.\w+)", commands):
            assert (ROOT / module.replace(".", "/") / "__main__.py").is_file(), f"promise {number} names {module}"


def test_each_promise_of_readme_names_a_test_that_is_there() -> None:
    """And no section of README that promises something is left out."""
    text = (PACKAGE / "docs/invariants.md").read_text()
    rows = re.findall(r"^\| (.+) \| .+ \| `(tests/\S+\.py)::(\w+)` \|$", text, re.MULTILINE)
    headings = re.findall(
        r"^#{1,2} (.+)$", re.sub(r"```.*?```", "", (ROOT / "README.md").read_text(), flags=re.DOTALL), re.MULTILINE
    )
    assert {heading for heading, _, _ in rows} == set(headings) - {"For engineers", "Appendix: comparison"}
    for _, path, name in rows:
        assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), f"{path}::{name}"


def test_each_command_of_readmes_table_is_there_and_has_a_result() -> None:
    rows = re.findall(
        r"^\| `python -m (\S+)([^|]*?)` ?[^|]*\| .+ \| (.+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert {"tests.sim", "tests.faults", "tests.fuzz", "tests.mutants", "tests.soak", "tests.bench"} <= {
        module for module, _, _ in rows
    }
    for module, words, result in rows:
        assert result.strip(), module
        if module == "pytest":
            path = next((ROOT / word for word in words.split() if word.startswith("tests/")), ROOT / "tests")
        else:
            path = ROOT / module.replace(".", "/") / "__main__.py"
        assert path.exists(), f"README names {module} {words}"
