"""README.md says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clawtop.cli.main import HOW, usage_of
from clawtop.commands import COMMANDS, Command, verbs
from tests.support.keymap import markdown, with_keys

README = Path(__file__).resolve().parent.parent / "README.md"


def test_the_key_list_is_generated_from_the_table() -> None:
    text = README.read_text()
    assert with_keys(text, usage_of) == text, "run: python screenshots/make.py --readme"


def test_every_command_and_verb_is_listed() -> None:
    listed = markdown(usage_of)
    assert all(item.title in listed for item in COMMANDS if item.keys)
    assert all(f"`clawtop {item.verb}" in listed for item in verbs())


@pytest.mark.parametrize("item", [item for item in verbs() if item.usage], ids=lambda item: str(item.verb))
def test_the_short_usage_on_the_screen_names_only_options_that_are_there(item: Command) -> None:
    known = usage_of(item.verb or "") + usage_of(HOW)
    assert [word for word in re.findall(r"--[a-z-]+", item.usage) if word not in known] == []


def test_its_pictures_and_local_links_exist() -> None:
    text = README.read_text()
    for name in (part.split(")")[0] for part in text.split("](")[1:]):
        if not name.startswith(("http", "#")):
            assert (README.parent / name).exists(), name
