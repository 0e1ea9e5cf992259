"""The demo's other processes run this same clawtop, whatever is in the directory that the demo is started in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import clawtop


def command(module: str, *args: str) -> tuple[str, ...]:
    """The command line that runs a module of the package; `-P` keeps the current directory out of the search."""
    return (sys.executable, "-P", "-m", module, *args)


def environment() -> dict[str, str]:
    """This process's environment, so that the child finds the package where this process found it."""
    home = str(Path(clawtop.__file__).parents[1])
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))}
