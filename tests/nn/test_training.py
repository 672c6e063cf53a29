"""The training loop: zeros stay zero whatever the optimizer does, and the best weights are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from small_training import context, renamed, small

from edgeshrink.errors import DataError, EdgeshrinkError, UsageError
from edgeshrink.models.compiled import Objective, loss_facts
from edgeshrink.models.config import facts
from edgeshrink.models.tensors import TensorFacts
from edgeshrink.nn.learning.finetuning import finetune
from edgeshrink.nn.learning.losses import output_loss
from edgeshrink.nn.learning.masks import Masks, kernel_weights
from edgeshrink.nn.learning.outputs import output_facts
from edgeshrink.nn.learning.supervision import objectives, training_batches
from edgeshrink.nn.learning.training import Course, reestimate_batchnorm
from edgeshrink.recipes.training import Training
from edgeshrink.samples import dataset as datasets, load_dataset
from edgeshrink.samples.model_outputs import ModelOutputs
from edgeshrink.samples.task import Task, task_of

layers = keras.layers


OPTIMIZERS: dict[str, Callable[[], keras.optimizers.Optimizer]] = {
    "adam": lambda: keras.optimizers.Adam(1e-2),
    "sgd": lambda: keras.optimizers.SGD(1e-2, momentum=0.9, nesterov=True),
    "accumulation": lambda: keras.optimizers.Adam(1e-2, gradient_accumulation_steps=3),
    "average": lambda: keras.optimizers.Adam(1e-2, use_ema=True),
    "average overwriting": lambda: keras.optimizers.Adam(
        1e-2, use_ema=True, ema_overwrite_frequency=3
    ),
    "loss scaling": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1e-2)),
}


@pytest.mark.parametrize(
    ("name", "jit"), [*((name, False) for name in OPTIMIZERS), ("adam", True), ("average", True)]
)
def test_masks_hold_under_every_optimizer(name: str, jit: bool) -> None:
    model = small()
    kernel = model.layers[0].kernel
    masks = Masks([kernel])
    masks.assign([(np.random.default_rng(0).random(kernel.shape) < 0.3).astype("float32")])
    zeros = np.asarray(kernel) == 0
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(64, 8)), rng.integers(0, 3, 64)
    model.compile(OPTIMIZERS[name](), "sparse_categorical_crossentropy", jit_compile=jit)
    before = np.asarray(kernel).copy()
    with masks.held():
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    after = np.asarray(kernel)
    assert (after[zeros] == 0).all()
    assert (after[~zeros] != before[~zeros]).mean() > 0.9
    assert kernel.constraint is None


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_masks_hold_in_mixed_precision(policy: str) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), layers.Dense(3, dtype=policy)])
    masks = Masks([model.layers[0].kernel])
    masks.assign([np.eye(8, 3, dtype="float32")])
    model.compile("adam", "mse", jit_compile=False)
    with masks.held():
        model.fit(np.ones((16, 8)), np.ones((16, 3)), verbose=0)
    assert np.count_nonzero(np.asarray(model.layers[0].kernel)) == 3


def test_an_epoch_shows_as_many_samples_as_wanted_and_others_each_time(
    blobs: datasets.Dataset, tmp_path: Path
) -> None:
    model = small()
    data = renamed(blobs, model)
    assert data.train is not None
    whole = len(data.train)
    lent = context(data, tmp_path, epoch_size=whole // 3, batch_size=8)
    epochs = training_batches(model, lent, {"it": np.arange(whole)}, 8)
    shown = [np.concatenate([y["labels"]["it"] for _, y in epochs]) for _ in range(2)]
    assert [len(set(one)) for one in shown] == [whole // 3 // 8 * 8] * 2
    assert set(shown[0]) != set(shown[1])
    course = Course(model, context(data, tmp_path, epoch_size=5, batch_size=8))
    assert (course.steps, course.size) == (1, 5)
    course.run()
    assert Training(epoch_size=whole + 1).samples(whole) == whole


def test_a_mask_composes_with_the_layers_own_constraint() -> None:
    keras.utils.set_random_seed(0)
    own = keras.constraints.NonNeg()
    model = keras.Sequential([keras.Input((8,)), layers.Dense(3, kernel_constraint=own)])
    kernel = model.layers[0].kernel
    kernel.assign(np.abs(np.asarray(kernel)))
    masks = Masks([kernel])
    masks.assign([np.eye(8, 3, dtype="float32")])
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=False)
    with masks.held():
        model.fit(np.ones((16, 8)), -np.ones((16, 3)), verbose=0)
    assert np.asarray(kernel).min() == 0
    assert kernel.constraint is own


def test_finetune_learns_and_keeps_the_zeros_it_finds(
    blobs: datasets.Dataset, tmp_path: Path
) -> None:
    model = small()
    kernel = model.layers[0].kernel
    mask = np.random.default_rng(0).random(kernel.shape) < 0.5
    kernel.assign(np.asarray(kernel) * mask)
    lent = context(renamed(blobs, model), tmp_path, epochs=6)
    before = lent.evaluate(model)
    finetune(model, lent)
    assert lent.evaluate(model) > max(0.9, before)
    assert (np.asarray(kernel)[~mask] == 0).all()
    assert not model.compiled


def test_finetune_keeps_the_best_epoch(blobs: datasets.Dataset, tmp_path: Path) -> None:
    model = small()
    lent = context(renamed(blobs, model), tmp_path, epochs=4)
    scores = iter([0.1, 0.9, 0.2, 0.3])
    seen: list[np.ndarray] = []

    def evaluate(judged: keras.Model) -> float:
        seen.append(np.asarray(judged.layers[0].kernel).copy())
        return next(scores)

    lent.evaluate = evaluate
    finetune(model, lent)
    np.testing.assert_array_equal(np.asarray(model.layers[0].kernel), seen[1])


def test_finetune_takes_no_epoch_before_the_schedule_has_settled(
    blobs: datasets.Dataset, tmp_path: Path
) -> None:
    class Late:
        settled = False

        def update(self, share: float) -> None:
            self.settled = share > 0.7

    model = small()
    lent = context(renamed(blobs, model), tmp_path, epochs=4)
    scores = iter([0.9, 0.8, 0.5, 0.6])
    seen: list[np.ndarray] = []

    def evaluate(judged: keras.Model) -> float:
        seen.append(np.asarray(judged.layers[0].kernel).copy())
        return next(scores)

    lent.evaluate = evaluate
    finetune(model, lent, schedule=Late())
    np.testing.assert_array_equal(np.asarray(model.layers[0].kernel), seen[3])


def test_same_seed_gives_the_same_weights(blobs: datasets.Dataset, tmp_path: Path) -> None:
    made = []
    for _ in range(2):
        model = small()
        finetune(model, context(renamed(blobs, model), tmp_path))
        made.append(model.get_weights())
    for first, second in zip(*made, strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_teacher_is_followed_where_there_are_no_labels(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(400, 8)).astype("float32")
    path = tmp_path / "unlabelled.npz"
    np.savez(path, x_train=x[:300], x_test=x[300:])
    teacher = small()
    student = small()
    student.layers[0].kernel.assign(np.asarray(student.layers[0].kernel) * 0.1)
    data = renamed(load_dataset(str(path)), student)
    lent = context(data, tmp_path, epochs=20)
    lent.original, lent.evaluate = (lambda: teacher), (lambda model: None)

    def apart() -> float:
        return float(np.abs(student.predict_on_batch(x) - teacher.predict_on_batch(x)).mean())

    before = apart()
    finetune(student, lent)
    assert apart() < before / 3


def test_training_that_diverges_is_told(blobs: datasets.Dataset, tmp_path: Path) -> None:
    model = small()
    model.layers[-1].activation = keras.activations.linear
    lent = context(renamed(blobs, model), tmp_path, lr=1e30)
    with pytest.raises(EdgeshrinkError, match="diverged") as told:
        finetune(model, lent)
    assert "--lr" in told.value.hint


def test_finetune_without_training_samples_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "test_only.npz"
    np.savez(path, x_test=np.zeros((10, 8), "float32"), y_test=np.arange(10) % 3)
    model = small()
    with pytest.raises(DataError, match="needs training samples"):
        finetune(model, context(renamed(load_dataset(str(path)), model), tmp_path))


def test_batchnorm_statistics_are_those_of_the_data(
    blobs: datasets.Dataset, tmp_path: Path
) -> None:
    model = small(norm=True)
    norm = model.layers[1]
    lent = context(renamed(blobs, model), tmp_path)
    lent.evaluate = lambda judged: None
    assert reestimate_batchnorm(model, lent, size=450)
    inputs = lent.data.values(lent.data.train, np.arange(450))
    hidden = keras.ops.relu(model.layers[0](next(iter(inputs.values()))))
    np.testing.assert_allclose(norm.moving_mean, np.asarray(hidden).mean(0), rtol=1e-3, atol=1e-3)
    assert norm.momentum == 0.99


def test_batchnorm_statistics_that_score_worse_are_not_kept(
    blobs: datasets.Dataset, tmp_path: Path
) -> None:
    model = small(norm=True)
    lent = context(renamed(blobs, model), tmp_path)
    scores = iter([0.9, 0.1])
    lent.evaluate = lambda judged: next(scores)
    before = model.get_weights()
    assert not reestimate_batchnorm(model, lent)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


INTEGERS, ONE_HOT, REALS = np.array([0, 1, 2]), np.eye(3), np.array([[0.5], [0.1], [2.0]])


def task(activation: str, labels: np.ndarray) -> Task:
    """Return the task of an output with three scores, or one where labels are a column."""
    width = labels.shape[-1] if labels.ndim == 2 else 3
    return task_of(TensorFacts("y", (None, width), activation=activation), [labels])


@pytest.mark.parametrize(
    ("activation", "labels", "chosen", "expected", "logits"),
    [
        ("softmax", INTEGERS, None, "SparseCategoricalCrossentropy", False),
        ("linear", INTEGERS, None, "SparseCategoricalCrossentropy", True),
        ("softmax", ONE_HOT, None, "CategoricalCrossentropy", False),
        ("sigmoid", REALS > 1, None, "BinaryCrossentropy", False),
        ("linear", REALS, None, "MeanSquaredError", None),
        ("linear", REALS, "mean_absolute_error", "MeanAbsoluteError", None),
        ("softmax", ONE_HOT, "sparse_categorical_crossentropy", "CategoricalCrossentropy", False),
        ("linear", INTEGERS, "CategoricalCrossentropy", "SparseCategoricalCrossentropy", True),
    ],
)
def test_the_loss_fits_activation_and_labels(
    activation: str, labels: np.ndarray, chosen: str | None, expected: str, logits: bool | None
) -> None:
    loss = output_loss(task(activation, labels), chosen=chosen).hard
    assert type(loss).__name__ == expected
    assert loss.get_config().get("from_logits") == logits


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(EdgeshrinkError, match="Keras has no loss 'nonsense'"):
        output_loss(task("softmax", INTEGERS), chosen="nonsense")


def test_a_loss_of_the_users_own_is_named_and_another_can_be_chosen() -> None:
    own = loss_facts({"class_name": "function", "config": "dice_loss", "registered_name": "x"})
    compiled = replace(task("softmax", INTEGERS), objective=Objective(own))
    with pytest.raises(UsageError, match="compiled with the loss 'dice_loss'") as error:
        output_loss(compiled)
    assert "--loss mse" in error.value.hint
    assert f"--loss {compiled.name}=mse" in error.value.hint
    hard = output_loss(compiled, chosen="sparse_categorical_crossentropy").hard
    assert type(hard).__name__ == "SparseCategoricalCrossentropy"


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("mean_squared_error", [0.06 / 3, 1.34 / 3]),
        ("hinge", [2.4 / 3, 3.8 / 3]),  # the labels that are 0 count as -1
        ("squared_hinge", [(0.2**2 + 1.1**2 * 2) / 3, (0.9**2 + 1.2**2 + 1.7**2) / 3]),
        ("categorical_hinge", [0.3, 1.6]),
    ],
)
def test_a_loss_that_takes_labels_like_the_output_is_given_one_hot_ones(
    chosen: str, expected: list[float]
) -> None:
    loss = output_loss(task("softmax", INTEGERS), chosen=chosen).hard
    said = np.array([[0.8, 0.1, 0.1], [0.2, 0.1, 0.7]], "float32")
    labels = np.array([0.0, 1.0], "float32")  # as they come in a batch
    np.testing.assert_allclose(loss.call(labels, said), expected, rtol=1e-5)
    assert float(loss(labels, said)) == pytest.approx(np.mean(expected))


def test_kernels_are_weights_of_two_dimensions_or_more() -> None:
    assert [tuple(v.shape) for v in kernel_weights(small(norm=True))] == [(8, 16), (16, 3)]


def heads() -> keras.Model:
    """Return a model with masks, boxes and tags, each with a loss of its own."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    flat = layers.GlobalAveragePooling2D()(x)
    outputs = {
        "mask": layers.Conv2D(3, 1, activation="softmax", name="mask")(x),
        "box": layers.Dense(4, name="box")(flat),
        "tags": layers.Dense(2, activation="sigmoid", name="tags")(flat),
    }
    model = keras.Model(image, outputs)
    model.compile(
        "adam",
        loss={
            "mask": "sparse_categorical_crossentropy",
            "box": "log_cosh",
            "tags": keras.losses.BinaryCrossentropy(label_smoothing=0.1),
        },
        loss_weights={"mask": 1.0, "box": 3.0, "tags": 0.25},
    )
    return model


def held(model: keras.Model, path: Path) -> tuple[datasets.Dataset, dict[str, np.ndarray]]:
    """Return data for the model of `heads`, and its samples."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 8, 8, 1)).astype("float32")
    labels = {
        "mask": (x[..., 0] > 0) + (x[..., 0] > 1) * 1,
        "box": rng.normal(size=(64, 4)).astype("float32"),
        "tags": rng.integers(0, 2, (64, 2)),
    }
    model.save(path)
    found = facts(path)
    parts = {f"y_{p}/{n}": v for p in ("train", "test") for n, v in labels.items()}
    data = load_dataset(
        "x",
        hook=lambda spec: {"x_train": x, "x_test": x, **parts},
        validation=0,
        outputs=ModelOutputs(output_facts(model), found.compiled),
    )
    fitted = data.for_model({model.inputs[0].name: (None, 8, 8, 1)})
    return fitted.answering(data.outputs), {"x": x, **labels}


def test_the_loss_of_several_outputs_is_that_of_keras(tmp_path: Path) -> None:
    model = heads()
    data, arrays = held(model, tmp_path / "m.keras")
    lent = context(data, tmp_path)
    losses, labels = objectives(model, replace(lent, tasks=data.tasks))
    assert labels["mask"].shape == (64, 8, 8)
    said = model(arrays["x"])
    mine = sum(float(losses[n](labels[n].astype("float32"), None, said[n])) for n in losses)
    theirs = model.evaluate(
        arrays["x"], {n: arrays[n] for n in said}, verbose=0, return_dict=True, batch_size=64
    )
    assert mine == pytest.approx(theirs["loss"], rel=1e-5)


def test_the_loss_of_one_output_can_be_said_otherwise(tmp_path: Path) -> None:
    model = heads()
    data, _ = held(model, tmp_path / "m.keras")
    lent = replace(context(data, tmp_path, loss="box=mae"), tasks=data.tasks)
    losses, _ = objectives(model, lent)
    kinds = {name: type(loss.hard).__name__ for name, loss in losses.items()}
    assert kinds == {
        "mask": "SparseCategoricalCrossentropy",
        "box": "MeanAbsoluteError",
        "tags": "BinaryCrossentropy",
    }
    wrong = replace(lent, training=replace(lent.training, loss="bax=mae"))
    with pytest.raises(UsageError, match="no output 'bax'"):
        objectives(model, wrong)


@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize("chosen", [None, "categorical_focal_crossentropy", "mse"])
@pytest.mark.parametrize("teacher", ["none", "original"])
def test_class_numbers_of_any_rank_are_trained_on(
    tmp_path: Path, one_hot: bool, chosen: str | None, teacher: str
) -> None:
    def tagger() -> keras.Model:
        keras.utils.set_random_seed(0)
        head = layers.TimeDistributed(layers.Dense(3, activation="softmax"))
        return keras.Sequential([keras.Input((5, 2)), head])

    model, rng = tagger(), np.random.default_rng(0)
    x = rng.normal(size=(96, 5, 2)).astype("float32")
    y = (x[..., 0] > 0) + (x[..., 0] > 1) * 1
    labels = np.eye(3)[y] if one_hot else y
    arrays = {"x_train": x, "y_train": labels, "x_test": x, "y_test": labels}
    data = load_dataset("x", hook=lambda spec: arrays, validation=0)
    data = data.for_model({model.inputs[0].name: (None, 5, 2)}, {model.outputs[0].name: (5, 5, 3)})
    lent = context(data, tmp_path, loss=chosen, teacher=teacher, epochs=8, lr=3e-2)
    lent = replace(lent, evaluate=lambda model: None, original=tagger)
    before = float((model.predict(x, verbose=0).argmax(-1) == y).mean())
    finetune(model, lent)
    if teacher == "none":
        assert float((model.predict(x, verbose=0).argmax(-1) == y).mean()) > before
