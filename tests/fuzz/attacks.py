"""Each hostile thing at each place under each verb, in a process of its own that is watched.

Wrong is: no end in time, too much of a processor, a traceback or a crash report, an end that no verb has, a control
character or another file's content in what is said, an error that does not name the place, a pipe or a device opened
in a way that waits, and anything outside of its own directories opened or changed.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import resource
import select
import shutil
import signal
import stat
import sys
import tempfile
import traceback
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import clawtop
from clawtop import crash
from clawtop.cli.main import run
from clawtop.store.place import temporary
from tests.fuzz.hostile_places import (
    DATABASES,
    FILES,
    FOLLOWED,
    LINKED,
    MAY_LINK_DATABASES,
    NEEDS_ROOT,
    PRECIOUS,
    READABLE_FOLDERS,
    THINGS,
    VERBS,
    WRITES_THERE,
    Put,
    World,
    made_of_databases,
    made_of_files,
    outside_made,
    put,
)
from tests.support.hostile import hidden_in

ENDS = {0, 1, 2, 3, 4, 5, 64}
MOST_CPU_S = 20
MOST_WALL_S = 120.0
"""Of a loaded machine; alone, the slowest takes a few seconds."""

MOST_BYTES = 4 << 30
MOST_WRITTEN = 64 << 20
BROKE = 99

WORDS = {
    "files": {"PROFILE": "fakeai:one", "PROVIDER": "fakeai", "SESSION": "agent:main:main", "FREE": "agent:main:x"},
    "databases": {"PROFILE": "fakeai:one", "PROVIDER": "fakeai", "SESSION": "agent:main:main", "FREE": "agent:main:x"},
}
"""World -> what stands for the words of a verb."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One combination. `place` is a name of `FILES` or `DATABASES`."""

    world: str
    place: str
    thing: Put
    verb: str

    def __str__(self) -> str:
        return f"{self.thing.__name__} at {self.place} ({self.world}): {self.verb}"

    @property
    def may_link(self) -> bool:
        """Whether the operator may have made a link there."""
        named = self.verb in WRITES_THERE
        return named or self.place in (LINKED if self.world == "files" else MAY_LINK_DATABASES)


def attacks(*, root: bool, seed: int = 0) -> list[Attack]:
    """All, in an order that has nothing to do with their names, so that a part of them is a part of every kind; each
    seed has an order of its own."""
    everything = [
        Attack(world, place, thing, verb)
        for world, places in (("files", FILES), ("databases", DATABASES))
        for place in places
        for thing in THINGS
        if root or thing.__name__ not in NEEDS_ROOT
        for verb in VERBS
    ]
    return sorted(everything, key=lambda attack: zlib.crc32(f"{attack}{seed or ''}".encode()))


class Arena:
    """Where attacks are carried out, one after the other: each on a fresh copy of its world, at the same path."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._outside = folder / "outside"
        self._case = folder / "case"
        outside_made(self._outside)
        self._before = _tree(self._outside)
        self._seeds: dict[str, Path] = {}
        makers: Mapping[str, Callable[[World], None]] = {"files": made_of_files, "databases": made_of_databases}
        for name, make in makers.items():
            self._case.mkdir()
            make(self._world)
            self._seeds[name] = folder / f"seed of {name}"
            self._case.rename(self._seeds[name])
        load_everything()
        self._usual: dict[tuple[str, str], int] = {}

    @property
    def _world(self) -> World:
        return World(self._case, self._outside)

    def wrong(self, attack: Attack) -> list[str]:
        """What is not as it should be."""
        shutil.copytree(self._seeds[attack.world], self._case, symlinks=True)
        try:
            place = self._place(attack)
            put(attack.thing, place, self._world)
            found = list(self._judged(attack, place))
        finally:
            _removed(self._case)
        after = _tree(self._outside)
        if after != self._before:
            found.append(f"outside was changed: {sorted(set(after.items()) ^ set(self._before.items()))}")
            shutil.rmtree(self._outside)
            outside_made(self._outside)
            self._before = _tree(self._outside)
        return [f"{attack}: {why}" for why in found]

    def _place(self, attack: Attack) -> Path:
        pattern = (FILES if attack.world == "files" else DATABASES)[attack.place]
        found = sorted(self._case.glob(pattern)) if "*" in pattern else []
        return found[0] if found else self._case / pattern.replace("*", "1")

    def _hides_nothing(self, attack: Attack, place: Path) -> bool:
        """Whether what was there is gone and the place can be read: then it is true that there is none."""
        before = self._seeds[attack.world] / place.relative_to(self._case)
        return attack.thing.__name__ in READABLE_FOLDERS and before.is_dir()

    def _usual_end(self, attack: Attack) -> int:
        """The exit code of the verb where nothing hostile is."""
        key = (attack.world, attack.verb)
        if key not in self._usual:
            aside = self._case.with_name("aside")
            self._case.rename(aside)
            shutil.copytree(self._seeds[attack.world], self._case, symlinks=True)
            self._usual[key] = self._run(attack, self._place(attack)).code
            _removed(self._case)
            aside.rename(self._case)
        return self._usual[key]

    def _run(self, attack: Attack, place: Path) -> Outcome:
        names = {**WORDS[attack.world], "PLACE": str(place)}
        argv = [names.get(word, word.replace("ROOT", str(self._case))) for word in VERBS[attack.verb]]
        return watched(argv, self._world, self._folder)

    def _judged(self, attack: Attack, place: Path) -> Iterator[str]:
        outcome = self._run(attack, place)
        if outcome.why_killed:
            yield outcome.why_killed
        elif outcome.code not in ENDS:
            yield f"ended with {outcome.code}: {outcome.errors[-600:]}"
        elif outcome.code and not (
            outcome.code == self._usual_end(attack) or _names(place, outcome) or self._hides_nothing(attack, place)
        ):
            yield f"ended with {outcome.code} and does not name {place}: {(outcome.errors or outcome.output)[-600:]}"
        if outcome.cpu_s > MOST_CPU_S / 2:
            yield f"took {outcome.cpu_s:.1f} s of a processor"
        for what, text in (("output", outcome.output), ("errors", outcome.errors)):
            if "Traceback" in text:
                yield f"a traceback in the {what}: {text[-600:]}"
            if hidden := [char for char in hidden_in(text) if char != "\t"]:
                yield f"control characters in the {what}: {hidden}"
            if PRECIOUS in text:
                yield f"another file's content in the {what}"
        for opened in outcome.opened:
            if opened.startswith("outside ") and attack.may_link and attack.thing.__name__ in FOLLOWED:
                continue
            yield opened


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one process did. `opened`: what it must not have opened so."""

    code: int
    output: str
    errors: str
    cpu_s: float
    opened: tuple[str, ...]
    why_killed: str


def _names(place: Path, outcome: Outcome) -> bool:
    """Whether what was said names the place, or what it is in."""
    text = "".join((outcome.errors + outcome.output).split())
    return any("".join(str(part).split()) in text for part in (place.name, place, place.parent, place.parent.parent))


def watched(argv: list[str], world: World, folder: Path) -> Outcome:
    """Run clawtop with `argv` in a child of this process."""
    names = [folder / name for name in ("output", "errors", "opened")]
    files = [os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600) for name in names]
    pid = os.fork()
    if pid == 0:
        _child(argv, world, files)
    why = _waited(pid)
    _, status, usage = os.wait4(pid, 0)
    for descriptor in files:
        os.close(descriptor)
    output, errors, opened = (name.read_text(encoding="utf-8", errors="surrogateescape") for name in names)
    code = os.waitstatus_to_exitcode(status)
    if not why and code in {-signal.SIGXCPU, -signal.SIGKILL}:
        why = f"took more than {MOST_CPU_S} s of a processor"
    return Outcome(
        code, output, errors, usage.ru_utime + usage.ru_stime, tuple(dict.fromkeys(opened.splitlines())), why
    )


def _waited(pid: int) -> str:
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if poll.poll(MOST_WALL_S * 1000):
            return ""
        where = Path(f"/proc/{pid}/wchan").read_text() if Path(f"/proc/{pid}/wchan").exists() else "?"
        os.kill(pid, signal.SIGKILL)
        return f"did not end within {MOST_WALL_S:.0f} s ({where})"
    finally:
        os.close(descriptor)


def _child(argv: list[str], world: World, files: list[int]) -> None:
    code = BROKE
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, descriptor in enumerate(files[:2], 1):
            os.dup2(descriptor, number)
        sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", errors="surrogateescape") for number in (1, 2))  # noqa: SIM115, PTH123
        resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S + 1))
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
        resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_WRITTEN, MOST_WRITTEN))
        environment = world.environment()
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(world.root / "tmp" if (world.root / "tmp").is_dir() else world.root)
        temporary.SYSTEM = world.root / "system"
        crash._written.clear()
        tempfile.tempdir = None
        sys.addaudithook(_Watch(world, files[2]))
        code = run(argv)
        sys.stdout.flush()
        sys.stderr.flush()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:  # noqa: BLE001 - it is what is looked for
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code & 0xFF)


class _Watch:
    """An audit hook that writes down what must not be opened so."""

    def __init__(self, world: World, log: int) -> None:
        self._world, self._log = world, log
        self._harmless = {Path(path).stat().st_rdev for path in ("/dev/null", "/dev/urandom", "/dev/random")}

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, str | bytes) and isinstance(flags, int):
                self._opened(os.fsdecode(path), flags)
        elif event in {"os.listdir", "os.scandir", "sqlite3.connect"} and isinstance(arguments[0], str | bytes):
            self._outside(os.fsdecode(arguments[0]), event)

    def _opened(self, path: str, flags: int) -> None:
        with suppress(OSError, ValueError):
            facts = os.lstat(path) if flags & os.O_NOFOLLOW else os.stat(path)  # noqa: PTH116
            waits = stat.S_ISFIFO(facts.st_mode) or stat.S_ISCHR(facts.st_mode) or stat.S_ISBLK(facts.st_mode)
            if waits and not flags & os.O_NONBLOCK and facts.st_rdev not in self._harmless:
                self._tell(f"opened in a way that waits: {path}")
        if (flags & (os.O_NOFOLLOW | os.O_EXCL)) and os.path.islink(path):  # noqa: PTH114
            return  # the system refuses it
        self._outside(path, "opened")
        made = flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR)
        if made and not os.path.realpath(path).startswith((str(self._world.root), "/dev/", "/proc/")):
            self._tell(f"outside of everything, opened to be written: {path}")

    def _outside(self, path: str, how: str) -> None:
        if os.path.lexists(path) and os.path.realpath(path).startswith(str(self._world.outside)):
            self._tell(f"outside {how}: {path}")

    def _tell(self, text: str) -> None:
        where = " < ".join(
            f"{Path(frame.filename).name}:{frame.lineno}"
            for frame in reversed(traceback.extract_stack(limit=9)[:-3])
            if "clawtop" in frame.filename
        )
        os.write(self._log, f"{text} at {where}\n".encode("utf-8", "surrogateescape"))


def load_everything() -> None:
    """Import what verbs import when they run, so that each child has it."""
    for module in pkgutil.walk_packages(clawtop.__path__, "clawtop."):
        if not module.name.startswith(("clawtop.ui", "clawtop.demo", "clawtop.__main__")):
            importlib.import_module(module.name)


def _tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything below: its mode, when it was changed, its content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        facts = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(facts.st_mode) else b""
        found[str(path.relative_to(folder))] = (facts.st_mode, facts.st_mtime_ns, content)
    return found


def _removed(folder: Path) -> None:
    """rmtree fails on folders that are closed, or nested deeper than a path is long."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        for path, _, _ in os.walk(folder):
            with suppress(OSError):
                Path(path).chmod(0o700)
        shutil.rmtree(folder)
