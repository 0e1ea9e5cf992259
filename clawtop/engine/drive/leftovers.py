"""Writing the spooled marks of dead clawtop processes before anything else is written.

An operation is planned from the store's content; a mark of an earlier failure that lands afterwards would undo a
clear. So the verbs that write, and a dashboard when it is armed, land leftovers first.
"""

from __future__ import annotations

from pathlib import Path

from clawtop import threads
from clawtop.errors import ClawtopError
from clawtop.store.own.mark_spool import spool_dir

WAIT_S = 3.0
"""Marks that cannot be written within this time go back into the spool."""


def has_leftovers(state_dir: str | Path) -> bool:
    """Whether there is anything to land. Creates nothing."""
    return any(spool_dir(state_dir).glob("*.json"))


def land_leftovers(state_dir: str | Path) -> int:
    """`land_leftovers_of` for code outside of an event loop."""
    return threads.run(land_leftovers_of(state_dir)) if has_leftovers(state_dir) else 0


async def land_leftovers_of(state_dir: str | Path) -> int:
    """Write the marks of dead clawtop processes; returns how many there were. A live process writes its own.

    Never fails: what cannot be landed stays in the spool, or its loss is in the journal.
    """
    if not has_leftovers(state_dir):
        return 0
    from clawtop.engine.drive.driver import Driver, EngineSettings

    try:
        async with Driver(state_dir, settings=EngineSettings(drain_s=WAIT_S)) as driver:
            return driver.adopt_marks()
    except ClawtopError:
        return 0
