"""Settings: the table, its file, its variables; what cannot be used is told and left at its default."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.settings import SETTINGS, THEMES, defaults, read_settings, toml_of, value_from_text, with_value


def test_the_printed_defaults_read_back_as_the_defaults() -> None:
    reading = read_settings(tomllib.loads(toml_of(defaults())), {})
    assert (dict(reading.values), reading.problems) == (defaults(), ())


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def _values(path: str, default: Any, allowed: tuple[str, ...]) -> st.SearchStrategy[Any]:
    if allowed:
        return st.none() | st.sampled_from(allowed)
    if path in {"labels", "sort"}:
        return st.dictionaries(TEXTS, TEXTS, max_size=3)
    kinds: dict[type, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        float: st.floats(0, 99_999),
        list: st.lists(TEXTS, max_size=4),
        dict: st.dictionaries(TEXTS, st.lists(TEXTS, max_size=3), max_size=3),
    }
    return kinds.get(type(default), st.none() | TEXTS)


@given(
    st.fixed_dictionaries(
        {setting.path: _values(setting.path, setting.default, setting.allowed) for setting in SETTINGS}
    )
)
def test_whatever_is_set_comes_back_from_the_file(values: dict[str, Any]) -> None:
    reading = read_settings(tomllib.loads(toml_of(values)), {})
    assert (dict(reading.values), reading.problems) == (values, ())


def test_a_variable_beats_the_file_and_the_file_the_default() -> None:
    document = {"theme": "lobster", "bell": True, "limits": {"blocked_minutes": 2}}
    values = read_settings(document, {"CLAWTOP_THEME": "plain", "CLAWTOP_HOSTS": "a, b c", "CLAWTOP_BELL": ""}).values
    assert (values["theme"], values["bell"], values["limits.blocked_minutes"]) == ("plain", True, 2.0)
    assert values["fleet.hosts"] == ["a", "b", "c"]
    assert values["limits.verify_seconds"] == 10.0


@pytest.mark.parametrize(
    ("document", "environment", "words"),
    [
        ({"them": "x"}, {}, "there is no setting them: did you mean theme?"),
        ({"limits": {"blocked_minute": 1}}, {}, "did you mean limits.blocked_minutes?"),
        ({"bell": "loud"}, {}, "bell must be true or false"),
        ({"view": "timelin"}, {}, "did you mean timeline?"),
        ({"limits": {"verify_seconds": -1}}, {}, "must be a number"),
        ({"columns": {"profiles": "id"}}, {}, "must be a table of lists"),
        ({"theme": 3}, {}, "theme must be a string"),
        ({}, {"CLAWTOP_BELL": "perhaps"}, "CLAWTOP_BELL must be true or false"),
        ({"\x1b[2J": 1}, {}, "\\x1b[2J"),
    ],
)
def test_what_cannot_be_used_is_told_and_ignored(
    document: dict[str, Any], environment: dict[str, str], words: str
) -> None:
    reading = read_settings(document, environment, "config.toml")
    assert dict(reading.values) == defaults()
    (problem,) = reading.problems
    assert words in problem
    assert "\x1b" not in problem


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'theme = "lobster"\n'),
        (
            'theme = "plain"\n# mine\n[limits]\nblocked_minutes = 1\n',
            'theme = "lobster"\n# mine\n[limits]\nblocked_minutes = 1\n',
        ),
        ("# mine\n[limits]\n", "# mine\n[limits]\n"),
        ("bell = true  # why\n\n[fleet]\nhosts = []\n", "bell = true  # why\n\n[fleet]\nhosts = []\n"),
    ],
)
def test_saving_changes_one_value_and_keeps_every_line(before: str, after: str) -> None:
    text = with_value(before, "theme", "lobster")
    assert tomllib.loads(text) == {**tomllib.loads(before), "theme": "lobster"}
    kept = [line for line in before.splitlines() if not line.startswith("theme")]
    assert [line for line in text.splitlines() if not line.startswith("theme")] == kept
    if before.startswith("theme") or not before:
        assert text == after


@pytest.mark.parametrize("before", ["", "[limits]\n", "[limits]\nblocked_minutes = 1\n", "[fleet]\nhosts = []\n"])
def test_saving_into_a_section(before: str) -> None:
    text = with_value(before, "limits.blocked_minutes", 7.0)
    assert tomllib.loads(text)["limits"] == {"blocked_minutes": 7.0}
    assert tomllib.loads(text).get("fleet") == tomllib.loads(before).get("fleet")


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [("theem", "x", "did you mean theme"), ("columns", "x", "edit the file"), ("bell", "x", "true or false")],
)
def test_what_is_typed_wrong_is_said(path: str, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        value_from_text(path, text)


def test_the_themes_that_may_be_set_are_those_that_there_are() -> None:
    from clawtop.ui import palettes

    assert set(THEMES) == set(palettes.THEMES)


def test_an_entry_of_a_table_of_texts_is_set_by_its_name() -> None:
    assert value_from_text("sort.sessions", "-age") == "-age"
    assert value_from_text("labels.agent:main:main", "the loud one") == "the loud one"
    with pytest.raises(ValueError, match="labels is a table: set labels"):
        value_from_text("labels", "x")
    with pytest.raises(ValueError, match="columns is a table: edit the file"):
        value_from_text("columns", "x")
    with pytest.raises(ValueError, match="did you mean lobster"):
        value_from_text("theme", "lobste")


@pytest.mark.parametrize("after", ["", "\n", '\n[fleet]\nhosts = ["reef"]\n', '\n\n[fleet]\nhosts = ["reef"]\n'])
def test_a_setting_joins_the_others_of_its_section(after: str) -> None:
    before = f"bell = true\n[limits]\nblocked_minutes = 3{after}"
    text = with_value(before, "limits.verify_seconds", 4.0)
    had = tomllib.loads(before)
    assert tomllib.loads(text) == {**had, "limits": {**had["limits"], "verify_seconds": 4.0}}
