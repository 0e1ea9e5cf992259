"""Hosts that go wrong in every way at once: each is named, none holds up another, what they send stays harmless."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from clawtop.clock import SystemClock
from clawtop.core.fleet.hosts import Host, HostLink
from clawtop.errors import OperationFailedError
from clawtop.fleet.fleet import Fleet
from clawtop.fleet.near import GREETING_S
from clawtop.fleet.places import AT_ONCE, TURN_S
from clawtop.fleet.remote import RemoteOperations
from clawtop.fleet.transport import BURST, BURST_S, CommandTransport, HostSpec, Pipe, host_spec
from clawtop.view.fleet_rows import plain_lines, report
from clawtop.view.line import text_of
from tests.fleet.far_hosts import container_command, has_sshd, ssh_hosts
from tests.fleet.test_near import HELLO, FakePipe
from tests.fleet.test_real_hosts import Cutting
from tests.support.clocks import ManualClock, settle
from tests.support.samples import copy, sample
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

LOUD = "head -c 3000000 /dev/zero | tr '\\0' y"
ESCAPES = r"printf '\033]0;owned\007\033[2J%s\n' welcome; sleep 1000"
BAD: dict[str, tuple[str, str]] = {
    "hangs": ("sleep 1000", ""),
    "talks": (f"{LOUD}; sleep 1000", "something other"),
    "noise": ("head -c 200000 /dev/urandom; sleep 1000", "something other"),
    "escapes": (ESCAPES, ""),
    "dies": ("exit 7", "no clawtop answered"),
    "asks": ("echo 'root@asks: Permission denied (publickey,password).' >&2; exit 255", "password"),
    "missing": ("echo 'sh: 1: clawtop: not found' >&2; exit 127", "not installed"),
    "nested": ("""awk 'BEGIN{for(i=0;i<90000;i++)printf "["; print ""}'; sleep 1000""", "something other"),
    "blank": ("yes '' | head -c 100000; sleep 1000", "something other"),
    "blank-live": (
        """echo '{"clawtop_stream":2,"clawtop":"1","host":"h","state_dir":"/s","at":1}'
        yes '' | head -c 9999999; sleep 1000""",
        "something other",
    ),
    "lies": ("""echo '{"clawtop_stream":2,"clawtop":7,"host":[],"state_dir":null,"at":"soon"}'; exit 0""", ""),
    "newer": (
        """echo '{"clawtop_stream":9,"clawtop":"9.9","host":"h","state_dir":"/s","at":1}'; sleep 1000""",
        "newer",
    ),
}
"""Host -> what its command does, and what is said of it; "" where it is still waited for."""


def bad_specs() -> list[HostSpec]:
    return [HostSpec(name, ("sh", "-c", what, "sh")) for name, (what, _) in BAD.items()]


@asynccontextmanager
async def running(fleet: Fleet) -> AsyncIterator[None]:
    task = asyncio.create_task(fleet.run(lambda _hosts: None))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def by_name(fleet: Fleet) -> dict[str, Host]:
    return {host.name: host for host in fleet.hosts}


async def test_bad_hosts_are_named_and_a_good_one_beside_them_is_live(tmp_path: Path) -> None:
    state = copy(sample("2026.5.20", "healthy"), tmp_path / "states").state_dir
    good = host_spec("good", container_command(tmp_path, {"good": state}))
    fleet = Fleet([*bad_specs(), good], CommandTransport(None, SystemClock()), SystemClock(), at_once=4)
    told = {name: words for name, (_, words) in BAD.items() if words}
    async with running(fleet):
        await until(lambda: by_name(fleet)["good"].summary is not None)
        await until(lambda: all(by_name(fleet)[name].link is HostLink.UNREACHABLE for name in told))
        hosts = by_name(fleet)
        assert {name: words in hosts[name].why for name, words in told.items()} == dict.fromkeys(told, True)
        assert hosts["hangs"].link is HostLink.CONNECTING
        assert hosts["good"].link is HostLink.LIVE
        shown = "\n".join(text_of(line) for line in plain_lines(fleet.hosts, 0, 200)) + str(report(fleet.hosts, 0))
        assert not any(ord(char) < 32 and char != "\n" for char in shown)


async def test_two_fleets_watch_the_same_hosts(tmp_path: Path) -> None:
    state = copy(sample("2026.5.20", "healthy"), tmp_path / "states").state_dir
    spec = host_spec("good", container_command(tmp_path, {"good": state}))
    first, second = (Fleet([spec], CommandTransport(None, SystemClock()), SystemClock()) for _ in range(2))
    async with running(first), running(second):
        await until(lambda: all(fleet.hosts[0].summary is not None for fleet in (first, second)))


async def test_a_command_whose_pipes_outlive_it_is_ended_in_time_and_none_stays_open_here() -> None:
    """As with ssh's shared connection: another process has the pipes, and keeps them open."""
    ours = _descriptors()
    pipe = await CommandTransport(None, SystemClock())(
        HostSpec("h", ("sh", "-c", "setsid sleep 1000 & echo $!; exec sleep 1000", "sh")), ("stream",)
    )
    survivor = int(await pipe.read_line())
    await until(lambda: os.getsid(survivor) == survivor)  # before that it ends with the others
    try:
        async with asyncio.timeout(30):
            code, _said = await pipe.close()
        assert code is None
        await until(lambda: _descriptors() <= ours, 30)
    finally:
        os.kill(survivor, 9)


def _descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


async def test_a_host_that_never_stops_talking_is_heard_slowly_and_leaves_the_loop_to_others() -> None:
    clock = ManualClock()
    pipe = await CommandTransport(None, clock)(HostSpec("h", ("sh", "-c", "yes '{}'", "sh")), ("stream",))
    for _ in range(BURST):
        assert await pipe.read_line() == b"{}"
    next_line = asyncio.create_task(pipe.read_line())
    await settle()
    assert not next_line.done(), "the rest of what came waits"
    await clock.advance(BURST_S)
    assert await next_line == b"{}"
    await _with_time(clock, pipe.close())


async def test_a_command_that_is_killed_is_collected_by_who_started_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else asyncio writes about an unknown child on the operator's terminal."""
    kill = os.killpg

    def killed(pid: int, number: int) -> None:
        kill(pid, number)
        with contextlib.suppress(ChildProcessError):  # asyncio's thread was quicker
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    monkeypatch.setattr(os, "killpg", killed)
    pipe = await CommandTransport(None, SystemClock())(
        HostSpec("h", ("sh", "-c", "exec sleep 1000", "sh")), ("stream",)
    )
    await pipe.close()
    assert caplog.records == []


async def test_a_host_that_dies_in_an_operation_is_not_asked_twice() -> None:
    asked: list[tuple[str, ...]] = []
    real = CommandTransport(None, SystemClock())

    async def connect(spec: HostSpec, words: Sequence[str]) -> Pipe:
        asked.append(tuple(words))
        what = """echo '{"plan":{"fingerprint":"f"}}'""" if "--dry-run" in words else "kill -9 $$"
        return await real(HostSpec(spec.name, ("sh", "-c", what, "sh")), words)

    clock = ManualClock()
    operations = RemoteOperations(HostSpec("h"), connect, clock, who="ann")
    plan = await _with_time(clock, operations.plan(["clear", "p:one"]))
    with pytest.raises(OperationFailedError, match="the connection to h was lost"):
        await _with_time(clock, operations.execute(plan))  # type: ignore[arg-type]
    assert sum(words[0] == "clear" for words in asked) == 2, "the plan, and the one execution"


async def _with_time(clock: ManualClock, work: object) -> object:
    task = asyncio.ensure_future(work)  # type: ignore[call-overload]
    while not task.done():
        await asyncio.sleep(0.02)
        if clock.sleeping and not task.done():
            await clock.advance(0.5)
    return await task


class Silent:
    """Hosts of which some never answer; the others greet at once."""

    def __init__(self, silent: set[str]) -> None:
        self._silent = silent

    async def __call__(self, spec: HostSpec, words: Sequence[str]) -> Pipe:
        pipe = FakePipe()
        if spec.name not in self._silent:
            pipe.say(HELLO)
        return pipe


async def test_two_hundred_hosts_and_a_quarter_of_them_hangs() -> None:
    names = [f"h{number}" for number in range(200)]
    silent = set(names[::4])
    clock = ManualClock()
    fleet = Fleet([HostSpec(name) for name in names], Silent(silent), clock, chance=lambda: 0.0)
    async with running(fleet):
        await clock.advance(TURN_S * (len(silent) / AT_ONCE + 1))
        live = {host.name for host in fleet.hosts if host.link is HostLink.LIVE}
        assert live == set(names) - silent, "those that hang delay nobody for longer than their turns"
        assert TURN_S * (len(silent) / AT_ONCE + 1) < GREETING_S
        await clock.advance(GREETING_S)
        await settle()
        assert {host.name for host in fleet.hosts if host.link is HostLink.UNREACHABLE} == silent


needs_sshd = pytest.mark.skipif(not has_sshd(), reason="needs OpenSSH's server (Debian: openssh-server)")


@needs_sshd
async def test_what_a_real_ssh_refuses_is_said_with_what_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = copy(sample("2026.5.20", "healthy"), tmp_path / "states").state_dir
    root = tmp_path / "ssh"
    with ssh_hosts(root, {"good": state}) as path:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / "other")], check=True)
        port = (root / "known").read_text().partition("]:")[2].split()[0]
        other = " ".join((root / "other.pub").read_text().split()[:2])
        (root / "changed-known").write_text(f"[127.0.0.1]:{port} {other}\n")
        (root / "no-known").write_text("")
        common = f"  HostName 127.0.0.1\n  Port {port}\n  IdentitiesOnly yes\n"
        with (root / "config").open("a") as config:
            config.write(f"Host password\n{common}  IdentityFile {root / 'other'}\n")
            config.write(f"  UserKnownHostsFile {root / 'known'}\n")
            config.write(f"Host changed\n{common}  IdentityFile {root / 'user'}\n")
            config.write(f"  UserKnownHostsFile {root / 'changed-known'}\n")
            config.write(f"Host unknown\n{common}  IdentityFile {root / 'user'}\n")
            config.write(f"  UserKnownHostsFile {root / 'no-known'}\n")
            config.write("Host refuses\n  HostName 127.0.0.1\n  Port 1\n")
        monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")
        names = {
            "password": "password",
            "changed": "changed",
            "unknown": "not known",
            "refuses": "refused",
            "no.such.host.invalid": "resolve",
        }
        fleet = Fleet(
            [HostSpec(name) for name in ("good", *names)], CommandTransport(None, SystemClock()), SystemClock()
        )
        async with running(fleet):
            await until(lambda: all(by_name(fleet)[name].link is HostLink.UNREACHABLE for name in names))
            await until(lambda: by_name(fleet)["good"].summary is not None)
            hosts = by_name(fleet)
            assert {name: words in hosts[name].why for name, words in names.items()} == dict.fromkeys(names, True)
            assert all(hosts[name].hint for name in ("password", "changed", "unknown"))


@needs_sshd
async def test_a_real_sshd_that_hangs_before_its_banner_is_named_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = copy(sample("2026.5.20", "healthy"), tmp_path / "states").state_dir
    with ssh_hosts(tmp_path / "ssh", {"good": state}) as path:
        program = path / "ssh"  # of an option that is given twice ssh takes the first
        program.write_text(program.read_text().replace('"$@"', '-o ConnectTimeout=3 "$@"'))
        monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")
        server = int((tmp_path / "ssh/sshd.pid").read_text())
        os.kill(server, signal.SIGSTOP)
        connect = CommandTransport(None, SystemClock())
        fleet = Fleet([HostSpec("good")], connect, SystemClock(), chance=lambda: 0.0)
        async with running(fleet):
            await until(lambda: fleet.hosts[0].link is HostLink.UNREACHABLE)
            assert "does not answer" in fleet.hosts[0].why
            os.kill(server, signal.SIGCONT)
            await until(lambda: fleet.hosts[0].summary is not None)


@needs_sshd
async def test_a_host_that_changes_its_key_while_it_is_watched_is_trusted_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = copy(sample("2026.5.20", "healthy"), tmp_path / "states").state_dir
    root = tmp_path / "ssh"
    with ssh_hosts(root, {"good": state}) as path:
        monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")
        connect = Cutting(None)
        fleet = Fleet([HostSpec("good")], connect, SystemClock(), chance=lambda: 0.0)
        async with running(fleet):
            await until(lambda: fleet.hosts[0].summary is not None)
            for part in ("host", "host.pub"):
                (root / part).unlink()
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / "host")], check=True)
            os.kill(int((root / "sshd.pid").read_text()), signal.SIGHUP)  # it starts itself anew
            before = len(connect.processes)
            for process in connect.processes:
                os.killpg(process.pid, signal.SIGKILL)
            await until(lambda: len(connect.processes) > before and "changed" in fleet.hosts[0].why)
            host = fleet.hosts[0]
            assert (host.link, host.level) == (HostLink.UNREACHABLE, 3)
            assert "ssh-keygen -R" in host.hint
            assert host.summary is not None, "what it said last is still shown"


@pytest.mark.long
@needs_sshd
async def test_sixty_hosts_over_one_real_sshd_are_all_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All far sides share this machine with the near one: whoever starts them all at once gets none of them in time."""
    state = copy(sample("2026.5.20", "healthy"), tmp_path / "states").state_dir
    names = [f"h{number}" for number in range(60)]
    control = Path(tempfile.mkdtemp(prefix="c"))  # a socket's path is short
    with ssh_hosts(tmp_path / "ssh", dict.fromkeys(names, state)) as path:
        monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")
        fleet = Fleet([HostSpec(name) for name in names], CommandTransport(control, SystemClock()), SystemClock())
        async with running(fleet):
            await until(lambda: all(host.summary is not None for host in fleet.hosts), 500)
            assert {host.link for host in fleet.hosts} <= {HostLink.LIVE, HostLink.STALE}
    shutil.rmtree(control, ignore_errors=True)
