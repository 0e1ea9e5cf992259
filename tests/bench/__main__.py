"""Every benchmark, one after the other: python -m tests.bench [name ...]. Exit 1 when one is below its target."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(wanted: list[str]) -> int:
    names = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    unknown = set(wanted) - set(names)
    if unknown:
        print(f"no such benchmark: {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
        return 64
    below = []
    for name in wanted or names:
        print(f"== {name}", flush=True)
        if subprocess.run(
            [sys.executable, "-m", f"tests.bench.bench_{name}"], cwd=HERE.parent.parent, check=False
        ).returncode:
            below.append(name)
    print(f"below target: {', '.join(below)}" if below else "all targets met")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
