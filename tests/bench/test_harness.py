"""The harness: what meets a limit, what is in the middle of several rounds, what the history draws."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench import harness
from tests.bench.__main__ import benches, main
from tests.bench.harness import Bench, Figure, Limit, Row, Skipped, Taken, gathered, in_words, percentile


@pytest.mark.parametrize(
    ("figure", "ratio", "met"),
    [
        (Figure("a", 9.0, "ms", 10.0), None, True),
        (Figure("a", 11.0, "ms", 10.0), None, False),
        (Figure("a", 9.0, "/s", 10.0, Limit.AT_LEAST), None, False),
        (Figure("a", 12.0, "ms", 1.2, Limit.TIMES, peer=10.0), 1.2, True),
        (Figure("a", 13.0, "ms", 1.2, Limit.TIMES, floor=10.0), 1.3, False),
        (Figure("a", 10.0, "ms", 1.2, Limit.TIMES, peer=10.0, floor=1.0), 1.0, True),
        (Figure("a", 100.0, "ms", 15.0, Limit.FASTER, peer=1_600.0), 16.0, True),
        (Figure("a", 270.0, "/s", 2.8, Limit.MORE, peer=100.0), 2.7, False),
        (Figure("a", 270.0, "/s", 2.7, Limit.MORE), None, None),
        (Figure("a", 270.0, "/s", on=Limit.NONE), None, None),
    ],
)
def test_a_limit_is_kept_or_not(figure: Figure, ratio: float | None, met: bool | None) -> None:
    assert figure.ratio == (None if ratio is None else pytest.approx(ratio))
    assert figure.met is met


def test_a_percentile_is_a_value_that_was_taken() -> None:
    values = [float(number) for number in range(200)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (100.0, 198.0, 199.0)


def test_of_several_rounds_the_one_in_the_middle_counts() -> None:
    rounds: list[list[Row]] = [[Figure("a", value, "ms", 2.0), Skipped("b", "no peer")] for value in (3.0, 1.0, 2.0)]
    taken, skipped = gathered("subject", rounds)
    assert isinstance(taken, Taken)
    assert (taken.figure.ours, taken.least, taken.most, taken.rounds) == (2.0, 1.0, 3.0, 3)
    assert "1 - 3 in 3 rounds" in in_words(taken)
    assert in_words(skipped).endswith("skipped: no peer")


def test_kept_runs_are_appended_and_drawn_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "ROOT", tmp_path)
    results = tmp_path / "results"
    assert list(harness.history(results)) == ["nothing is kept in results yet: python -m tests.bench --keep"]
    for at, (commit, ours) in enumerate([("aa", 8.0), ("bb+", 4.0), ("aa", 1.0)]):
        kept = harness.as_json(Taken("subject", Figure("a", ours, "ms", 2.0), ours, ours, 1))
        harness.keep({"commit": commit, "at": f"2026-01-0{at + 1}", "figures": [kept]}, results)
    assert sorted(path.name for path in results.iterdir()) == ["aa.json", "bb-changed.json"]
    assert [run["at"] for run in json.loads((results / "aa.json").read_text())] == ["2026-01-01", "2026-01-03"]
    head, drawn = harness.history(results)
    assert head == "3 runs of 2 commits, 2026-01-01 to 2026-01-03"
    assert drawn.split() == ["subject:", "a", "█▄▁", "8", "ms", "->", "1", "ms"]


def test_readme_quotes_the_newest_run_of_all_benchmarks(tmp_path: Path) -> None:
    def run(at: str, ours: float, **differs: object) -> None:
        figures = [Figure("a", ours, "ms", 1.2, Limit.TIMES, peer=10.0), Figure("b", 5.0, "MB", on=Limit.NONE)]
        figures.append(Figure("c", 9.0, "MB", 2.0))
        told = [harness.as_json(Taken("one", each, each.ours, each.ours, 1)) for each in figures]
        facts = {"commit": "aa", "machine": "2 cores", "noise": ["load 0.10 0.20 0.30"], "broken": [], "left_out": []}
        harness.keep({**facts, "at": at, "benches": ["one", "two"], "figures": told, **differs}, tmp_path)

    heading = "| | clawtop | beside it | at best | limit |\n|---|---|---|---|---|\n"
    text = f"before\n{harness.FIRST_MARK}old\n{harness.LAST_MARK}after\n"
    run("2026-01-01", 99.0, benches=["one"])
    run("2026-01-02", 98.0, left_out=["two"])
    run("2026-01-03", 97.0, quick=True)
    with pytest.raises(harness.NothingToQuoteError, match="no run of all benchmarks"):
        harness.quoted(text, ["one", "two"], harness.kept_runs(tmp_path))
    run("2026-01-04", 11.0)
    run("2026-01-05", 96.0, benches=["two"])
    found = harness.quoted(text, ["one", "two"], harness.kept_runs(tmp_path))
    assert found == (
        f"before\n{harness.FIRST_MARK}2 cores; commit aa, 2026-01-04; before it: load 0.10 0.20 0.30.\n"
        f"1 of 2 limits are met; missed:\n\n{heading}| c | 9 MB | - | - | <= 2 |\n"
        f"\n<details><summary>Met</summary>\n\n{heading}| a | 11 ms, 1.10x | 10 ms | - | <= 1.2x |\n\n</details>\n"
        f"{harness.LAST_MARK}after\n"
    )
    assert harness.quoted(found, ["one", "two"], harness.kept_runs(tmp_path)) == found
    with pytest.raises(harness.NothingToQuoteError, match="there is no"):
        harness.quoted("nothing", ["one"], harness.kept_runs(tmp_path))


def test_readme_has_the_figures_of_the_newest_whole_run() -> None:
    text = harness.README.read_text()
    assert text.partition(harness.FIRST_MARK)[2].count(harness.LAST_MARK) == 1
    if harness.whole_runs(harness.kept_runs(), benches()):
        assert harness.quoted(text, benches(), harness.kept_runs()) == text, "run: python -m tests.bench --readme"


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runs of this test are kept."""
    monkeypatch.setattr(harness, "ROOT", tmp_path)
    monkeypatch.setattr(harness, "keep", functools.partial(harness.keep, directory=tmp_path))
    return tmp_path


def test_a_run_that_is_cut_leaves_what_it_took(
    places: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(bench: Bench, _quick: bool, into: Path) -> tuple[list[Row], str | None]:
        match bench.name:
            case "decide":
                return [Figure("fast enough", 9.0, "ms", 1.0), Figure("all, p95", 1.0, "ms", 2.0, samples=199)], None
            case "export":
                kept.append(json.loads((places / "unknown.json").read_text()))
                return [Figure("half", 1.0, "ms", 2.0)], "no more"
        into.write_text('{"what": "of the last", "ours": 1.0, "unit": "s", "on": "AT_MOST", "limit": 2.0}\n')
        raise SystemExit(143)

    kept: list[list[dict[str, Any]]] = []
    monkeypatch.setattr(harness, "measured", measured)
    assert main(["--only", "decide,export,hold,status", "--keep"]) == 143
    assert [[each["what"] for each in runs[0]["figures"]] for runs in kept] == [["fast enough", "all, p95"]]
    (run,) = json.loads((places / "unknown.json").read_text())
    assert [each["what"] for each in run["figures"]] == ["fast enough", "all, p95", "half", "of the last"]
    assert (run["broken"], run["left_out"]) == (["export"], ["hold", "status"])
    told = capsys.readouterr().out
    assert "BROKEN  export: no more" in told
    after = told.partition("missed:\n")[2].splitlines()
    assert after[0].split()[:2] == ["fast", "enough"]
    assert after[1] == (
        "3 of 4 limits met, 4 figures; broken: export; left out: hold, status; "
        "percentiles of fewer than 200 samples: all, p95"
    )


@pytest.mark.parametrize(
    ("figure", "code"),
    [
        (Figure("a", 3.0, "ms", 2.0), 0),
        (Figure("a", 3.0, "ms", 2.0, Limit.TIMES, peer=1.0), 1),
        (Figure("a", 3.0, "ms", 2.0, Limit.TIMES, peer=2.0), 0),
    ],
)
@pytest.mark.usefixtures("places")
def test_a_run_fails_on_ratios_alone(figure: Figure, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "measured", lambda *_: ([figure], None))
    assert main(["--only", "decide"]) == code


def test_every_benchmark_is_listed_with_its_duration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == [*benches(), "all"]
    assert sum(bench.seconds for bench in benches().values()) <= 26 * 60
    assert sum(bench.quick_seconds for bench in benches().values() if not bench.long) <= 340
    assert f"quick {sum(bench.quick_seconds for bench in benches().values() if not bench.long)} s" in listed[-1]


def test_a_name_that_is_no_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "decide,no-such"]) == 64
    assert "no such benchmark: no-such; there are: coordination" in capsys.readouterr().err
