from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from edgeshrink import cli
from edgeshrink.cli.commands.compare import together
from edgeshrink.plugins import installed
from edgeshrink.results.ledger import Ledger, Row
from edgeshrink.results.merit import Merit, with_merits
from edgeshrink.results.metric import Score
from edgeshrink.results.report import Report, json_text
from edgeshrink.results.verdict import Verdict
from edgeshrink_metrics.merits import Efficacy, EfficacyOnDisk, QualityOfModel
from edgeshrink_reports import Markdown
from edgeshrink_reports.html import report_page

MEGABYTE = 2**20
MERITS = {"efficacy": Efficacy, "quality_of_model": QualityOfModel}


def row(accuracy: float | None, weights: int, size: int, deflated: int, step: str = "base") -> Row:
    scores = () if accuracy is None else (Score("top1", accuracy, 0, 1, 10_000, True),)
    return Row(step, "tflite", step, "d", weights, weights, 1, size, deflated, scores=scores)


def report(*rows: Row) -> Report:
    ledger, verdict = Ledger(rows), Verdict("top1", 0.9, 0.9, 100)
    return Report("m.keras", "m.tflite", "edgeshrink compress", "", {}, {}, ledger, verdict)


TWO = (row(0.9, 1000, 4000, 3700), row(0.9, 100, 500, 400, "shrink"))


def anything(one: Row) -> bool:
    return True


@pytest.mark.parametrize(
    ("merit", "accuracy", "size", "deflated", "published"),
    [  # Khan and Mandal, table 5; accuracies and sizes from its tables 3 and 4
        (Efficacy, 0.9761, 1.0, 0.08, 1220.13),
        (Efficacy, 0.6968, 5.22, 5.08, 13.72),
        (EfficacyOnDisk, 0.9812, 1.494, 1.3, 65.68),
        (EfficacyOnDisk, 0.7059, 0.341, 0.3, 207.01),
        (EfficacyOnDisk, 0.9762, 0.023, 0.02, 4244.35),
    ],
)
def test_efficacy_gives_what_khan_and_mandal_published(
    merit: type[Merit], accuracy: float, size: float, deflated: float, published: float
) -> None:
    one = row(accuracy, 1000, round(size * MEGABYTE), round(deflated * MEGABYTE))
    assert merit().of(one, [one]) == pytest.approx(published, rel=1e-3)


def test_a_megabyte_is_that_of_the_paper() -> None:
    teacher = row(0.9774, 1_551_958, 4 * 1_551_958, 4 * 1_551_958)
    megabytes = 97.74 / EfficacyOnDisk().of(teacher, [teacher])
    assert megabytes == pytest.approx(5.923, abs=0.005)


def test_quality_is_half_accuracy_and_half_what_was_saved() -> None:
    base, small = row(0.8, 1000, 4000, 4000), row(0.7, 100, 400, 400)
    assert QualityOfModel().of(base, [base, small]) == pytest.approx(0.4)
    assert QualityOfModel().of(small, [base, small]) == pytest.approx(0.35 + 0.45)


def test_weights_that_are_zero_do_not_count_for_quality() -> None:
    base = row(1.0, 1000, 4000, 4000)
    pruned = replace(base, nonzeros=250)
    assert QualityOfModel().of(pruned, [base, pruned]) == pytest.approx(0.5 + 0.5 * 0.75)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 10**7)), min_size=1, max_size=5))
def test_quality_lies_in_0_to_1_and_a_perfect_tiny_model_comes_near_1(
    models: list[tuple[float, int]],
) -> None:
    rows = [row(accuracy, weights, weights, weights) for accuracy, weights in models]
    assert all(
        0 <= one.merits["quality_of_model"] <= 1 for one in with_merits(rows, MERITS, anything)
    )
    tiny = row(1.0, 1, 1, 1)
    assert QualityOfModel().of(tiny, [tiny, row(0.1, 10**9, 1, 1)]) > 0.99


def test_without_accuracy_there_are_no_figures() -> None:
    regressed = replace(row(None, 9, 9, 9), scores=(Score("mae", 0.3, 0, 1, 10, False),))
    for one in with_merits([row(None, 9, 9, 9), regressed, row(0.5, 0, 9, 9)], MERITS, anything)[
        :2
    ]:
        assert one.merits == {}
    empty = row(0.5, 0, 9, 9)
    assert QualityOfModel().of(empty, [empty]) is None


def test_a_stage_that_lost_too_much_has_no_figures() -> None:
    verdict = Verdict("top1", 0.9, 0.1, 100, allowed=0.1)
    rows = [row(0.9, 1000, 4000, 3700), row(0.81, 90, 300, 200), row(0.1, 10, 40, 20)]
    found = with_merits(rows, MERITS, verdict.has_merits)
    assert [bool(one.merits) for one in found] == [True, True, False]
    accepted = replace(verdict, allowed=math.inf, guess=0.1)
    found = with_merits(rows, MERITS, accepted.has_merits)
    assert [bool(one.merits) for one in found] == [True, True, False]


def test_reports_keep_the_figures_and_those_of_before_are_read() -> None:
    rows = with_merits(
        [row(0.9, 1000, 4000, 3700), row(0.9, 100, 500, 400, "shrink")], MERITS, anything
    )
    document = json.loads(json_text(report(*rows).as_dict()))
    written = document["ledger"]["rows"][1]["merits"]
    assert written["efficacy"] == pytest.approx(90 / (400 / MEGABYTE))
    assert Report.from_dict(document).ledger.final.merits == written
    for old in document["ledger"]["rows"]:
        del old["merits"]
    assert Report.from_dict(document).ledger.final.merits == {}


def test_side_by_side_quality_is_reckoned_among_all_models() -> None:
    small = report(*with_merits([row(0.9, 100, 400, 400)], MERITS, anything))
    large = report(*with_merits([row(0.9, 1000, 4000, 4000)], MERITS, anything))
    assert small.ledger.final.merits["quality_of_model"] == pytest.approx(0.45)
    both = together({"small": small, "large": large})
    assert both["small"].ledger.final.merits["quality_of_model"] == pytest.approx(0.45 + 0.45)
    assert both["large"].ledger.final.merits["quality_of_model"] == pytest.approx(0.45)


def test_the_figures_are_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    rows = with_merits(
        [row(0.9, 1000, 4000, 3700), row(0.9, 100, 500, 400, "shrink")], MERITS, anything
    )
    for name in ("a", "b"):
        text = json_text(report(*rows).as_dict())
        (tmp_path / f"{name}.report.json").write_text(text)
    assert "\n| shrink | 235,930 | 0.9 |\n" in Markdown().render(report(*rows))
    assert "<td>235,930</td><td>0.9</td>" in report_page(report(*rows))
    assert cli.run(["report", str(tmp_path / "a.tflite")]) == 0
    assert "efficacy 25,506 before, 235,930 after" in capsys.readouterr().out
    assert cli.run(["compare", str(tmp_path / "a.tflite"), str(tmp_path / "b.tflite")]) == 0
    shown = capsys.readouterr().out
    assert "quality of model" in shown
    assert "235,930" in shown


def test_the_figures_that_ship_are_listed() -> None:
    assert [*installed().merits] == ["efficacy", "efficacy_on_disk", "quality_of_model"]
