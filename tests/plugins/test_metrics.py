from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from edgeshrink.api import Metric, Task
from edgeshrink.errors import DataError
from edgeshrink_metrics import MeanAbsoluteError, MeanIoU, RootMeanSquaredError, Top1, Top5

sets = st.tuples(st.integers(1, 40), st.integers(2, 9), st.integers(0, 2**32 - 1))


def samples(count: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    # few distinct values, so that there are ties
    outputs = random.integers(0, 6, (count, classes)).astype("float32")
    return outputs, random.integers(0, classes, count)


@given(sets)
def test_top1_equals_a_plain_loop(shape: tuple[int, int, int]) -> None:
    outputs, labels = samples(*shape)
    loop = [float(np.argmax(row) == label) for row, label in zip(outputs, labels, strict=True)]
    assert Top1().per_sample(outputs, labels).tolist() == loop


@given(sets)
def test_top5_equals_a_plain_loop(shape: tuple[int, int, int]) -> None:
    outputs, labels = samples(*shape)
    loop = []
    for row, label in zip(outputs, labels, strict=True):
        strongest = sorted(range(len(row)), key=lambda place: (-row[place], place))[:5]
        loop.append(float(label in strongest))
    assert Top5().per_sample(outputs, labels).tolist() == loop


@given(sets)
def test_one_hot_labels_score_as_integers_do(shape: tuple[int, int, int]) -> None:
    outputs, labels = samples(*shape)
    one_hot = np.eye(outputs.shape[1])[labels]
    for metric in (Top1(), Top5()):
        whole = metric.per_sample(outputs, labels)
        assert metric.per_sample(outputs, one_hot).tolist() == whole.tolist()


def test_labels_may_stand_in_a_column() -> None:
    outputs = np.array([[0.1, 0.9], [0.8, 0.2]])
    assert Top1().per_sample(outputs, np.array([[1], [1]])).tolist() == [1, 0]


def test_a_model_that_answers_the_same_for_all_classes_scores_as_argmax_does() -> None:
    outputs, labels = np.zeros((10, 10)), np.arange(10)
    assert Top1().per_sample(outputs, labels).mean() == 0.1


def test_an_answer_with_nan_is_wrong() -> None:
    outputs = np.array([[np.nan, 0.0], [1.0, 0.0]])
    assert Top1().per_sample(outputs, np.array([0, 0])).tolist() == [0, 1]
    assert Top1().per_sample(np.array([[np.nan], [0.1]]), np.array([0, 0])).tolist() == [0, 1]


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_binary_probabilities_and_their_logits_score_alike(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    logits, labels = random.normal(0, 4, (count, 1)), random.integers(0, 2, count)
    logits[0] = -5  # outside 0..1, so that they are seen to be logits
    right = ((logits.ravel() > 0) == labels).astype(float)
    assert Top1().per_sample(logits, labels).tolist() == right.tolist()
    probabilities = 1 / (1 + np.exp(-logits))
    assert Top1().per_sample(probabilities, labels).tolist() == right.tolist()


def test_labels_that_are_no_classes_of_the_model_are_refused() -> None:
    with pytest.raises(DataError, match="labels must be classes 0 to 1; received 0 to 2"):
        Top1().per_sample(np.zeros((2, 2)), np.array([0, 2]))
    with pytest.raises(DataError, match="do not fit"):
        Top1().per_sample(np.zeros((2, 2)), np.array([0, 1, 1]))


def test_steps_of_a_sequence_count_as_shares_of_the_sample() -> None:
    outputs = np.array([[[0.9, 0.1], [0.9, 0.1]]])
    assert Top1().per_sample(outputs, np.array([[0, 1]])).tolist() == [0.5]


@given(st.integers(1, 20), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_errors_equal_a_plain_loop(count: int, width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    outputs, labels = random.normal(size=(2, count, width))
    pairs = [zip(o, y, strict=True) for o, y in zip(outputs, labels, strict=True)]
    differences = [[a - b for a, b in pair] for pair in pairs]
    mae = [sum(map(abs, row)) / width for row in differences]
    mse = [sum(d * d for d in row) / width for row in differences]
    assert MeanAbsoluteError().per_sample(outputs, labels) == pytest.approx(mae)
    assert RootMeanSquaredError().per_sample(outputs, labels) == pytest.approx(mse)
    score = RootMeanSquaredError().score(outputs, labels)
    assert score.value == pytest.approx(np.sqrt(np.mean((outputs - labels) ** 2)))
    assert score.low <= score.value <= score.high


def test_regression_labels_in_a_row_fit_outputs_in_a_column() -> None:
    outputs, labels = np.array([[1.0], [2.0]]), np.array([1.0, 4.0])
    assert MeanAbsoluteError().per_sample(outputs, labels).tolist() == [0, 2]
    with pytest.raises(DataError, match="do not fit"):
        MeanAbsoluteError().per_sample(outputs, np.zeros((2, 2)))


def test_top5_needs_more_than_five_classes() -> None:
    assert not Top5.applies(Task("y", "classification", (5,)))
    assert Top5.applies(Task("y", "classification", (6,)))
    assert not Top5.applies(Task("y", "regression", (6,)))


def test_a_score_of_record_has_a_wilson_interval() -> None:
    outputs = np.eye(2)[np.array([0] * 9 + [1])]
    score = Top1().score(outputs, np.zeros(10, int))
    assert (score.value, score.count) == (0.9, 10)
    assert (round(score.low, 3), round(score.high, 3)) == (0.596, 0.982)


# ---------------------------------------------------------------- samples with several answers

# a loaded machine draws slowly, and Keras computes in TensorFlow
unhurried = settings(suppress_health_check=[HealthCheck.too_slow])
masks = st.tuples(
    st.integers(2, 8), st.integers(2, 6), st.integers(1, 6), st.integers(2, 4), st.integers(0, 99)
)


def mask(
    samples: int, height: int, width: int, classes: int, seed: int
) -> tuple[Task, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    outputs = random.random((samples, height, width, classes)).astype("float32")
    labels = random.integers(0, classes, (samples, height, width))
    return Task("y", "classification", outputs.shape[1:], sparse=True), outputs, labels


@unhurried
@given(masks)
def test_the_accuracy_of_masks_is_that_of_their_elements(size: tuple[int, ...]) -> None:
    task, outputs, labels = mask(*size)
    flat = float((outputs.argmax(-1) == labels).mean())
    assert Top1(task).score(outputs, labels).value == pytest.approx(flat)


@settings(unhurried, max_examples=15)
@given(masks)
def test_mean_iou_is_that_of_keras(size: tuple[int, ...]) -> None:
    task, outputs, labels = mask(*size)
    theirs = keras.metrics.MeanIoU(size[3])
    theirs.update_state(labels, outputs.argmax(-1))
    assert MeanIoU(task).score(outputs, labels).value == pytest.approx(float(theirs.result()))


def test_mean_iou_of_yes_or_no_is_that_of_keras() -> None:
    random = np.random.default_rng(0)
    outputs, labels = random.random((5, 6, 6, 1)), random.integers(0, 2, (5, 6, 6, 1))
    task = Task("y", "binary", (6, 6, 1), activation="sigmoid")
    theirs = keras.metrics.BinaryIoU(threshold=0.5)
    theirs.update_state(labels, outputs)
    assert MeanIoU(task).score(outputs, labels).value == pytest.approx(float(theirs.result()))


def test_the_spread_of_mean_iou_is_that_of_a_bootstrap_over_samples() -> None:
    random = np.random.default_rng(0)
    task = Task("y", "classification", (8, 8, 3), sparse=True)
    labels = random.integers(0, 3, (200, 8, 8))
    right = random.random((200, 1, 1)) > random.random((200, 8, 8)) * 0.7  # some samples are hard
    said = np.where(right, labels, random.integers(0, 3, labels.shape))
    outputs, metric = np.eye(3)[said], MeanIoU(task)
    drawn = [random.integers(0, 200, 200) for _ in range(300)]
    values = [metric.score(outputs[rows], labels[rows]).value for rows in drawn]
    found = metric.score(outputs, labels)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * np.std(values), rel=0.15)


@unhurried
@given(masks, st.sampled_from([Top1, MeanIoU]))
def test_the_order_of_samples_changes_nothing(size: tuple[int, ...], metric: type[Metric]) -> None:
    task, outputs, labels = mask(*size)
    order = np.random.default_rng(1).permutation(len(outputs))
    one = metric(task).score(outputs, labels)
    other = metric(task).score(outputs[order], labels[order])
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))


@unhurried
@given(masks, st.integers(2, 5), st.sampled_from([Top1, MeanIoU]))
def test_more_of_the_same_elements_make_no_narrower_interval(
    size: tuple[int, ...], times: int, metric: type[Metric]
) -> None:
    task, outputs, labels = mask(*size)
    one = metric(task).score(outputs, labels)
    finer = Task("y", "classification", (size[1] * times, *outputs.shape[2:]), sparse=True)
    other = metric(finer).score(outputs.repeat(times, 1), labels.repeat(times, 1))
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))
    assert one.count == other.count == size[0]


def test_an_element_with_nan_is_in_no_intersection() -> None:
    outputs = np.array([[[np.nan, 0.0], [1.0, 0.0]]])
    task = Task("y", "classification", (2, 2), sparse=True)
    assert MeanIoU(task).score(outputs, np.array([[0, 0]])).value == 0.5


def test_mean_iou_is_for_samples_with_several_answers() -> None:
    assert MeanIoU.applies(Task("y", "classification", (8, 8, 3)))
    assert MeanIoU.applies(Task("y", "binary", (8, 8, 1)))
    assert not MeanIoU.applies(Task("y", "classification", (3,)))
    assert not MeanIoU.applies(Task("y", "binary", (1,)))
    assert not MeanIoU.applies(Task("y", "regression", (8, 8, 1)))
