"""What an output answers is told once, by the model, the labels, and whoever says otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from edgeshrink.errors import DataError, UsageError
from edgeshrink.models.compiled import Compiled, LossFacts, Objective
from edgeshrink.models.tensors import TensorFacts
from edgeshrink.samples.compatibility import check_labels
from edgeshrink.samples.model_outputs import Meaning, ModelOutputs
from edgeshrink.samples.subset import Subset
from edgeshrink.samples.task import Task, task_of

WHOLE = np.array([3, 17, 0, 42])
BITS = np.array([0, 1, 1, 0])
MASKS = np.arange(4 * 8 * 8).reshape(4, 8, 8) % 3
REALS = np.linspace(0, 1, 8).reshape(4, 2)


def output(shape: tuple[int | None, ...] | None, activation: str = "") -> TensorFacts:
    return TensorFacts("y", None if shape is None else (None, *shape), activation=activation)


@pytest.mark.parametrize(
    ("facts", "labels", "loss", "kind", "elements"),
    [
        (output((10,), "softmax"), WHOLE % 10, None, "classification", ()),
        (output((10,), "softmax"), np.eye(10)[WHOLE % 10], None, "classification", ()),
        (output((2,), "softmax"), BITS, "sparse_categorical_crossentropy", "classification", ()),
        (output((2,), "softmax"), REALS, "categorical_crossentropy", "classification", ()),
        (output((1,), "sigmoid"), BITS, "binary_crossentropy", "binary", ()),
        (output((2,), "sigmoid"), np.ones((4, 2)), "binary_crossentropy", "tags", (2,)),
        # masks and sequences: one answer for each element, whatever the rank
        (output((8, 8, 3), "softmax"), MASKS, None, "classification", (8, 8)),
        (output((8, 8, 3), "softmax"), MASKS[..., None], None, "classification", (8, 8)),
        (output((8, 8, 3), "softmax"), np.eye(3)[MASKS], None, "classification", (8, 8)),
        (output((None, None, 3)), MASKS, None, "classification", (None, None)),
        (output((8, 8, 1), "sigmoid"), MASKS[..., None] > 1, None, "binary", (8, 8)),
        (output((8, 8, 1), "sigmoid"), MASKS > 1, None, "binary", (8, 8)),
        (output((5, 3), "softmax"), MASKS[:, 0, :5], None, "classification", (5,)),
        # whole numbers are no classes where one number is put out
        (output((1,), "linear"), WHOLE, "mae", "regression", ()),
        (output((1,), "linear"), BITS, "mse", "regression", ()),
        (output((1,), "linear"), WHOLE, None, "regression", ()),
        (output((1,), "linear"), BITS, "binary_crossentropy", "binary", ()),
        (output((2,), "linear"), REALS, None, "regression", ()),
        (output((8, 8, 1), "sigmoid"), MASKS[..., None] / 2, None, "regression", ()),
        # no model is known yet
        (output(None), WHOLE, None, "classification", ()),
        (output(None), WHOLE, "mae", "regression", ()),
        (output(None), BITS, None, "binary", ()),
        (output(None), BITS, "sparse_categorical_crossentropy", "classification", ()),
    ],
)
def test_model_and_labels_tell_the_task(
    facts: TensorFacts, labels: np.ndarray, loss: str | None, kind: str, elements: tuple[int, ...]
) -> None:
    found = task_of(facts, [labels], Objective(LossFacts(loss) if loss else None))
    assert (found.kind, found.elements) == (kind, elements)


@pytest.mark.parametrize(
    ("facts", "loss", "kind"),
    [
        (output((10,), "softmax"), None, "classification"),
        (output((8, 8, 3), "softmax"), None, "classification"),
        (output((1,), "sigmoid"), None, "binary"),
        (output((8, 8, 1), "sigmoid"), "binary_crossentropy", "binary"),
        (output((8, 8, 3), "sigmoid"), "binary_crossentropy", "regression"),  # colours
        (output((8, 8, 1), "sigmoid"), "mse", "regression"),
        (output((10,), "linear"), "sparse_categorical_crossentropy", "classification"),
        (output((10,), "linear"), None, "regression"),
    ],
)
def test_without_labels_the_model_tells_the_task(
    facts: TensorFacts, loss: str | None, kind: str
) -> None:
    assert task_of(facts, (), Objective(LossFacts(loss) if loss else None)).kind == kind


def test_what_is_given_goes_before_what_is_told() -> None:
    facts, labels = (output((1,), "sigmoid"),), {"": [WHOLE]}
    assert ModelOutputs(facts).tasks(labels)["y"].kind == "binary"
    assert ModelOutputs(facts, given="regression").tasks(labels)["y"].kind == "regression"
    assert ModelOutputs(facts, given="y=regression").tasks(labels)["y"].kind == "regression"
    with pytest.raises(UsageError, match="no output 'z'"):
        ModelOutputs(facts, given="z=regression").tasks(labels)
    with pytest.raises(UsageError, match=r"one of .* received 'numbers'"):
        Meaning("numbers")


def test_outputs_of_a_dict_are_found_by_their_keys() -> None:
    facts = (TensorFacts("dense_1", (None, 1), key="age"), TensorFacts("dense", (None, 2), key="b"))
    outputs = ModelOutputs(facts, Compiled({"age": "mae", "b": "mse"}))
    tasks = outputs.tasks({"age": [WHOLE], "b": [REALS]})
    assert [task.kind for task in tasks.values()] == ["regression", "regression"]
    assert [t.objective.loss.spelled for t in tasks.values() if t.objective.loss] == ["mae", "mse"]


@pytest.mark.parametrize(
    ("facts", "labels", "match"),
    [
        (output((1,), "sigmoid"), WHOLE, "must be 0 and 1"),
        (output((8, 8, 3), "softmax"), MASKS + 1, "must be 0 to 2"),
        (output((8, 8, 3), "softmax"), MASKS[:, :4], "must fit"),
        (output((8, 8, 3), "softmax"), MASKS + 0.5, "must be integers"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    facts: TensorFacts, labels: np.ndarray, match: str
) -> None:
    part = Subset({}, np.arange(len(labels)), labels)
    with pytest.raises(DataError, match=match):
        check_labels("test", part, {"y": task_of(facts, [labels])})


def test_labels_that_the_loss_leaves_out_are_told_as_that() -> None:
    void = MASKS.copy()
    void[0, 0, 0] = 255
    facts, part = output((8, 8, 3), "softmax"), Subset({}, np.arange(len(void)), void)
    loss = LossFacts("sparse_categorical_crossentropy", {"ignore_class": 255})
    told = {"y": task_of(facts, [void], Objective(loss))}
    with pytest.raises(
        DataError, match=r"hold 255, which .* leaves out \(ignore_class=255\)"
    ) as no:
        check_labels("test", part, told)
    assert "one of the 3 classes" in no.value.hint
    void[0, 0, 1] = 7  # is no class either
    with pytest.raises(DataError, match="must be 0 to 2"):
        check_labels("test", Subset({}, np.arange(len(void)), void), told)
    check_labels("test", Subset({}, np.arange(len(MASKS)), MASKS), told)


def test_one_hot_labels_without_a_one_are_refused() -> None:
    void = np.eye(3)[MASKS]
    facts = output((8, 8, 3), "softmax")
    check_labels("test", Subset({}, np.arange(len(void)), void), {"y": task_of(facts, [void])})
    void[0, 0, :2] = 0
    part = Subset({}, np.arange(len(void)), void)
    with pytest.raises(DataError, match=r"name no class for 2 of [\d,]+ answers"):
        check_labels("test", part, {"y": task_of(facts, [void])})


def test_numbers_are_not_asked_of_fewer_labels_than_values() -> None:
    facts, labels = output((2,), "softmax"), np.arange(8) % 2
    task = task_of(facts, [labels], given="regression")
    with pytest.raises(DataError, match=r"must fit the output 'y' of shape \(2\); received \(\)"):
        check_labels("test", Subset({}, np.arange(8), labels), {"y": task})


@pytest.mark.parametrize(("void", "hint"), [(255, "255 often marks"), (-1, "-1 often marks")])
def test_a_mark_for_elements_without_a_class_is_explained(void: int, hint: str) -> None:
    labels = np.where(MASKS == 0, void, MASKS)
    task = task_of(output((8, 8, 3), "softmax"), [labels])
    with pytest.raises(DataError, match="must be 0 to 2") as raised:
        check_labels("test", Subset({}, np.arange(len(labels)), labels), {"y": task})
    assert raised.value.hint.startswith(hint)


sizes = st.tuples(
    st.integers(1, 6), st.lists(st.integers(1, 4), max_size=3), st.integers(2, 5), st.integers(0, 9)
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(sizes)
def test_one_hot_labels_and_class_numbers_are_the_same_task(
    size: tuple[int, list[int], int, int],
) -> None:
    samples, elements, classes, seed = size
    numbers = np.random.default_rng(seed).integers(0, classes, (samples, *elements))
    facts = TensorFacts("y", (None, *elements, classes))
    sparse, dense = (task_of(facts, [one]) for one in (numbers, np.eye(classes)[numbers]))
    assert (sparse.kind, sparse.elements) == (dense.kind, dense.elements)
    assert (sparse.wanted(numbers) == numbers).all()
    assert (dense.wanted(np.eye(classes)[numbers]) == numbers).all()
    assert (sparse.answers(np.eye(classes)[numbers]) == numbers).all()


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(sizes)
def test_the_best_constant_names_the_commonest_class(
    size: tuple[int, list[int], int, int],
) -> None:
    samples, elements, classes, seed = size
    numbers = np.random.default_rng(seed).integers(0, classes, (samples, *elements))
    task = task_of(TensorFacts("y", (None, *elements, classes)), [numbers])
    named = task.answers(task.constant(numbers, np.zeros((samples, *elements, classes))))
    assert (named == np.bincount(numbers.reshape(-1)).argmax()).all()


def test_strata_are_of_samples_with_one_class() -> None:
    one = task_of(output((10,)), [WHOLE % 10])
    assert one.strata(WHOLE % 10).tolist() == (WHOLE % 10).tolist()  # type: ignore[union-attr]
    assert task_of(output((8, 8, 3)), [MASKS]).strata(MASKS) is None
    assert task_of(output((1,), "linear"), [WHOLE]).strata(WHOLE) is None


@pytest.mark.parametrize(
    ("task", "y", "said"),
    [
        (Task("y", "classification", (3,)), [0.1, 0.7, 0.2], "b"),
        (Task("y", "binary", (1,), activation="sigmoid"), [0.4], "a"),
        (Task("y", "binary", (1,), activation="linear"), [0.4], "b"),
        (Task("y", "tags", (3,), activation="sigmoid"), [0.4, 0.6, 0.9], ["b", "c"]),
        (Task("y", "classification", (2, 3)), [[0, 1, 0], [1, 0, 0]], [1, 0]),
        (Task("y", "binary", (2, 1), activation="sigmoid"), [[0.6], [0.1]], [[1], [0]]),
        (Task("y", "regression", (1,)), [0.4], [0.4]),
    ],
)
def test_the_snippet_names_the_answer(task: Task, y: list[float], said: object) -> None:
    answer = eval(task.python_snippet(["a", "b", "c"]), {"y": np.array(y)})
    assert (answer.tolist() if isinstance(answer, np.ndarray) else answer) == said
