"""Magnitude pruning: exact shares, what stays dense, and schedules."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgeshrink.errors import ModelError, UsageError
from edgeshrink_prune import Options
from edgeshrink_prune.kernels import Kernel, in_scope
from edgeshrink_prune.magnitude import left_dense
from edgeshrink_prune.masks import adapted, global_masks, least_kept, mask_of
from edgeshrink_prune.schedules import Gradual

layers = keras.layers


def names(kernels: list[Kernel]) -> list[str]:
    return sorted(k.variable.path.split("/")[-2] for k in kernels)


@given(st.integers(1, 200), st.floats(0, 1), st.integers(0, 99))
def test_mask_has_exactly_the_zeros_and_they_are_the_smallest(
    size: int, share: float, seed: int
) -> None:
    values = np.abs(np.random.default_rng(seed).normal(size=size))
    zeros = round(share * size)
    mask = mask_of(values, zeros)
    assert (mask == 0).sum() == zeros
    if 0 < zeros < size:
        assert values[mask == 0].max() <= values[mask == 1].min()


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=5),
    st.floats(0, 0.995),
    st.integers(0, 99),
)
def test_global_masks_have_the_share_and_keep_some_of_each_kernel(
    shapes: list[tuple[int, int]], sparsity: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    kernels = [np.abs(rng.normal(scale=10.0**-place, size=s)) for place, s in enumerate(shapes)]
    masks = global_masks(kernels, sparsity)
    sizes = [k.size for k in kernels]
    least = least_kept(sparsity)
    possible = sum(size - int(np.ceil(least * size)) for size in sizes)
    zeros = sum(int((m == 0).sum()) for m in masks)
    assert zeros == min(round(sparsity * sum(sizes)), possible)
    for mask in masks:
        assert mask.sum() >= np.ceil(least * mask.size)


@given(
    values=st.lists(st.just(0.0) | st.floats(1e-3, 10), min_size=1, max_size=30),
    scale=st.floats(0.01, 100),
)
def test_what_a_weight_is_worth_in_its_layer_knows_no_scale(
    values: list[float], scale: float
) -> None:
    worth = np.array(values)
    found = adapted(worth)
    np.testing.assert_allclose(adapted(worth * scale), found, rtol=1e-6)
    order = np.argsort(-worth, kind="stable")
    assert found[order[0]] == (1 if worth.any() else 0)
    assert (np.diff(found[order]) <= 0).all()
    for place, number in enumerate(order):  # the definition, in so many words
        left = (worth[order[: place + 1]] ** 2).sum()
        assert found[number] == pytest.approx(worth[number] ** 2 / left if left else 0)


def test_a_layer_of_small_weights_is_not_emptied_first() -> None:
    rng = np.random.default_rng(0)
    kernels = [rng.random(100), rng.random(4000) * 100]
    small, _ = global_masks([adapted(kernel) for kernel in kernels], 0.95)
    assert small.mean() > 0.2 > global_masks(kernels, 0.95)[0].mean()


def test_an_end_with_much_of_what_is_left_is_pruned_too() -> None:
    model = keras.Sequential(
        [
            keras.Input((20,)),
            layers.Dense(100, name="hidden"),
            layers.Dense(100, name="wide"),
            layers.Dense(10, name="classes"),
        ]
    )
    assert names(in_scope(model, ("all",), kept=0.9)) == ["hidden", "wide"]
    assert names(in_scope(model, ("all",), kept=0.05)) == ["classes", "hidden", "wide"]


def test_a_high_global_share_is_reached() -> None:
    kernels = [np.random.default_rng(0).random(size) for size in (500, 25_000, 400_000)]
    masks = global_masks(kernels, 0.99)
    assert sum(mask.sum() for mask in masks) == round(0.01 * 425_500)
    assert min(mask.mean() for mask in masks) >= 0.002


def test_scope_leaves_dense_what_should_stay_dense() -> None:
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(4, 3, name="first"),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.Conv2D(8, 1, name="pointwise"),
            layers.BatchNormalization(),
            layers.SeparableConv2D(8, 3, name="separable"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(8, name="hidden"),
            layers.Dense(3, name="output"),
            layers.Softmax(),
        ]
    )
    assert names(in_scope(model, ("all",))) == ["hidden", "pointwise", "separable", "separable"]
    assert names(in_scope(model, ("dense",))) == ["hidden"]
    assert names(in_scope(model, ("conv",))) == ["pointwise", "separable", "separable"]
    assert names(in_scope(model, ("first", "output"))) == ["first", "output"]
    with pytest.raises(UsageError, match="no layer is named 'hiden'") as told:
        in_scope(model, ("hiden",))
    assert "hidden" in told.value.hint


def test_what_stays_dense_is_told_where_much_is_in_it() -> None:
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(4, 3, name="first"),
            layers.Conv2D(4, 3, name="second"),
            layers.Flatten(),
            layers.Dense(10, name="classes"),
        ]
    )
    (said,) = left_dense(model, in_scope(model, ("all",)))
    # 108 and 5,760 of 6,030
    assert said.startswith("97% of the parameters are in kernels that stay dense")
    assert "classes, first: --prune-layers" in said
    assert not list(left_dense(model, in_scope(model, ("second", "classes"))))


def test_scope_sees_recurrent_nested_and_shared_layers_once() -> None:
    shared = layers.Dense(6, name="shared")
    inner = keras.Sequential([keras.Input((5, 6)), layers.LSTM(4, name="lstm")], name="inner")
    a, b = keras.Input((5, 6), name="a"), keras.Input((5, 6), name="b")
    merged = layers.Concatenate()([inner(shared(a)), inner(shared(b))])
    both = layers.Bidirectional(layers.GRU(3, name="gru"))(shared(a))
    model = keras.Model([a, b], [layers.Dense(2, name="out")(layers.Concatenate()([merged, both]))])
    found = [k.variable.path.split("/")[-1] for k in in_scope(model, ("all",))]
    # shared once, and kernel and recurrent kernel of one LSTM and two GRUs; never the output
    assert sorted(found) == sorted(["kernel", *["kernel", "recurrent_kernel"] * 3])


def test_scope_refuses_a_model_with_nothing_to_prune() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with pytest.raises(ModelError, match="no kernels in scope"):
        in_scope(model, ("all",))


@pytest.mark.parametrize("scope", ["adaptive", "global", "layer"])
def test_gradual_rises_as_a_cubic_and_settles(scope: str) -> None:
    model = keras.Sequential([keras.Input((20,)), layers.Dense(50), layers.Dense(50)])
    kernels = [Kernel(layer.kernel) for layer in model.layers]
    schedule = Gradual(kernels, Options(0.8, scope=scope))
    shares = []
    for done in (0.0, 0.15, 0.3, 0.6, 1.0):
        schedule.update(done)
        shares.append(schedule.masks.zeros() / 3500)
    assert shares[0] == 0
    assert np.diff(shares[:4]).min() > 0
    assert shares[2] == pytest.approx(0.8 * (1 - 0.5**3), abs=1e-3)
    assert shares[3] == shares[4] == pytest.approx(0.8, abs=1e-3)
    assert schedule.settled


def test_a_schedule_begins_where_it_is_told() -> None:
    kernels = [Kernel(keras.Variable(np.random.default_rng(0).normal(size=(50, 20))))]
    schedule = Gradual(kernels, Options(0.8, initial=0.5))
    shares = []
    for done in (0.0, 0.3, 1.0):
        schedule.update(done)
        shares.append(schedule.masks.zeros() / 1000)
    assert shares == pytest.approx([0.5, 0.8 - 0.3 * 0.5**3, 0.8], abs=1e-3)
    with pytest.raises(ValueError, match=r"at most the sparsity 0\.8; received 0\.9"):
        Options(0.8, initial=0.9)
    with pytest.raises(ValueError, match="constant schedule has no beginning"):
        Options(0.8, schedule="constant", initial=0.5)


def test_zeros_have_no_sign_that_would_be_stored() -> None:
    kernel = keras.Variable(np.random.default_rng(0).normal(size=(20, 20)))
    Gradual([Kernel(kernel)], Options(0.5)).update(1.0)
    values = np.asarray(kernel)
    assert (values < 0).any()
    assert not np.signbit(values[values == 0]).any()


def test_constant_schedule_prunes_at_once() -> None:
    model = keras.Sequential([keras.Input((20,)), layers.Dense(50)])
    schedule = Gradual([Kernel(model.layers[0].kernel)], Options(0.5, schedule="constant"))
    schedule.update(0.0)
    assert schedule.settled
    assert schedule.masks.zeros() == 500
