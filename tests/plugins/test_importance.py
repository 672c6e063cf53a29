"""What gradients say a channel is worth, against what the loss does when the channel goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings, strategies as st
from random_models import inputs_for, model_of
from scipy.stats import spearmanr
from sklearn.datasets import load_digits

from edgeshrink.nn import ChannelGraph, channel_graph, zeroed
from edgeshrink.samples import load_dataset
from edgeshrink.testing import tiny_model
from edgeshrink.testing.running import context
from edgeshrink_shrink import Shrink
from edgeshrink_shrink.importance import CRITERIA
from edgeshrink_shrink.masks import masked

layers = keras.layers
CLASSES = 10
SAMPLES = 1024  # sixteen whole batches: importance sees each sample once
MISTAKEN = 0.2  # of the labels are drawn anew, so that no loss, and no gradient, can vanish


def dense(x: Any) -> Any:
    x = layers.Dense(32, activation="relu")(x)
    return layers.Dense(24, activation="relu")(x)


def grouped(x: Any) -> Any:
    x = layers.Conv2D(16, 3, activation="relu")(x)
    x = layers.Conv2D(16, 3, groups=4)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Conv2D(16, 1, activation="relu")(x)
    return layers.Dense(24, activation="relu")(layers.Flatten()(x))


def heads(x: Any) -> Any:
    x = layers.Dense(16)(x)
    for _ in range(2):
        x = layers.Add()([x, layers.MultiHeadAttention(4, 4)(x, x)])
        x = layers.Add()([x, layers.Dense(16)(layers.Dense(24, activation="relu")(x))])
    return layers.Flatten()(x)


def mixed(x: Any) -> Any:
    """Heads, a grouped convolution and dense layers, all on one stream."""
    x = layers.Dense(16)(x)
    x = layers.Add()([x, layers.MultiHeadAttention(4, 4)(x, x)])
    x = layers.Conv1D(16, 3, groups=4, padding="same", activation="relu")(x)
    x = layers.Add()([x, layers.MultiHeadAttention(4, 4)(x, x)])
    return layers.Dense(24, activation="relu")(layers.Flatten()(x))


def recurrent(x: Any) -> Any:
    return layers.Dense(16, activation="relu")(layers.GRU(16)(x))


NETS: dict[Callable[[Any], Any], tuple[int, ...]] = {
    dense: (64,),
    grouped: (8, 8, 1),
    heads: (8, 8),
    mixed: (8, 8),
    recurrent: (8, 8),
}


@dataclass(frozen=True)
class Found:
    """Of each channel that may go: what criteria say, and what its removal costs.

    Attributes:
        fisher: importance, `(channels,)`.
        taylor: likewise.
        cost: how much greater the loss is without it, `(channels,)`.
        heads: whether it is a head, `(channels,)` bool.
    """

    fisher: np.ndarray
    taylor: np.ndarray
    cost: np.ndarray
    heads: np.ndarray

    def per_cost(self, which: np.ndarray) -> float:
        """Return the mean Fisher importance for each unit of loss."""
        return float(self.fisher[which].mean() / self.cost[which].mean())


def found(body: Callable[[Any], Any], folder: Path) -> Found:
    """Train a net on digits, and remove each channel alone, on the samples that gradients saw."""
    keras.utils.set_random_seed(0)
    digits, rng = load_digits(), np.random.default_rng(0)
    chosen = rng.permutation(len(digits.target))[:SAMPLES]
    x = (digits.data[chosen] / 16).astype("float32").reshape(-1, *NETS[body])
    y = digits.target[chosen]
    y = np.where(rng.random(SAMPLES) < MISTAKEN, rng.integers(0, CLASSES, SAMPLES), y)
    entering = keras.Input(NETS[body], name="digit")
    named = layers.Dense(CLASSES, activation="softmax", name="class")
    model = keras.Model(entering, named(body(entering)))
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=64, epochs=15, verbose=0)

    arrays = {"x_train": x, "y_train": y, "x_test": x[:1], "y_test": y[:1]}
    loaded = load_dataset("digits", validation=0.0, hook=lambda spec: arrays)
    data = loaded.for_model({"digit": (None, *NETS[body])}, {"class": (None, CLASSES)})
    assert len(data.train) == SAMPLES
    graph, step = channel_graph(model), Shrink.of({"ratio": 0.5})
    lent = context(step, tiny_model(), model, data, folder)  # nothing is compared
    free = np.concatenate([group.channels for group in graph.free])
    fisher, taylor = (CRITERIA[name](graph, lent)[free] for name in ("fisher", "taylor"))
    taken = [a.ids for a in graph.axes if a.variable.path.endswith("attention_output/kernel")]
    inside = np.concatenate([*taken[::2], []])  # what it makes comes behind what it takes in
    return Found(fisher, taylor, costs(graph, free, x, y), np.isin(free, inside))


def costs(graph: ChannelGraph, free: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return how much greater the loss is with each channel's own weights at zero, in turn."""
    entropy = keras.losses.SparseCategoricalCrossentropy()
    inputs, labels = tf.constant(x), tf.constant(y)
    loss = tf.function(lambda: entropy(labels, graph.model(inputs, training=False)))
    whole, weights = float(loss()), graph.model.get_weights()
    grown = []
    for channel in free:
        for axis in graph.axes:
            if axis.role != "inputs":
                values = np.array(axis.variable)
                np.moveaxis(values, axis.axis, 0)[axis.ids == channel] = 0
                axis.variable.assign(values)
        grown.append(float(loss()) - whole)
        graph.model.set_weights(weights)
    return np.array(grown)


@pytest.mark.heavy
def test_fisher_and_taylor_rank_heads_groups_and_neurons_as_their_removal_does(
    tmp_path: Path,
) -> None:
    one = found(mixed, tmp_path)
    assert one.heads.sum() == 8
    # one net of 36 channels: over several, which average out, more is asked below
    assert spearmanr(one.fisher, one.cost).statistic >= 0.7
    assert spearmanr(one.taylor, one.cost).statistic >= 0.7
    assert 1 / 1.5 < one.per_cost(one.heads) / one.per_cost(~one.heads) < 1.5


@pytest.mark.slow
def test_over_nets_of_all_kinds_importance_is_what_removal_costs(tmp_path: Path) -> None:
    nets = {body: found(body, tmp_path) for body in NETS}
    for criterion, least in (("fisher", 0.85), ("taylor", 0.8)):
        alike = [spearmanr(getattr(one, criterion), one.cost).statistic for one in nets.values()]
        assert np.mean(alike) >= least
    attending = [one for one in nets.values() if one.heads.any()]
    assert len(attending) == 2
    for one in attending:
        assert 1 / 1.5 < one.per_cost(one.heads) / one.per_cost(~one.heads) < 1.5


@pytest.mark.heavy
@settings(max_examples=6)
@given(numbers=st.lists(st.integers(0, 9999), min_size=5, max_size=40), seed=st.integers(0, 99))
def test_a_mask_of_zero_is_the_channel_gone_for_that_sample(numbers: list[int], seed: int) -> None:
    """Whatever the layers: a mask of zero is removal, and so its gradient the first-order one."""
    model = model_of(numbers)
    graph, inputs = channel_graph(model), inputs_for(model, 4)
    rng, removed = np.random.default_rng(seed), np.zeros(graph.numbers, bool)
    for group in graph.free:
        removed[rng.permutation(group.channels)[: len(group) // 2]] = True
    mask = np.ones((4, graph.numbers), "float32")
    mask[1:3, removed] = 0
    given = keras.tree.pack_sequence_as(model.input, inputs)
    whole, without = (
        keras.tree.flatten(one(given, training=False)) for one in (model, zeroed(graph, removed))
    )
    with masked(graph, tf.constant(mask)):
        parts = keras.tree.flatten(model(given, training=False))
    after = keras.tree.flatten(model(given, training=False))
    for part, one, other, again in zip(parts, whole, without, after, strict=True):
        wanted = np.array(one)
        wanted[1:3] = np.asarray(other)[1:3]
        size = max(1.0, np.abs(wanted).max())
        np.testing.assert_allclose(np.asarray(part), wanted, atol=1e-4 * size)
        np.testing.assert_array_equal(again, one)


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU, layers.SimpleRNN])
def test_gradients_by_masks_of_units_are_those_by_their_recurrent_weights(kind: Any) -> None:
    """Scaling what a kernel takes in scales its rows: a unit's mask adds up over all steps."""
    keras.utils.set_random_seed(0)
    entering = keras.Input((6, 3))
    inner = kind(4, return_sequences=True, name="inner")(entering)
    model = keras.Model(entering, layers.Dense(2)(layers.Flatten()(inner)))
    graph, (x,) = channel_graph(model), inputs_for(model, 1)
    units = next(a for a in graph.axes if a.variable.path.endswith("recurrent_kernel")).ids
    kernels = [
        axis for axis in graph.axes if axis.role == "inputs" and np.isin(units, axis.ids).all()
    ]
    mask = tf.ones((1, graph.numbers))
    with tf.GradientTape() as tape:
        tape.watch(mask)
        with masked(graph, mask):
            loss = tf.reduce_sum(model(x) ** 2)
    by_mask = tape.gradient(loss, mask).numpy()[0][units]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(x) ** 2)
    values = [axis.variable.value for axis in kernels]
    by_weights = np.zeros(graph.numbers)
    for axis, gradient, value in zip(kernels, tape.gradient(loss, values), values, strict=True):
        rows = np.moveaxis(np.asarray(gradient * value), axis.axis, 0).reshape(len(axis.ids), -1)
        np.add.at(by_weights, axis.ids, rows.sum(1))
    np.testing.assert_allclose(by_mask, by_weights[units], rtol=1e-4, atol=1e-6)
