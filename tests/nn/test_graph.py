"""Which channels are coupled, in words and in numbers; what is fenced off, and why."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from edgeshrink.errors import ModelError
from edgeshrink.nn.graph.channel_groups import ChannelGraph, channel_graph
from edgeshrink.nn.graph.surgery import narrowed

layers = keras.layers


def groups(model: keras.Model) -> dict[str, str | None]:
    """Return the words of each group, with its fence."""
    return {str(group): group.fence for group in channel_graph(model).groups}


def removal(graph: ChannelGraph, start: str, *places: int) -> np.ndarray:
    (group,) = (g for g in graph.groups if str(g).startswith(start))
    removed = np.zeros(graph.numbers, bool)
    removed[group.channels[list(places)]] = True
    return removed


def residual() -> keras.Model:
    given = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="conv1")(given)
    x = layers.BatchNormalization(name="bn1")(x)
    y = layers.Conv2D(4, 3, padding="same", name="conv5")(given)
    x = layers.Add(name="add_3")([x, y])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(given, layers.Dense(2, name="dense")(x))


def test_a_group_says_where_its_channels_come_from_and_go():
    words = "conv1 outputs → bn1 → add_3 ← conv5 outputs → dense inputs"
    assert groups(residual())[words] is None


def test_inputs_and_outputs_of_the_model_stay():
    found = groups(residual())
    assert found["conv1 inputs → conv5 inputs"] == "inputs of the model"
    assert found["dense outputs → the model outputs"] == "outputs of the model"


def test_flatten_ties_every_place_of_a_channel():
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Conv2D(3, 3),
            layers.Flatten(),
            layers.Dense(2, name="taking"),
        ]
    )
    (group,) = channel_graph(model).free
    (taken,) = (a for a in group.axes if a.path == "taking")
    assert taken.ids.tolist() == np.tile(group.channels, 4).tolist()
    assert len(group) == 3


def test_concatenation_keeps_its_sources_apart():
    given = keras.Input((4, 4, 1))
    both = [layers.Conv2D(n, 3, name=f"conv{n}")(given) for n in (3, 5)]
    x = layers.Conv2D(2, 1, name="after")(layers.Concatenate(name="joined")(both))
    found = groups(keras.Model(given, x))
    assert found["conv3 outputs → joined → after inputs"] is None
    assert found["conv5 outputs → joined → after inputs"] is None


def test_squeeze_and_excite_ties_the_gate_to_what_it_weighs():
    given = keras.Input((4, 4, 1))
    x = layers.Conv2D(4, 3, name="conv")(given)
    gate = layers.Reshape((1, 1, 4))(layers.GlobalAveragePooling2D()(x))
    gate = layers.Conv2D(4, 1, activation="sigmoid", name="gate")(
        layers.Conv2D(2, 1, name="squeeze")(gate)
    )
    y = layers.Multiply(name="excite")([x, gate])
    found = groups(keras.Model(given, layers.Conv2D(2, 1, name="after")(y)))
    assert found["conv outputs → squeeze inputs → excite ← gate outputs → after inputs"] is None


def test_heads_of_attention_go_whole():
    given = keras.Input((5, 6))
    x = layers.Dense(6, name="before")(given)
    x = layers.MultiHeadAttention(3, 4, name="attention")(x, x)
    graph = channel_graph(keras.Model(given, layers.Dense(2, name="after")(x)))
    (heads,) = (g for g in graph.free if len(g) == 3)
    removed = np.zeros(graph.numbers, bool)
    removed[heads.channels[1]] = True
    small = narrowed(graph, removed)
    layer = small.get_layer("attention")
    assert layer.num_heads == 2
    assert layer._key_dim == 4


def test_groups_of_a_convolution_go_whole():
    given = keras.Input((6, 6, 4))
    x = layers.Conv2D(4, 1, name="before")(given)
    x = layers.Conv2D(8, 3, groups=2, name="grouped")(x)
    model = keras.Model(given, layers.Conv2D(2, 1, name="after")(x))
    graph = channel_graph(model)
    (group,) = graph.free
    assert len(group) == 2
    assert group.width == 4
    small = narrowed(graph, removal(graph, str(group), 0))
    assert small.get_layer("grouped").groups == 1
    assert small.get_layer("before").filters == 2


def test_a_shared_layer_ties_what_it_takes_to_what_it_gives():
    given = keras.Input((6, 6, 1))
    layer = layers.Conv2D(4, 3, padding="same", name="shared")
    x = layer(layer(layers.Conv2D(4, 1, name="first")(given)))
    (group,) = channel_graph(keras.Model(given, layers.Conv2D(1, 1, name="after")(x))).free
    assert {a.path for a in group.axes} == {"first", "shared", "after"}


def test_layers_of_nested_models_are_named_by_their_path():
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, name="a"), layers.Dense(4, name="b")], name="inner"
    )
    given = keras.Input((4,))
    found = groups(keras.Model(given, inner(given)))
    assert found["inner/a outputs → inner/b inputs"] is None


@keras.saving.register_keras_serializable("test_graph")
class Mix(layers.Layer):
    """Weighs channels against each other, in a way that nobody knows."""

    def build(self, shape):
        self.weight = self.add_weight(shape=(shape[-1], shape[-1]), name="weight")

    def call(self, x):
        return x @ self.weight


def test_an_unknown_layer_fences_its_neighbours_off_and_is_named():
    given = keras.Input((4,))
    x = layers.Dense(5, name="near")(layers.Dense(6, name="far")(given))
    x = layers.Dense(7, name="behind")(Mix(name="mix")(x))
    found = groups(keras.Model(given, layers.Dense(2, name="last")(x)))
    assert found["far outputs → near inputs"] is None
    assert found["behind outputs → last inputs"] is None
    reason = "mix (Mix) is of a kind that channels are not followed through"
    assert found["near outputs"] == reason
    assert found["behind inputs"] == reason


@pytest.mark.parametrize("norm", [layers.LayerNormalization, layers.GroupNormalization])
def test_norms_over_the_channels_fence_them_off(norm):
    given = keras.Input((4, 8))
    x = norm(name="norm")(layers.Dense(32, name="before")(given))
    found = groups(keras.Model(given, layers.Dense(2, name="after")(x)))
    assert found["before outputs"] == "norm takes its statistics over the channels"


def test_what_zero_padding_would_make_inexact_stays():
    given = keras.Input((6, 6, 1))
    x = layers.Conv2D(4, 3, activation="sigmoid", name="first")(given)
    for padding, fence in [
        ("valid", None),
        ("same", "what they would leave is no constant behind then"),
    ]:
        y = layers.Conv2D(2, 3, padding=padding, name="then")(x)
        assert groups(keras.Model(given, y))["first outputs → then inputs"] == fence


def test_a_constant_that_is_left_goes_into_a_bias_that_was_not_there():
    given = keras.Input((3,))
    x = layers.Dense(4, activation="sigmoid", name="first")(given)
    model = keras.Model(given, layers.Dense(2, use_bias=False, name="then")(x))
    graph = channel_graph(model)
    small = narrowed(graph, removal(graph, "first outputs", 0, 2))
    kernel = np.asarray(model.get_layer("then").kernel)
    np.testing.assert_allclose(small.get_layer("then").bias, 0.5 * kernel[[0, 2]].sum(0), rtol=1e-6)


def test_a_split_is_cut_where_the_channels_are_kept():
    given = keras.Input((4,))
    x = layers.Dense(6, name="first")(given)
    some, others = ops.split(x, 2, axis=-1)
    y = layers.Dense(2, name="left")(some) + layers.Dense(2, name="right")(others)
    graph = channel_graph(keras.Model(given, y))
    small = narrowed(graph, removal(graph, "first outputs → left", 0, 1))
    assert small.get_layer("left").kernel.shape == (1, 2)
    assert small.get_layer("right").kernel.shape == (3, 2)


def test_removing_what_must_stay_is_refused():
    graph = channel_graph(residual())
    with pytest.raises(ModelError, match=r"must stay: outputs of the model"):
        narrowed(graph, removal(graph, "dense outputs", 0))
    with pytest.raises(ModelError, match="nothing would be left of conv1"):
        narrowed(graph, removal(graph, "conv1 outputs", 0, 1, 2, 3))


def test_a_subclassed_model_is_refused_in_words():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ModelError, match="is a subclassed model"):
        channel_graph(Own())
