"""Nothing that a test started outlives it, not even when the test itself is killed: what it stopped cannot end by
itself, and nobody else knows of it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_REAP = """
cat >/dev/null
for found in /proc/[0-9]*; do
    pid=${found#/proc/}
    [ "$pid" = $$ ] && continue
    if grep -aqsF -- "$1" "$found/environ" "$found/cmdline"; then kill -KILL "$pid" 2>/dev/null; fi
done
exit 0
"""


@contextmanager
def nothing_left(directory: Path) -> Iterator[None]:
    """While it lasts, and when this process ends in it: whoever has `directory` in his environment or among his words
    is killed at the end, also where he was stopped.

    `directory` must be this test's alone. A shell of its own session waits for the end of its input, which comes with
    the end of this process at the latest.
    """
    reaper = subprocess.Popen(
        ["/bin/sh", "-c", _REAP, "reaper", str(directory)], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        yield
    finally:
        assert reaper.stdin is not None
        reaper.stdin.close()
        reaper.wait(timeout=60)
