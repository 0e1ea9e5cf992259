"""`python -m tests.mutants`: seed one bug after the other into a copy of the package; its named tests must fail.

python -m tests.mutants                 every bug; exit 1 when one survives or a pattern does not apply
python -m tests.mutants -k lock         those whose name contains the word
python -m tests.mutants --jobs 2        this many at a time
python -m tests.mutants --killers       also print which test caught each
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.table import MUTANTS, PARTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 240
CAUGHT, PASSED = 1, 0
"""Exit codes of pytest. Any other (nothing collected, an interrupted run) is no verdict."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a seeded bug. `killer`: the first test that failed."""

    mutant: Mutant
    caught: bool
    how: str
    killer: str = ""


def places(mutant: Mutant, package: Path) -> list[Path]:
    """The files of the package in which the pattern stands, once for each time."""
    return [path for path in sorted(package.rglob("*.py")) for _ in range(path.read_text().count(mutant.old))]


def judge(mutant: Mutant, copy: Path) -> Outcome:
    """Seed the bug into this copy, run its tests, and take it out again."""
    found = places(mutant, copy / "clawtop")
    if len(found) != 1:
        return Outcome(mutant, caught=False, how=f"the pattern stands {len(found)} times in the package, not once")
    path, original = found[0], found[0].read_text()
    path.write_text(original.replace(mutant.old, mutant.new))
    try:
        code, out = run_tests(copy, mutant.caught_by)
    finally:
        path.write_text(original)
    if code == CAUGHT:
        return Outcome(mutant, caught=True, how="caught", killer=killer_in(out))
    return Outcome(
        mutant, caught=False, how="SURVIVED" if code == PASSED else f"no verdict (exit {code}):\n{out[-2000:]}"
    )


def run_tests(copy: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Exit code and output of these tests against the copy. A run that hangs was not caught by an assertion: -9.

    No bytecode is written: a bug that is as long as what it replaces would be hidden by that of a second ago.
    """
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "--timeout", "60", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return -9, "the tests did not end"
    return done.returncode, done.stdout + done.stderr


def killer_in(out: str) -> str:
    match = re.search(r"^(?:FAILED|ERROR) (\S+::\w+)", out, re.MULTILINE)
    return match[1] if match else "a collection error"


def make_copy(parent: Path, number: int) -> Path:
    """The checkout's package and tests, in a directory of their own."""
    copy = parent / str(number)
    copy.mkdir()
    skip = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("clawtop", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=skip, symlinks=True)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy2(ROOT / name, copy / name)
    return copy


def listed(mutants: Sequence[Mutant]) -> Iterator[str]:
    """The bugs by the promise or the part that each breaks."""
    titles = dict(re.findall(r"^## (\d+)\. (.+)$", (ROOT / "clawtop/docs/invariants.md").read_text(), re.MULTILINE))
    for broken in (*map(int, titles), *PARTS):
        found = [mutant for mutant in mutants if broken in mutant.breaks]
        yield f"{broken}{f'. {titles[str(broken)]}' if isinstance(broken, int) else ''}: {len(found)}"
        for mutant in found:
            yield f"    {mutant.name}  <- {', '.join(mutant.caught_by)}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("-k", metavar="WORD", default="", help="only bugs whose name contains WORD")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="bugs at a time (default: one a core)")
    parser.add_argument("--killers", action="store_true", help="print which test caught each")
    parser.add_argument("--list", action="store_true", help="only name them, by what each breaks, and the tests")
    args = parser.parse_args()
    if args.list:
        print(*listed(MUTANTS), sep="\n")
        return 0
    chosen = [mutant for mutant in MUTANTS if args.k in mutant.name]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="clawtop-mutants-") as parent:
        free = [make_copy(Path(parent), number) for number in range(max(1, args.jobs))]
        named = sorted({test for mutant in chosen for test in mutant.caught_by})
        code, out = run_tests(free[0], named)
        if code != PASSED:
            print(f"the tests fail without any seeded bug:\n{out[-3000:]}")
            return 1

        def one(mutant: Mutant) -> Outcome:
            copy = free.pop()
            try:
                return judge(mutant, copy)
            finally:
                free.append(copy)

        survivors = 0
        with ThreadPoolExecutor(len(free)) as pool:
            for outcome in pool.map(one, chosen):
                survivors += not outcome.caught
                killer = f"  <- {outcome.killer}" if args.killers and outcome.killer else ""
                print(f"{outcome.how:<8} {outcome.mutant.name}{killer}", flush=True)
    seconds = time.monotonic() - began
    print(f"{len(chosen)} seeded bugs, {len(chosen) - survivors} caught, {survivors} not, in {seconds:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
