"""The dashboard, on a terminal, while hostile things appear at one place after the other: it draws, and it ends."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.fuzz.hostile_places import FILES, PRECIOUS, Put, World, made_of_files, outside_made, put
from tests.support.terminals import OVERVIEW, clawtop, open_terminal

HELP = "Every key and what it does"
VIEWS = ("2", "3", "4", "5", "w", "1")


def wrong_on_screen(folder: Path, thing: Put) -> list[str]:
    """What is not as it should be when `thing` stands everywhere, in the end."""
    world = World(folder / "case", folder / "outside")
    outside_made(world.outside)
    world.root.mkdir()
    made_of_files(world)
    wrong: list[str] = []
    argv = clawtop(*OVERVIEW, "--state-dir", str(world.state))
    with open_terminal(argv, environment=world.environment()) as terminal:
        terminal.wait_open("READ-ONLY")
        for number, name in enumerate(reversed(tuple(FILES))):  # the state directory itself comes last
            pattern = FILES[name]
            found = sorted(world.root.glob(pattern)) if "*" in pattern else []
            place = found[0] if found else world.root / pattern.replace("*", "1")
            if not place.parent.is_dir():
                continue  # an earlier thing stands there
            put(thing, place, world)
            terminal.send(VIEWS[number % len(VIEWS)])
            terminal.send("?")
            try:
                terminal.wait_for(HELP)
                terminal.send("q")
                terminal.wait_for(lambda t: HELP not in t.text)
            except AssertionError:
                wrong.append(f"{thing.__name__} at {name}: nothing is drawn any more")
                break
        terminal.send("1")
        terminal.send("q")
        code = terminal.exit_code()
        if code != 0:
            wrong.append(f"{thing.__name__}: ended with {code}")
        shown = [what for what in ("Traceback", PRECIOUS) if what.encode() in terminal.raw]
        wrong += [f"{thing.__name__}: {what} is shown" for what in shown]
    shutil.rmtree(world.outside)
    return wrong
