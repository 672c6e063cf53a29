from __future__ import annotations

import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeshrink import cli, words
from edgeshrink.cli.display.bench_table import show_bench
from edgeshrink.cli.display.runs import show_report
from edgeshrink.devices.estimate import Estimate
from edgeshrink.devices.measurement import RULES, DeviceInfo, Failure, Measurement, OperatorTime
from edgeshrink.engine import BenchReport, BenchResult
from edgeshrink.recipes.context import Agreement
from edgeshrink.results.ledger import Latency, Ledger, OnDevice, Row
from edgeshrink.results.metric import Score
from edgeshrink.results.report import Report
from edgeshrink.results.report_sentences import summary
from edgeshrink.results.verdict import ClassChange, Verdict
from edgeshrink_reports import Html, Json, Markdown


def row(step: str, kind: str, size: int, **more: Any) -> Row:
    return Row(
        step,
        kind,
        f"{step}.{kind}",
        "d" * 64,
        430_500,
        more.pop("nonzeros", 430_500),
        2_293_000,
        size,
        more.pop("deflated", size),
        **more,
    )


def timed(milliseconds: float) -> tuple[OnDevice, ...]:
    found = Latency("desktop", milliseconds, milliseconds * 1.1, 0.002, 500, 1, True)
    return (OnDevice("desktop", found, 50_300_000, kernels="xnnpack"),)


def report(**more: Any) -> Report:
    def score(value: float) -> tuple[Score, ...]:
        return (Score("top1", value, value - 0.002, value + 0.002, 10_000, True),)

    rows = (
        row("base", "keras", 1_724_320, scores=score(0.991)),
        row("base as float", "tflite", 1_726_000, scores=score(0.991), on=timed(0.123),
            agreement=Agreement(10_000, False, 1.0, 1.0, 0.0)),
        row("prune(sparsity=0.92, schedule=constant)", "keras", 1_724_320, deflated=190_000,
            nonzeros=43_000, scores=score(0.9895), seconds=75.0, p_value=0.2),
        row("int8", "tflite", 436_000, deflated=61_706, nonzeros=43_000, scores=score(0.984),
            p_value=0.0003, on=timed(0.0456), seconds=3.21, reused=True,
            agreement=Agreement(10_000, False, 0.9954, 0.999, 0.02),
            notes=("int8 was quick | really",)),
    )  # fmt: skip
    values: dict[str, Any] = {
        "model": "lenet.keras",
        "output": "small.tflite",
        "command": "edgeshrink compress lenet.keras --prune 0.92 --int8",
        "recipe": 'seed = 0\n\n[[step]]\nmethod = "int8"\n',
        "devices": {"desktop": DeviceInfo("desktop", cpu="A processor")},
        "data": {"name": "mnist.npz", "counts": {"train": 54_000, "test": 10_000}},
        "ledger": Ledger(rows),
        "verdict": Verdict(
            "top1",
            0.991,
            0.984,
            10_000,
            p_value=0.0003,
            allowed=0.1,
            worst=ClassChange("seven", 0.99, 0.95, 1_028),
        ),
        "notes": ("a note",),
        "snippet": "print(1)\n",
        "versions": {"tensorflow": "2.21"},
    }
    return Report(**{**values, **more})


def shown(width: int, found: Report) -> list[str]:
    from rich.console import Console

    stream = io.StringIO()
    to = Console(file=stream, width=width, highlight=False, markup=False)
    show_report(found, to=to, files=[Path("small.tflite"), Path("small.report.json")])
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_the_ledger_fits_its_width_and_cuts_nothing(width: int) -> None:
    lines = shown(width, report())
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    assert "…" not in text
    assert "\x1b" not in text
    for said in (
        "1,726,000",
        "61,706",
        "3.95×",
        "28.0×",
        "98.40 % *",
        "98.20–98.60",
        "45.6 µs",
        "99.5 %",
    ):
        assert said in text, said


@pytest.mark.parametrize("width", [80, 150])
def test_columns_of_several_devices_are_cut_no_more_than_those_of_one(width: int) -> None:
    names = ("desktop", "openvino", "raspberry-pi-4", "pixel-8")
    rows = [
        replace(row, on=tuple(replace(one, device=name) for one in row.on for name in names))
        for row in report().ledger.rows
    ]
    lines = shown(width, report(ledger=Ledger(tuple(rows))))
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    for name in names:
        assert f"latency {name}" in text
        assert f"process {name}" in text
    heads = [line for line in lines if "latency " in line and "±" in line]
    assert heads
    assert all(line.startswith("stage ") for line in heads)
    assert text.count("prune(sparsit") >= len(heads)


def test_the_report_says_what_it_means() -> None:
    text = " ".join(" ".join(shown(200, report())).split())
    assert text.startswith(
        "worse by 0.700 points: top1 99.10 % → 98.40 % on 10,000 test samples (p < 0.001) "
        "class that lost most: seven, 99.0 % → 95.0 % of its 1,028 samples "
        "3.95 times smaller on disk: 436,000 bytes, where 4 for each weight of the base are "
        "1,722,000; 28.0 times smaller as a download: 61,706 bytes deflated, where the float file "
        "has 1,726,000 agrees with the base on 99.54 % of 10,000 test samples "
        "2.70 times faster on desktop: 0.123 ms as float .tflite, 45.6 µs now (median, threads: 1, "
        "kernels: xnnpack)"
    )
    assert "– a note" in text
    assert "– int8: int8 was quick | really" in text
    assert "written: small.tflite, small.report.json" in text


def test_a_file_that_became_slower_is_told_before_it_is_called_smaller() -> None:
    rows = [*report().ledger.rows]
    rows[-1] = replace(rows[-1], on=timed(1.07))
    said = [line.partition(":")[0] for line in summary(report(ledger=Ledger(tuple(rows))))]
    assert said[:4] == [
        "worse by 0.700 points",
        "class that lost most",
        "8.70 times slower on desktop",
        "3.95 times smaller on disk",
    ]


@pytest.mark.parametrize(
    ("after", "error", "said"),
    [
        (1.07, 0.002, "8.70 times slower on desktop"),
        (0.0456, 0.002, "2.70 times faster on desktop"),
        (0.122, 0.001, "no faster on desktop"),
        (0.0456, 0.09, "no difference in time shown on desktop"),
    ],
)
def test_what_the_time_became_is_told_with_a_factor(after: float, error: float, said: str) -> None:
    rows = [*report().ledger.rows]
    now = Latency("desktop", after, after, error, 500, 1, True)
    rows[-1] = replace(rows[-1], on=(OnDevice("desktop", now),))
    lines = summary(report(ledger=Ledger(tuple(rows))))
    assert [line for line in lines if line.startswith(said)]


def test_times_of_what_is_emulated_are_not_shown_and_values_have_a_cosine() -> None:
    score = Score("mae", 0.1, 0.0, 0.2, 100, False)
    there = (OnDevice("pi", score=score, emulated="the profile says that it is emulated"),)
    alike = Agreement(100, False, None, 0.9876, 0.1)
    rows = (row("base", "keras", 100), row("int8", "tflite", 50, on=there, agreement=alike))
    values = Verdict("mae", 0.1, 0.1, 100, higher_is_better=False, p_value=0.9)
    assert summary(report(ledger=Ledger(rows), verdict=values))[2:] == (
        "cosine to the base's outputs 0.9876 on 100 test samples",
        "pi: the profile says that it is emulated, so that times measured on it are not shown; "
        "its score there (kernels: unknown): 0.1000",
    )


def test_an_estimate_is_told_as_one_and_never_as_a_time() -> None:
    found = Estimate(
        "Vela 5.2.0",
        accelerator_operators=15,
        processor_operators=2,
        arithmetic_cycles=185_542,
        cycles=201_795,
        milliseconds=0.40359,
        weight_bytes=74_640,
        stored_bytes=84_864,
        sram_bytes=51_840,
    )
    score = Score("mae", 0.1, 0.0, 0.2, 100, False)
    npu = OnDevice("npu", score=score, emulated="nothing was run on an NPU", estimate=found)
    there = (replace(npu, kernels="reference"),)
    rows = (row("base", "keras", 100), row("int8", "tflite", 50, on=there))
    told = report(ledger=Ledger(rows))
    figures = (
        "Vela 5.2.0 estimates 0.404 ms and 201,795 cycles (185,542 if memory kept nothing "
        "waiting); weights take 74,640 bytes encoded, the compiled file 84,864, "
        "its work 51,840 of SRAM; 15 of 17 operators run on the NPU"
    )
    by = "its score there (kernels: reference)"
    said = f"npu: {figures}; nothing was run on an NPU; {by}: 0.1000"
    assert said in summary(told)
    text = " ".join(" ".join(shown(200, told)).split())
    assert "est. cycles est. time on the NPU encoded weights compiled bytes SRAM" in text
    assert "201,795 0.404 ms 15 of 17 74,640 84,864 51,840" in text
    assert "not run" in text
    markdown = Markdown().render(told)
    assert f"Int8 on npu: {figures}" in markdown.replace("\\", "")
    assert [
        line for line in markdown.splitlines() if line.startswith("|") and "0.404" in line
    ] == []


def test_without_labels_accuracy_is_said_to_be_not_measured() -> None:
    made_up = Agreement(256, True, 0.93, 0.99, 0.1)
    rows = (row("base", "keras", 100), row("int8", "tflite", 50, agreement=made_up))
    agreed = Verdict("agreement", 1.0, 0.93, 256, guess=0.2, allowed=0.1, synthetic=True)
    found = report(ledger=Ledger(rows), verdict=agreed)
    text = " ".join(" ".join(shown(120, found)).split())
    assert "accuracy NOT measured: there are no labelled test samples" in text
    assert "agrees with the base on 93.00 % of 256 synthetic inputs" in text
    assert "Accuracy NOT measured" in " ".join(Markdown().render(found).split())


def test_markdown_has_a_row_a_stage_and_as_many_cells_in_each() -> None:
    text = Markdown().render(report())
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 4
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
    for said in ("98.40 % [98.20–98.60] *", "45.6", "3.95×", "27.97×"):
        assert said in text
    assert '```toml\nseed = 0\n\n[[step]]\nmethod = "int8"\n```' in text
    assert "- counts: train 54000, test 10000" in text
    assert "atency: median ± standard error on desktop, threads: 1, kernels: xnnpack" in text


def swept() -> Report:
    """Two trainings: one alone, and one that made a trial of each of three temperatures."""
    trials = [
        {"student": "width=0.5", "parameters": 1000, "temperature": t, "alpha": 0.1, "score": s,
         "curve": [s - 0.2, s, s - 0.1]}
        for t, s in ((1.0, 0.8), (5.0, 0.9), (20.0, 0.7))
    ]  # fmt: skip
    rows = (
        row("base", "keras", 1_724_320),
        row("distill(student=width=0.5)", "keras", 900, facts={"trials": trials, "curve": [0.7]}),
        row("prune(sparsity=0.5)", "keras", 800, facts={"curve": [0.81, 0.85]}),
    )
    return report(ledger=Ledger(rows))


def test_markdown_tells_how_steps_learned() -> None:
    assert "## Training" not in Markdown().render(report())
    text = Markdown().render(swept())
    lines = text[text.index("## Training") :].splitlines()[4:8]
    assert [[cell.strip() for cell in line.split(" | ")] for line in lines] == [
        ["| distill", "temperature 1", "3", "0.6000", "0.8000", "2", "0.7000", "0.8000 |"],
        ["| distill", "temperature 5", "3", "0.7000", "0.9000", "2", "0.8000", "0.9000 |"],
        ["| distill", "temperature 20", "3", "0.5000", "0.7000", "2", "0.6000", "0.7000 |"],
        ["| prune(sparsity=0.5)", "–", "2", "0.8100", "0.8500", "2", "0.8500", "– |"],
    ]


def test_html_draws_learning_curves_and_what_was_swept() -> None:
    pytest.importorskip("matplotlib")
    found = swept()
    assert "<svg" not in Html().render(report())
    text = Html().render(Report.from_dict(json.loads(Json().render(found))))
    assert text.count("<svg") == 1
    assert text.count("<h2>Training</h2>") == 1
    alone = replace(found, ledger=Ledger(found.ledger.rows[-1:]))
    panels = [len(re.findall(r'id="axes_\d+"', Html().render(r))) for r in (alone, found)]
    assert panels == [1, 2]


def test_json_is_the_report_and_has_no_nan() -> None:
    document = json.loads(Json().render(report()))
    assert Report.from_dict(document) == report()
    assert document["verdict"]["outcome"] == "worse"
    assert [row["on_disk"] for row in document["ledger"]["rows"]][-1] == 1_722_000 / 436_000
    accepted = report(verdict=replace(report().verdict, allowed=math.inf))
    assert Report.from_dict(json.loads(Json().render(accepted))) == accepted
    infinite = report(versions={"x": math.nan})  # stands for any number that is none
    assert json.loads(Json().render(infinite))["versions"]["x"] is None


def test_compare_has_the_base_and_the_result_of_each() -> None:
    text = Markdown().compare({"one": report(), "two": report()})
    assert [line.split(" | ")[0] for line in text.splitlines()[2:]] == ["| one"] * 2 + ["| two"] * 2
    assert set(json.loads(Json().compare({"one": report(), "two": report()}))) == {"one", "two"}


@pytest.mark.parametrize("form", ["table", "markdown", "json"])
def test_report_and_compare_print_a_file_again(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    for path in (tmp_path / "run" / "report.json", tmp_path / "small.report.json"):
        path.write_text(Json().render(report()), encoding="utf-8")
    one, other = str(tmp_path / "run"), str(tmp_path / "small.tflite")
    assert cli.run(["report", one, "--format", form]) == 0
    assert "61706" in capsys.readouterr().out.replace(",", "")
    assert cli.run(["compare", one, other, "--format", form]) == 0
    out, err = capsys.readouterr()
    assert out.replace(",", "").count("61706") == 2
    assert "\x1b" not in out + err


def measured(name: str, nanoseconds: int, count: int = 60, **more: Any) -> Measurement:
    info = DeviceInfo("desktop", cpu="A processor", runtime="litert", runtime_version="2.3")
    spread = tuple(nanoseconds + place % 5 for place in range(count))
    return Measurement(name, "d", info, RULES["quick"], spread, 3.2, 0.9, 1, "xnnpack",
                       more.pop("memory", 20_500_000), **more)  # fmt: skip


def bench_report() -> BenchReport:
    operators = (OperatorTime("CONV_2D", 0.009, 0.9), OperatorTime("SOFTMAX", 0.001, 0.1))
    score = (Score("top1", 0.99, 0.988, 0.992, 10_000, True),)
    failure = Failure("b.tflite", "pi", "the runtime crashed")
    return BenchReport(
        (
            BenchResult("x/a.tflite", "desktop", 436_000, 61_706,
                        measured("a", 20_000_000, operators=operators,
                                 model_memory_bytes=12_100_000), None, score),
            BenchResult("b.tflite", "desktop", 9_000, 800, measured("b", 10_123), None),
            BenchResult("b.tflite", "pi", 9_000, 800, None, failure),
        ),
        ("a note",),
        "edgeshrink bench a b",
    )  # fmt: skip


@pytest.mark.parametrize("width", [80, 120])
def test_measurements_are_never_rounded_to_nothing(width: int) -> None:
    from rich.console import Console

    stream = io.StringIO()
    show_bench(bench_report(), to=Console(file=stream, width=width, markup=False))
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for said in ("20.0 ms", "10.1 µs", "20.5 MB", "98.80–99.20", "CONV_2D", "18.0 ms"):
        assert said in text, said
    whole = " ".join(text.split())
    assert "b.tflite @ desktop: not valid under the rules 'quick': 60 runs in 0.000607 s" in whole
    assert "litert 2.3; threads: 1, kernels: xnnpack, rules: quick" in whole
    assert "b.tflite @ pi: the runtime crashed" in whole
    assert "a.tflite @ desktop: by operator: in the profiler's own runs they add up to" in whole
    assert "12.1 MB" in text  # of the model
    assert "memory: what the process grew by once it loaded" in whole


@pytest.mark.parametrize(
    ("milliseconds", "told"), [((0.15, 0.05), ""), ((2.5, 1.1), "18 times the median"), ((), "")]
)
def test_operators_that_do_not_add_up_to_the_median_are_told(
    milliseconds: tuple[float, ...], told: str
) -> None:
    total = sum(milliseconds)
    operators = tuple(OperatorTime("ADD", each, each / total) for each in milliseconds)
    found = measured("a", 200_000, operators=operators)
    assert bool(found.operators_basis) == bool(told)
    assert told in found.operators_basis
    assert found.as_dict()["operators_basis"] == found.operators_basis
    shown = sum(operator.share for operator in operators) * found.median_ms
    assert not operators or shown == pytest.approx(found.median_ms)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0999999, "0.100"),
        (9.999, "10.0"),
        (0.0000123, "0.0000123"),
        (999.9, "1,000"),
        (-0.5, "-0.500"),
        (math.inf, "–"),
        (0, "0"),
    ],
)
def test_digits_keeps_three(value: float, text: str) -> None:
    assert words.digits(value) == text


def test_the_examples_in_words_hold() -> None:
    import doctest

    assert doctest.testmod(words).failed == 0
