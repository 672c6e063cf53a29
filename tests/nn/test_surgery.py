"""A model rebuilt without some channels answers as the one in which they are zero."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from random_models import inputs_for, model_of

from edgeshrink.nn.graph.channel_groups import ChannelGraph, channel_graph
from edgeshrink.nn.graph.structure import structured
from edgeshrink.nn.graph.surgery import narrowed, zeroed

layers = keras.layers


def some_removed(graph: ChannelGraph, share: float, seed: int) -> np.ndarray:
    """Remove about this share of each free group, at random, all but one channel at most."""
    rng = np.random.default_rng(seed)
    removed = np.zeros(graph.numbers, bool)
    for group in graph.free:
        count = min(len(group) - 1, round(share * len(group)))
        removed[rng.permutation(group.channels)[:count]] = True
    return removed


def answers(model: keras.Model, inputs: list[np.ndarray]) -> list[np.ndarray]:
    given = {t.name: values for t, values in zip(model.inputs, inputs, strict=True)}
    outputs = model(structured(model, given), training=False)
    return [np.asarray(v) for v in keras.tree.flatten(outputs)]


def assert_same(graph: ChannelGraph, removed: np.ndarray) -> keras.Model:
    small, inputs = narrowed(graph, removed), inputs_for(graph.model, 3)
    for ours, wanted in zip(
        answers(small, inputs), answers(zeroed(graph, removed), inputs), strict=True
    ):
        assert ours.shape == wanted.shape
        np.testing.assert_allclose(ours, wanted, atol=2e-5 * max(1.0, np.abs(wanted).max()))
    return small


def check(model: keras.Model, share: float, seed: int) -> None:
    graph = channel_graph(model)
    removed = some_removed(graph, share, seed)
    small = assert_same(graph, removed)
    kept = sum(
        int(
            np.prod(
                [
                    n if axis not in known else int((~removed[known[axis]]).sum())
                    for axis, n in enumerate(v.shape)
                ]
            )
        )
        for v in model.weights
        for known in [{a.axis: a.ids for a in graph.axes_of(v)}]
    )
    assert small.count_params() >= kept  # more by biases that carry constants
    assert small.count_params() <= model.count_params() + sum(g.channels.size for g in graph.groups)


numbers = st.lists(st.integers(0, 9999), min_size=5, max_size=60)


@given(numbers=numbers, share=st.floats(0.2, 0.9), seed=st.integers(0, 99))
@settings(max_examples=4)
def test_removed_channels_that_are_zero_change_no_answer(numbers, share, seed):
    check(model_of(numbers), share, seed)


@pytest.mark.slow
@given(numbers=numbers, share=st.floats(0.2, 0.9), seed=st.integers(0, 99))
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
def test_removed_channels_change_no_answer_in_hundreds_of_graphs(numbers, share, seed):
    check(model_of(numbers), share, seed)
