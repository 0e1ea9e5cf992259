"""The process around a verb: signals at any moment, closed and full streams, few descriptors, few threads."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clawtop.cli import process
from clawtop.cli.ending import RELEASE_S
from clawtop.cli.main import CHANGING, verb_parsers, whole_parser
from clawtop.cli.process import FEW_DESCRIPTORS, TOO_LITTLE_EXIT, EndedError, interruption
from clawtop.commands import verbs
from clawtop.engine.prompt.registry import LEAVE_S
from tests.support.samples import copy, sample
from tests.support.terminals import ENTER_ALTERNATE, LEAVE_ALTERNATE, clawtop, open_terminal, plain_environment

PROFILE = "fakeai:one"
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return copy(sample("2026.5.20", "rate-limited"), tmp_path).state_dir


def cooled(state_dir: Path) -> bool:
    state = json.loads((state_dir / "agents" / "main" / "agent" / "auth-state.json").read_text())
    return "cooldownUntil" in state["usageStats"][PROFILE]


def shell(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f'"$@" {command}', "-", *arguments],
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --- streams -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("json_flag", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("streams", [">/dev/full", ">&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-", "| true"])
def test_a_change_that_was_made_is_not_called_a_failure(
    state_dir: Path, streams: str, json_flag: tuple[str, ...]
) -> None:
    assert cooled(state_dir)
    done = shell(
        f"{streams}; exit ${{PIPESTATUS[0]}}",
        *clawtop("clear", PROFILE, "--yes", *json_flag, "--state-dir", str(state_dir)),
    )
    assert done.returncode == 0
    assert not cooled(state_dir)
    assert "Traceback" not in done.stderr
    if streams == ">/dev/full":
        assert done.stderr.startswith("clawtop: done, but the report of it could not be written")


@pytest.mark.parametrize("arguments", [("clear", PROFILE, "--yes"), ("clear", "no:such", "--yes"), ("nonsense",)])
def test_a_reader_of_errors_who_leaves_changes_nothing(state_dir: Path, arguments: tuple[str, ...]) -> None:
    heard = subprocess.run(
        clawtop(*arguments, "--state-dir", str(state_dir)),
        env=plain_environment(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert heard.returncode not in {70, 120}
    read, written = os.pipe()
    os.close(read)
    unheard = subprocess.run(
        clawtop(*arguments, "--state-dir", str(state_dir)),
        env=plain_environment(),
        stdout=written,
        stderr=written,
        timeout=60,
        check=False,
    )
    os.close(written)
    assert unheard.returncode == (heard.returncode if arguments != ("clear", PROFILE, "--yes") else 0)


def test_every_verb_that_asks_before_it_acts_goes_on_without_a_reader() -> None:
    asking = {
        parser.prog.rpartition(" ")[2]
        for parser in verb_parsers(whole_parser())
        if any("--yes" in action.option_strings for action in parser._actions)
    }
    assert {"clear", "recover", "unpin"} <= asking <= CHANGING


def test_what_only_tells_and_cannot_be_written_fails(state_dir: Path) -> None:
    done = shell(">/dev/full", *clawtop("status", "--json", "--state-dir", str(state_dir)))
    assert done.returncode == 74
    assert done.stderr == "clawtop: the output could not be written: No space left on device\n"
    done = shell("| true; exit ${PIPESTATUS[0]}", *clawtop("status", "--json", "--state-dir", str(state_dir)))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_preview_that_cannot_be_written_is_not_called_done(state_dir: Path) -> None:
    preview = clawtop("clear", PROFILE, "--dry-run", "--state-dir", str(state_dir))
    done = shell(">/dev/full", *preview)
    assert (done.returncode, done.stderr) == (74, "clawtop: the output could not be written: No space left on device\n")
    done = shell("| true; exit ${PIPESTATUS[0]}", *preview)
    assert (done.returncode, done.stderr) == (0, "")
    assert cooled(state_dir)


@pytest.mark.parametrize(("words", "code"), [(("status", "--check"), 2), (("receipt", "no-such"), 1)])
def test_an_exit_code_that_answers_stays_when_the_reader_of_the_details_leaves(
    state_dir: Path, words: tuple[str, ...], code: int
) -> None:
    """`set -o pipefail; clawtop status --check | head -1` must not say that all is well."""
    arguments = clawtop(*words, "--state-dir", str(state_dir))
    done = shell("| true; exit ${PIPESTATUS[0]}", *arguments)
    assert (done.returncode, done.stderr) == (code, "")
    assert shell(">/dev/full", *arguments).returncode == 74


EVERY_VERB: tuple[tuple[str, int, bool], ...] = (
    *(("status", 0, True), ("status --json", 0, True), ("status --check", 2, True), ("fleet status --host h", 0, True)),
    *(("bundle --out -", 0, True), ("bundle --json --out OUT", 0, True), ("record --seconds 0.1 --out OUT", 0, False)),
    *(("doctor", 0, True), ("doctor --json", 0, True), ("export --rules", 0, True), ("export --dashboard", 0, True)),
    *(("receipt no-such", 1, True), ("explain error 429", 0, True), ("explain profile fakeai:one", 0, True)),
    *(("config", 0, True), ("config --json", 0, True), ("completion zsh", 0, True), ("man", 0, True)),
    *(("stream", 0, True), ("selftest", 0, True), ("drive --list", 0, True), ("clear fakeai:one --dry-run", 0, True)),
    *(("rotate fakeai --dry-run", 0, True), ("order fakeai fakeai:two --dry-run", 0, True)),
    *(("drain agent:main:main --dry-run --json", 0, True), ("recover agent:main:main --dry-run", 0, True)),
    *(("unpin agent:main:main --dry-run", 0, True), ("unlock agent:main:main --dry-run", 1, False)),
    *(("undo --dry-run", 1, False), ("probe --provider fakeai", 5, False), ("replay OUT", 3, False)),
    *(("drive --session agent:main:nobody --message x", 64, False), ("demo", 64, False)),
    *(("rotate fakeai --yes --verify 0", 0, False), ("order fakeai fakeai:two --yes --verify 0", 0, False)),
)
"""A command of each verb, its exit code, and whether it only tells, so that it fails if that cannot be written."""


def test_every_verb_is_among_them() -> None:
    assert {words.split()[0] for words, *_ in EVERY_VERB} == {item.verb for item in verbs()}


@pytest.mark.long
@pytest.mark.parametrize(("words", "code", "tells"), EVERY_VERB, ids=str)
def test_no_verb_breaks_where_its_output_goes_nowhere(
    state_dir: Path, tmp_path: Path, words: str, code: int, tells: bool
) -> None:
    where = [] if words.split(maxsplit=1)[0] in {"demo", "replay"} else ["--state-dir", str(state_dir)]
    transport = ["--transport", "true"] if words.startswith("fleet") else []
    for number, (streams, expected) in enumerate(
        ((">/dev/full </dev/null", 74 if tells else code), ("</dev/null | true; exit ${PIPESTATUS[0]}", code))
    ):
        argv = [str(tmp_path / f"out-{number}") if word == "OUT" else word for word in words.split()]
        done = shell(streams, *clawtop(*argv, *where, *transport))
        assert done.returncode == expected, done.stderr
        assert "Traceback" not in done.stderr
        assert "ignored" not in done.stderr
        assert "unexpected" not in done.stderr


# --- limits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("descriptors", [5, 6, 12, FEW_DESCRIPTORS - 1])
@pytest.mark.parametrize("verb", [(), ("status",)], ids=["dashboard", "status"])
def test_few_descriptors_are_said(state_dir: Path, descriptors: int, verb: tuple[str, ...]) -> None:
    done = subprocess.run(
        clawtop(*verb, "--state-dir", str(state_dir)),
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors)),
    )
    assert done.returncode == TOO_LITTLE_EXIT
    assert "ulimit -n" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_low_limit_is_raised_where_that_is_allowed(state_dir: Path) -> None:
    done = subprocess.run(
        clawtop("status", "--state-dir", str(state_dir)),
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (8, 4096)),
    )
    assert done.returncode in {0, 1, 2}


def test_threads_that_cannot_be_started_are_said(state_dir: Path) -> None:
    code = (
        "import sys, threading\n"
        'def refuse(self): raise RuntimeError("can\'t start new thread")\n'
        "threading.Thread.start = refuse\n"
        "sys.argv[0] = 'clawtop'\n"
        "from clawtop.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "clear", PROFILE, "--yes", "--state-dir", str(state_dir)],
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 70
    assert "no thread could be started (ulimit -u)" in done.stderr
    assert "Traceback" not in done.stderr
    assert cooled(state_dir)


# --- signals -----------------------------------------------------------------------------------------------------


def test_nothing_of_it_is_imported_where_control_c_ends_in_a_traceback() -> None:
    """That is everywhere outside of `main`."""
    place = Path(process.__file__).parents[2]
    code = (
        f"import sys; sys.path.insert(0, {str(place)!r}); before = set(sys.modules)\n"
        "import clawtop.__main__; print(*sorted(set(sys.modules) - before))"
    )
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert set(done.stdout.split()) <= {"__future__", "clawtop", "clawtop.__main__", "gc"}


def test_an_interrupt_in_a_callback_of_the_import_system_is_not_lost() -> None:
    """Python drops what a weak reference's callback raises, and imports make such callbacks for their locks."""
    code = (
        "import os, runpy, signal, sys, weakref\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'clawtop.cli.process':\n"
        "            lock = type('Lock', (), {})()\n"
        "            kept = weakref.ref(lock, lambda _: os.kill(os.getpid(), signal.SIGINT))\n"
        "            del lock\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "sys.argv = ['clawtop', 'man']\n"
        "runpy.run_module('clawtop', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGINT, b"")


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("after_ms", [0, 20, 40, 60, 80, 100, 150, 250, 400])
def test_a_signal_in_the_first_moments_ends_it_and_gives_the_terminal_back(
    state_dir: Path, number: signal.Signals, after_ms: int
) -> None:
    with open_terminal(clawtop("--state-dir", str(state_dir))) as terminal:
        before = terminal.mode()
        time.sleep(after_ms / 1000)  # the moment is what is tested; any moment has to do
        os.kill(terminal.process.pid, number)
        code = terminal.exit_code()
        raw = bytes(terminal.raw)
        if b"Traceback" in raw:  # Python itself was still starting
            assert number == signal.SIGINT
            assert ENTER_ALTERNATE not in raw
            assert b"<frozen" in raw
            return
        assert code in {128 + number, -number}
        assert raw.rfind(LEAVE_ALTERNATE) >= raw.rfind(ENTER_ALTERNATE)
        assert terminal.mode() == before


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_gives_the_stores_lock_back(state_dir: Path, number: signal.Signals) -> None:
    """Told while it waits for a lock that somebody holds: it goes, and leaves nothing."""
    lock = state_dir / "agents" / "main" / "agent" / "auth-profiles.json.lock"
    holder = subprocess.Popen(["sleep", "60"])
    lock.write_text(json.dumps({"pid": holder.pid, "createdAt": "2026-11-20T00:00:00.000Z"}))
    try:
        process = subprocess.Popen(
            clawtop("clear", PROFILE, "--yes", "--wait", "50", "--state-dir", str(state_dir)),
            env=plain_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert "waiting for the lock" in process.stderr.readline()
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
        assert process.returncode == 128 + number
        assert "Traceback" not in said
        assert [path.name for path in lock.parent.iterdir() if path.name.endswith(".tmp")] == []
    finally:
        holder.kill()
        holder.wait()


HANGS = """
import os, runpy, sys, threading

state, switch, stuck = sys.argv[1:4]


def hanging(real):
    def call(path=".", *args, **options):
        if isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(state) and os.access(switch, os.F_OK):
            os.close(real_open(stuck, os.O_CREAT | os.O_WRONLY))
            threading.Event().wait()
        return real(path, *args, **options)

    return call


real_open = os.open
for name in ("stat", "lstat", "open", "scandir", "listdir", "readlink"):
    setattr(os, name, hanging(getattr(os, name)))
sys.argv = ["clawtop", *sys.argv[4:]]
runpy.run_module("clawtop", run_name="__main__")
"""


@pytest.mark.parametrize(("end", "code"), [("q", 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_dashboard_whose_disk_hangs_ends(
    state_dir: Path, tmp_path: Path, end: str | signal.Signals, code: int
) -> None:
    switch, stuck = tmp_path / "switch", tmp_path / "stuck"
    words = (str(state_dir), str(switch), str(stuck), "--view", "overview", "--state-dir", str(state_dir))
    with open_terminal([sys.executable, "-c", HANGS, *words]) as terminal:
        terminal.wait_open(PROFILE)
        switch.touch()
        terminal.wait_for(lambda _: stuck.exists())
        if isinstance(end, str):
            terminal.send(end)
        else:
            terminal.process.send_signal(end)
        assert terminal.exit_code() == code


def test_what_is_waited_for_on_the_way_out_is_less_than_a_second() -> None:
    assert RELEASE_S + LEAVE_S < 1


def test_what_a_signal_became_on_its_way_is_still_a_signal() -> None:
    """Python makes a RuntimeError of what interrupts the body of a class."""
    with pytest.raises(RuntimeError) as caught:
        raise RuntimeError("Error calling __set_name__") from EndedError(signal.SIGHUP)
    found = interruption(caught.value)
    assert isinstance(found, EndedError)
    assert found.number == signal.SIGHUP
    assert interruption(ValueError("nothing of the kind")) is None


UNWINDING = """
import asyncio, os, signal, sys
from clawtop import threads
from clawtop.cli.process import end_on_signals, unwind_on_signals, said_goodbye
end_on_signals()
unwind_on_signals()
async def work():
    try:
        os.kill(os.getpid(), int(sys.argv[1]))
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0)
        print("given back", flush=True)
try:
    threads.run(work())
except KeyboardInterrupt as error:
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    sys.exit(said_goodbye(error))
"""


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_what_a_loop_has_taken_is_given_back_before_a_signal_ends_it(number: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNWINDING, str(int(number))],
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (128 + number, "given back\n")
    assert done.stderr == f"clawtop: {'interrupted' if number == signal.SIGINT else f'ended by {number.name}'}\n"
