"""TFMOT's methods: the way to Keras 2 and back, what they promise, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

if not (find_spec("tf_keras") and find_spec("tensorflow_model_optimization")):
    pytest.skip("the extra tfmot is not installed", allow_module_level=True)

import edgeshrink_tfmot as methods
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.engine.planning import planner
from edgeshrink.errors import EdgeshrinkError, ModelError, UsageError
from edgeshrink.nn import Conversion, convert
from edgeshrink.nn.conversion.pairing import pairs
from edgeshrink.nn.conversion.verification import check_clusters, check_zeros
from edgeshrink.nn.learning.masks import kernel_weights
from edgeshrink.recipes.method import Plan
from edgeshrink.recipes.training import Training
from edgeshrink.testing import running, tiny_data, tiny_model
from edgeshrink.tflite.reader import constant_values, float_operators, read_model
from edgeshrink_tfmot.toolkit import first_sentence, load, refusals
from edgeshrink_tfmot.translation import LAYERS, translated

layers = keras.layers


def applied(step: Any, model: keras.Model, folder: Path, *, labels: bool = True) -> tuple[Any, Any]:
    """Return what a step makes of a model on the tiny data, and its context."""
    context = running.context(step, model, model, tiny_data(labels=labels), folder)
    return step.apply(model, context), context


def many_layers() -> keras.Model:
    """Return a model of stock layers with nested, shared and twice-named ones."""
    keras.utils.set_random_seed(0)
    image, extra = keras.Input((8, 8, 2), name="image"), keras.Input((6, 3), name="extra")
    x = layers.ZeroPadding2D(1)(image)
    x = layers.Conv2D(4, 3, kernel_regularizer="l2", kernel_constraint="max_norm", name="first")(x)
    x = layers.BatchNormalization(momentum=0.5)(x)
    x = layers.ReLU(max_value=6)(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    x = layers.SeparableConv2D(4, 3, padding="same", activation="gelu")(x)
    inner = keras.Sequential(
        [keras.Input((8, 8, 4)), layers.Conv2D(4, 1, name="twice"), layers.LeakyReLU(0.1)]
    )
    x = layers.Add()([inner(x), x, inner(layers.SpatialDropout2D(0.2)(x))])
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2DTranspose(3, 3, strides=2, name="twice")(x)
    x = layers.Cropping2D(1)(x)
    x = layers.AveragePooling2D(3, 1, "same")(layers.Dropout(0.3)(x))
    shared = layers.Dense(5, activation="tanh")
    y = layers.SeparableConv1D(3, 2)(layers.Conv1D(3, 2, padding="causal")(extra))
    y = layers.Concatenate()([layers.LSTM(5)(y), layers.GRU(5, reset_after=False)(y)])
    z = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.Flatten()(x)])
    both = layers.Concatenate()([shared(layers.Dense(4)(z)), shared(layers.Dense(4)(y))])
    classes = layers.Softmax(name="classes")(layers.Dense(3, use_bias=False)(both))
    return keras.Model(
        {"image": image, "extra": extra}, [classes, layers.Reshape((2, 5), name="shaped")(both)]
    )


def test_a_model_is_rebuilt_in_keras_2_and_its_weights_come_back(tmp_path: Path) -> None:
    model = many_layers()
    twin = translated(model, tmp_path)
    _, tf_keras = load()
    assert isinstance(twin.model, tf_keras.Model)
    assert twin.model.count_params() == model.count_params()
    first = twin.model.get_layer("first")
    assert first.kernel_regularizer.get_config() == pytest.approx({"l2": 0.01})
    assert first.kernel_constraint.get_config() == {"max_value": 2, "axis": 0}
    assert {name for _, name in twin.layers} >= {"twice", "twice_1"}
    rng = np.random.default_rng(0)
    changed = [w + rng.normal(0, 0.05, w.shape) ** 2 for w in twin.model.get_weights()]
    twin.model.set_weights(changed)
    with pytest.raises(ModelError, match="must answer as in Keras 3; outputs differ"):
        twin.check(twin.model)
    assert twin.carry_back(twin.model) is model
    assert sum(float(np.sum(w)) for w in model.get_weights()) == pytest.approx(
        sum(float(np.sum(w)) for w in changed), rel=1e-5
    )


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (lambda: layers.GroupNormalization(2, name="groups"), r"'groups' \(GroupNormalization\)"),
        (lambda: layers.Dense(2, "hard_sigmoid", name="hard"), "'hard'.*x/6"),
        (lambda: layers.Dense(2, dtype="mixed_float16", name="half"), "'half'.*mixed_float16"),
        (lambda: layers.Dense(2, "hard_silu", name="silu"), "'silu'.*Unknown activation"),
        (lambda: keras.ops.square, "Square.*is not translated"),
        (
            lambda: keras.Sequential(
                [
                    layers.Reshape((2, 2)),
                    layers.SimpleRNN(2, zero_output_for_mask=True, name="masked"),
                ]
            ),
            "'masked'.*zero_output_for_mask=True is unknown",
        ),
    ],
)
def test_a_layer_without_counterpart_is_named(
    end: Callable[[], Any], told: str, tmp_path: Path
) -> None:
    image = keras.Input((4,), name="image")
    model = keras.Model(image, end()(layers.Dense(4)(image)))
    with pytest.raises(ModelError, match=told):
        translated(model, tmp_path)


def test_every_stock_layer_is_in_both_kerases() -> None:
    _, tf_keras = load()
    for name in LAYERS:
        assert issubclass(getattr(tf_keras.layers, name), tf_keras.layers.Layer), name
        assert issubclass(getattr(layers, name), layers.Layer), name


def test_both_kerases_live_in_one_process_without_a_trace() -> None:
    import tensorflow as tf

    load()
    assert "TF_USE_LEGACY_KERAS" not in os.environ
    assert tf.keras.version() == keras.__version__


@pytest.mark.heavy
def test_pruning_and_clustering_give_the_zeros_and_values_asked_for(tmp_path: Path) -> None:
    prune, count = methods.TfmotPrune.of({"sparsity": 0.7}), 8
    model, context = applied(prune, tiny_model(), tmp_path, labels=False)  # taught by the original
    zeros = {v.path: np.asarray(v) == 0 for v in kernel_weights(model)}
    for path, where in zeros.items():
        assert abs(where.sum() - 0.7 * where.size) <= 1, path
    assert context.facts["sparsity_in_scope"] == pytest.approx(0.7, abs=0.02)
    assert "% zeros in the kernels that TFMOT prunes (3), " in context.notes[-1]

    model, context = applied(methods.TfmotCluster.of({"clusters": count}), model, tmp_path)
    for variable, where in zip(kernel_weights(model), zeros.values(), strict=True):
        values = np.asarray(variable)
        assert 2 < len(np.unique(values)) <= count
        assert not values[where].any()
    assert context.facts["clusters"] == count
    assert context.notes[-1].startswith("distinct values: conv/kernel ")


def test_shared_values_stay_shared_where_a_batch_norm_is_folded(tmp_path: Path) -> None:
    step = methods.TfmotCluster.of({"clusters": 4})
    model, _ = applied(step, normed(), tmp_path)
    assert not [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    made = convert(model, {"float": Conversion()}, tmp_path)["float"]
    assert {len(np.unique(pair.codes)) <= 4 for pair in pairs(model, made)} == {True}
    check_clusters(model, made)


def normed() -> keras.Model:
    """Return a model whose batch norm scales each channel otherwise."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(4, 3, use_bias=False, name="conv")(image)
    norm = layers.BatchNormalization(gamma_initializer="random_normal", name="norm")
    x = layers.Conv2DTranspose(2, 2, strides=2, name="wider")(layers.ReLU()(norm(x)))
    outputs = layers.Dense(3, activation="softmax", name="classes")(layers.Flatten()(x))
    return keras.Model(image, outputs)


@pytest.mark.heavy
def test_a_transposed_convolution_is_trained_quantized(tmp_path: Path) -> None:
    made, _ = applied(methods.TfmotQat(), normed(), tmp_path)
    assert "TRANSPOSE_CONV" in {operator.name for operator in read_model(made).operators}
    assert any(t.dtype == "int8" for t in read_model(made).weights)


@pytest.mark.heavy
def test_ranges_that_no_kernel_fits_are_told(tmp_path: Path) -> None:
    """A vast weight, that only meets zeros, makes the steps of its kernel vast."""
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(2, 3, activation="relu", name="nothing")(image)
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu", name="after")(x))
    model = keras.Model(image, layers.Dense(3, activation="softmax", name="classes")(x))
    nothing, after = model.get_layer("nothing").kernel, model.get_layer("after").kernel
    nothing.assign(np.asarray(nothing) * [1, 0])
    vast = np.asarray(after)
    vast[0, 0, 1] = 1e30
    after.assign(vast)
    with pytest.raises(ModelError, match="no kernel scales its sums so far") as told:
        applied(methods.TfmotQat(), model, tmp_path)
    assert "--int8-qat" in told.value.hint


@pytest.mark.slow
def test_pcqat_makes_a_file_of_int8_that_keeps_zeros_and_clusters(tmp_path: Path) -> None:
    model = tiny_model(zeros=True, clusters=True)
    values = max(len(np.unique(v)) for v in kernel_weights(model))
    made, context = applied(methods.TfmotPcqat(), model, tmp_path)
    flat = read_model(made)
    assert float_operators(flat) == context.facts["float_operators"] == []
    assert check_zeros(model, made) > 0.4
    weights = [t for t in flat.weights if len(t.shape) > 1]
    assert [t.dtype for t in weights] == ["int8"] * 3
    for tensor in weights:  # codes are shared as finely as they are scaled
        codes = np.moveaxis(constant_values(made, tensor), tensor.axis, 0)
        for part in codes.reshape(len(tensor.scales), -1):
            assert len(np.unique(part)) <= values
    assert context.notes[-1].startswith("distinct codes of the weight tensors: ")
    names = (set(flat.signatures[0].inputs), set(flat.signatures[0].outputs))
    assert names == ({"image"}, {"classes"})


@pytest.mark.slow
def test_small_kernels_are_left_and_told(tmp_path: Path) -> None:
    model = tiny_model()
    before = model.get_layer("conv").get_weights()[0]
    step = methods.TfmotCluster.of({"clusters": 40, "init": "linear"})
    model, context = applied(step, model, tmp_path)
    assert any("too small to cluster: conv" in note for note in context.notes)
    assert len(np.unique(model.get_layer("hidden").kernel)) <= 40
    assert len(np.unique(model.get_layer("conv").kernel)) == len(np.unique(before))


def test_what_tfmot_refuses_is_told_in_one_sentence(tmp_path: Path) -> None:
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Reshape((64, 1))(image)
    x = layers.Flatten()(layers.Conv1D(2, 3, name="line")(x))
    model = keras.Model(image, layers.Dense(3, activation="softmax", name="classes")(x))
    with pytest.raises(ModelError, match=r"Layer line:.*Conv1D'> is not supported\.$"):
        applied(methods.TfmotQat(), model, tmp_path)


def test_a_model_without_kernels_to_prune_is_refused(tmp_path: Path) -> None:
    image = keras.Input((8, 8, 1), name="image")
    x = layers.DepthwiseConv2D(8, depth_multiplier=3)(image)
    model = keras.Model(image, layers.Softmax(name="classes")(layers.Flatten()(x)))
    with pytest.raises(ModelError, match="prunes none"):
        applied(methods.TfmotPrune.of({"sparsity": 0.5}), model, tmp_path)


def test_warnings_and_causes_of_tfmot_are_heard() -> None:
    import logging
    import warnings

    notes: list[str] = []
    with refusals(notes):
        warnings.warn("No clustering. Too few weights", UserWarning, stacklevel=1)
        logging.getLogger().warning("No zeros.")
    assert notes == ["TFMOT: No clustering.", "TFMOT: No zeros."]
    with pytest.raises(ModelError, match="the true reason"), refusals(notes):
        raise ValueError("Unable to clone. Read on.") from TypeError("the true reason")
    assert first_sentence("One\n two. Three") == "One two."


@pytest.mark.parametrize(
    ("step", "values", "told"),
    [
        (methods.TfmotPrune, {"sparsity": "1"}, "below 1"),
        (methods.TfmotPrune, {"sparsity": "nan"}, "sparsity"),
        (methods.TfmotPrune, {"sparsity": "0.5", "schedule": "cubic"}, "schedule"),
        (methods.TfmotCluster, {"clusters": "2"}, "at least 3"),
        (methods.TfmotCluster, {"clusters": "4.5"}, "clusters"),
        (methods.TfmotCluster, {"clusters": "4", "init": "best"}, "init"),
        (methods.TfmotQat, {"bits": "4"}, "bits"),
    ],
)
def test_bad_options_are_refused(step: Any, values: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        step.of(values)


def plan_of(data: Any, *before: Any, recurrent: tuple[str, ...] = ()) -> Plan:
    facts: Any = SimpleNamespace(
        recurrent=recurrent, optimizer=False, weights_bytes=1000, layers=()
    )
    return Plan(facts, before, (), data, DeviceProfile("test"))


def test_what_cannot_run_is_told_before_tensorflow_loads() -> None:
    no_training = SimpleNamespace(train=None)
    data = SimpleNamespace(train=[1])
    for step in (methods.TfmotPrune.of({"sparsity": 0.5}), methods.TfmotQat()):
        with pytest.raises(UsageError, match="no training samples"):
            list(step.check(plan_of(no_training)))
    idle = methods.TfmotPqat(tuning=Training(epochs=0))
    with pytest.raises(UsageError, match="at least 1"):
        list(idle.check(plan_of(data)))
    with pytest.raises(ModelError, match="LSTM"):
        list(methods.TfmotQat().check(plan_of(data, recurrent=("LSTM",))))
    prune = methods.TfmotPrune.of({"sparsity": 0.5})
    notes = list(methods.TfmotPcqat().check(plan_of(data, prune)))
    assert len(notes) == 1
    assert "like cluster" in notes[0]


def test_a_missing_package_is_told_with_the_extra_that_has_it(
    tmp_path: Path, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeshrink.plugins import installed
    from edgeshrink.recipes.recipe import Recipe

    path = tmp_path / "model.keras"
    image = keras.Input((8, 8, 1), name="image")
    keras.Model(image, layers.Dense(10)(layers.Flatten()(image))).save(path)
    step = methods.TfmotPrune.of({"sparsity": 0.5})
    out = tmp_path / "out.keras"
    request = planner.Request(path, Recipe((step,)), out, data=str(digits))
    planner.plan(request, installed())
    monkeypatch.setattr(planner, "version_of", lambda name: "")
    with pytest.raises(EdgeshrinkError, match="needs tensorflow-model-optimization") as told:
        planner.plan(request, installed())
    assert told.value.hint == 'pip install "edgeshrink[tfmot]"'


@pytest.mark.slow
def test_schemes_keep_zeros_and_clusters_though_a_layer_before_has_none(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(4, 3, activation="relu")(image)
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu", name="sparse")(x))
    model = keras.Model(image, layers.Dense(3, activation="softmax", name="classes")(x))
    kernel = model.get_layer("sparse").kernel
    kernel.assign(np.where(np.random.default_rng(0).random(kernel.shape) < 0.7, 0, kernel))
    for step in (methods.TfmotPqat(), methods.TfmotPcqat()):
        made, context = applied(step, model, tmp_path)
        assert check_zeros(model, made) > 0.1
        assert context.facts["quantization"] == "int8, static"


@pytest.mark.slow
def test_a_chain_runs_from_the_command_line(
    edgeshrink: Any, digits: Path, digits_model: Path
) -> None:
    done = edgeshrink(
        *("compress", digits_model, "--tfmot-prune", "0.7", "--tfmot-cluster", "16"),
        *("--tfmot-pcqat", "--epochs", "2", "--lr", "1e-3", "--data", digits),
        *("--preprocess", "scale=1/16", "-o", "out.tflite"),
    )
    assert done.returncode == 0, done.stderr
    assert "tfmot_pcqat" in done.stdout
    assert "No module" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fsdd_lstm", "mlperf_resnet8_cifar10", "mlperf_vww_mobilenetv1"])
def test_real_models_are_rebuilt(name: str, shared: Path, tmp_path: Path) -> None:
    model = keras.models.load_model(shared / "models" / f"{name}.keras", compile=False)
    twin = translated(model, tmp_path)
    assert twin.model.count_params() == model.count_params()
