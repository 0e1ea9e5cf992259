"""`clawtop config`: print the settings in force with their defaults, or save one."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from clawtop.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("--set", metavar="NAME=VALUE", dest="change", help="save one setting in the file")
    parser.add_argument("--path", action="store_true", help="print the path of the file, even if there is none yet")
    parser.add_argument("--json", action="store_true", help="one JSON object, ASCII only")


def run(args: argparse.Namespace) -> int:
    """Print them as an equivalent config file. Exit 0, or 64 if something in the sources cannot be used."""
    from clawtop.core.settings import TEXT_TABLES, toml_of, value_from_text
    from clawtop.store.own.settings import load_settings, save_entry, save_setting, settings_path

    path = settings_path(os.environ, Path.home())
    if args.path:
        print(path)
        return 0
    if args.change is not None:
        name, equals, text = args.change.partition("=")
        if not equals:
            raise UsageError("--set takes NAME=VALUE", hint="clawtop config prints the names")
        try:
            value = value_from_text(name.strip(), text.strip())
        except ValueError as error:
            raise UsageError(str(error), unchanged="nothing was saved") from error
        table, _, entry = name.strip().partition(".")
        if entry and table in TEXT_TABLES:
            save_entry(path, table, entry, value)
        else:
            save_setting(path, name.strip(), value)
        return 0
    reading = load_settings(os.environ, Path.home())
    if args.json:
        facts = {"schema": 1, "file": str(path), "settings": dict(reading.values), "problems": list(reading.problems)}
        print(json.dumps(facts))
    else:
        sys.stdout.write(toml_of(reading.values))
    for problem in reading.problems:
        print(f"clawtop: {problem}", file=sys.stderr)
    return UsageError.exit_code if reading.problems else 0
