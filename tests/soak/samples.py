"""What a process takes, sampled over time, and whether that grows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

WARM_UP = 0.4
"""This part of the samples, the first ones, is not judged: caches fill."""


@dataclass(frozen=True)
class Sample:
    """What a process has at one moment. `tasks`: of its event loop; 0: not counted at that moment."""

    rss_kb: int
    descriptors: int
    threads: int
    tasks: int = 0


def sample(pid: int, tasks: int = 0) -> Sample:
    """Of a living process (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    descriptors = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names only
    return Sample(int(facts["VmRSS"].split()[0]), descriptors, int(facts["Threads"]), tasks)


def growth(values: Sequence[float]) -> float:
    """How much a straight line through the values, warm-up left out, rises from its beginning to its end."""
    judged = values[round(len(values) * WARM_UP) :]
    count = len(judged)
    if count < 2:
        return 0.0
    middle, mean = (count - 1) / 2, sum(judged) / count
    slope = sum((at - middle) * (value - mean) for at, value in enumerate(judged))
    return slope / sum((at - middle) ** 2 for at in range(count)) * (count - 1)


def last_hour(samples: Sequence[Sample]) -> Verdict:
    """Of samples of a whole day: how much more memory the last hour takes than the first; a tenth is allowed."""
    hour = max(1, round(len(samples) / 24))
    first, last = (sum(one.rss_kb for one in part) / len(part) for part in (samples[:hour], samples[-hour:]))
    return Verdict("last hour", first, last, last - first, first / 10)


@dataclass(frozen=True)
class Verdict:
    """How much something rose, and how much it may."""

    what: str
    first: float
    last: float
    grew: float
    allowed: float

    @property
    def flat(self) -> bool:
        return self.grew <= self.allowed

    def line(self) -> str:
        word = "flat" if self.flat else "GROWS"
        return f"  {self.what:<12} {self.first:>10.0f} -> {self.last:>10.0f}   slope {self.grew:+9.1f}   {word}"


def judged(samples: Sequence[Sample], rss_kb: float = 4096) -> list[Verdict]:
    """The verdict on everything that was sampled. `rss_kb`: how much memory may rise over the judged part."""
    allowed = {"rss_kb": rss_kb, "descriptors": 2.0, "threads": 2.0, "tasks": 2.0}
    found = []
    for what, most in allowed.items():
        counted = [one for one in samples if what != "tasks" or one.tasks] or samples[:1]
        values = [float(getattr(one, what)) for one in counted]
        found.append(Verdict(what, values[0], values[-1], growth(values), most))
    return found
