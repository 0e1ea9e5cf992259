"""How a far clawtop is started: ssh, or any command that runs commands elsewhere.

ssh keeps the operator's own configuration, jump hosts and known hosts; it adds only options that make it safe to run
unattended (no questions) and cheap (one connection per host, its control socket in a private directory).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shlex
import signal
import stat
import tempfile
from asyncio.subprocess import SubprocessStreamProtocol
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from clawtop.clock import Clock
from clawtop.errors import RefusedError, UsageError
from clawtop.fleet.lines import LineBuffer
from clawtop.fleet.protocol import MAX_LINE
from clawtop.patterns import regex
from clawtop.text import safe
from clawtop.values import dataclass

PLACEHOLDER = "{host}"
MAX_STDERR = 4096
CLOSING_S = 1.0
"""How long a command may take to end after its input has ended; then it is killed."""

BURST, BURST_S = 20, 0.02
"""Lines that are taken from one host within so many seconds."""

MAX_CONTROL = 40
"""Bytes of the control directory's path: a socket's has 107, of which ssh takes 40 for `%C` and 17 for a moment."""

_CHUNK = 64 * 1024
_NAME = regex(r"[A-Za-z0-9_][A-Za-z0-9_.@:%\[\]-]{0,252}")


@dataclass(frozen=True, slots=True)
class HostSpec:
    """A host as the operator names it. `transport`: words that run a command there; empty: ssh.

    `options`: options of the far clawtop, such as its `--state-dir`.
    """

    name: str
    transport: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def host_spec(line: str, transport: str | None = None) -> HostSpec:
    """A host from `--host`, a line of a hosts file (`NAME [TRANSPORT ...]`) or the configuration.

    Raises UsageError for a name that ssh could take for an option or a shell for words.
    """
    try:
        name, *words = shlex.split(line)
        prefix = tuple(words) or tuple(shlex.split(transport or ""))
    except ValueError as error:
        raise UsageError(f"not a host: {safe(line, 80)}") from error
    if _NAME.fullmatch(name) is None or not line.isprintable():
        raise UsageError(f"not a host's name: {safe(name, 80)}", hint="give it a name in ~/.ssh/config")
    return HostSpec(name, tuple(word.replace(PLACEHOLDER, name) for word in prefix))


def far_command(spec: HostSpec, words: Sequence[str], control: Path | None) -> list[str]:
    """The local command that runs `clawtop WORDS` on the host."""
    far = ["clawtop", *words, *spec.options]
    if spec.transport:
        return [*spec.transport, *far]
    shared = (
        [f"ControlPath={control_path(control, spec.name)}", "ControlMaster=auto", "ControlPersist=60"]
        if control is not None
        else []
    )
    options = ["BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3", *shared]
    return ["ssh", "-T", *(part for option in options for part in ("-o", option)), "--", spec.name, shlex.join(far)]


def control_path(control: Path, name: str) -> str:
    """Where ssh keeps the shared connection of a host.

    `%C` alone is the same for all names of one user, machine and port, and settings of `~/.ssh/config` for the first
    of them (SetEnv, RemoteCommand) would then apply to the others.
    """
    return f"{control}/{hashlib.sha256(name.encode()).hexdigest()[:8]}%C"


def control_directory(environ: Mapping[str, str]) -> Path | None:
    """A private directory for ssh's control sockets, short enough for a socket's path; None where there is none.

    Raises RefusedError if what is there is not private to this user.
    """
    base = Path(environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    directory = base / f"clawtop-ssh-{os.geteuid()}"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        facts = directory.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
        raise RefusedError(
            f"{safe(directory)} is not a private directory of this user", unchanged="no host was contacted"
        )
    return directory if len(str(directory)) <= MAX_CONTROL else None


class Pipe(Protocol):
    """A running far command."""

    longest: int
    """Bytes of the longest line that is taken, MAX_LINE at first; a line that is waited for already obeys it too."""

    async def read_line(self) -> bytes:
        """The next line that is not blank, without its end; b"" at the end of the stream.

        Raises ProtocolError beyond `longest` bytes.
        """

    def write(self, line: bytes) -> None:
        """Send a line. Never waits; a closed pipe is noticed by reading."""

    async def close(self) -> tuple[int | None, str]:
        """End it. Its exit code (None: it had to be killed) and the end of what it printed on stderr."""


class Connect(Protocol):
    """Starts far commands."""

    async def __call__(self, spec: HostSpec, words: Sequence[str]) -> Pipe:
        """Start `clawtop WORDS` on the host. Raises OSError when the command cannot be started here."""


class CommandTransport:
    """Far commands as processes of their own, each in its own session, so that Ctrl-C here does not reach them."""

    def __init__(self, control: Path | None, clock: Clock) -> None:
        self._control = control
        self._clock = clock

    async def __call__(self, spec: HostSpec, words: Sequence[str]) -> Pipe:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(
            lambda: _ProcessProtocol(loop),
            *far_command(spec, words, self._control),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        return ProcessPipe(
            asyncio.subprocess.Process(transport, protocol, loop), transport, protocol.exited, self._clock
        )


class _ProcessProtocol(SubprocessStreamProtocol):
    """Tells when the process itself has ended, whoever else has its pipes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=_CHUNK, loop=loop)
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        self.exited.set()
        super().process_exited()


class ProcessPipe:
    """One process. Its lines are split by `LineBuffer`, so that no host can fill the memory with one."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        transport: asyncio.SubprocessTransport,
        exited: asyncio.Event,
        clock: Clock,
    ) -> None:
        self.longest = MAX_LINE
        self._process = process
        self._transport = transport
        self._exited = exited
        self._clock = clock
        self._lines = LineBuffer()
        self._taken, self._began = 0, 0.0
        self._said = bytearray()
        self._listening = asyncio.create_task(self._listen())

    async def read_line(self) -> bytes:
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101 - asked for above
        await self._rest_if_flooded()
        while (line := self._lines.next_line(self.longest)) is None:
            chunk = await stdout.read(_CHUNK)
            if not chunk:
                return self._lines.last()
            self._lines.feed(chunk)
        self._taken += 1
        return line

    async def _rest_if_flooded(self) -> None:
        """A host that never stops talking is heard as fast as `BURST` allows, and takes no time from the others."""
        if self._taken == BURST:
            await self._clock.sleep(max(0.0, self._began + BURST_S - self._clock.monotonic()))
            self._taken = 0
        if self._taken == 0:
            self._began = self._clock.monotonic()

    def write(self, line: bytes) -> None:
        stdin = self._process.stdin
        if stdin is not None and not stdin.is_closing():
            with contextlib.suppress(OSError, RuntimeError):
                stdin.write(line)

    async def close(self) -> tuple[int | None, str]:
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        code: int | None = None
        try:
            async with self._clock.timeout(CLOSING_S):
                code = await process.wait()
        except TimeoutError:
            code = process.returncode
            self._kill()
            with contextlib.suppress(TimeoutError):  # it is asyncio's to collect: closing would take it away
                async with self._clock.timeout(CLOSING_S):
                    await self._exited.wait()
            self._transport.close()  # ssh's shared connection has our pipes too, and may keep them open
            await process.wait()
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        return code, self._said.decode("utf-8", "replace")

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _listen(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None  # noqa: S101 - asked for above
        while chunk := await stderr.read(1024):
            self._said += chunk
            del self._said[:-MAX_STDERR]
