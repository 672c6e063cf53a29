"""Samples that have several answers are judged by answer, and compared sample by sample."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from edgeshrink.models.compiled import Objective
from edgeshrink.plugins import installed
from edgeshrink.results.judge import Judge, Outputs, Samples
from edgeshrink.results.paired import paired_z
from edgeshrink.samples.task import Task

MASK = Task("y", "classification", (8, 8, 3), sparse=True, activation="softmax")


def judge(*tasks: Task, **more: Any) -> Judge:
    return Judge(
        lambda: pytest.fail("nothing is to be run"),
        Path(),
        installed().metrics,
        tasks={task.name: task for task in tasks},
        progress=lambda fraction, note: None,
        **more,
    )


def samples(**labels: np.ndarray) -> Samples:
    return Samples({}, labels, "d", len(next(iter(labels.values()))))


def masks(count: int, right: float, seed: int = 0) -> tuple[Outputs, np.ndarray]:
    """Return outputs of which a share names the labelled class, and labels: 8 of 10 are 0."""
    random = np.random.default_rng(seed)
    labels = random.choice(3, (count, 8, 8), p=[0.8, 0.1, 0.1])
    said = np.where(random.random(labels.shape) < right, labels, (labels + 1) % 3)
    return {"y": np.eye(3)[said]}, labels


def test_guessing_a_mask_is_naming_the_commonest_class_for_each_pixel() -> None:
    outputs, labels = masks(50, 0.9)
    assert judge(MASK).guess(outputs, samples(y=labels)) == pytest.approx((labels == 0).mean())


def test_a_mask_is_near_chance_where_accuracy_and_iou_are() -> None:
    labels = np.zeros((20, 8, 8), int)
    labels[:, 0, :3] = 1  # an object that fills little of the image
    near = judge(MASK).near_chance({"y": np.eye(3)[np.zeros_like(labels)]}, samples(y=labels))
    assert near is not None
    assert (near.value, near.guess, near.single) == (61 / 64, 61 / 64, False)
    found = labels.copy()
    found[:, 0, 2] = 0  # two thirds of it are found: accuracy says little, the union says it
    assert judge(MASK).near_chance({"y": np.eye(3)[found]}, samples(y=labels)) is None


@pytest.mark.parametrize("name", ["auc", "balanced_accuracy", "macro_f1"])
def test_rates_are_told_where_they_are_asked_for(name: str) -> None:
    random = np.random.default_rng(0)
    task = Task("y", "classification", (3,), sparse=True, activation="softmax")
    labels = random.integers(0, 3, 60)
    base = {"y": np.eye(3)[labels] + random.normal(0, 0.4, (60, 3))}
    worse = {"y": base["y"] + random.normal(0, 2, (60, 3))}
    assert [one.metric for one in judge(task).scores(base, samples(y=labels))] == ["top1"]
    asked = judge(task, record=name)
    assert [one.metric for one in asked.scores(base, samples(y=labels))] == [name, "top1"]
    assert asked.guess(base, samples(y=labels)) == pytest.approx(
        1 / 3 if name != "auc" else 0.5, abs=0.2
    )
    p_value = asked.p_value(base, worse, samples(y=labels))
    assert p_value is not None
    assert p_value < 0.01
    compiled = replace(task, objective=Objective(metrics=(name,)))
    assert judge(compiled).scores(base, samples(y=labels))[0].metric == name


def test_masks_are_paired_by_sample_and_never_by_pixel() -> None:
    base, labels = masks(30, 0.9)
    worse, _ = masks(30, 0.85)
    paired = judge(MASK).paired(base, worse, samples(y=labels))
    assert paired is not None
    assert paired.before.shape == (30,)
    assert paired.p_value == paired_z(paired.after - paired.before)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(2, 20), st.integers(2, 6), st.integers(0, 50))
def test_finer_masks_of_the_same_samples_are_no_more_certain(
    count: int, times: int, seed: int
) -> None:
    base, labels = masks(count, 0.9, seed)
    other, _ = masks(count, 0.7, seed + 1)
    fine = Task("y", "classification", (8 * times, 8, 3), sparse=True, activation="softmax")
    one = judge(MASK).p_value(base, other, samples(y=labels))
    same = judge(fine).p_value(
        {"y": base["y"].repeat(times, 1)},
        {"y": other["y"].repeat(times, 1)},
        samples(y=labels.repeat(times, 1)),
    )
    assert same == pytest.approx(one)


def test_agreement_of_masks_is_by_pixel() -> None:
    base, _ = masks(30, 0.9)
    other = {"y": np.roll(base["y"], 1, axis=1)}
    agreed = judge(MASK).agreement(base, other, Samples({}, {}, "d", 30))
    same = (base["y"].argmax(-1) == other["y"].argmax(-1)).mean()
    assert agreed.top1 == pytest.approx(same)
    assert agreed.answers == 30 * 64
    assert agreed.answers_to("30 test samples") == "1,920 answers to 30 test samples"


def test_a_score_that_is_told_alike_has_no_difference() -> None:
    task = Task("y", "regression", (1,))
    labels = np.linspace(0, 1, 500)[:, None]
    base, other = {"y": labels + 0.1}, {"y": labels + 0.1 + 1e-7}
    assert judge(task).p_value(base, other, samples(y=labels)) == 1
    random = 0.3 * np.random.default_rng(0).random(labels.shape)
    assert judge(task).p_value(base, {"y": labels + random}, samples(y=labels)) < 0.05


def test_each_output_is_scored_by_its_own_metrics() -> None:
    box = Task("box", "regression", (4,))
    cls = Task("cls", "binary", (1,), activation="sigmoid")
    random = np.random.default_rng(0)
    outputs = {"box": random.random((40, 4)), "cls": random.random((40, 1))}
    known = samples(box=random.random((40, 4)), cls=random.integers(0, 2, 40))
    told = [(s.metric, s.output, s.beside) for s in judge(box, cls).scores(outputs, known)]
    assert told == [
        ("mae", "box", False),
        ("rmse", "box", False),
        ("top1", "cls", True),
    ]
    chosen = judge(box, cls, record="top1").scores(outputs, known)
    assert (chosen[0].metric, chosen[0].output) == ("top1", "cls")


def test_a_model_is_judged_first_by_what_it_was_compiled_with() -> None:
    task = Task("y", "regression", (1,), objective=Objective(metrics=("root_mean_squared_error",)))
    labels = np.linspace(0, 1, 50)[:, None]
    scores = judge(task).scores({"y": labels}, samples(y=labels))
    assert [score.metric for score in scores] == ["rmse", "mae"]
    given = judge(task, record="mae").scores({"y": labels}, samples(y=labels))
    assert given[0].metric == "mae"


def test_outputs_that_conversion_renamed_are_told_by_their_order() -> None:
    one, two = Task("a", "regression", (1,)), Task("b", "classification", (3,), sparse=True)
    labels = {"a": np.arange(6.0)[:, None], "b": np.arange(6) % 3}
    outputs = {"StatefulPartitionedCall:0": labels["a"], "other": np.eye(3)[labels["b"]]}
    told = {s.metric: s.value for s in judge(one, two).scores(outputs, samples(**labels))}
    assert told == {"mae": 0, "rmse": 0, "top1": 1}
