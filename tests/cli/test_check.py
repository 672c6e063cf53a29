"""`edgeshrink check`: reports of compress and bench, held against rules, told in every form."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from fuzz import seeds, trees
from hypothesis import example, given, strategies as st
from test_cli_startup import run as run_apart

from edgeshrink import cli
from edgeshrink.cli.display.check_result import junit
from edgeshrink.devices import BenchPlan, DeviceInfo, Failure, Measurement
from edgeshrink.engine import BenchReport, BenchResult, Check
from edgeshrink.plugins import HEAVY
from edgeshrink.results import (
    Budgets,
    Latency,
    Ledger,
    OnDevice,
    Report,
    Row,
    Rule,
    Score,
    Verdict,
    json_text,
    rules_of,
    summary,
)
from edgeshrink.texts import shown

MACHINE = DeviceInfo("desktop", "a processor", "x86_64", 2)
DATA = {"name": "d.npz", "digest": "d" * 64}
ODD: tuple[Any, ...] = (None, True, -1, 0, 10**30, 0.5, "x", "\x1b[31m<b>|", [], [1], {}, {"x": 1})


def report(ms: float = 10.0, size: int = 20_000, after: float = 0.95, **more: Any) -> Report:
    """Return the report of a run: 96 % before."""

    def on(median: float) -> tuple[OnDevice, ...]:
        return (OnDevice("desktop", Latency("desktop", median, median, 0.01, 500, 1, True)),)

    rows = (
        Row("base", "keras", "m.keras", "a" * 64, 100, 100, 1000, 50_000, 400),
        Row("base as float()", "tflite", "f", "b" * 64, 100, 100, 1000, 48_000, 400, on=on(12.0)),
        Row("int8", "tflite", "m.tflite", "c" * 64, 100, 90, 1000, size, 100, on=on(ms)),
    )
    verdict = Verdict("top1", 0.96, after, 1000, p_value=0.01, guess=0.1)
    return Report(
        "m.keras", "m.tflite", "edgeshrink compress", "", {"desktop": MACHINE}, DATA,
        Ledger(rows), verdict, **more,
    )  # fmt: skip


def bench(*models: tuple[str, float, int, float]) -> BenchReport:
    """Return a report of models by name, with milliseconds, bytes and a score."""
    plan = BenchPlan(runs=2, seconds=0.0)
    results = []
    for name, ms, size, value in models:
        samples = tuple(int(ms * 1e6) + step for step in (0, 1000, 2000))
        timed = Measurement(name, "e" * 64, MACHINE, plan, samples, 1.0, 1.0, 1, "xnnpack")
        score = Score("top1", value, value, value, 1000, True)
        results.append(BenchResult(name, "desktop", size, size, timed, None, (score,)))
    return BenchReport(tuple(results), (), "edgeshrink bench", DATA)


def written(folder: Path, name: str, found: Report | BenchReport) -> str:
    """Return the path of a report that was written."""
    file = folder / f"{name}.report.json"
    file.write_text(json_text(found.as_dict()))
    return str(file)


GOOD = ["--max-drop", "1%", "--max-bytes", "100kB", "--max-ms", "p90<25"]


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ({"after": 0.90}, "the result lost 6.00 points, where at most 1.00 points may be lost"),
        ({"size": 120_400}, "the result has 120,400 bytes, where at most 100,000 are allowed"),
        (
            {"ms": 31.25},
            "the result on desktop takes 31.2 ms (p90), where at most 25.0 ms are allowed",
        ),
    ],
)
def test_each_regression_ends_in_exit_4_with_its_sentence(
    found: dict[str, Any],
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["check", written(tmp_path, "good", report()), *GOOD]) == 0
    assert capsys.readouterr().out.startswith("kept: 3 rules: ")
    assert cli.run(["check", written(tmp_path, "bad", report(**found)), *GOOD]) == 4
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("NOT kept: 1 of 3 rules: ")
    assert second.startswith("NOT kept: --max-")
    assert second.endswith(sentence)
    assert [line[:6] for line in rest] == ["kept: "] * 2


def test_a_baseline_is_what_a_result_is_compared_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = written(tmp_path, "old", report(after=0.955, ms=9.0, size=19_999))
    new = written(tmp_path, "new", report())
    rules = ["--max-drop", "0.4", "--no-slower", "--no-larger"]
    assert cli.run(["check", new, *rules]) == 4  # 1 point below the base, and faster than float
    assert capsys.readouterr().out.startswith("NOT kept: 1 of 3")
    assert cli.run(["check", new, *rules, "--baseline", old]) == 4
    told = capsys.readouterr().out
    assert told.startswith("NOT kept: 3 of 3 rules")
    assert "lost 0.500 points, where at most 0.400 points may be lost" in told
    assert "the result on desktop is slower than the baseline: 9.00 ms" in told
    assert "the result is larger than the baseline: 19,999 bytes before, 20,000 now" in told
    assert cli.run(["check", old, *rules, "--baseline", new]) == 0


def test_two_machines_are_no_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = replace(report(), devices={"desktop": replace(MACHINE, cpu="another")})
    argv = ["check", written(tmp_path, "new", report()), "--no-slower"]
    assert cli.run([*argv, "--baseline", written(tmp_path, "old", other)]) == 4
    told = capsys.readouterr().out
    assert "NOT kept: --no-slower cannot be judged for the result on desktop: " in told
    assert "desktop was another machine: another, x86_64, 2 cores before" in told


def test_all_models_of_bench_but_the_first_are_held(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = [("float.tflite", 9.0, 200_000, 0.9), ("a.tflite", 5.0, 60_000, 0.9)]
    both = written(tmp_path, "both", bench(*models, ("b.tflite", 12.0, 150_000, 0.8)))
    argv = ["check", both, "--max-bytes", "100kB", "--max-drop", "1", "--no-slower"]
    assert cli.run(argv) == 4
    told = capsys.readouterr().out
    assert told.startswith("NOT kept: 3 of 6 rules")
    assert "b.tflite on desktop lost 10.0 points, where at most 1.00 points may be lost" in told
    assert "b.tflite has 150,000 bytes" in told
    assert "b.tflite on desktop is slower than float.tflite: 9.00 ms" in told
    assert "NOT kept: --max-drop 1: a.tflite" not in told


def test_a_report_of_bench_has_the_file_of_its_name_as_baseline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = ("float.tflite", 9.0, 200_000, 0.9)
    old = written(tmp_path, "old", bench(first, ("a.tflite", 5.0, 60_000, 0.9), ("b", 5, 1, 0.9)))
    new = written(tmp_path, "new", bench(first, ("a.tflite", 5.0, 60_001, 0.9), ("c", 5, 1, 0.9)))
    assert cli.run(["check", new, "--no-larger", "--baseline", old]) == 4
    told = capsys.readouterr().out
    assert "a.tflite is larger than the baseline: 60,000 bytes before, 60,001 now" in told
    assert "--no-larger cannot be judged for c: there is nothing to compare it with" in told
    alone = written(tmp_path, "alone", bench(("d.tflite", 5.0, 60_000, 0.9)))
    assert cli.run(["check", alone, "--no-slower"]) == 4
    assert "there is nothing to compare it with" in capsys.readouterr().out
    assert cli.run(["check", alone, "--no-slower", "--max-drop", "0", "--baseline", alone]) == 0


def test_a_model_that_could_not_be_measured_keeps_no_rule_on_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (result,) = bench(("a.tflite", 5.0, 60_000, 0.9)).results
    lost = replace(result, measurement=None, failure=Failure("a", "desktop", "it went away", True))
    file = written(tmp_path, "lost", BenchReport((lost,), (), ""))
    assert cli.run(["check", file, "--max-ms", "100"]) == 4
    assert "a.tflite has no time on desktop: it went away" in capsys.readouterr().out


def test_what_a_run_was_asked_for_is_told_again() -> None:
    budgets = Budgets(max_bytes="10kB", larger=False)
    found = report()
    found = replace(found, rules=rules_of(budgets, *found.figures()))
    again = Report.from_dict(json.loads(json_text(found.as_dict())))
    assert again == found
    assert [rule.kept for rule in again.rules] == [False, True]
    assert "NOT kept: --max-bytes 10kB: the result has 20,000 bytes" in "\n".join(summary(again))
    assert (
        "kept: --no-larger: the result is no larger than the float base: 48,000 bytes before, "
        "20,000 now"
    ) in summary(again)


def test_a_run_that_failed_by_itself_is_told_beside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, "run", report(failed="desktop cannot run it"))
    assert cli.run(["check", file, "--max-bytes", "1MB"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "– the run itself was not what was asked for: desktop cannot run it"


def test_json_tells_each_rule_and_by_how_much_it_is_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, "run", report())
    argv = ["check", file, "--max-bytes", "16kB", "--max-arena", "1kB", "--no-larger", "--json"]
    assert cli.run(argv) == 4
    found = json.loads(capsys.readouterr().out)
    assert found["kept"] is False
    assert [(one["asked"], one["kept"], one["miss"]) for one in found["rules"]] == [
        ("--max-bytes 16kB", False, 0.25),
        ("--max-arena 1kB", False, None),
        ("--no-larger", True, 0.0),
    ]


def test_junit_has_a_test_case_for_each_rule(tmp_path: Path) -> None:
    hostile = replace(report(), devices={"<b>\x1b[31m&": MACHINE})
    last = replace(
        hostile.ledger.final, on=(replace(hostile.ledger.final.on[0], device="<b>\x1b[31m&"),)
    )
    hostile = replace(hostile, ledger=Ledger((*hostile.ledger.rows[:-1], last)))
    file, out = written(tmp_path, "run", hostile), tmp_path / "check.xml"
    argv = ["check", file, "--max-bytes", "16kB", "--max-ms", "25", "--junit", str(out)]
    assert cli.run(argv) == 4
    (suite,) = ElementTree.parse(out).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    size, time = suite
    assert size.get("name") == "--max-bytes 16kB: the result"
    (failure,) = size
    assert failure.get("message", "").endswith("20,000 bytes, where at most 16,000 are allowed")
    assert time.get("name") == r"--max-ms 25: the result on <b>\x1b[31m&"
    assert list(time) == []


@given(st.text(), st.text())
@example("\ufffe\uffff", "\x00\ud800]]>")
def test_junit_is_whole_whatever_is_told(name: str, text: str) -> None:
    found = Check(name, "", (Rule("--max-ms 5", name, text, None), Rule("--max-ms 5", name, text)))
    (suite,) = ElementTree.fromstring(junit(found).encode())
    assert [len(case) for case in suite] == [1, 0]


def test_markdown_is_written_or_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = written(tmp_path, "run", report()), tmp_path / "check.md"
    rules = ["--max-bytes", "16kB", "--max-drop", "1.5"]
    assert cli.run(["check", file, *rules, "--markdown", str(out)]) == 4
    assert capsys.readouterr().out.startswith("NOT kept: 1 of 2 rules")
    assert cli.run(["check", file, *rules, "--markdown", "-"]) == 4
    assert capsys.readouterr().out == out.read_text()
    first, _, second, third = out.read_text().splitlines()
    assert first.startswith("**NOT kept: 1 of 2 rules: ")
    assert second.startswith("- NOT kept: --max-bytes 16kB: the result has")
    assert third.startswith("- kept: --max-drop 1.5: the result lost")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "check needs a rule"),
        (["--max-drop", "none"], "check needs a rule"),
        (["--baseline", "run.report.json", "--max-bytes", "1MB"], "--baseline is for rules that"),
        (["--max-bytes", "small"], "--max-bytes must be a size"),
        (["--max-ms", "p99<5"], "--max-ms must be milliseconds"),
        (["--max-drop", "-1"], "--max-drop must be a number"),
        (["--max-bytes", "1MB", "--json", "--markdown", "-"], "both ask for standard output"),
        (["--max-bytes", "1MB", "--junit", "run.report.json"], "would be overwritten"),
        (["--max-bytes", "1MB", "--junit", "none/check.xml"], "no folder 'none'"),
        (["--max-drop", "1", "--baseline", "missing.json"], "no report in 'missing.json'"),
    ],
)
def test_what_the_command_line_gets_wrong_is_exit_2(
    flags: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "run", report())
    assert cli.run(["check", "run.report.json", *flags]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "change", [{"results": []}, {"results": 5}, {"schema": 2}, {"results": [{"model": "a"}]}]
)
def test_what_is_no_report_of_bench_is_a_sentence(
    change: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.json"
    file.write_text(json.dumps({**json.loads(json_text(bench().as_dict())), **change}))
    assert cli.run(["check", str(file), "--max-bytes", "1MB"]) == 1
    assert "unexpected" not in capsys.readouterr().err


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["compress", "bench"])
def test_every_place_with_another_type_is_a_sentence(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if kind == "compress":
        seeds._reports(tmp_path)
        document = json.loads((tmp_path / "report" / "run.report.json").read_text())
    else:
        models = [("a.tflite", 5.0, 60_000, 0.9), ("b.tflite", 5.0, 60_000, 0.9)]
        document = json.loads(json_text(bench(*models).as_dict()))
    file, good = tmp_path / "a.report.json", tmp_path / "good.report.json"
    good.write_text(json.dumps(document))
    rules = ["--max-drop", "1", "--max-bytes", "1kB", "--max-ms", "5", "--max-arena", "1kB"]
    rules += ["--no-slower", "--no-larger"]
    for number, (holder, key) in enumerate(list(trees.places(document))):
        kept = holder[key]
        for turn in range(2):
            holder[key] = ODD[(number + 5 * turn) % len(ODD)]
            file.write_text(json.dumps(document))
            for argv in ([file], [file, "--baseline", good], [good, "--baseline", file]):
                code = cli.run(["check", *map(str, argv), *rules])
                told = capfd.readouterr()
                assert code in (0, 1, 4), (key, holder[key])
                assert "unexpected" not in told.err, (key, holder[key], told.err)
                assert shown(told.out + told.err) == told.out + told.err
        holder[key] = kept


def test_check_loads_no_tensorflow(tmp_path: Path) -> None:
    for found in (report(), bench(("a.tflite", 5.0, 60_000, 0.9))):
        code, said, modules = run_apart("check", written(tmp_path, "r", found), *GOOD[2:])
        assert (code, said) == (0, "")
        assert modules.isdisjoint(HEAVY)


def test_a_drop_that_was_asked_for_is_told_once() -> None:
    asked = Budgets(max_drop="0.5%")
    found = report()
    found = replace(found, verdict=replace(found.verdict, allowed=0.005))
    (rule,) = rules_of(asked, *found.figures())
    assert rule.text == found.verdict.failure
