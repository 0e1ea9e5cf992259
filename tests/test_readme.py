"""README.md says what the program does."""

from __future__ import annotations

from pathlib import Path

from clawtop.commands import COMMANDS, verbs
from clawtop.view.keymap import markdown, with_keys

README = Path(__file__).resolve().parent.parent / "README.md"


def test_the_key_list_is_generated_from_the_table() -> None:
    text = README.read_text()
    assert with_keys(text) == text, "run: python screenshots/make.py --readme"


def test_every_command_and_verb_is_listed() -> None:
    listed = markdown()
    assert all(item.title in listed for item in COMMANDS if item.keys)
    assert all(f"`clawtop {item.verb}" in listed for item in verbs())


def test_its_pictures_and_local_links_exist() -> None:
    text = README.read_text()
    for name in (part.split(")")[0] for part in text.split("](")[1:]):
        if not name.startswith(("http", "#")):
            assert (README.parent / name).exists(), name
