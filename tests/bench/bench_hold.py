"""For how long one call of a scanner holds the event loop: the longest text that is let in, in every kind.

`re` gives the interpreter's lock to nobody, so a scanner in another thread holds the loop as well.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from tests.bench.harness import Bench, Figure, Row
from tests.test_linear_time import UNITS, scanners, texts

LIMIT_MS = 50.0
LONGEST = 64 * 1024
"""Characters: longer lines of a log, errors of a provider and words of a gateway are cut before they are looked at."""

SOME = ("text.masked", "text.safe", "text.shown", "text.whole_words")


def longest_hold(call: Callable[[str], object], units: tuple[str, ...]) -> tuple[float, str]:
    """Milliseconds of processor time of the slowest text, the faster of two calls, and which text that is."""
    worst = (0.0, "")
    for how, text in texts(units, LONGEST):
        took = _once(call, text)
        if took > worst[0]:
            worst = max(worst, (min(took, _once(call, text)), how))
    return worst


def _once(call: Callable[[str], object], text: str) -> float:
    began = time.thread_time_ns()
    with contextlib.suppress(ValueError, TypeError, LookupError, AttributeError):
        call(text)
    return (time.thread_time_ns() - began) / 1e6


def figures(quick: bool) -> Iterator[Row]:
    found = scanners()
    names = SOME if quick else sorted(name for name in found if not name.rpartition(".")[2].startswith("_"))
    holds = {name: longest_hold(found[name], UNITS) for name in names}
    name, (took, how) = max(holds.items(), key=lambda item: item[1][0])
    over = sum(hold[0] > LIMIT_MS for hold in holds.values())
    note = f"{name} of {how}; {over} of {len(holds)} over the limit"
    yield Figure(
        "longest hold of the event loop by a scanner, 64 KiB", took, "ms", LIMIT_MS, samples=len(UNITS), note=note
    )


BENCHES = (Bench("hold", "for how long a scanner holds the event loop", 15, 8, figures),)
