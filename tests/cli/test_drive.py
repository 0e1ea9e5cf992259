"""`clawtop drive` and `clawtop selftest`: what they print, and their exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.cli.drive import Words
from clawtop.clock import SystemClock
from clawtop.demo.provider import Act, Answer, BreakStream, Refuse, ScriptedProvider, Stall, rate_limited
from clawtop.demo.threads import LIGHTHOUSE, TWO_AND_ONE
from clawtop.demo.world import PRIMARY, SECONDARY, World, build_world
from clawtop.text import remember_secrets

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Reef:
    """A world whose provider runs in a thread of its own, so that a test can wait for a process."""

    world: World
    provider: ScriptedProvider = field(default_factory=ScriptedProvider)

    def misbehave(self, act: Act) -> None:
        self.provider.standing = dict.fromkeys(self.world.keys.values(), act)

    def drive(self, *words: str, message: str | None = "hello", **env: str) -> subprocess.CompletedProcess[str]:
        options = [] if message is None else ["--message", message]
        return subprocess.run(
            [sys.executable, "-m", "clawtop", "drive", "--state-dir", str(self.world.state_dir), *options, *words],
            cwd=ROOT,
            env={**os.environ, "HOME": str(self.world.state_dir.parent), **env},
            capture_output=True,
            text=True,
            input="from a pipe",
            timeout=60,
            check=False,
        )


@pytest.fixture
def reef(tmp_path: Path) -> Iterator[Reef]:
    made = Reef(build_world(tmp_path, seed=7, clock=SystemClock(), profiles=TWO_AND_ONE))
    up = threading.Event()
    end: list[Callable[[], object]] = []

    async def serve() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        end.append(lambda: loop.call_soon_threadsafe(done.set))
        async with made.provider:
            made.world.connect(made.provider.base_url)
            up.set()
            await done.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    up.wait()
    yield made
    end[0]()
    thread.join()


def typed(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.stdout.isascii()
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(line["schema"] == 1 for line in lines)
    return lines


def test_the_reply_is_on_stdout_and_the_way_on_stderr(reef: Reef) -> None:
    reef.provider.queue(reef.world.keys["coral:clawdia"], rate_limited())
    reef.provider.queue(reef.world.keys["coral:larry"], rate_limited())
    reef.provider.default = Answer("Bien sûr 🦞\nand \x1b[2Jmore")
    done = reef.drive("--session", LIGHTHOUSE.key)
    assert done.returncode == 0
    assert done.stdout == "Bien sûr 🦞\nand \\x1b[2Jmore\n"
    assert "rotate" in done.stderr
    assert "fallback" in done.stderr


def test_json_is_one_typed_object_a_line(reef: Reef) -> None:
    done = reef.drive("--session", LIGHTHOUSE.key, "--json", "--lane", "heartbeat")
    lines = typed(done)
    assert {line["type"] for line in lines} == {"event", "phase", "text", "answer"}
    answer = next(line for line in lines if line["type"] == "answer")
    assert "".join(line["text"] for line in lines if line["type"] == "text") == answer["text"]
    assert answer["session_file"] == str(reef.world.transcript(LIGHTHOUSE))
    assert answer["model"] == str(PRIMARY)
    assert lines[0]["lane"] == "heartbeat"
    assert lines[-1]["kind"] == "mark", "marks are told to the end"
    assert done.stderr == ""


@pytest.mark.slow
def test_the_message_may_come_from_a_pipe(reef: Reef) -> None:
    assert reef.drive("--session", LIGHTHOUSE.key, message=None).returncode == 0
    assert reef.drive("--session", LIGHTHOUSE.key, message="-").returncode == 0
    assert {request.prompt for request in reef.provider.requests} == {"from a pipe"}


def test_the_model_and_its_profiles_can_be_chosen(reef: Reef) -> None:
    done = reef.drive("--session", LIGHTHOUSE.key, "--json", "--model", str(SECONDARY))
    assert [line["model"] for line in typed(done) if line["type"] == "answer"] == [str(SECONDARY)]


@pytest.mark.parametrize(
    ("act", "options", "code", "errors"),
    [
        (rate_limited(), (), 5, {"AllModelsFailedError"}),
        (Stall(), ("--timeout", "0.5"), 6, {"ProviderError", "TurnTimeoutError"}),  # or before it was asked
        (Refuse(400, "invalid_request_error", "prompt is too long: 2 tokens > 1 maximum"), (), 5, {"ProviderError"}),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(
    reef: Reef, act: Act, options: tuple[str, ...], code: int, errors: set[str]
) -> None:
    reef.misbehave(act)
    done = reef.drive("--session", LIGHTHOUSE.key, "--json", *options)
    failure = next(line for line in typed(done) if line["type"] == "error")
    assert (done.returncode, failure["exit_code"]) == (code, code)
    assert failure["error"] in errors


def test_a_turn_that_no_model_answers_says_who_failed_and_when_to_come_back(reef: Reef) -> None:
    reef.misbehave(rate_limited())
    lines = typed(reef.drive("--session", LIGHTHOUSE.key, "--json"))
    failure = next(line for line in lines if line["type"] == "error")
    assert [(one["model"], one["reason"], one["status"]) for one in failure["attempts"]] == [
        (str(PRIMARY), "rate_limit", 429),
        (str(SECONDARY), "rate_limit", 429),
    ]
    first_failure = next(line["at"] for line in lines if line.get("kind") == "failure")
    assert 0 < failure["soonest_recovery"] - first_failure <= 31_000
    assert "usable again in" in reef.drive("--session", LIGHTHOUSE.key).stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--session", "/etc/passwd"), 1),
        (("--session", "a", "--agent", "nobody"), 64),
        (("--session", "a", "--model", "no-slash"), 64),
        (("--session", "a", "--timeout", "0"), 64),
        (("--session", "a", "--timeout", "soon"), 64),
        (("--session", "a", "--on-contention", "fight"), 64),
        (("--session", "a", "--at", "2026-01-01T00:00:00Z"), 64),
        ((), 64),
        (("--session", "a", "--state-dir", "/nonexistent"), 3),
    ],
)
def test_what_cannot_be_asked_sends_nothing(reef: Reef, words: tuple[str, ...], code: int) -> None:
    done = reef.drive(*words)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert done.stderr
    assert reef.provider.requests == []


@pytest.mark.slow
def test_a_key_that_a_provider_speaks_or_echoes_is_masked(reef: Reef) -> None:
    key = reef.world.keys["coral:clawdia"]
    reef.provider.default = Answer(f"your key is {key} and that is {key}", pieces=len(key))
    for options in (("--json",), ()):
        done = reef.drive("--session", LIGHTHOUSE.key, *options)
        assert done.returncode == 0
        assert key not in done.stdout + done.stderr
    reef.misbehave(Refuse(401, "auth", "bad {key}"))
    for options in (("--json",), ()):
        done = reef.drive("--session", LIGHTHOUSE.key, *options)
        assert not any(secret in done.stdout + done.stderr for secret in reef.world.keys.values())


@pytest.mark.slow
def test_a_reply_that_begins_anew_says_so(reef: Reef) -> None:
    for profile in ("coral:clawdia", "coral:larry"):
        reef.provider.queue(reef.world.keys[profile], BreakStream("overloaded_error", "Overloaded"))
    done = reef.drive("--session", LIGHTHOUSE.key)
    assert "void" in done.stderr
    assert done.stdout.endswith("Snip snap, all claws present.\n")
    lines = typed(reef.drive("--session", LIGHTHOUSE.key, "--json"))
    assert [line["type"] for line in lines if line["type"] == "answer"] == ["answer"]


@given(st.lists(st.text(alphabet="ab \nskey-0123456789", max_size=12), max_size=12))
def test_cutting_a_stream_at_words_changes_nothing_but_secrets(pieces: list[str]) -> None:
    remember_secrets(["key-0123"])
    words = Words()
    shown = "".join([*(words.add(piece) for piece in pieces), words.rest()])
    assert "key-0123" not in shown
    if "key-0" not in "".join(pieces):
        assert shown == "".join(pieces)


@pytest.mark.slow
def test_the_selftest_prints_both_sides_and_exits_0() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "clawtop", "selftest", "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["holds"] is True
    assert [thread["thread"] for thread in report["threads"]] == [1, 2, 3, 4, 5]
    assert all("2026." in thread["openclaw"] for thread in report["threads"])
