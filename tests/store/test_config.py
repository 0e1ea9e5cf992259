"""openclaw.json: JSON5, includes, and a summary without secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.model import ConfigProfile, Generation, LockLimits
from clawtop.redaction import masked
from clawtop.store.config import ConfigRead, read_config, run_limit_s, summarise


def read(directory: Path, **files: Any) -> ConfigRead:
    """The configuration of a directory with these files; `main` is openclaw.json, texts are written as they are."""
    for name, content in files.items():
        path = directory / ("openclaw.json" if name == "main" else f"{name}.json")
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_config(directory / "openclaw.json")


def test_no_configuration(tmp_path: Path) -> None:
    config = read(tmp_path)
    assert (config.raw, config.problems, config.exists) == (None, (), False)
    assert config.is_current()


def test_json5(tmp_path: Path) -> None:
    config = read(tmp_path, main="\ufeff// a comment\n{gateway: {port: 0x4965,}, 'auth': {order: {p: ['p:one',]}},}")
    assert config.raw == {"gateway": {"port": 18789}, "auth": {"order": {"p": ["p:one"]}}}


@pytest.mark.parametrize("broken", ['{"a": ', "[1]"])
def test_while_it_is_half_written_the_last_good_one_counts(tmp_path: Path, broken: str) -> None:
    good = tmp_path / "openclaw.json.last-good"
    without = read(tmp_path, main=broken)
    assert without.raw is None
    good.write_text('{"a": 1}')
    assert not without.is_current()
    config = read(tmp_path, main=broken)
    assert config.raw == {"a": 1}
    (problem,) = config.problems
    assert problem.where == str(tmp_path / "openclaw.json")
    assert problem.text.endswith("; judged by openclaw.json.last-good")
    good.write_text("{")
    assert read(tmp_path, main=broken).raw is None
    assert read(tmp_path, main={"a": 2}).raw == {"a": 2}
    (tmp_path / "openclaw.json").unlink()
    good.write_text('{"a": 1}')
    assert read(tmp_path).raw is None, "nobody starts with what was taken away"


def test_what_cannot_be_read_says_nothing_about_the_gateway(tmp_path: Path) -> None:
    def summary(main: Any = None, env: dict[str, str] | None = None) -> tuple[bool, int | None]:
        config = read(tmp_path) if main is None else read(tmp_path, main=main)
        found = summarise(config, Generation.B, None, env or {})
        return found.unread, found.gateway_port

    assert summary() == (False, 18789)
    assert summary('{"gateway": ') == (True, None)
    assert summary('{"gateway": ', {"OPENCLAW_GATEWAY_PORT": "4000"}) == (True, 4000)
    (tmp_path / "openclaw.json.last-good").write_text('{"gateway": {"port": 5000}}')
    assert summary('{"gateway": ') == (False, 5000)
    assert summary({"gateway": {"port": 6000}, "$include": "./none.json"}) == (False, 6000)


def test_a_change_is_noticed(tmp_path: Path) -> None:
    config = read(tmp_path, main={"$include": "./more.json"}, more={"x": 1})
    assert config.is_current()
    (tmp_path / "more.json").write_text('{"x": 22}')
    assert not config.is_current()


def test_includes_are_merged_under_their_siblings(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        main={"$include": ["./one.json", "two.json"], "b": {"y": 3}, "list": [3], "deep": {"$include": "./three.json"}},
        one={"a": 1, "b": {"x": 1, "y": 1}, "list": [1]},
        two={"a": 2, "list": [2]},
        three={"$include": "./four.json", "own": True},
        four={"own": False, "other": 4},
    )
    assert config.problems == ()
    assert config.raw == {
        "a": 2,
        "b": {"x": 1, "y": 3},
        "list": [1, 2, 3],
        "deep": {"own": True, "other": 4},
    }


@pytest.mark.parametrize(
    ("include", "why"),
    [
        ("../outside.json", "outside"),
        ("/etc/passwd", "outside"),
        ("./missing.json", "does not exist"),
        ("./openclaw.json", "includes itself"),
        ("./link.json", "outside"),
        (7, "not a file"),
    ],
)
def test_an_include_that_may_not_be_followed(tmp_path: Path, include: Any, why: str) -> None:
    inside = tmp_path / "config"
    inside.mkdir()
    (tmp_path / "outside.json").write_text('{"secret": "from outside"}')
    (inside / "link.json").symlink_to(tmp_path / "outside.json")
    config = read(inside, main={"$include": include, "gateway": {"port": 5}})
    assert [problem.code for problem in config.problems] == ["bad-include"]
    assert why in config.problems[0].text
    assert config.raw == {"gateway": {"port": 5}}


def test_a_circle_and_a_well(tmp_path: Path) -> None:
    circle = read(tmp_path, main={"$include": "./a.json"}, a={"$include": "./b.json"}, b={"$include": "./a.json"})
    assert [problem.code for problem in circle.problems] == ["bad-include"]
    levels = {f"level{number}": {"$include": f"./level{number + 1}.json", f"k{number}": 1} for number in range(12)}
    deep = read(tmp_path, main={"$include": "./level0.json"}, **levels)
    assert "more than 10 levels" in deep.problems[0].text
    assert deep.raw is not None
    assert set(deep.raw) == {f"k{number}" for number in range(10)}


def test_a_directory_may_be_allowed(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "base.json").write_text('{"a": 1}')
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "openclaw.json").write_text('{"$include": "../shared/base.json"}')
    path = tmp_path / "own" / "openclaw.json"
    assert read_config(path).problems
    assert read_config(path, include_roots=(tmp_path / "shared",)).raw == {"a": 1}


def test_prototype_keys_do_not_pass(tmp_path: Path) -> None:
    config = read(tmp_path, main={"$include": "./a.json", "__proto__": {"x": 1}, "b": 1}, a={"c": 1})
    assert config.raw == {"b": 1, "c": 1}


def test_secrets_are_known_before_anything_is_shown(tmp_path: Path) -> None:
    read(
        tmp_path,
        main={
            "gateway": {"auth": {"token": "gateway-token-4711"}},
            "models": {"providers": {"p": {"apiKey": "unusual+key/4712", "baseUrl": "http://plain"}}},
            "channels": {"x": {"botTokens": ["bot-token-4713"]}, "y": {"apiKey": "${FROM_ENV}"}},
            "session": {"mainKey": "primary-session"},
        },
    )
    text = masked("gateway-token-4711 unusual+key/4712 bot-token-4713 http://plain ${FROM_ENV} primary-session")
    assert text == "••• ••• ••• http://plain ${FROM_ENV} primary-session"
    assert "gateway-token" not in repr(read_config(tmp_path / "openclaw.json"))


def test_the_summary(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        main={
            "meta": {"lastTouchedVersion": "2026.5.20"},
            "gateway": {"port": 18_722},
            "auth": {
                "profiles": {"p:one": {"provider": "p", "mode": "token", "email": "a@b"}, "bad": 5, "worse": {}},
                "order": {"p": ["p:one", 7, " "], "empty": [], "bad": "x"},
                "cooldowns": {
                    "billingBackoffHours": 2.5,
                    "billingBackoffHoursByProvider": {"p": 1, "q": "x"},
                    "failureWindowHours": -1,
                    "rateLimitedProfileRotations": 2,
                    "overloadedBackoffMs": 250.0,
                },
            },
            "session": {"writeLock": {"staleMs": 5_000}},
            "diagnostics": {"stuckSessionWarnMs": 60_000},
            "agents": {"defaults": {"maxConcurrent": 6, "subagents": {"maxConcurrent": "x"}}},
            "cron": {"maxConcurrentRuns": 3},
            "logging": {"file": "/var/log/openclaw.log"},
        },
    )
    summary = summarise(config, Generation.B, None, {"OPENCLAW_SESSION_WRITE_LOCK_ACQUIRE_TIMEOUT_MS": "123"})
    assert summary.last_touched_version == "2026.5.20"
    assert summary.gateway_port == 18_722
    assert summary.auth.profiles == {"p:one": ConfigProfile("p", "token", "a@b")}
    assert summary.auth.order == {"p": ("p:one",)}
    cooldowns = summary.auth.cooldowns
    assert (cooldowns.billing_backoff_hours, cooldowns.billing_max_hours) == (2.5, None)
    assert cooldowns.billing_backoff_hours_by_provider == {"p": 1.0}
    assert cooldowns.failure_window_hours is None
    assert (cooldowns.rate_limited_profile_rotations, cooldowns.overloaded_backoff_ms) == (2, 250)
    assert summary.lock_limits == LockLimits(123, 5_000, 300_000, "environment")
    assert (summary.attention.warn_ms, summary.attention.abort_ms) == (60_000, 300_000)
    assert dict(summary.lane_limits) == {"main": 6, "subagent": 8, "cron": 3, "cron-nested": 3}
    assert summary.log_file == "/var/log/openclaw.log"


def test_generation_a_knows_no_lock_overrides(tmp_path: Path) -> None:
    config = read(tmp_path, main={"session": {"writeLock": {"staleMs": 5_000}}})
    env = {"OPENCLAW_SESSION_WRITE_LOCK_STALE_MS": "7"}
    assert summarise(config, Generation.A, None, env).lock_limits == LockLimits(10_000, 1_800_000, 300_000)


@pytest.mark.parametrize(
    ("configured", "variable", "port"),
    [
        (None, "", 18_789),
        (19_001, "", 19_001),
        (19_001, "19002", 19_002),
        (19_001, "127.0.0.1:19003", 19_003),
        (19_001, "[::1]:19004", 19_004),
        (19_001, "nonsense", 19_001),
        (0, "0", 18_789),
        (99_999, "99999", 18_789),
        ("19001", "", 18_789),
    ],
)
def test_the_port(tmp_path: Path, configured: Any, variable: str, port: int) -> None:
    config = read(tmp_path, main={"gateway": {"port": configured}})
    assert summarise(config, Generation.B, None, {"OPENCLAW_GATEWAY_PORT": variable}).gateway_port == port


@pytest.mark.parametrize("raw", [{"auth": []}, {"agents": "x"}, {"gateway": None}, {"agents": {"list": {}}}, {}])
def test_sections_of_the_wrong_type_count_as_absent(tmp_path: Path, raw: Any) -> None:
    summary = summarise(read(tmp_path, main=raw), None, None, {})
    assert summary.gateway_port == 18_789
    assert summary.auth.profiles == {}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(90, 90.0), (0.5, 0.5), (0, None), (-1, None), (True, None), ("90", None), (None, None), (8 * 24 * 3600, None)],
)
def test_how_long_a_run_may_take(value: object, wanted: float | None) -> None:
    assert run_limit_s({"agents": {"defaults": {"timeoutSeconds": value}}}) == wanted
    assert run_limit_s({"agents": [value]}) is None
    assert run_limit_s(None) is None
