"""Metrics that are no means over samples: scikit-learn's values, and what each sample adds."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as theirs
from hypothesis import assume, given, strategies as st

from edgeshrink.api import Metric, Task
from edgeshrink_metrics.rates import AreaUnderCurve, BalancedAccuracy, MacroF1, RSquared

YES = Task("y", "binary", (1,), activation="sigmoid")
SETS = st.tuples(st.integers(2, 60), st.integers(2, 6), st.integers(0, 2**32 - 1))


def classes(count: int, several: int, seed: int) -> tuple[Task, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    outputs = random.integers(0, 5, (count, several)) / 4  # few values, so that there are ties
    return Task("y", "classification", (several,)), outputs, random.integers(0, several, count)


def yes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.integers(0, 9, (count, 1)) / 8, random.integers(0, 2, count)


def mean(metric: Metric, outputs: np.ndarray, labels: np.ndarray) -> float:
    return float(metric.per_sample(outputs, labels).mean())


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
@given(SETS)
def test_balanced_accuracy_and_f1_are_scikit_learns(shape: tuple[int, int, int]) -> None:
    task, outputs, labels = classes(*shape)
    answers = outputs.argmax(-1)
    ours = mean(BalancedAccuracy(task), outputs, labels)
    assert ours == pytest.approx(theirs.balanced_accuracy_score(labels, answers), abs=1e-9)
    ours = mean(MacroF1(task), outputs, labels)
    assert ours == pytest.approx(theirs.f1_score(labels, answers, average="macro"), abs=1e-9)


@given(st.integers(2, 60), st.integers(0, 2**32 - 1))
def test_yes_and_no_count_both(count: int, seed: int) -> None:
    outputs, labels = yes(count, seed)
    answers = (outputs[:, 0] > 0.5).astype(int)
    assume(len(set(labels)) == 2)
    ours = mean(MacroF1(YES), outputs, labels)
    assert ours == pytest.approx(theirs.f1_score(labels, answers, average="macro"), abs=1e-9)
    ours = mean(BalancedAccuracy(YES), outputs, labels)
    assert ours == pytest.approx(theirs.balanced_accuracy_score(labels, answers), abs=1e-9)
    ours = mean(AreaUnderCurve(YES), outputs, labels)
    assert ours == pytest.approx(theirs.roc_auc_score(labels, outputs[:, 0]), abs=1e-9)


@given(SETS)
def test_the_area_of_classes_and_of_tags_is_scikit_learns(shape: tuple[int, int, int]) -> None:
    task, outputs, labels = classes(*shape)
    one_hot = np.eye(outputs.shape[1])[labels]
    known = one_hot.any(axis=0) & ~one_hot.all(axis=0)
    assume(known.any())
    wanted = theirs.roc_auc_score(one_hot[:, known], outputs[:, known], average="macro")
    assert mean(AreaUnderCurve(task), outputs, labels) == pytest.approx(wanted, abs=1e-9)
    tags = Task("y", "tags", task.shape, activation="sigmoid")
    assert mean(AreaUnderCurve(tags), outputs, one_hot) == pytest.approx(wanted, abs=1e-9)


def test_nothing_to_tell_apart_is_half() -> None:
    assert mean(AreaUnderCurve(YES), np.array([[0.1], [0.9]]), np.array([1, 1])) == 0.5


@given(SETS)
def test_r2_is_scikit_learns(shape: tuple[int, int, int]) -> None:
    count, several, seed = shape
    random = np.random.default_rng(seed)
    outputs, labels = random.normal(size=(2, count, several))
    labels[:, 0] = 3  # all the same
    wanted = theirs.r2_score(labels, outputs, force_finite=True)
    task = Task("y", "regression", (several,))
    assert mean(RSquared(task), outputs, labels) == pytest.approx(wanted, abs=1e-9)
    outputs[:, 0] = 3
    assert mean(RSquared(task), outputs, labels) == pytest.approx(
        theirs.r2_score(labels, outputs, force_finite=True), abs=1e-9
    )


@pytest.mark.parametrize("kind", [BalancedAccuracy, MacroF1, AreaUnderCurve, RSquared])
def test_the_interval_covers_as_often_as_it_says(kind: type[Metric]) -> None:
    """95 % of the intervals of 400 sets of samples hold the value of a million samples."""
    random = np.random.default_rng(0)

    def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = (random.random(count) < 0.3).astype(int)
        outputs = 1 / (1 + np.exp(-random.normal(1.5 * labels - 0.8, 1)))
        return outputs[:, None], labels

    task = Task("y", "regression", (1,)) if kind is RSquared else YES
    metric = kind(task)
    truth = mean(metric, *drawn(1_000_000))
    scores = [metric.score(*drawn(300)) for _ in range(400)]
    covered = sum(one.low <= truth <= one.high for one in scores)
    assert 0.92 <= covered / 400 <= 0.98, covered


def test_an_answer_with_nan_is_of_no_class() -> None:
    outputs = np.array([[np.nan, 0.0], [1.0, 0.0], [0.0, 1.0]])
    task = Task("y", "classification", (2,))
    assert mean(BalancedAccuracy(task), outputs, np.array([0, 0, 1])) == pytest.approx(0.75)
    assert mean(AreaUnderCurve(YES), np.array([[np.nan], [0.1]]), np.array([1, 0])) == 0


def test_a_value_below_zero_has_an_interval_around_it() -> None:
    random = np.random.default_rng(0)
    labels = random.normal(size=(50, 1))
    score = RSquared(Task("y", "regression", (1,))).score(-labels, labels)
    assert score.low < score.value == pytest.approx(-3, abs=0.2)
    assert score.low < score.value < score.high
    assert not score.share


def test_they_are_for_samples_of_one_answer() -> None:
    mask = Task("y", "classification", (4, 4, 3))
    assert not any(kind.applies(mask) for kind in (BalancedAccuracy, MacroF1, AreaUnderCurve))
    assert AreaUnderCurve.applies(Task("y", "tags", (4,)))
    assert RSquared.applies(Task("y", "regression", (4,)))
