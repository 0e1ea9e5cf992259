"""The operator's command at a notice: run without a shell, one at a time, waited for by nobody."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from clawtop.engine.live.hook import WAITING, NoticeHook
from clawtop.errors import UsageError


def test_the_text_arrives_whole_and_no_shell_reads_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = "sys.argv[2] + '|' + os.environ['CLAWTOP_NOTICE']"
    program = f"import os, pathlib, sys; pathlib.Path(sys.argv[1]).write_text({told})"
    hook = NoticeHook(f'{sys.executable} -c "{program}" {out}')
    text = "nothing is usable for main; $(touch x) 'q'"
    hook.tell(text)
    _ended(hook)
    assert out.read_text() == f"{text}|{text}"


def test_it_runs_in_the_operators_environment_and_away_from_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAGER_TOKEN", "the operator's own")
    monkeypatch.setenv("CLAWTOP_NOTICE", "an older one")
    out = tmp_path / "out.json"
    program = tmp_path / "notify"
    program.write_text(
        f"#!{sys.executable}\nimport json, os, pathlib, sys\n"
        "print('for nobody'); print('for nobody', file=sys.stderr)\n"
        "told = {'env': dict(os.environ), 'argv': sys.argv[1:], 'stdin': sys.stdin.read()}\n"
        "told['leads'] = os.getsid(0) == os.getpid()\n"
        f"pathlib.Path({str(out)!r}).write_text(json.dumps(told))\n"
    )
    program.chmod(0o755)
    before = dict(os.environ)
    hook = NoticeHook(f"{program} --loud")
    hook.tell("main is silent")
    _ended(hook)
    told = json.loads(out.read_text())
    added = {name: value for name, value in told["env"].items() if before.get(name) != value}
    assert added == {"CLAWTOP_NOTICE": "main is silent"}
    assert before.keys() <= told["env"].keys()
    assert (told["argv"], told["stdin"], told["leads"]) == (["--loud", "main is silent"], "", True)
    assert tuple(capfd.readouterr()) == ("", "")
    assert os.environ["CLAWTOP_NOTICE"] == "an older one"


def test_notices_come_one_at_a_time_and_the_oldest_give_way() -> None:
    gate, begun = threading.Event(), threading.Event()
    told: list[str] = []

    def start(argv: Sequence[str], text: str) -> None:
        told.append(text)
        assert argv == ["notify", "--loud", text]
        begun.set()
        assert gate.wait(30)

    hook = NoticeHook("notify --loud", start)
    hook.tell("first")
    assert begun.wait(30)
    for number in range(WAITING + 3):
        hook.tell(str(number))
    assert [thread.name for thread in threading.enumerate()].count("notices") == 1
    gate.set()
    _ended(hook)
    assert told == ["first", *(str(number) for number in range(3, WAITING + 3))]


def test_a_command_that_is_missing_or_fails_is_nobodys_trouble() -> None:
    hook = NoticeHook("/nonexistent/program")
    hook.tell("one")
    _ended(hook)
    hook.tell("two")
    _ended(hook)


@pytest.mark.parametrize("command", ["", "  ", "a 'b"])
def test_what_is_no_command_is_refused_at_once(command: str) -> None:
    with pytest.raises(UsageError, match="on_notice"):
        NoticeHook(command)


def _ended(hook: NoticeHook) -> None:
    thread = hook._thread
    if thread is not None:
        thread.join(30)
        assert not thread.is_alive()
