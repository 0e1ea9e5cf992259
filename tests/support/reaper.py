"""Nothing that a test started outlives it, even if the test itself is killed: stopped processes cannot end by
themselves, and nothing else knows about them.
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
    """At the end of the block, or when this process dies within it, every process with `directory` in its environment
    or arguments is killed, even a stopped one.

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
