"""Every file system call of each operation answers once with each error, and once is the last thing that happens.

python -m tests.faults            as many as 60 s allow, spread over the calls
python -m tests.faults --long     every fault at every call
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path

from clawtop import stopping
from clawtop.errors import ClawtopError
from clawtop.store.own import presence
from tests.faults.seam import MODES, Seam
from tests.faults.sqlite_seam import DatabaseSeam
from tests.faults.work import WORKS, Work, lock_wrong, make

DONE, REFUSED, BROKE = 0, 1, 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--long", action="store_true", help="every fault at every call")
    parser.add_argument("--seconds", type=float, default=60.0, help="for the short form (default: 60)")
    parser.add_argument("--only", metavar="OPERATION", help=f"one of: {', '.join(WORKS)}")
    args = parser.parse_args()
    began, tried, bad = time.monotonic(), Counter[str](), []
    with tempfile.TemporaryDirectory() as folder:
        seeds = {name: _seed(Path(folder), name, work) for name, work in WORKS.items() if args.only in {None, name}}
        for number, (name, mode, at) in enumerate(_cases(seeds, every=args.long)):
            if not args.long and time.monotonic() - began > args.seconds:
                break
            tried[mode] += 1
            bad += [
                f"{name}: {mode} at call {at} ({seeds[name][1][at - 1]}): {why}"
                for why in _try(WORKS[name], seeds[name][0], Path(folder) / f"case{number}", mode, at)
            ]
    calls = {name: len(made) for name, (_, made) in seeds.items()}
    print(f"calls: {calls}")
    print(f"faults: {sum(tried.values())} {dict(tried)} in {time.monotonic() - began:.0f} s; wrong: {len(bad)}")
    print("\n".join(bad))
    return 1 if bad or not tried else 0


def _seed(folder: Path, name: str, work: Work) -> tuple[Path, list[str]]:
    """A state directory, and the calls that the operation makes there."""
    root = folder / name.replace(" ", "-")
    root.mkdir()
    state = make(root, work)
    trial = folder / "trial" / state.name
    shutil.copytree(state, trial, symlinks=True)
    log = folder / "calls.json"
    pid = os.fork()
    if pid == 0:
        seam = (DatabaseSeam if work.database else Seam)(trial)
        seam.install()
        work.do(trial)
        calls = list(seam.calls)
        log.write_text(json.dumps(calls))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0, name
    shutil.rmtree(trial.parent)
    return state, json.loads(log.read_text())


def _cases(seeds: dict[str, tuple[Path, list[str]]], *, every: bool) -> list[tuple[str, str, int]]:
    """(operation, mode, call), the kinds mixed, so that a part of them is a part of each kind."""
    cases = [
        (name, mode, at)
        for name, (_, calls) in seeds.items()
        for at, call in enumerate(calls, 1)
        for mode in MODES
        if mode != "short" or "write" in call
    ]
    return cases if every else sorted(cases, key=lambda case: hash_of(*case))


def hash_of(name: str, mode: str, at: int) -> int:
    """The same order everywhere, that has nothing to do with the names."""
    return zlib.crc32(f"{at}{mode}{name}".encode())


def _try(work: Work, seed: Path, root: Path, mode: str, at: int) -> list[str]:
    state = root / seed.name
    shutil.copytree(seed, state, symlinks=True)
    pid = os.fork()
    if pid == 0:
        os._exit(_child(work, state, mode, at))
    wrong: list[str] = []
    if mode == "SIGSTOP":
        os.waitpid(pid, os.WUNTRACED)
        wrong += lock_wrong(state, pid, stopped=True)
        os.kill(pid, signal.SIGCONT)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    killed = code == -signal.SIGKILL
    if code == BROKE:
        wrong.append((root / "why").read_text())
    elif killed:
        wrong += [why for why in work.wrong(seed, state, False) if not why.startswith("said failed")]
        wrong += lock_wrong(state, pid, stopped=False)
    else:
        wrong += work.wrong(seed, state, code == DONE)
        wrong += [f"{path.name} was left" for path in state.rglob("*.tmp")]
    if work.again is not None:
        wrong += _again(work, state)
    shutil.rmtree(root)
    return wrong


def _child(work: Work, state: Path, mode: str, at: int) -> int:
    presence._presences.clear()
    (DatabaseSeam if work.database else Seam)(state, mode, at).install()
    why = state.parent / "why"
    try:
        work.do(state)
    except (ClawtopError, OSError) as error:
        told = str(error)
        if isinstance(error, ClawtopError) and not (error.title and (error.unchanged or error.hint or "/" in told)):
            why.write_text(f"the message does not say what was not done: {told}")
            return BROKE
        return REFUSED
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is reported
        why.write_text(f"{type(error).__name__}: {error}")
        return BROKE
    from clawtop.store.locks.openclaw import all_released

    released = all_released(5)
    if released and stopping._state.held:
        why.write_text(f"counts as holding what it has released: {list(stopping._state.held)}")
        return BROKE
    return DONE if released else REFUSED


def _again(work: Work, state: Path) -> list[str]:
    """Whoever comes later can do the same."""
    assert work.again is not None
    pid = os.fork()
    if pid == 0:
        presence._presences.clear()
        try:
            work.again(state)
        except BaseException as error:  # noqa: BLE001 - as above
            (state.parent / "why").write_text(f"{type(error).__name__}: {error}")
            os._exit(BROKE)
        os._exit(DONE)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != DONE:
        return [f"the next one fails: {(state.parent / 'why').read_text()}"]
    return []


if __name__ == "__main__":
    sys.exit(main())
