"""Hosts of a fleet on one machine: a real sshd, or a stand-in for `docker exec -i` and `kubectl exec -i`."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

STAND_IN = """#!/bin/sh
# exec -i NAME [--] COMMAND ...: runs the command in NAME, as docker and kubectl do.
shift 2
name=$1; shift
[ "$1" = "--" ] && shift
case "$name" in
{cases}
*) echo "Error: No such container: $name" >&2; exit 1;;
esac
command=$1; shift
exec "$command" "$@"
"""


def far_clawtop(directory: Path) -> Path:
    """A directory for PATH with this checkout's clawtop as a command; it notes its pid in $CLAWTOP_TEST_PIDS."""
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / "clawtop"
    root = Path(__file__).resolve().parents[2]
    program.write_text(
        '#!/bin/sh\n[ -z "$CLAWTOP_TEST_PIDS" ] || echo $$ >> "$CLAWTOP_TEST_PIDS"\n'
        f'PYTHONPATH={root} exec {sys.executable} -m clawtop "$@"\n'
    )
    program.chmod(0o755)
    return directory


def container_command(root: Path, states: Mapping[str, Path], pids: Path | None = None) -> str:
    """The words of a transport whose `{host}` is one of `states`; `pids`: where its clawtops note theirs."""
    path = f"{far_clawtop(root / 'bin')}:/usr/bin:/bin"
    cases = "\n".join(
        f"{name}) export PATH={shlex.quote(path)} OPENCLAW_STATE_DIR={shlex.quote(str(state))}"
        f" CLAWTOP_TEST_PIDS={_pids(pids, name)};;"
        for name, state in states.items()
    )
    program = root / "docker"
    program.write_text(STAND_IN.format(cases=cases))
    program.chmod(0o755)
    return f"{program} exec -i {{host}}"


def _pids(directory: Path | None, name: str) -> str:
    return shlex.quote(str(directory / f"{name}.pids")) if directory is not None else ""


SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


def has_sshd() -> bool:
    """Whether a real OpenSSH server and client are installed."""
    return os.access(SSHD, os.X_OK) and shutil.which("ssh") is not None and shutil.which("ssh-keygen") is not None


@contextmanager
def ssh_hosts(root: Path, states: Mapping[str, Path], pids: Path | None = None) -> Iterator[Path]:
    """A real sshd on loopback with a name for each state directory; yields a directory with the `ssh` that knows them.

    The `ssh` in there is the system's own with a configuration of this test, as a user's `~/.ssh/config` would be.
    The server's pid is in `root / "sshd.pid"`, its key in `root / "host"`.
    """
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / name)], check=True)
    (root / "authorized").write_text((root / "user.pub").read_text())
    (root / "authorized").chmod(0o600)
    port = _free_port()
    (root / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {root / 'host'}\nAuthorizedKeysFile {root / 'authorized'}\n"
        f"StrictModes no\nUsePAM no\nPidFile none\nMaxStartups 100\nPermitRootLogin yes\n"
        f"AcceptEnv OPENCLAW_STATE_DIR CLAWTOP_TEST_PIDS\nSetEnv PATH={far_clawtop(root / 'bin')}:/usr/bin:/bin\n"
    )
    public = (root / "host.pub").read_text().split()[:2]
    (root / "known").write_text("".join(f"[127.0.0.1]:{port} {' '.join(public)}\n"))
    (root / "config").write_text(
        "".join(
            f"Host {name}\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {root / 'user'}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {root / 'known'}\n  SetEnv OPENCLAW_STATE_DIR={state}"
            f" CLAWTOP_TEST_PIDS={_pids(pids, name)}\n"
            for name, state in states.items()
        )
    )
    wrapper = root / "near" / "ssh"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {root / "config"} "$@"\n')
    wrapper.chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True) if os.geteuid() == 0 else None
    server = subprocess.Popen([SSHD, "-D", "-f", str(root / "sshd_config")], stderr=subprocess.DEVNULL)
    try:
        (root / "sshd.pid").write_text(str(server.pid))
        _wait_for(port, server)
        yield wrapper.parent
    finally:
        server.send_signal(signal.SIGCONT)
        server.terminate()
        server.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if server.poll() is not None:
            raise RuntimeError(f"sshd ended with {server.returncode}")
        time.sleep(0.05)
    raise RuntimeError("sshd does not answer")
