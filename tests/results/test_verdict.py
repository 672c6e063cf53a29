from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeshrink.api import Task
from edgeshrink.errors import UsageError
from edgeshrink.plugins import installed
from edgeshrink.results.judge import Judge, Samples
from edgeshrink.results.verdict import Drop, Verdict, allowed

CLASSES = np.arange(1000) % 10


def judge(**more: Any) -> Judge:
    return Judge(
        lambda: pytest.fail("nothing is to be run"),
        Path(),
        installed().metrics,
        progress=lambda fraction, note: None,
        **more,
    )


def answers(right: float, labels: np.ndarray = CLASSES, start: int = 0) -> dict[str, np.ndarray]:
    """Return one-hot answers of which a share is right; the wrong ones name class 0."""
    given = np.where(np.roll(np.arange(len(labels)), start) < right * len(labels), labels, 0)
    return {"y": np.eye(10)[given]}


def verdict(
    base: dict[str, np.ndarray],
    made: dict[str, np.ndarray],
    labels: Any = CLASSES,
    most: float | None = None,
    names: tuple[str, ...] = (),
) -> Verdict:
    samples = Samples({}, {} if labels is None else {"y": labels}, "d", len(base["y"]))
    tasks = {"y": Task("y", "classification", (10,))} if labels is None else {}
    drop = None if most is None else Drop(most)
    return judge(tasks=tasks).verdict(base, made, samples, drop, names)


@pytest.mark.parametrize(
    ("base", "made", "outcome", "failed"),
    [
        (0.9, 0.0, "worse", True),  # at chance
        (0.9, 0.88, "worse", False),
        (0.9, 0.75, "worse", True),
        (0.9, 0.93, "better", False),
        (0.9, 0.898, "no difference shown", False),
        (0.2, 0.095, "worse", True),  # half of the way to guessing is less than 10 points
    ],
)
def test_a_verdict_is_better_worse_or_neither(
    base: float, made: float, outcome: str, failed: bool
) -> None:
    found = verdict(answers(base), answers(made))
    assert found.guess == pytest.approx(0.1)
    assert found.outcome == outcome
    assert bool(found.failure) == failed
    assert str(found).startswith(outcome)


def test_what_is_allowed_is_told_by_flag() -> None:
    base, made = answers(0.9), answers(0.75)
    before, after = ((one["y"].argmax(1) == CLASSES).mean() for one in (base, made))
    points = 100 * float(before - after)
    assert verdict(base, made, most=points).failure == ""
    failure = verdict(base, made, most=points - 1).failure
    assert failure == (
        f"the result lost {points:.1f} points, where at most {points - 1:.1f} points may be lost"
    )
    assert verdict(base, made, most=0).failure.endswith("where nothing may be lost")
    near = verdict(base, made, most=points - 0.01).failure  # told apart
    assert near.startswith(
        f"the result lost {points:.2f} points, where at most {points - 0.01:.2f}"
    )
    accepted = verdict(base, answers(0.0), most=math.inf)
    assert (accepted.failure, accepted.outcome) == ("", "worse")


def test_a_few_samples_show_no_difference_and_may_fail_all_the_same() -> None:
    few = CLASSES[:10]
    found = verdict(answers(1.0, few), answers(0.7, few), few)
    assert found.outcome == "no difference shown"
    assert found.failure.startswith("the result lost 30.0 points")


def test_the_class_that_lost_most_is_named() -> None:
    made = answers(1.0)["y"]
    made[(CLASSES == 7) & (np.arange(1000) < 500)] = np.eye(10)[0]
    found = verdict(answers(1.0), {"y": made}, names=tuple(["zero", "one", "two"]))
    assert (found.worst.name, found.worst.before, found.worst.after) == ("7", 1.0, 0.5)
    assert found.worst.samples == 100
    assert "class that lost most: 7, 100 % → 50.0 % of its 100 samples" in str(found)
    one_hot = verdict(answers(1.0), {"y": made}, labels=np.eye(10)[CLASSES], names=("a",) * 10)
    assert (one_hot.worst.name, one_hot.worst.after) == ("a", 0.5)
    assert verdict({"y": made}, answers(1.0)).worst is None


def test_without_labels_agreement_is_judged_by_the_same_rule() -> None:
    base = answers(1.0)
    for right, failed in ((0.95, False), (0.85, True)):
        found = verdict(base, answers(right), labels=None)
        assert (found.metric, found.outcome, bool(found.failure)) == ("agreement", "", failed)
        assert "accuracy NOT measured" in str(found)
    same = {"y": np.eye(10)[np.zeros(100, int)]}
    assert verdict(same, same, labels=None).failure == (
        "the original names one class for all 100 test samples, so that agreement on them says "
        "nothing"
    )
    assert verdict(same, same, labels=None, most=math.inf).failure == ""


@pytest.mark.parametrize(
    ("kind", "right", "told"),
    [
        ("binary", 0.95, ""),
        (
            "binary",
            0.8,
            "warning: output 'beside' answers as the base does on only 80.0 % of 1,000 test "
            "samples",
        ),
        (
            "regression",
            0.8,
            "warning: output 'beside' explains only 20.0 % of the variance of what the base says "
            "of 1,000 test samples",
        ),
    ],
)
def test_an_output_that_answers_otherwise_is_told_first(kind: str, right: float, told: str) -> None:
    beside = np.tile([0.1, 0.9], 500)[:, None]
    other = np.where(np.arange(1000)[:, None] < 1000 * right, beside, 1 - beside)
    base, made = ({**answers(1.0), "beside": values} for values in (beside, other))
    tasks = {
        "y": Task("y", "classification", (10,), sparse=True),
        "beside": Task("beside", kind, (1,)),
    }
    samples = Samples({}, {"y": CLASSES}, "d", 1000)
    found = judge(tasks=tasks).verdict(base, made, samples, None)
    assert found.outcome == "no difference shown"
    assert str(found).splitlines()[1:] == ([told] if told else [])


def test_a_single_output_that_answers_otherwise_needs_no_name() -> None:
    other = answers(0.8, start=500)  # as many are right, others
    (line,) = str(verdict(answers(0.8), other)).splitlines()[1:2]
    assert line.startswith("warning: the result answers as the base does on only 64.")


def test_made_up_inputs_that_tell_nothing_apart_are_a_warning_and_no_failure() -> None:
    base, one = ({"y": np.eye(10)[(np.arange(256) < n).astype(int)]} for n in (0, 1))
    samples = Samples({}, {}, "d", 256, synthetic=True)
    judged = judge(tasks={"y": Task("y", "classification", (10,))})
    assert judged.verdict(base, one, samples, None).failure == ""  # one of 256 is no failure
    found = judged.verdict(base, base, samples, None)
    assert found.failure == ""
    assert str(found).splitlines()[1] == (
        "warning: the original names one class for all 256 synthetic inputs, so that agreement on "
        "them says nothing; pass --data"
    )
    assert "on 80.00 % of" in dataclasses.replace(found, after=0.8).failure


def test_values_are_judged_by_half_of_the_way_to_the_mean_of_the_labels() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.normal(size=(500, 1))
    base = {"y": wanted + rng.normal(size=(500, 1)) * 0.1}
    guess = float(abs(wanted - wanted.mean()).mean())
    for noise, outcome, failed in ((0.1, "no difference shown", False), (2.0, "worse", True)):
        made = {"y": wanted + rng.normal(size=(500, 1)) * noise}
        found = verdict(base, made, labels=wanted)
        assert found.metric == "mae"
        assert found.guess == pytest.approx(guess)
        assert found.allowed == pytest.approx((guess - found.before) / 2)
        assert (found.outcome, bool(found.failure)) == (outcome, failed)
    assert found.failure.startswith("the result lost 1.")
    assert "of mae" in found.failure


def test_a_base_that_guesses_has_nothing_to_lose() -> None:
    assert verdict(answers(0.02), answers(0.0)).failure == ""


def test_a_verdict_survives_json() -> None:
    found = verdict(answers(0.9), answers(0.5), most=math.inf)
    import json
    from dataclasses import asdict

    from edgeshrink.results.report import json_text
    from edgeshrink.texts import typed

    assert typed(Verdict, json.loads(json_text(asdict(found))), "it").accepting() == found


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("", None),
        (None, None),
        ("none", Drop(math.inf)),
        ("2.5", Drop(2.5)),
        ("1%", Drop(1, percent=True)),
        (0, Drop(0.0)),
    ],
)
def test_what_may_be_lost_is_read(given: float | str | None, read: Drop | None) -> None:
    assert Drop.parse(given) == read


@pytest.mark.parametrize("given", ["-1", "some", "nan", "inf", "%", "1%%", "-1%"])
def test_what_may_be_lost_is_a_number_or_none(given: str) -> None:
    with pytest.raises(UsageError, match="--max-drop must be a number, at least 0, or none"):
        Drop.parse(given)


def test_less_may_be_lost_where_there_is_less() -> None:
    assert allowed(None, 0.9, 0.1, share=True) == 0.1
    assert allowed(None, 0.2, 0.1, share=True) == pytest.approx(0.05)
    assert allowed(None, 0.9, None, share=True) == 0.1
    assert allowed(Drop(3), 0.9, 0.1, share=True) == 0.03
    assert allowed(Drop(3), 0.9, 0.1, share=False) == 3


def test_a_percentage_is_points_of_a_share_and_a_part_of_another_score() -> None:
    assert allowed(Drop(3, percent=True), 0.9, 0.1, share=True) == 0.03
    assert allowed(Drop(3, percent=True), 20.0, None, share=False) == pytest.approx(0.6)
