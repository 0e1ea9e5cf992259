"""`clawtop export` as a process: once, over HTTP until a signal, as a text file."""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clawtop.cli.export import TextFile, write_textfile
from clawtop.clock import SystemClock
from clawtop.errors import OperationFailedError
from tests.support.big_state import make
from tests.support.stores import make_state_dir


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("export"), agents=2, profiles=10, sessions=20, locks=4).state_dir


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "clawtop", "export", *words]


@contextmanager
def _running(*words: str) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(_command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def test_once_prints_the_metrics(state_dir: Path) -> None:
    done = subprocess.run(
        _command("--once", "--state-dir", str(state_dir)), capture_output=True, text=True, check=True, timeout=60
    )
    assert "clawtop_profile_usable{" in done.stdout
    assert "clawtop_lane_wait_seconds" in done.stdout


def test_scrapes_are_answered_until_a_signal(state_dir: Path) -> None:
    with _running("--listen", "127.0.0.1:0", "--state-dir", str(state_dir)) as child:
        assert child.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)/metrics", child.stderr.readline())
        assert found is not None
        with urllib.request.urlopen(found[0], timeout=30) as answer:
            assert b"clawtop_read_failures_total" in answer.read()
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=30) == 0


def test_a_text_file_follows_the_state(state_dir: Path, tmp_path: Path) -> None:
    target = tmp_path / "clawtop.prom"
    done = subprocess.run(
        _command("--once", "--textfile", str(target), "--state-dir", str(state_dir)),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == ""
    assert "clawtop_agent_usable_in_seconds{" in target.read_text()


def test_a_directory_without_permission_is_named(state_dir: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        _command("--once", "--textfile", str(tmp_path / "no" / "x"), "--state-dir", str(state_dir)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 3
    assert "there is no directory" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_named_with_what_helps(state_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = subprocess.run(
            _command("--listen", f"127.0.0.1:{port}", "--state-dir", str(state_dir)),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 3
    said = " ".join(done.stderr.split())
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in said
    assert "Nothing is exported" in said
    assert "--listen ADDRESS:PORT" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
def test_a_text_file_that_cannot_be_written_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    target = tmp_path / "clawtop.prom"
    target.write_bytes(b"before\n")

    def fail(_descriptor: int) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OperationFailedError) as caught:
        write_textfile(target, b"after\n")
    assert os.strerror(error) in caught.value.title
    assert caught.value.unchanged == "the file is unchanged"
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("clawtop.prom", b"before\n")]


def test_a_disk_that_is_full_for_a_while_does_not_end_a_running_exporter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "clawtop.prom"
    file = TextFile(target)
    full, fsync = [True], os.fsync

    def fail(descriptor: int) -> None:
        if full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OperationFailedError):
        file.write(b"first\n")
    full[0] = False
    file.write(b"second\n")
    full[0] = True
    for _ in range(3):
        file.write(b"third\n")
    assert target.read_bytes() == b"second\n"
    full[0] = False
    file.write(b"fourth\n")
    file.write(b"fifth\n")
    assert target.read_bytes() == b"fifth\n"
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert "No space left on device" in told[0]
    assert told[1] == "clawtop: the text file is written again"


def test_rules_and_dashboard_need_no_state(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path)}
    rules = subprocess.run(_command("--rules"), capture_output=True, text=True, check=True, env=environment, timeout=60)
    assert "alert: ClawtopBotsAreSilent" in rules.stdout
    board = subprocess.run(
        _command("--dashboard"), capture_output=True, text=True, check=True, env=environment, timeout=60
    )
    assert json.loads(board.stdout)["title"]


@pytest.mark.parametrize("words", ["nonsense", "127.0.0.1:x", "127.0.0.1:70000"])
def test_a_wrong_address_is_a_usage_error(words: str) -> None:
    done = subprocess.run(_command("--listen", words), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 64


def test_a_name_that_no_file_can_have_is_told(tmp_path: Path) -> None:
    with pytest.raises(OperationFailedError, match="File name too long"):
        write_textfile(tmp_path / ("x" * 300), b"after\n")


def test_a_pipe_or_a_device_is_never_replaced_by_the_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OperationFailedError, match="not a regular file"):
        write_textfile(pipe, b"after\n")
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_an_outage_reaches_the_command_while_metrics_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every account goes out and comes back, as often as it takes until the command has spoken of an outage."""
    state = make_state_dir(tmp_path, "B")
    told = tmp_path / "told"
    os.mkfifo(told)
    monkeypatch.setenv("CLAWTOP_ON_NOTICE", f"sh -c 'echo \"$0\" > {told}'")
    path = state / "agents/main/agent/auth-state.json"
    usable = json.loads(path.read_text()) | {"usageStats": {}}
    far = SystemClock().now_ms() + 3_600_000
    names = ("fakeai:one", "fakeai:two", "fakeai:three", "backupai:default")
    out = usable | {"usageStats": {name: {"disabledUntil": far, "disabledReason": "billing"} for name in names}}
    heard = ""
    reader = os.open(told, os.O_RDWR)  # never at its end
    try:
        with _running("--listen", "127.0.0.1:0", "--no-gateway", "--state-dir", str(state)):
            for stats in itertools.islice(itertools.cycle((usable, out)), 20):
                path.write_text(json.dumps(stats))
                if select.select([reader], [], [], 5.0)[0]:
                    heard += os.read(reader, 4096).decode()
                if "nothing is usable for any agent" in heard:
                    break
    finally:
        os.close(reader)
    assert "nothing is usable for any agent" in heard
