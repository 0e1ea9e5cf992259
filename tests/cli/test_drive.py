"""`clawtop drive` and `clawtop selftest`: what they print, and their exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.cli.drive_batch import Item, SessionQueues
from clawtop.cli.drive_output import JsonOutput, TextOutput, ToldNowAndThen, Words
from clawtop.clock import SystemClock
from clawtop.demo.provider import Act, BreakStream, Raw, Refuse, Respond, Stall, rate_limited
from clawtop.demo.threads import LIGHTHOUSE
from clawtop.demo.world import PRIMARY, SECONDARY
from clawtop.engine.drive.events import AccountWait, Phase
from clawtop.redaction import remember_secrets
from tests.support.served_world import ServedWorld, served_world

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedWorld]:
    with served_world(tmp_path) as made:
        yield made


def typed(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.stdout.isascii()
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(line["schema"] == 1 for line in lines)
    return lines


def test_the_reply_is_on_stdout_and_the_way_on_stderr(served: ServedWorld) -> None:
    served.provider.queue(served.world.keys["coral:clawdia"], rate_limited())
    served.provider.queue(served.world.keys["coral:larry"], rate_limited())
    served.provider.default = Respond("Bien sûr 🦞\nand \x1b[2Jmore")
    done = served.drive("--session", LIGHTHOUSE.key)
    assert done.returncode == 0
    assert done.stdout == "Bien sûr 🦞\nand \\x1b[2Jmore\n"
    assert "rotate" in done.stderr
    assert "fallback" in done.stderr


def test_json_is_one_typed_object_a_line(served: ServedWorld) -> None:
    done = served.drive("--session", LIGHTHOUSE.key, "--json", "--lane", "heartbeat")
    lines = typed(done)
    assert {line["type"] for line in lines} == {"event", "phase", "text", "answer"}
    answer = next(line for line in lines if line["type"] == "answer")
    assert "".join(line["text"] for line in lines if line["type"] == "text") == answer["text"]
    assert answer["session_file"] == str(served.world.transcript(LIGHTHOUSE))
    assert answer["model"] == str(PRIMARY)
    assert lines[0]["lane"] == "heartbeat"
    assert [line.get("kind") for line in lines[-2:]] == ["mark", "run-end"], "marks are told to the end"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("act", "code", "before"),
    [
        (Respond("pong and its last-word", pieces=22), 0, ("text", "answer")),
        (rate_limited(), 5, ("error",)),
        (BreakStream("overloaded_error", "Overloaded"), 5, ("error",)),
        (Raw("data: {}\n\n"), 5, ("error",)),
    ],
)
def test_the_end_of_a_run_is_its_last_line(served: ServedWorld, act: Act, code: int, before: tuple[str, ...]) -> None:
    served.misbehave(act)
    done = served.drive("--session", LIGHTHOUSE.key, "--json")
    lines = typed(done)
    assert (done.returncode, lines[-1].get("kind")) == (code, "run-end")
    assert [line.get("kind") for line in lines].count("run-end") == 1
    told = [line["type"] for line in lines if line["type"] in {"text", "answer", "error"}]
    assert tuple(told[-len(before) :]) == before


def test_the_end_of_a_run_that_is_stopped_is_its_last_line(served: ServedWorld) -> None:
    served.misbehave(Stall("stream"))
    words = ["drive", "--state-dir", str(served.world.state_dir), "--session", LIGHTHOUSE.key, "--json"]
    command = [sys.executable, "-m", "clawtop", *words, "--message", "hello"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
        assert run.stdout is not None
        lines = []
        for line in run.stdout:
            lines.append(json.loads(line))
            if lines[-1].get("phase") == "streaming":
                run.terminate()
    assert run.returncode == 143
    assert (lines[-1]["kind"], lines[-1]["data"]["outcome"]) == ("run-end", "cancelled")


def test_text_stands_where_it_came_among_the_events(served: ServedWorld) -> None:
    for profile in ("coral:clawdia", "coral:larry"):
        served.provider.queue(served.world.keys[profile], BreakStream("overloaded_error", "Overloaded"))
    lines = typed(served.drive("--session", LIGHTHOUSE.key, "--json"))
    kinds = [line.get("kind", line["type"]) for line in lines]
    assert kinds.index("text") < kinds.index("discarded") < kinds.index("failure") < kinds.index("answer")


@pytest.mark.parametrize("content", [None, "{", "[" * 100_000, '{"$include": "./openclaw.json"}'])
def test_a_configuration_that_cannot_be_read_is_why_there_is_no_model(served: ServedWorld, content: str | None) -> None:
    config = served.world.state_dir / "openclaw.json"
    config.unlink()
    config.write_text(content) if content is not None else os.mkfifo(config)
    done = served.drive("--session", LIGHTHOUSE.key)
    assert done.returncode == 64
    assert f"has no model: {config} " in done.stderr
    assert served.provider.requests == []


@pytest.mark.long
def test_the_message_may_come_from_a_pipe(served: ServedWorld) -> None:
    assert served.drive("--session", LIGHTHOUSE.key, message=None).returncode == 0
    assert served.drive("--session", LIGHTHOUSE.key, message="-").returncode == 0
    assert {request.prompt for request in served.provider.requests} == {"from a pipe"}


def test_the_model_and_its_profiles_can_be_chosen(served: ServedWorld) -> None:
    done = served.drive("--session", LIGHTHOUSE.key, "--json", "--model", str(SECONDARY))
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
    served: ServedWorld, act: Act, options: tuple[str, ...], code: int, errors: set[str]
) -> None:
    served.misbehave(act)
    done = served.drive("--session", LIGHTHOUSE.key, "--json", *options)
    failure = next(line for line in typed(done) if line["type"] == "error")
    assert (done.returncode, failure["exit_code"]) == (code, code)
    assert failure["error"] in errors


def test_a_turn_that_no_model_answers_says_who_failed_and_when_to_come_back(served: ServedWorld) -> None:
    served.misbehave(rate_limited())
    lines = typed(served.drive("--session", LIGHTHOUSE.key, "--json"))
    failure = next(line for line in lines if line["type"] == "error")
    assert [(one["model"], one["reason"], one["status"]) for one in failure["attempts"]] == [
        (str(PRIMARY), "rate_limit", 429),
        (str(SECONDARY), "rate_limit", 429),
    ]
    first_failure = next(line["at"] for line in lines if line.get("kind") == "failure")
    assert 0 < failure["soonest_recovery"] - first_failure <= 31_000
    assert re.search(r"usable again in \d+s\n", served.drive("--session", LIGHTHOUSE.key).stderr)


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
def test_what_cannot_be_asked_sends_nothing(served: ServedWorld, words: tuple[str, ...], code: int) -> None:
    done = served.drive(*words)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert done.stderr
    assert served.provider.requests == []


@pytest.mark.long
def test_a_key_that_a_provider_speaks_or_echoes_is_masked(served: ServedWorld) -> None:
    key = served.world.keys["coral:clawdia"]
    served.provider.default = Respond(f"your key is {key} and that is {key}", pieces=len(key))
    for options in (("--json",), ()):
        done = served.drive("--session", LIGHTHOUSE.key, *options)
        assert done.returncode == 0
        assert key not in done.stdout + done.stderr
    served.misbehave(Refuse(401, "auth", "bad {key}"))
    for options in (("--json",), ()):
        done = served.drive("--session", LIGHTHOUSE.key, *options)
        assert not any(secret in done.stdout + done.stderr for secret in served.world.keys.values())


@pytest.mark.long
def test_a_reply_that_begins_anew_says_so(served: ServedWorld) -> None:
    for profile in ("coral:clawdia", "coral:larry"):
        served.provider.queue(served.world.keys[profile], BreakStream("overloaded_error", "Overloaded"))
    done = served.drive("--session", LIGHTHOUSE.key)
    assert "clawtop: the reply broke off; the next attempt starts over\n" in done.stderr
    assert "discard" not in done.stderr, "nothing of it was shown"
    assert done.stdout.endswith("Snip snap, all claws present.\n")
    lines = typed(served.drive("--session", LIGHTHOUSE.key, "--json"))
    assert [line["type"] for line in lines if line["type"] == "answer"] == ["answer"]


@given(st.lists(st.text(alphabet="ab \nskey-0123456789", max_size=12), max_size=12))
def test_cutting_a_stream_at_words_changes_nothing_but_secrets(pieces: list[str]) -> None:
    remember_secrets(["key-0123"])
    words = Words()
    shown = "".join([*(words.add(piece) for piece in pieces), words.rest()])
    assert "key-0123" not in shown
    if "key-0" not in "".join(pieces):
        assert shown == "".join(pieces)


@pytest.mark.long
def test_the_selftest_prints_both_sides_and_exits_0() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "clawtop", "selftest", "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["holds"] is True
    assert [thread["thread"] for thread in report["threads"]] == [1, 2, 3, 4, 5]
    assert all("2026." in thread["openclaw"] for thread in report["threads"])


# --- sessions ------------------------------------------------------------------------------------------------------


def test_a_typo_makes_no_session_and_says_what_was_meant(served: ServedWorld) -> None:
    typo = LIGHTHOUSE.key[:-1]
    before = sorted(served.world.sessions_dir("main").iterdir())
    done = served.drive("--session", typo, "--json")
    (line,) = [line for line in typed(done) if line["type"] == "error"]
    assert (done.returncode, line["error"], line["exit_code"]) == (64, "UnknownSessionError", 64)
    assert LIGHTHOUSE.key in line["near"]
    assert served.provider.requests == []
    assert sorted(served.world.sessions_dir("main").iterdir()) == before
    assert served.drive("--session", "brand-new", "--new").returncode == 0


def test_the_session_keys_can_be_listed(served: ServedWorld) -> None:
    done = served.drive("--list", message=None)
    assert done.returncode == 0
    assert LIGHTHOUSE.key in done.stdout.splitlines()
    assert typed(served.drive("--list", "--json", message=None))[0]["keys"] == done.stdout.splitlines()


# --- what came of a turn -------------------------------------------------------------------------------------------


def completion(finish: str, content: str = "pong", **delta: object) -> Raw:
    first = {"choices": [{"index": 0, "delta": {"content": content, **delta}}]}
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    return Raw("".join(f"data: {json.dumps(event)}\n\n" for event in (first, last)) + "data: [DONE]\n\n")


CALL = [{"index": 0, "id": "t1", "function": {"name": "read", "arguments": "{}"}}]


@pytest.mark.parametrize(
    ("act", "code", "words", "out"),
    [
        (completion("length"), 10, "token limit", "pong\n"),
        (completion("content_filter"), 11, "filter cut the reply", "pong\n"),
        (completion("tool_calls", tool_calls=CALL), 12, "dropped: read", "pong\n"),
        (completion("content_filter", ""), 11, "refused the content", ""),
        (completion("tool_calls", "", tool_calls=CALL), 12, "only asked for tools (read)", ""),
    ],
)
def test_a_reply_that_is_not_all_that_was_meant_is_named(
    served: ServedWorld, act: Act, code: int, words: str, out: str
) -> None:
    served.misbehave(act)
    done = served.drive("--session", LIGHTHOUSE.key, "--model", str(SECONDARY))
    assert (done.returncode, done.stdout) == (code, out)
    assert words in done.stderr


def test_tokens_and_cost_are_told_and_written(served: ServedWorld) -> None:
    path = served.world.state_dir / "openclaw.json"
    config = json.loads(path.read_text())
    provider = config["models"]["providers"][SECONDARY.provider]
    for model in provider["models"]:
        model["cost"] = {"input": 1.0, "output": 10.0, "cacheRead": 0.1, "cacheWrite": 0}
    path.write_text(json.dumps(config))
    usage = {"prompt_tokens": 2000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 1000}}
    act = completion("stop")
    served.misbehave(
        Raw(act.body.replace("data: [DONE]", f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]"))
    )
    lines = typed(served.drive("--session", LIGHTHOUSE.key, "--json", "--model", str(SECONDARY)))
    answer = next(line for line in lines if line["type"] == "answer")
    assert answer["tokens"] == {"input": 1000, "output": 100, "cache_read": 1000, "cache_write": 0, "total": 2100}
    assert answer["cost_usd"] == pytest.approx(0.0021)
    last = json.loads(served.world.transcript(LIGHTHOUSE).read_bytes().splitlines()[-1])["message"]
    assert last["usage"]["cost"]["total"] == pytest.approx(0.0021)
    assert last["usage"]["cacheRead"] == 1000


def test_the_reply_can_go_to_a_file(served: ServedWorld, tmp_path: Path) -> None:
    out = tmp_path / "reply.txt"
    assert served.drive("--session", LIGHTHOUSE.key, "--out", str(out)).returncode == 0
    assert out.read_text() == "Snip snap, all claws present.\n"


@pytest.mark.parametrize("name", ["none/reply.txt", ""])
def test_nothing_is_sent_where_the_reply_could_not_be_written(served: ServedWorld, tmp_path: Path, name: str) -> None:
    done = served.drive("--session", LIGHTHOUSE.key, "--out", str(tmp_path / name))
    assert done.returncode == 64
    assert str(tmp_path) in done.stderr
    assert "nothing was sent" in done.stderr.lower()
    assert served.provider.requests == []


def test_what_is_not_sent_is_said_before_the_turn(served: ServedWorld) -> None:
    lines = typed(served.drive("--session", LIGHTHOUSE.key, "--json"))
    notice = next(line for line in lines if line.get("kind") == "notice" and "not_sent" in line.get("data", {}))
    assert "system prompt" in notice["data"]["not_sent"][0]
    attempts = [at for at, line in enumerate(lines) if line.get("kind") == "attempt"]
    assert lines.index(notice) < attempts[0]


def test_a_system_prompt_from_a_file_is_sent(served: ServedWorld, tmp_path: Path) -> None:
    prompt = tmp_path / "system.txt"
    prompt.write_text("be a crab")
    assert served.drive("--session", LIGHTHOUSE.key, "--system", str(prompt)).returncode == 0
    assert served.provider.requests[-1].body["system"][0]["text"] == "be a crab"
    assert served.drive("--session", LIGHTHOUSE.key, "--system", str(tmp_path / "none")).returncode == 64


# --- batches -------------------------------------------------------------------------------------------------------


def results(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [line for line in typed(done) if line["type"] == "result"]


def test_a_batch_answers_each_line_and_goes_on_where_it_ended(served: ServedWorld, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows = [{"id": f"q{n}", "session": f"batch-{n}", "message": f"question {n}", "new": True} for n in range(4)]
    rows.append({"id": "typo", "session": "no-such", "message": "hello"})
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = served.drive("--batch", str(source), "--out", str(out), "--jobs", "3", message=None)
    found = {row["id"]: row for row in results(done)}
    assert done.returncode == 64
    assert {name: row["ok"] for name, row in found.items()} == {
        "q0": True,
        "q1": True,
        "q2": True,
        "q3": True,
        "typo": False,
    }
    assert {json.loads(line)["id"] for line in out.read_text().splitlines()} == set(found)
    assert "4 answered, 1 failed" in done.stderr
    again = served.drive("--batch", str(source), "--out", str(out), "--resume", "--new", message=None)
    assert [row["id"] for row in results(again)] == ["typo"]
    assert again.returncode == 0
    assert "4 already had an answer" in again.stderr


def test_a_batch_stops_at_its_budget(served: ServedWorld, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"session": f"b{n}", "message": "hi"}) + "\n" for n in range(5)))
    done = served.drive("--batch", str(source), "--new", "--jobs", "1", "--max-tokens-total", "30", message=None)
    assert done.returncode == 5
    assert len(results(done)) == len(served.provider.requests) == 2
    assert "3 not started" in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not json\n", "line 1"),
        ('{"message": "x"}\n', "names no session"),
        ('{"session": "a", "message": ""}\n', "no message"),
        ('{"session": "a", "message": "x", "mesage": 1}\n', "unknown member"),
        ('{"id": "1", "session": "a", "message": "x"}\n\n{"id": 1, "session": "a", "message": "y"}\n', "id of line 1"),
    ],
)
def test_a_bad_batch_sends_nothing(served: ServedWorld, tmp_path: Path, text: str, words: str) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(text)
    done = served.drive("--batch", str(source), "--new", message=None)
    assert done.returncode == 64
    assert words in done.stderr
    assert served.provider.requests == []


def test_lines_of_one_session_are_turns_in_their_order(served: ServedWorld, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    rows = [{"session": f"s{n % 2}", "message": f"line {n}"} for n in range(8)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = served.drive("--batch", str(source), "--new", "--jobs", "8", message=None)
    assert done.returncode == 0
    for session in (0, 1):
        asked = [request.prompt for request in served.provider.requests if int(request.prompt[-1]) % 2 == session]
        assert asked == [f"line {n}" for n in range(session, 8, 2)]


def test_a_batch_takes_the_first_line_whose_session_is_free() -> None:
    items = [Item(str(n), n, session, "", None, None, False) for n, session in enumerate("aabac")]
    todo, under_way = SessionQueues(items), list[Item]()
    while (item := todo.take()) is not None:
        under_way.append(item)
    assert [item.line for item in under_way] == [0, 2, 4]
    todo.ended(items[0])
    assert todo.take() is items[1]
    assert todo.take() is None
    todo.ended(items[2])
    assert todo.take() is None
    todo.ended(items[1])
    assert todo.take() is items[3]


@pytest.mark.parametrize("option", [("--jobs", "3"), ("--rate", "1"), ("--budget", "1"), ("--resume",)])
def test_what_is_for_batches_is_refused_without_one(served: ServedWorld, option: tuple[str, ...]) -> None:
    done = served.drive("--session", LIGHTHOUSE.key, *option)
    assert (done.returncode, served.provider.requests) == (64, [])
    assert f"{option[0]} is for a batch" in done.stderr


def test_a_mistyped_provider_is_not_replaced_by_another(served: ServedWorld) -> None:
    done = served.drive("--session", LIGHTHOUSE.key, "--model", "corral/crab")
    assert (done.returncode, served.provider.requests) == (64, [])
    assert "provider corral has no base URL: did you mean coral?" in done.stderr


def test_a_budget_that_cannot_count_says_so(served: ServedWorld, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"session": "a", "message": "x"}\n')
    done = served.drive("--batch", str(source), "--new", "--budget", "0.01", message=None)
    assert done.returncode == 0
    assert f"no price is configured for {PRIMARY}: its turns do not count against --budget" in done.stderr


def test_a_batch_with_a_message_besides_sends_nothing(served: ServedWorld, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"session": "a", "message": "x"}\n')
    done = served.drive("--batch", str(source), "--new", message="hello")
    assert done.returncode == 64
    assert "not from --message" in done.stderr
    assert served.provider.requests == []


# --- probe ---------------------------------------------------------------------------------------------------------


def probe(served: ServedWorld, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "clawtop", "--state-dir", str(served.world.state_dir), "probe", *words],
        cwd=ROOT,
        env={**os.environ, "HOME": str(served.world.state_dir.parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_probe_tells_usable_limited_and_dead_apart_and_marks_nothing(served: ServedWorld) -> None:
    served.provider.standing = {
        served.world.keys["coral:clawdia"]: rate_limited(120),
        served.world.keys["coral:larry"]: Refuse(401, "authentication_error", "invalid x-api-key"),
    }
    state = served.world.agent_dir() / "auth-state.json"
    before = state.read_bytes()
    done = probe(served, "--all", "--json")
    found = {row["profile"]: row for row in json.loads(done.stdout)["accounts"]}
    assert done.returncode == 1
    assert {name: row["state"] for name, row in found.items()} == {
        "coral:clawdia": "limited",
        "coral:larry": "dead",
        "kelp:barnaby": "usable",
    }
    assert found["coral:clawdia"]["until"] is not None
    assert found["kelp:barnaby"]["latency_ms"] >= 0
    assert len(served.provider.requests) == 3
    assert state.read_bytes() == before
    text = probe(served, "--provider", "coral")
    assert text.returncode == 5
    assert re.search(r"limited \(for \d+m\d\ds\)", text.stdout), text.stdout
    assert "auth: " in text.stdout


def test_a_probe_marks_when_it_is_told_to(served: ServedWorld) -> None:
    served.provider.standing = {served.world.keys["coral:clawdia"]: rate_limited()}
    assert probe(served, "coral:clawdia", "--mark").returncode == 5
    stats = json.loads((served.world.agent_dir() / "auth-state.json").read_text())["usageStats"]["coral:clawdia"]
    assert stats["cooldownReason"] == "rate_limit"


def test_a_probe_of_nobody_says_whom_it_could_ask(served: ServedWorld) -> None:
    assert probe(served).returncode == 64
    done = probe(served, "coral:clawdi")
    assert done.returncode == 64
    assert "coral:clawdia" in done.stderr
    assert served.provider.requests == []


def test_a_mistyped_account_or_provider_gets_the_nearest_name(served: ServedWorld) -> None:
    for words, said in (
        (("coral:larri",), "there is no profile coral:larri: did you mean coral:larry?"),
        (("--provider", "corl"), "no account of corl is stored: did you mean coral?"),
    ):
        done = probe(served, *words)
        assert done.returncode == 64
        assert said in done.stderr
    assert not served.provider.requests


@pytest.mark.parametrize(
    ("pause", "left", "told"),
    [
        (10, range(30, -1, -1), [30, 20, *range(10, -1, -1)]),
        (60, range(125, 60, -1), [125, 65]),
        (1, range(14, 11, -1), [14, 13, 12]),
    ],
)
def test_a_wait_is_told_now_and_then_and_each_of_its_last_seconds(pause: int, left: range, told: list[int]) -> None:
    count, until = ToldNowAndThen(pause), 1_000_000
    assert [seconds for seconds in left if count.is_due(until, until - seconds * 1000)] == told


def test_another_end_of_a_wait_is_told_at_once() -> None:
    count = ToldNowAndThen(60)
    assert [count.is_due(until, 0) for until in (90_000, 90_000, 50_000)] == [True, False, True]


def test_a_countdown_as_text_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    until = SystemClock().now_ms() + 3_600_000
    for output in (TextOutput(streams=False), JsonOutput()):
        for _ in range(3):
            output.item(AccountWait("coral:\x1b[31mclawdia", until))
        output.item(Phase("waiting-lane", 0))
    out, err = capsys.readouterr()
    (line,) = [json.loads(line) for line in out.splitlines() if "waiting" in line and "phase" not in line]
    assert (line["type"], line["profile"], line["until"]) == ("waiting", "coral:\x1b[31mclawdia", until)
    assert 3_500_000 < line["left_ms"] <= 3_600_000
    assert err.count("waiting for coral:\\x1b[31mclawdia, usable again in ") == 1


def test_a_countdown_on_a_terminal_stays_in_its_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    output = TextOutput(streams=False)
    until = SystemClock().now_ms() + 5_000
    output.item(AccountWait("coral:clawdia", until))
    output.item(AccountWait("coral:clawdia", until))
    output.item(Phase("waiting-lane", 0))
    err = capsys.readouterr().err
    first, second, blank, end = err.split("\r")[1:]
    assert first.startswith("clawtop: waiting for coral:clawdia, usable again in ")
    assert second.rstrip().startswith("clawtop: waiting for coral:clawdia")
    assert (blank.strip(), end) == ("", "")
    assert "\n" not in err
