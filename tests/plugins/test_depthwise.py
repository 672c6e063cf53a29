"""Depthwise separable convolutions: which, how near, and the counts of the compact VGG-16."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from paths import ROOT

from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.errors import ModelError, UsageError
from edgeshrink.models.config import facts
from edgeshrink.nn.graph.counts import count
from edgeshrink.recipes.method import Plan
from edgeshrink.testing import check_method, tiny_data, tiny_model
from edgeshrink.testing.running import context
from edgeshrink_lowrank import Depthwise
from edgeshrink_lowrank.separable import Separable, convolutions

layers = keras.layers
BENCHMARKS = ROOT / "benchmarks" / "papers"


def substituted(
    model: keras.Model, folder: Path, *, data: bool = False, **options: Any
) -> tuple[keras.Model, Any]:
    step = Depthwise.of({"layers": "all", **options})
    lent = context(step, tiny_model(), tiny_model(), tiny_data() if data else None, folder)
    return step.apply(model, lent), lent


def network() -> keras.Model:
    """A first convolution, one with a batch norm behind it, a strided and a pointwise one."""
    given = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(12, 3, padding="same", activation="relu", name="first")(given)
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="second")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    x = layers.Conv2D(16, 5, strides=2, padding="same", activation="tanh", name="third")(x)
    x = layers.Conv2D(8, 1, activation="relu", name="point")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(given, layers.Dense(3, activation="softmax", name="classes")(x))
    rng = np.random.default_rng(2)
    for weight in model.trainable_weights:
        weight.assign(np.abs(weight) + rng.normal(0, 0.2, weight.shape))
    return model


@pytest.fixture(scope="module")
def vgg16() -> keras.Model:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import models
    finally:
        sys.path.remove(str(BENCHMARKS))
    return models.vgg16_cifar()


@pytest.mark.heavy
def test_vgg16_and_the_compact_one_have_the_counts_of_the_paper(
    vgg16: keras.Model, tmp_path: Path
) -> None:
    """Lagrange, tables VII and VIII."""
    assert count(vgg16).macs == 313_201_664
    assert count(vgg16).trainable == 14_728_266
    made, lent = substituted(vgg16, tmp_path)
    assert count(made).macs == lent.facts["macs"] == 38_018_048
    assert count(made).trainable == lent.facts["trainable"] == 1_698_378
    assert sum(int(np.prod(v.shape)) for v in made.trainable_variables) == 1_698_378
    depthwise = [one for one in made.layers if isinstance(one, layers.DepthwiseConv2D)]
    assert len(depthwise) == 12
    assert type(made.get_layer("block1_conv1")) is layers.Conv2D
    behind = [one.name for one in made.layers][3:]
    start = behind.index("block1_conv2_depthwise")
    assert behind[start : start + 6] == [
        "block1_conv2_depthwise",
        "block1_conv2_depthwise_norm",
        "block1_conv2_depthwise_relu",
        "block1_conv2",
        "block1_conv2_bn",
        "block1_conv2_relu",
    ]
    assert any("block1_conv1 (it has 3 input channels)" in note for note in lent.notes)


@settings(max_examples=25)
@given(
    window=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    flat=st.booleans(),
    strides=st.integers(1, 2),
    dilation=st.integers(1, 2),
    padding=st.sampled_from(["valid", "same"]),
    biased=st.booleans(),
    channels=st.integers(1, 4),
    outputs=st.integers(1, 5),
)
def test_with_all_filters_and_nothing_between_it_is_the_same(
    window: tuple[int, int],
    flat: bool,
    strides: int,
    dilation: int,
    padding: str,
    biased: bool,
    channels: int,
    outputs: int,
) -> None:
    kind = layers.Conv1D if flat else layers.Conv2D
    size = window[0] if flat else window
    moved = {"strides": strides} if dilation == 1 else {"dilation_rate": dilation}
    config = {"padding": padding, "use_bias": biased, "activation": "tanh", **moved}
    layer = kind(outputs, size, **config)
    x = np.random.default_rng(0).normal(size=(2, 7, *([] if flat else [6]), channels))
    wanted = layer(x.astype("float32"))
    one = Separable("conv", layer, multiplier=9)
    assert one.loss < 1e-12
    answers = one.build("conv", "nothing")(x.astype("float32"))
    np.testing.assert_allclose(answers, wanted, atol=1e-5)


def test_each_filter_more_is_nearer() -> None:
    layer = layers.Conv2D(8, 3)
    layer.build((None, 6, 6, 5))
    losses = [Separable("conv", layer, multiplier).loss for multiplier in (1, 2, 4, 8)]
    assert (np.diff(losses) < 0).all()
    assert losses[-1] < 1e-9
    kernel = np.asarray(layer.kernel)
    one = Separable("conv", layer, 1)
    rebuilt = np.einsum("hwi,io->hwio", one.windows[..., 0], one.mixture)
    lost = np.square(kernel - rebuilt).sum() / np.square(kernel).sum()
    assert lost == pytest.approx(one.loss, rel=1e-4)
    assert (one.windows.sum((0, 1)) >= 0).all()


def test_samples_let_the_product_through_and_fit_the_mixture() -> None:
    """Behind a shifted ReLU the halves answer as without one, and fitted they answer better."""
    keras.utils.set_random_seed(0)
    layer = layers.Conv2D(8, 3, padding="same", activation="tanh")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 9, 9, 6)).astype("float32")
    wanted = np.asarray(layer(x))
    plain = np.asarray(Separable("conv", layer, 1).build("conv", "nothing")(x))
    fitted = Separable("conv", layer, 1)
    cut = np.asarray(fitted.build("conv", "relu")(x))
    answers = np.asarray(fitted.fit(x))

    def error(given: np.ndarray) -> float:
        return float(np.square(given - wanted).mean())

    mixed = Separable("conv", layer, 1)
    mixed.build("conv", "nothing")(x)
    assert error(answers) < error(plain) < error(cut)
    np.testing.assert_allclose(mixed.fit(x), answers, atol=0.01)
    through = np.asarray(fitted.norm(fitted.filtered(x)))
    assert through.min() >= -1e-5
    np.testing.assert_allclose(np.var(through, (0, 1, 2)), np.square(fitted.norm.gamma), rtol=0.01)


@pytest.mark.parametrize("data", [False, True])
def test_what_is_made_opens_with_plain_keras_and_says_what_changed(
    tmp_path: Path, data: bool
) -> None:
    model = network()
    made, lent = substituted(model, tmp_path, data=data)
    assert count(made).macs == lent.facts["macs"] < 0.3 * count(model).macs
    assert sorted(lent.facts["energy_lost"]) == ["second", "third"]
    said = " ".join(lent.notes)
    assert "convolutions that became depthwise separable: 2;" in said
    assert "one filter for each channel loses " in said
    assert "left as they are: " in said
    assert "first (it has 1 input channels)" in said
    assert ("nothing makes good for what was lost" in said) is not data
    assert ("without calibration data the ReLUs between the halves" in said) is not data
    made.save(tmp_path / "made.keras")
    x = np.random.default_rng(0).random((2, 8, 8, 1), "float32")
    again = keras.models.load_model(tmp_path / "made.keras")
    np.testing.assert_allclose(again(x), made(x), atol=1e-6)
    assert made.get_layer("second").use_bias
    assert made.get_layer("third").activation is keras.activations.tanh


def test_names_are_replaced_and_reasons_told(tmp_path: Path) -> None:
    model = network()
    made, lent = substituted(model, tmp_path, layers=("first", "point"), between="nothing")
    assert list(lent.facts["energy_lost"]) == ["first"]
    assert any("point (its window is one place)" in note for note in lent.notes)
    assert type(made.get_layer("first_depthwise")) is layers.DepthwiseConv2D
    with pytest.raises(ModelError, match=r"classes \(a Dense has no depthwise form\)"):
        substituted(model, tmp_path, layers=("classes",))
    with pytest.raises(UsageError, match="no layer is named 'thirdd'"):
        substituted(model, tmp_path, layers=("thirdd",))


def test_what_has_no_depthwise_form_stays() -> None:
    given = keras.Input((8, 8, 8))
    x = layers.Conv2D(8, 3, strides=(2, 1), padding="same", name="uneven")(given)
    x = layers.Conv2D(8, 3, groups=2, padding="same", name="grouped")(x)
    x = layers.Conv2DTranspose(8, 3, name="transposed")(x)
    x = layers.Reshape((-1, 8))(x)
    x = layers.Conv1D(8, 3, padding="causal", name="causal")(x)
    model = keras.Model(given, layers.Conv1D(1, 2, name="narrow")(x))
    found, left = convolutions(model, Depthwise.of({"layers": "all", "multiplier": 2}).options)
    assert not found
    assert left == {
        "uneven": "its strides differ",
        "grouped": "its channels are in groups",
        "causal": "a depthwise convolution cannot be causal",
        "narrow": "it would compute no less",
    }


def test_a_wrong_name_is_told_before_any_work(tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    network().save(path)
    plan = Plan(facts(path), (), (), None, DeviceProfile("test"))
    with pytest.raises(UsageError, match="no layer is named 'secondd'") as told:
        list(Depthwise.of({"layers": "secondd"}).check(plan))
    assert "second" in told.value.hint
    (note,) = Depthwise.of({"layers": "second"}).check(plan)
    assert "no training data" in note


def test_the_method_declares_well() -> None:
    check_method(Depthwise, {"layers": ("conv",), "multiplier": 2})
