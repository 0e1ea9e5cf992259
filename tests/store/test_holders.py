"""Records that processes share: readable, private, alive only while their authors are."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from clawtop.clock import SystemClock
from clawtop.core.model import Waiter
from clawtop.core.session.admission import (
    Ask,
    Claimant,
    ClaimQueued,
    Close,
    Closing,
    Describe,
    Granted,
    Leave,
    OnContention,
    Wake,
)
from clawtop.errors import RefusedError
from clawtop.store.incident import IncidentPart
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.own import holder_record
from clawtop.store.own.admissions import profiles_in_flight, read_admissions
from clawtop.store.own.holder_record import canonical
from clawtop.store.own.holders import HolderRecords
from clawtop.store.own.presence import Presence, holders_dir, is_alive, steps_dir
from clawtop.store.own.wake import WakeChannel, Word, tell
from clawtop.store.snapshot import SnapshotReader
from tests.support.holders import read_holders

FILE = "/somewhere/sessions/s.jsonl"


@pytest.fixture
def records(tmp_path: Path) -> HolderRecords:
    return HolderRecords(Presence.of(holders_dir(tmp_path)))


def claimant(records: HolderRecords, token: str, *, member: str | None = None, wake: str = "") -> Claimant:
    return Claimant(
        token=token,
        member=member or records.presence.member,
        pid=os.getpid(),
        lane="heartbeat",
        run_id=f"run-{token}",
        since=1_000,
        session_key="agent:main:main",
        agent="main",
        deadline=9_000,
        wake=wake,
    )


def record_files(records: HolderRecords) -> list[Path]:
    return sorted(records.directory.glob("*.json"))


def test_a_record_says_who_lane_run_profile_since_phase_and_who_waits(records: HolderRecords, tmp_path: Path) -> None:
    records.apply(FILE, Ask(claimant(records, "a"), profile="anthropic:one"), 2_000)
    records.apply(FILE, Describe("a", phase="streaming"), 2_100)
    records.apply(FILE, Ask(claimant(records, "b")), 2_200)
    (path,) = record_files(records)
    record = json.loads(path.read_text())
    assert record["session"] == FILE
    assert {key: record["holder"][key] for key in ("run_id", "lane", "pid", "profile", "phase", "granted_at")} == {
        "run_id": "run-a",
        "lane": "heartbeat",
        "pid": os.getpid(),
        "profile": "anthropic:one",
        "phase": "streaming",
        "granted_at": 2_000,
    }
    assert [(waiter["run_id"], waiter["ticket"], waiter["deadline"]) for waiter in record["waiters"]] == [
        ("run-b", 1, 9_000)
    ]
    (holder,) = read_holders(tmp_path)
    assert (holder.session_file, holder.session_key, holder.run_id, holder.phase, holder.source) == (
        FILE,
        "agent:main:main",
        "run-a",
        "streaming",
        "clawtop",
    )
    assert holder.waiters == (Waiter(1, os.getpid(), "heartbeat", "run-b", 1_000, 9_000),)


def test_a_session_at_rest_has_no_record(records: HolderRecords) -> None:
    records.apply(FILE, Ask(claimant(records, "a")), 1)
    records.apply(FILE, Leave("a"), 2)
    assert record_files(records) == []


def test_everything_is_private(records: HolderRecords, tmp_path: Path) -> None:
    records.apply(FILE, Ask(claimant(records, "a")), 1)
    for path in [tmp_path / "clawtop", *(tmp_path / "clawtop").rglob("*")]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_reading_creates_nothing(tmp_path: Path) -> None:
    assert read_holders(tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


def test_symlinked_names_are_one_session(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/s.jsonl").touch()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "alias.jsonl").symlink_to("real/s.jsonl")
    names = {
        canonical(tmp_path / name) for name in ("real/s.jsonl", "link/s.jsonl", "alias.jsonl", "real/../real/s.jsonl")
    }
    assert len(names) == 1


_HOLD = """
import sys, time
from pathlib import Path
from clawtop.core.session.admission import Ask, Claimant, Close, Closing
from clawtop.store.own.holders import HolderRecords
from clawtop.store.own.presence import Presence
records = HolderRecords(Presence.of(Path(sys.argv[1])))
member = records.presence.member
records.apply(sys.argv[2], Ask(Claimant("other", member, 1, "cron", "run-other", 0)), 1)
records.apply(sys.argv[2], Close(Closing("d1", member, 1, 0, 10**15)), 1)
print(member, flush=True)
time.sleep(600)
"""


def test_who_enters_leaves_the_pipes_of_the_living(records: HolderRecords) -> None:
    channel = WakeChannel(records.presence)
    Presence._enter(records.directory)
    assert (records.directory / "processes" / channel.name).exists()
    channel.close()


def test_a_processs_own_turns_are_not_in_flight_elsewhere(records: HolderRecords) -> None:
    records.apply(FILE, Ask(claimant(records, "a"), profile="anthropic:max"), 1)
    assert profiles_in_flight(records.directory) == {}
    records.presence.held.clear()  # as another process sees it
    assert profiles_in_flight(records.directory) == {"anthropic:max": 1}


def test_a_killed_process_holds_nothing(records: HolderRecords, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLD, str(records.directory), FILE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        member = other.stdout.readline().strip()
        assert is_alive(records.directory, member)
        assert records.apply(FILE, Ask(claimant(records, "a")), 5) == (
            ClaimQueued(read_admissions(tmp_path)[0].waiters[0]),
        )
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert not is_alive(records.directory, member)
        assert read_holders(tmp_path) == ()
        effects = records.apply(FILE, Ask(claimant(records, "a")), 6)
        assert effects is not None
        assert isinstance(effects[-1], Granted)


def test_a_later_process_sweeps_the_files_of_the_dead(records: HolderRecords) -> None:
    processes = records.directory / "processes"
    leftovers = [processes / "1-dead.lock", processes / "1-dead.2.wake", records.directory / "ab.json.1-dead.tmp"]
    for path in leftovers:
        path.touch()
    subprocess.run(
        [sys.executable, "-c", _HOLD.replace("time.sleep(600)", ""), str(records.directory), FILE],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    assert not any(path.exists() for path in leftovers)
    assert is_alive(records.directory, records.presence.member) is True


def test_the_step_in_progress_excludes_another_thread(records: HolderRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go_on = threading.Event(), threading.Event()
    save = holder_record.save

    def slow(*arguments: object) -> None:
        inside.set()
        assert go_on.wait(10)
        save(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(holder_record, "save", slow)
    thread = threading.Thread(target=records.apply, args=(FILE, Ask(claimant(records, "a")), 1))
    thread.start()
    assert inside.wait(10)
    mine = HolderRecords(records.presence)
    assert mine.apply(FILE, Ask(claimant(records, "b")), 1) is None
    go_on.set()
    thread.join()
    effects = mine.apply(FILE, Ask(claimant(records, "b"), OnContention.RAISE), 1)
    assert effects is not None
    assert not isinstance(effects[-1], Granted)


def test_words_reach_the_channel_and_a_missing_one_does_not_matter(records: HolderRecords) -> None:
    channel = WakeChannel(records.presence)
    tell(records.directory, claimant(records, "a", wake=channel.name))
    tell(records.directory, claimant(records, "b", wake=channel.name), Word.STOP)
    with (records.directory / "processes" / channel.name).open("w") as pipe:
        pipe.write("nonsense c\n")
    assert channel.heard() == ((Word.WAKE, "a"), (Word.STOP, "b"))
    assert channel.heard() == ()
    channel.close()
    tell(records.directory, claimant(records, "a", wake=channel.name))
    tell(records.directory, claimant(records, "a", wake="../../s.jsonl"))


def test_waking_names_the_first_waiter(records: HolderRecords) -> None:
    for token in "abc":
        records.apply(FILE, Ask(claimant(records, token)), 1)
    effects = records.apply(FILE, Leave("a"), 2)
    assert effects is not None
    assert [effect.who.token for effect in effects if isinstance(effect, Wake)] == ["b"]


def test_a_damaged_record_refuses_while_others_live_and_is_dropped_when_nobody_does(records: HolderRecords) -> None:
    records.apply(FILE, Ask(claimant(records, "a")), 1)
    (path,) = record_files(records)
    path.write_text("{")
    with pytest.raises(RefusedError, match="cannot be read"):
        records.apply(FILE, Ask(claimant(records, "b")), 1)
    records.presence.held.clear()
    command = [sys.executable, "-c", _HOLD, str(records.directory), "/another"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(RefusedError, match="cannot be read"):
            records.apply(FILE, Ask(claimant(records, "b")), 1)
        other.kill()
    effects = records.apply(FILE, Ask(claimant(records, "b")), 1)
    assert effects is not None
    assert isinstance(effects[-1], Granted)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("holder", "pid"), "7"),
        (("holder", "pid"), True),
        (("holder", "token"), None),
        (("holder",), []),
        (("waiters",), {"a": 1}),
        (("next_ticket",), 1.5),
        (("closed",), {"drain_id": "d"}),
        (("session",), 3),
    ],
)
def test_a_record_with_anything_unexpected_is_not_believed(
    records: HolderRecords, where: tuple[str, ...], value: object
) -> None:
    records.apply(FILE, Ask(claimant(records, "a")), 1)
    (path,) = record_files(records)
    record = json.loads(path.read_text())
    part = record
    for name in where[:-1]:
        part = part[name]
    part[where[-1]] = value
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"not a"):
        holder_record.load(path)
    assert read_admissions(records.directory.parent.parent) == ()


def test_a_record_comes_back_as_it_was(records: HolderRecords) -> None:
    records.apply(FILE, Ask(claimant(records, "a")), 1)
    records.apply(FILE, Ask(claimant(records, "b")), 1)
    records.apply(FILE, Close(Closing("d1", records.presence.member, 1, 2, 10**15, "draining")), 3)
    (path,) = record_files(records)
    state = holder_record.load(path)
    holder_record.save(path, state, "test")
    assert holder_record.load(path) == state


def test_a_full_disk_leaves_the_old_record(records: HolderRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    records.apply(FILE, Ask(claimant(records, "a")), 1)
    (path,) = record_files(records)
    before = path.read_bytes()
    write = os.write

    def full(descriptor: int, content: bytes) -> int:
        if len(content) < 10:
            raise OSError(28, "No space left on device")
        return write(descriptor, content[:10]) and len(content) - 5

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        records.apply(FILE, Ask(claimant(records, "b")), 1)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(records.directory.glob("*.tmp")) == []


def test_without_its_liveness_lock_nothing_is_granted(records: HolderRecords) -> None:
    for path in (records.directory / "processes").glob("*.lock"):
        path.unlink()
    with pytest.raises(RefusedError, match="was removed while"):
        records.apply(FILE, Ask(claimant(records, "a")), 1)


def test_a_directory_that_is_a_symlink_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "clawtop").symlink_to("elsewhere")
    with pytest.raises(RefusedError, match="is not a directory"):
        Presence.of(holders_dir(tmp_path))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_another_users_state_directory_is_refused_before_anything_is_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.raises(RefusedError, match="belongs to another user"):
        Presence.of(holders_dir(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_state_directory_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_arguments: object, **_options: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", read_only)
    with pytest.raises(RefusedError, match="Read-only file system"):
        Presence.of(holders_dir(tmp_path))


def test_in_a_symlinked_state_directory_a_holder_is_found_under_the_name_of_its_session(tmp_path: Path) -> None:
    sessions = tmp_path / "real/agents/main/sessions"
    sessions.mkdir(parents=True)
    (sessions / "s1.jsonl").touch()
    (sessions / "sessions.json").write_text('{"agent:main:main":{"sessionId":"s1","status":"done"}}')
    (tmp_path / "real/openclaw.json").write_text('{"meta":{"lastTouchedVersion":"2026.5.20"}}')
    (tmp_path / "link").symlink_to("real")
    mine = HolderRecords(Presence.of(holders_dir(tmp_path / "real")))
    mine.apply(canonical(sessions / "s1.jsonl"), Ask(claimant(mine, "a")), 1)
    reader = SnapshotReader(
        state_dir=tmp_path / "link",
        env={},
        home=tmp_path,
        clock=SystemClock(),
        processes=SystemProcesses(),
        port_probe=None,
        extra_parts=(IncidentPart(),),
    )
    snapshot = reader.read()
    assert [holder.session_file for holder in snapshot.holders] == [session.file for session in snapshot.sessions]


def test_a_disk_without_room_for_a_channel_refuses_the_run_in_words(
    records: HolderRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: object, mode: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(os, "mkfifo", full)
    with pytest.raises(RefusedError, match="No space left on device") as refused:
        WakeChannel(records.presence)
    assert refused.value.unchanged == "no session was touched"


def test_a_step_that_fails_leaves_its_lock_free(records: HolderRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: object, state: object, author: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as broken:
        broken.setattr(holder_record, "save", full)
        with pytest.raises(OSError, match="No space left"):
            records.apply(FILE, Ask(claimant(records, "a")), 2_000)
    (step,) = (records.directory / "locks" / "steps").iterdir()
    with step.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_step_whose_lock_was_removed_meanwhile_shuts_nobody_out_and_is_tried_again(
    records: HolderRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def removed_before_it_is_locked(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        for path in steps_dir(records.directory).iterdir():
            path.unlink()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", removed_before_it_is_locked)
    assert records.apply(FILE, Ask(claimant(records, "a"), OnContention.RAISE), 1) is None
    assert records.apply(FILE, Ask(claimant(records, "a"), OnContention.RAISE), 1)
    assert records.holder(FILE) is not None
