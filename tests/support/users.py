"""clawtop run by other users, and gateways of other users: `python -m tests.support.users` with a `Spec` on its input.

Root's Python cannot be started by others where only root can read it. So everything is imported first, and each run is
a fork that then becomes its user.
"""

from __future__ import annotations

import contextlib
import ctypes
import encodings.idna  # noqa: F401 - for a socket, which would import it as another user
import importlib
import json
import os
import pkgutil
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypedDict

from clawtop.cli.main import run
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.place import temporary

PR_SET_DUMPABLE = 4
ROOT = Path(__file__).resolve().parents[2]


class Run(TypedDict):
    """One run of clawtop: by this user, in this environment."""

    uid: int
    argv: list[str]
    env: dict[str, str]


class Spec(TypedDict):
    """What to do. `system`: stands for /tmp. `gateway`: who listens, the lock that it writes, the configuration that
    this names, and the file for what it hears; None: nobody listens.
    """

    system: str
    runs: list[Run]
    gateway: tuple[int, str, str, str] | None


class Said(TypedDict):
    """How a run ended."""

    code: int
    text: str


def done_by(spec: Spec) -> list[Said]:
    """Carry it out in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.users"],
        input=json.dumps(spec),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    found: list[Said] = json.loads(done.stdout)
    return found


def given(path: Path, uid: int) -> None:
    """Give this and everything below it to a user."""
    for each in (path, *path.rglob("*")):
        os.chown(each, uid, uid, follow_symlinks=False)


def replaced_by_link(path: Path, target: Path, uid: int) -> None:
    """What a user does who puts a link in the place of what is theirs."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.symlink_to(target)
    os.chown(path, uid, uid, follow_symlinks=False)


def _main() -> None:
    import psutil  # noqa: F401 - as above

    from tests.fuzz.attacks import load_everything

    spec: Spec = json.load(sys.stdin)
    load_everything()
    _load_lazy_parts("anyio")
    temporary.SYSTEM = Path(spec["system"])
    gateway = None if spec["gateway"] is None else _gateway(*spec["gateway"])
    try:
        json.dump([_run(one) for one in spec["runs"]], sys.stdout)
    finally:
        if gateway is not None:
            os.kill(gateway, signal.SIGKILL)
            os.waitpid(gateway, 0)


def _load_lazy_parts(package: str) -> None:
    """Import what this package would import with its first use, as another user."""
    place = importlib.import_module(package).__path__
    for module in pkgutil.walk_packages(place, f"{package}.", onerror=lambda _name: None):
        with contextlib.suppress(ImportError):  # for an optional library, or for Windows
            importlib.import_module(module.name)


def _run(one: Run) -> Said:
    reads, writes = os.pipe()

    def work() -> int:
        for number in (1, 2):
            os.dup2(writes, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
        os.environ.clear()
        os.environ.update(one["env"])
        code = run(one["argv"])
        sys.stdout.flush()
        sys.stderr.flush()
        return code

    pid = _as(one["uid"], work)
    os.close(writes)
    with open(reads, "rb") as said:  # noqa: PTH123 - a descriptor
        text = said.read()
    return Said(code=os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text=text.decode(errors="replace"))


def _gateway(uid: int, lock: str, config: str, heard: str) -> int:
    """The pid of a process of this user that stands in a gateway's lock, once it listens."""

    def work() -> int:
        with socket.create_server(("127.0.0.1", 0)) as server:
            ticks = SystemProcesses().look(os.getpid()).start_ticks
            facts: dict[str, Any] = {
                "pid": os.getpid(),
                "createdAt": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
                "configPath": config,
                "startTime": ticks,
                "port": server.getsockname()[1],
            }
            Path(lock).parent.mkdir(exist_ok=True)
            Path(lock).write_text(json.dumps(facts))
            with open(heard, "ab", buffering=0) as log:  # noqa: PTH123 - unbuffered
                log.write(b"listens\n")
                while True:
                    caller, _ = server.accept()
                    log.write(caller.recv(1 << 16))
                    body = b'{"ok":true,"status":"live","ready":true}'
                    head = f"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
                    caller.sendall(head.encode() + body)
                    caller.close()

    pid = _as(uid, work)
    while not Path(heard).exists():
        if os.waitpid(pid, os.WNOHANG)[0]:
            raise RuntimeError("the gateway did not start")
        time.sleep(0.01)
    return pid


def _as(uid: int, work: Callable[[], int]) -> int:
    pid = os.fork()
    if pid == 0:
        _become(uid, work)
    return pid


def _become(uid: int, work: Callable[[], int]) -> NoReturn:
    code = 99
    try:
        os.chdir("/")
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1)  # as after an exec: its own user may look at it
        code = work()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException as error:  # noqa: BLE001 - reported
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


if __name__ == "__main__":
    _main()
