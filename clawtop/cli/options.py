"""Options that several verbs have, with the words of their help."""

from __future__ import annotations

import argparse

OptionGroup = argparse.ArgumentParser | argparse._ArgumentGroup


def json(options: OptionGroup) -> None:
    """Add `--json`, for a verb whose whole answer is one object."""
    options.add_argument("--json", action="store_true", help="one JSON object, ASCII only, ids exact")


def yes(options: OptionGroup) -> None:
    """Add `--yes`, for a verb that asks before it changes something."""
    options.add_argument("--yes", action="store_true", help="do not ask (required without a terminal)")
