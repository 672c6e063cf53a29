"""Weights seen through functions of themselves: forward fake, backward true, shared values kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings, strategies as st
from keras import ops

from edgeshrink.errors import ModelError
from edgeshrink.nn.learning.finetuning import finetune
from edgeshrink.nn.learning.masks import Masks
from edgeshrink.nn.learning.reparameterization import Forward, Reparameterized, straight_through
from edgeshrink.nn.learning.weight_sharing import (
    Scaled,
    Shared,
    channel_rows,
    from_rows,
    is_shared,
    scaled_levels,
    scaled_values,
    shared_values,
    shares_but_for_scales,
    shares_tensors,
)
from edgeshrink.testing import tiny_data, tiny_model
from edgeshrink.testing.running import context

layers = keras.layers


class Rounded(Forward):
    """Whole numbers, times a step that is learned."""

    def build(self, shape: Any) -> None:
        self.step = self.add_weight(shape=(), initializer="ones", name="step")
        self.built = True

    def call(self, master: Any) -> Any:
        return straight_through(master, ops.round(master)) * self.step


def plain() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,), name="x"),
            layers.Dense(
                6, name="hidden", kernel_initializer=keras.initializers.RandomNormal(0, 2)
            ),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Dense(3, name="out"),
        ]
    )
    return model._functional


X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")


def test_straight_through_has_the_value_of_one_and_the_gradient_of_the_other() -> None:
    master = tf.Variable([0.4, 1.6])
    with tf.GradientTape() as tape:
        value = straight_through(master, tf.round(master) * 3)
        loss = tf.reduce_sum(value * [2.0, 5.0])
    np.testing.assert_allclose(value, [0, 6])
    np.testing.assert_allclose(tape.gradient(loss, master), [2, 5])


def test_a_model_computes_with_the_values_and_settles_to_them() -> None:
    model = plain()
    kernel = model.get_layer("hidden").kernel
    master = np.asarray(kernel).copy()
    seen = Reparameterized(model, {kernel.path: [Rounded()]})
    answers = np.asarray(seen(X))
    np.testing.assert_array_equal(kernel, master)
    assert not np.allclose(answers, model(X))
    assert seen.settle() is model
    np.testing.assert_array_equal(kernel, np.round(master))
    np.testing.assert_allclose(model(X), answers, rtol=1e-6)


def test_functions_are_applied_in_order() -> None:
    class Doubled(Forward):
        def call(self, master: Any) -> Any:
            return master * 2.0

    model = plain()
    kernel = model.get_layer("hidden").kernel
    master = np.asarray(kernel).copy()
    Reparameterized(model, {kernel.path: [Doubled(), Rounded()]}).settle()
    np.testing.assert_array_equal(kernel, np.round(master * 2))


def test_a_path_of_two_weights_is_refused(tmp_path: Path) -> None:
    def block(name: str) -> keras.Model:
        return keras.Sequential([keras.Input((4,)), layers.Dense(3, name="same")], name=name)

    x = keras.Input((4,))
    model = keras.Model(x, layers.Add()([block("one")(x), block("two")(x)]))
    model.save(tmp_path / "nested.keras")
    opened = keras.models.load_model(tmp_path / "nested.keras")
    with pytest.raises(ModelError, match="two weights of the model are called same/kernel"):
        Reparameterized(opened, {"same/kernel": [Rounded()]})


def test_training_moves_masters_functions_and_statistics() -> None:
    model = plain()
    kernel = model.get_layer("hidden").kernel
    forward = Rounded()
    seen = Reparameterized(model, {kernel.path: [forward]})
    norm = model.layers[2]
    before = [np.asarray(v).copy() for v in (kernel, forward.step, norm.moving_mean)]
    assert any(v is forward.step for v in seen.trainable_variables)
    seen.compile(keras.optimizers.Adam(1e-2), "mse", jit_compile=False)
    seen.fit(X, np.ones((16, 3)), epochs=2, verbose=0)
    for old, variable in zip(before, (kernel, forward.step, norm.moving_mean), strict=True):
        assert not np.allclose(old, variable)
    assert not np.allclose(np.asarray(kernel), np.round(kernel))  # masters stay dense
    kept = seen.get_weights()
    forward.step.assign(9.0)
    seen.set_weights(kept)
    assert float(forward.step) != 9


def grouped(shape: tuple[int, ...], axes: tuple[int, ...], distinct: int, seed: int) -> np.ndarray:
    """Return a kernel with zeros, and `distinct` values in each of its channels."""
    rng = np.random.default_rng(seed)
    like = channel_rows(np.empty(shape, "float32"), axes)
    rows = [rng.choice(rng.normal(size=distinct), like.shape[1]) for _ in like]
    rows = np.array(rows, "float32") * (rng.random(like.shape) < 0.7)
    return from_rows(rows, shape, axes)


KERNELS = st.sampled_from(
    [
        ((6, 5), ()),
        ((6, 5), (-1,)),
        ((3, 3, 2, 4), (-1,)),
        ((3, 3, 4, 2), (-2, -1)),
        ((2, 2, 5, 3), (-2,)),
    ]
)


@settings(max_examples=30)
@given(KERNELS, st.integers(1, 5), st.integers(0, 99))
def test_a_codebook_gives_back_the_values_and_has_one_of_each(
    kind: tuple[tuple[int, ...], tuple[int, ...]], distinct: int, seed: int
) -> None:
    shape, axes = kind
    values = grouped(shape, axes, distinct, seed)
    forward = Shared(values, axes)
    np.testing.assert_array_equal(forward(ops.convert_to_tensor(values)), values)
    each = [len(np.unique(row[row != 0])) for row in channel_rows(values, axes)]
    assert forward.centroids.shape == (sum(each),)


def test_a_centroid_gets_the_sum_of_its_members_gradients() -> None:
    values = np.array([[0.5, 0.0, -1.0], [0.5, -1.0, 0.5]], "float32")
    pushed = np.array([[1.0, 10, 2], [4, 8, 16]], "float32")
    forward, master = Shared(values), tf.Variable(values)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(forward(master) * pushed)
    centroids, other = tape.gradient(loss, [forward.centroids.value, master])
    np.testing.assert_array_equal(forward.centroids, [-1, 0.5])
    np.testing.assert_array_equal(centroids, [2 + 8, 1 + 4 + 16])
    np.testing.assert_array_equal(other, np.zeros_like(values))


def test_sharing_is_told_from_chance() -> None:
    rng = np.random.default_rng(0)
    free = rng.normal(size=(40, 50)).astype("float32")
    assert not is_shared(free)
    assert not is_shared(np.zeros((3, 3)))
    assert not is_shared(np.array([[0.0, 1.0], [2.0, 0.0]]))  # each once
    assert is_shared(np.sign(free))
    assert is_shared(np.round(free * 10))
    by_channel = np.sign(free) * rng.random(50)
    assert not is_shared(np.concatenate([by_channel] * 6, axis=1) * rng.random(300))
    assert is_shared(by_channel, (-1,))
    assert not is_shared(free, (-1,))


def test_sharing_is_found_in_a_model_by_kernel_and_by_channel() -> None:
    keras.utils.set_random_seed(0)
    names = ("free", "whole", "scaled", "each")
    parts = [layers.Dense(300, name=name) for name in names]
    model = keras.Sequential([keras.Input((64,)), *parts])
    rng = np.random.default_rng(0)
    for name, scales in zip(names[1:], (0.1, rng.random(300), rng.random(300)), strict=True):
        kernel = np.asarray(model.get_layer(name).kernel)
        down = rng.random(300) if name == "each" else 1
        model.get_layer(name).kernel.assign(np.where(kernel > 0, 1, -down) * scales)
    found = shared_values(model)
    assert {path.split("/")[-2]: (type(held[0]), held[0].axes) for path, held in found.items()} == {
        "whole": (Shared, ()),
        "scaled": (Scaled, (-1,)),
        "each": (Shared, (-1,)),
    }
    assert shares_but_for_scales(model)
    assert not shares_tensors(model)  # scales of channels go before
    assert shares_tensors(keras.Sequential([keras.Input((300,)), parts[1]]))
    model.get_layer("whole").kernel.assign(model.get_layer("free").kernel[:1] * np.ones((300, 1)))
    assert not shares_tensors(keras.Sequential([keras.Input((64,)), parts[0]]))


@settings(max_examples=40)
@given(
    st.integers(0, 2**31), st.integers(1, 8), st.sampled_from([(-1,), (0,), (2,)]), st.booleans()
)
def test_levels_and_scales_give_the_weights_back(
    seed: int, count: int, axes: tuple[int, ...], zeros: bool
) -> None:
    rng = np.random.default_rng(seed)
    book = np.append(rng.uniform(-0.95, 0.95, count), [1.0, -1.0])
    book = book[np.abs(np.subtract.outer(book, book) + np.eye(len(book))).min(axis=0) > 1e-4]
    levels = rng.choice(book, (3, 5, 7))
    levels[rng.random(levels.shape) < (0.4 if zeros else 0)] = 0
    top = np.moveaxis(levels, axes, (0,))
    top.reshape(len(top), -1)[:, 0] = 1
    levels = np.moveaxis(top, (0,), axes).astype("float32")
    shape = [n if a in {x % 3 for x in axes} else 1 for a, n in enumerate(levels.shape)]
    scales = np.exp(rng.normal(0, 3, shape)).astype("float32")
    found, largest = scaled_levels(levels * scales, axes)
    np.testing.assert_allclose(found, levels, atol=3e-6)
    np.testing.assert_allclose(largest, scales, rtol=1e-6)
    assert len(np.unique(found)) <= len(np.unique(levels))
    assert ((found == 0) == (levels == 0)).all()


def test_channels_that_are_scaled_learn_their_scales_and_one_codebook() -> None:
    rng = np.random.default_rng(0)
    levels = rng.choice([-1, -0.5, 0, 0.25, 1], (6, 40, 8)).astype("float32")
    levels[0, 0] = 1
    kernel = levels * rng.uniform(0.1, 5, (1, 1, 8)).astype("float32")
    assert scaled_values(kernel, (-1,)) == 4
    assert not scaled_values(rng.normal(size=kernel.shape), (-1,))
    grid = np.round(rng.normal(size=(600, 8)) * 40)  # 8-bit codes are no few values
    assert not scaled_values(grid * rng.random(8), (-1,))
    forward, master = Scaled(kernel, (-1,)), tf.Variable(kernel)
    np.testing.assert_allclose(forward(master), kernel, rtol=1e-5)
    optimizer = keras.optimizers.SGD(0.3)
    for _ in range(5):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(forward(master) - 1.3 * kernel - 0.1))
        weights = forward.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)
    now = np.asarray(forward(master))
    assert scaled_values(now, (-1,)) == 4
    assert ((now == 0) == (kernel == 0)).all()
    assert not np.allclose(np.abs(now).max((0, 1)), np.abs(kernel).max((0, 1)), rtol=0.01)
    masked = tf.Variable(np.where(levels == 1, 0, kernel))  # a mask may zero the largest later
    assert (np.asarray(forward(masked))[levels == 1] == 0).all()


def distinct(model: keras.Model) -> dict[str, int]:
    return {v.path: len(np.unique(v)) for v in model.trainable_variables if len(v.shape) > 1}


def test_finetuning_keeps_zeros_and_shared_values(tmp_path: Path) -> None:
    model, data = tiny_model(zeros=True, clusters=True), tiny_data()
    lent = context(_Step(), model, model, data, tmp_path)
    before, few = [np.asarray(v).copy() for v in model.weights], distinct(model)
    assert max(few.values()) == 5
    assert finetune(model, lent) is model
    assert distinct(model) == few
    for old, variable in zip(before, model.weights, strict=True):
        now = np.asarray(variable)
        if variable.path in few:
            np.testing.assert_array_equal(now == 0, old == 0)
            for value in np.unique(old):  # members move together
                assert len(np.unique(now[old == value])) == 1
            assert not np.allclose(now, old)


def test_pruning_a_clustered_model_keeps_its_clusters(tmp_path: Path) -> None:
    model, data = tiny_model(clusters=True), tiny_data()
    hidden = model.get_layer("hidden").kernel
    masks = Masks([hidden])
    masks.assign([np.arange(hidden.shape[0])[:, None] % 2 * np.ones(hidden.shape)])
    finetune(model, context(_Step(), model, model, data, tmp_path), masks=masks)
    assert (np.asarray(hidden)[::2] == 0).all()
    assert np.unique(hidden).size == 5


class _Step:
    """What a context is lent to."""

    training = None
