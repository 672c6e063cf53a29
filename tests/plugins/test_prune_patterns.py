"""Pruning in patterns, and pruning with weights that grow back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from keras import ops

from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.errors import ModelError, UsageError
from edgeshrink.models.artifact import Kind
from edgeshrink.models.config import ModelFacts
from edgeshrink.nn.conversion.converter_process import Conversion
from edgeshrink.nn.conversion.keras_to_tflite import convert
from edgeshrink.recipes.method import Plan
from edgeshrink.testing import check_method, tiny_data, tiny_model
from edgeshrink.testing.running import context
from edgeshrink.tflite.reader import constant_values, read_model
from edgeshrink_prune import Options, Prune
from edgeshrink_prune.kernels import Kernel, in_scope
from edgeshrink_prune.masks import holds, scores
from edgeshrink_prune.pattern import Block, Groups, parse
from edgeshrink_prune.schedules import MARGIN, Gradual, Regrowth, Spliced
from edgeshrink_quantize import Int8

layers = keras.layers
GROUPS = [(1, 2), (2, 4), (1, 4), (3, 4), (2, 8)]


def pruned(model: keras.Model, folder: Path, *, data: bool = True, **options: Any) -> Any:
    step = Prune.of(options)
    answers = model if data else tiny_model()
    lent = context(step, answers, model, tiny_data() if data else None, folder)
    return step.apply(model, lent), lent


def dense(shape: tuple[int, ...], seed: int) -> keras.Variable:
    """Return a kernel of which all values differ."""
    values = np.random.default_rng(seed).permutation(np.prod(shape)) + 1.0
    return keras.Variable(values.reshape(shape), name="kernel")


@pytest.mark.parametrize(
    ("text", "pattern"),
    [("free", Block()), ("2:4", Groups(2, 4)), ("4x1", Block(4, 1)), ("16x8", Block(16, 8))],
)
def test_patterns_are_read(text: str, pattern: object) -> None:
    assert parse(text) == pattern


@pytest.mark.parametrize("text", ["", "4:4", "0:4", "4:2", "0x4", "4x", "2:4x1", "-2:4", "two"])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="prune: pattern must be `free`"):
        Prune.of({"sparsity": 0.5, "pattern": text})


def test_another_share_of_zeros_than_the_pattern_has_is_refused() -> None:
    with pytest.raises(UsageError, match=r"sparsity of 0\.5; received 0\.8: ask for 0\.5"):
        Prune.of({"sparsity": 0.8, "pattern": "2:4"})
    assert Prune.of({"sparsity": 0.67, "pattern": "1:3"}).options.pattern == "1:3"


@settings(max_examples=60)
@given(
    shapes=st.lists(
        st.tuples(st.integers(1, 3), st.integers(1, 13), st.integers(1, 6)), min_size=1, max_size=3
    ),
    groups=st.sampled_from(GROUPS),
    scope=st.sampled_from(["adaptive", "global", "layer"]),
    seed=st.integers(0, 99),
)
def test_groups_keep_exactly_the_largest_of_each(
    shapes: list[tuple[int, int, int]], groups: tuple[int, int], scope: str, seed: int
) -> None:
    kept, size = groups
    kernels = [Kernel(dense(shape, seed + place)) for place, shape in enumerate(shapes)]
    before = [kernel.values().copy() for kernel in kernels]
    options = Options(1 - kept / size, pattern=f"{kept}:{size}", scope=scope)
    schedule = Gradual(kernels, options)
    for share in (0.0, 0.2, 0.4, 1.0):
        schedule.update(share)
    for kernel, values in zip(kernels, before, strict=True):
        found = kernel.values()
        assert holds(found, parse(options.pattern))
        for first in range(0, values.shape[1], size):
            group, was = found[:, first : first + size], values[:, first : first + size]
            least = np.sort(was, axis=1)[:, -min(kept, was.shape[1])]
            np.testing.assert_array_equal(group, np.where(was >= least[:, None], was, 0))


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 20)),
    block=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    sparsity=st.floats(0, 0.95),
    seed=st.integers(0, 99),
)
def test_blocks_go_together_and_the_smallest_go_first(
    shape: tuple[int, int, int], block: tuple[int, int], sparsity: float, seed: int
) -> None:
    kernel = Kernel(dense(shape, seed))
    pattern = Block(*block)
    worth = scores(kernel.values(), pattern)
    Gradual([kernel], Options(sparsity, pattern="{}x{}".format(*block), scope="layer")).update(1.0)
    found = kernel.values()
    assert holds(found, pattern)
    kept = scores((found != 0).astype("float32"), pattern) == 1
    largest = min(block[0], shape[1]) * min(block[1], shape[2])
    assert abs((found == 0).sum() - sparsity * found.size) <= largest / 2
    if 0 < kept.sum() < kept.size:
        assert worth[~kept].max() <= worth[kept].min()


def test_small_blocks_at_the_edges_count_for_what_they_hold(tmp_path: Path) -> None:
    given = keras.Input((20,))
    model = keras.Model(given, layers.Dense(9)(layers.Dense(50, name="inner")(given)))
    for scope in ("layer", "adaptive", "global"):  # blocks of 16, and of the 4 that are left
        _, lent = pruned(
            keras.models.clone_model(model),
            tmp_path,
            data=False,
            sparsity=0.5,
            pattern="16x1",
            scope=scope,
            layers=("inner",),
        )
        assert lent.facts["sparsity_in_scope"] == pytest.approx(0.5, abs=0.01)
        assert "unmet" not in lent.facts


def test_a_pattern_that_leaves_more_than_is_asked_for_says_so(tmp_path: Path) -> None:
    given = keras.Input((3,))
    model = keras.Model(given, layers.Dense(8, name="three")(given))
    _, lent = pruned(model, tmp_path, data=False, sparsity=0.5, pattern="2:4", layers=("three",))
    assert lent.facts["unmet"].startswith(
        "prune: asked for 50.0% of the weights in scope, 33.3% zero, 16.7 points less; the pattern "
    )
    assert lent.facts["unmet"].endswith("and what each kernel keeps at least allow no other")


def test_zeros_from_before_are_no_miss(tmp_path: Path) -> None:
    model = tiny_model()
    pruned(model, tmp_path, data=False, sparsity=0.8)
    _, lent = pruned(model, tmp_path, data=False, sparsity=0.3)
    assert lent.facts["sparsity_in_scope"] >= 0.8
    assert "unmet" not in lent.facts


def test_masks_that_are_not_of_a_pattern_are_told_apart() -> None:
    mask = np.array([[1, 1, 1, 0, 0, 0, 0, 0]], "float32").T
    assert not holds(mask, Groups(2, 4))
    assert holds(mask, Groups(3, 4))
    assert not holds(mask, Block(4, 1))
    assert not holds(mask, Block(2, 1))
    assert holds(mask, Block(1, 1))


def test_groups_run_along_the_inputs_of_each_kind_of_layer() -> None:
    image = keras.Input((4, 4, 8))
    x = layers.Conv2D(8, 3, name="first")(image)
    x = layers.Conv2DTranspose(6, 3, name="transposed")(x)
    x = layers.Conv2D(8, 1, name="plain")(x)
    x = layers.Reshape((16, 8))(x)
    x = layers.EinsumDense("abc,cde->abde", (16, 2, 4), name="heads")(x)
    x = layers.EinsumDense("abde,dec->abc", (16, 8), name="joined")(x)
    model = keras.Model(image, layers.Dense(3, name="out")(layers.Flatten()(x)))
    shapes = {
        kernel.variable.path.split("/")[-2]: kernel.values().shape[-2:]
        for kernel in in_scope(model, ("all",))
    }
    # inputs and outputs; of a layer with several axes of inputs the last of them
    assert shapes == {"transposed": (8, 6), "plain": (6, 8), "heads": (8, 4), "joined": (4, 8)}
    for kernel in in_scope(model, ("all",)):
        Gradual([kernel], Options(0.5, pattern="2:4")).update(1.0)
        assert holds(kernel.values(), Groups(2, 4))
        assert not kernel.values().all()


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("pattern", "sparsity", "schedule"),
    [
        ("2:4", 0.5, "polynomial"),
        ("4x1", 0.6, "regrow"),
        pytest.param("1:4", 0.75, "regrow", marks=pytest.mark.slow),
        pytest.param("4x1", 0.6, "polynomial", marks=pytest.mark.slow),
    ],
)
def test_the_pattern_is_there_after_training_and_in_the_file(
    pattern: str, sparsity: float, schedule: str, tmp_path: Path
) -> None:
    model, lent = pruned(
        tiny_model(),
        tmp_path,
        sparsity=sparsity,
        pattern=pattern,
        schedule=schedule,
        layers=("conv", "hidden"),
    )
    for kernel in in_scope(model, ("hidden",)):
        assert holds(kernel.values(), parse(pattern))
        assert not kernel.values().all()
    assert lent.facts["pattern"] == pattern
    samples = {"image": np.random.default_rng(0).random((8, *model.input_shape[1:]), "float32")}
    wants = {"float": Conversion(), "int8": Conversion("int8", "int8")}
    for data in convert(model, wants, tmp_path, samples).values():
        (stored,) = (
            tensor
            for tensor in read_model(data).tensors
            if tensor.constant and tensor.elements == model.get_layer("hidden").kernel.shape[0] * 16
        )
        assert holds(constant_values(data, stored).T, parse(pattern))


def test_what_groups_do_not_divide_is_told(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 1))
    x = layers.Dense(6, name="start")(layers.Flatten()(inputs))
    for width, name in ((2, "six"), (8, "two"), (8, "eight")):
        x = layers.Dense(width, name=name)(x)
    model = keras.Model(inputs, x)
    options = {"sparsity": 0.5, "pattern": "2:4", "layers": ("six", "two", "eight")}
    made, lent = pruned(model, tmp_path, data=False, **options)
    told = " ".join(lent.notes)
    assert "% zeros in the kernels in scope (3), " in told
    assert "two stay dense: no more than 2 inputs" in told
    assert "4 does not divide the inputs of six: their last group" in told
    assert np.all(made.get_layer("two").kernel)
    assert (np.asarray(made.get_layer("six").kernel) == 0).sum() == 2 * 2
    assert (np.asarray(made.get_layer("eight").kernel) == 0).sum() == 4 * 8


@pytest.mark.parametrize("schedule", ["polynomial", "regrow"])
def test_zeros_from_before_stay_inside_and_outside_of_the_scope(
    schedule: str, tmp_path: Path
) -> None:
    model = tiny_model(zeros=True)
    before = {v.path: np.asarray(v) == 0 for v in model.trainable_variables if len(v.shape) > 1}
    made, _ = pruned(model, tmp_path, sparsity=0.3, schedule=schedule, layers=("hidden",))
    for variable in made.trainable_variables:
        if len(variable.shape) > 1:
            assert not np.asarray(variable)[before[variable.path]].any(), variable.path


def test_weights_grow_back_past_the_margin_alone() -> None:
    variable = keras.Variable(np.array([[1.0], [2.0], [3.0], [4.0]]), name="kernel")
    schedule = Regrowth([Kernel(variable)], Options(0.5, schedule="regrow"))
    schedule.update(0.7)
    assert not schedule.settled
    assert schedule.kept[0].ravel().tolist() == [0, 0, 1, 1]
    variable.assign([[3 * (1 + MARGIN) - 0.01], [2.0], [3.0], [4.0]])  # larger, but not by enough
    schedule.update(0.7)
    assert schedule.kept[0].ravel().tolist() == [0, 0, 1, 1]
    assert schedule.grown_back() == 0
    variable.assign([[3 * (1 + MARGIN) + 0.01], [2.0], [3.0], [4.0]])
    schedule.update(1.0)
    assert schedule.settled
    assert schedule.kept[0].ravel().tolist() == [1, 0, 0, 1]
    assert schedule.grown_back() == 1


def test_masters_get_the_gradient_of_what_is_computed_with() -> None:
    import tensorflow as tf

    forward = Spliced((3,))
    forward.mask.assign([1, 0, 1])
    master = tf.Variable([1.0, 2.0, 3.0])
    with tf.GradientTape() as tape:
        value = forward(master)
        loss = ops.sum(value * tf.constant([5.0, 6.0, 7.0]))
    assert value.numpy().tolist() == [1, 0, 3]
    assert tape.gradient(loss, master).numpy().tolist() == [5, 6, 7]


def test_regrowth_ends_with_the_exact_share_of_zeros(tmp_path: Path) -> None:
    model = tiny_model()
    options = {"sparsity": 0.8, "schedule": "regrow", "layers": ("conv", "hidden")}
    step = Prune.of(options)
    lent = context(step, model, model, tiny_data(), tmp_path)
    lent.training = type(lent.training)(epochs=6, lr=3e-2, batch_size=8).over(lent.training)
    made = step.apply(model, lent)
    kernels = [kernel.values() for kernel in in_scope(made, ("conv", "hidden"))]
    zeros = sum(int((kernel == 0).sum()) for kernel in kernels)
    assert zeros == round(0.8 * sum(kernel.size for kernel in kernels))
    assert lent.facts["grown_back"] > 0
    assert "have grown back" in lent.notes[0]
    assert type(made) is type(model)


def test_regrowth_that_begins_again_remembers_no_trial() -> None:
    variable = keras.Variable(np.array([[1.0, 2.0, 3.0, 4.0]], "float32"))
    schedule = Regrowth([Kernel(variable)], Options(0.5, schedule="regrow"))
    schedule.update(1.0)
    schedule.update(0.0)
    assert schedule.grown_back() == 0
    assert all(mask.all() for mask in schedule.kept)


def test_regrowth_refuses_what_it_cannot_train(tmp_path: Path) -> None:
    plan = Plan(ModelFacts(Kind.KERAS), (), (), None, DeviceProfile("test"))
    with pytest.raises(UsageError, match="grow back only in training"):
        list(Prune.of({"sparsity": 0.5, "schedule": "regrow"}).check(plan))
    with pytest.raises(ModelError, match="share values cannot grow back"):
        pruned(
            tiny_model(clusters=True), tmp_path, sparsity=0.5, schedule="regrow", layers=("hidden",)
        )


@pytest.mark.slow
def test_the_method_is_one_in_patterns() -> None:
    check_method(Prune, {"sparsity": 0.5, "pattern": "2:4"})


# ---- the pattern that pays on an NPU


def npu(**gains: tuple[str, ...]) -> DeviceProfile:
    flash = {"zeros": ("download", "flash"), "shared_values": ("download", "flash")}
    return DeviceProfile("npu", accelerator="npu", compiled=True, pays={**flash, **gains})


SKIPPING = npu(patterns=("download", "flash", "ms"))


def checked(device: DeviceProfile, **options: Any) -> list[str]:
    plan = Plan(ModelFacts(Kind.KERAS), (), (Int8.of({}),), tiny_data(), device)
    return list(Prune.of(options).check(plan))


def test_for_an_npu_the_pattern_is_chosen_that_it_skips() -> None:
    assert checked(SKIPPING, **{"sparsity": 0.5, "for": "npu"}) == [
        "--prune-for npu: the pattern 2:4 pays on npu",
        "on npu, zeros in two of each four weights make the file smaller to download and smaller "
        "in flash and less to compute",
    ]
    assert checked(npu(), **{"sparsity": 0.8, "for": "npu"}) == [
        "--prune-for npu: the pattern free pays on npu",
        "on npu, zeros in integer kernels make the file smaller to download and smaller in flash, "
        "not less to compute",
    ]


def test_for_an_npu_that_skips_a_pattern_another_share_is_refused() -> None:
    with pytest.raises(UsageError, match=r"in the pattern 2:4 alone, a sparsity of 0\.5") as caught:
        checked(SKIPPING, **{"sparsity": 0.8, "for": "npu"})
    assert caught.value.hint == "--prune 0.5, or drop --prune-for npu to save flash"


def test_for_an_npu_needs_one() -> None:
    with pytest.raises(UsageError, match="needs the profile of an NPU; pi is a cpu"):
        checked(DeviceProfile("pi"), **{"sparsity": 0.5, "for": "npu"})
    with pytest.raises(UsageError, match="for npu chooses the pattern itself; received 4x1 too"):
        Prune.of({"sparsity": 0.5, "for": "npu", "pattern": "4x1"})


def test_what_an_npu_skips_is_pruned_and_kept_apart_by_device(tmp_path: Path) -> None:
    step = Prune.of({"sparsity": 0.5, "for": "npu"})
    assert step.timed
    assert not Prune.of({"sparsity": 0.5}).timed
    model = tiny_model()
    lent = replace(context(step, model, model, None, tmp_path), profile=SKIPPING)
    step.apply(model, lent)
    assert lent.facts["pattern"] == "2:4"
    lent = replace(context(step, tiny_model(), tiny_model(), None, tmp_path), profile=npu())
    step.apply(tiny_model(), lent)
    assert "pattern" not in lent.facts  # single weights
