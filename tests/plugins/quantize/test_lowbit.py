"""Weights of 4 and 2 bits in .tflite files: the codes, the kernels that run them, the methods."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays

from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.errors import UsageError
from edgeshrink.models.artifact import Kind
from edgeshrink.models.config import ModelFacts
from edgeshrink.nn.conversion.converter_process import Conversion
from edgeshrink.nn.conversion.keras_to_tflite import convert
from edgeshrink.recipes.method import Plan
from edgeshrink.testing import check_method
from edgeshrink.tflite.reader import constant_values, read_model
from edgeshrink_quantize.fewbits.encoding import narrowed, packed
from edgeshrink_quantize.fewbits.lowbit import Int2, Int4
from edgeshrink_quantize.options import LowBitOptions

layers = keras.layers
LARGEST = {4: 7, 2: 1}


def on_grid(bits: int) -> keras.Model:
    """A model of every operator with a kernel, all on a grid, each with bias and awkward sizes."""
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, activation="relu", name="conv")(image)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.Conv2DTranspose(5, 2, strides=2, name="transposed")(x)
    x = layers.Flatten()(layers.AveragePooling2D(4)(x))
    shared = layers.Dense(45, activation="relu", name="shared")
    model = keras.Model(image, layers.Dense(7, name="dense")(shared(shared(x))))
    rng = np.random.default_rng(bits)
    for layer in model.layers:
        for variable in layer.weights:
            values = rng.normal(0, 0.1, variable.shape)
            if len(variable.shape) > 1:
                values = rng.integers(-LARGEST[bits], LARGEST[bits] + 1, variable.shape)
                axis = {"depthwise": 2, "transposed": 2}.get(layer.name, -1)
                if layer.name == "dense":
                    values[:, 0] = 0  # a channel without weights
                    values[:, 1] = LARGEST[bits] * np.sign(values[:, 1])  # without a step next to 0
                steps = rng.uniform(0.02, 0.1, values.shape[axis])
                values = np.moveaxis(np.moveaxis(values, axis, -1) * steps, -1, axis)
            variable.assign(values)
    return model


def answers(data: bytes, inputs: np.ndarray, *, delegate: bool = True) -> np.ndarray:
    kind = OpResolverType.AUTO if delegate else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    net = Interpreter(model_content=data, experimental_op_resolver_type=kind)
    net.allocate_tensors()
    taken, given_ = net.get_input_details()[0]["index"], net.get_output_details()[0]["index"]
    found = []
    for sample in inputs:
        net.set_tensor(taken, sample[None])
        net.invoke()
        found.append(net.get_tensor(given_)[0].copy())
    return np.stack(found)


def dequantized(data: bytes) -> list[np.ndarray]:
    """Return all kernels as floats, in the order of operators."""
    flat = read_model(data)
    found = {}
    for operator in flat.operators:
        for tensor in flat.tensors_of(operator)[0]:
            if tensor.constant and len(tensor.shape) > 1 and tensor.dtype != "int32":
                values = constant_values(data, tensor).astype("float64")
                if tensor.scales:
                    shape = [1] * len(tensor.shape)
                    shape[tensor.axis] = len(tensor.scales)
                    values = values * np.reshape(tensor.scales, shape)
                found[tensor.index] = values
    return list(found.values())


@pytest.fixture(scope="module", params=[4, 2])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """A model on a grid of so many bits, as the converter stores it."""
    model = on_grid(request.param)
    inputs = np.random.default_rng(0).random((40, 8, 8, 3), "float32")
    wants = {
        "float32": Conversion(),
        "dynamic": Conversion("int8"),
        "int8": Conversion("int8", "int8"),
    }
    folder = tmp_path_factory.mktemp("lowbit")
    made = convert(model, wants, folder, {"image": inputs})
    return {"bits": request.param, "inputs": inputs[:8], **made}


# What each operator's kernel is stored in, by the width of its grid, as the runtime allows.
STORED = {
    ("int8", 4): {"int4": 4, "int8": 1},
    ("int8", 2): {"int4": 2, "int2": 2, "int8": 1},
    ("float32", 4): {"int4": 5},
    ("float32", 2): {"int2": 5},
    ("dynamic", 4): {"int4": 5},
    ("dynamic", 2): {"int2": 5},
}


@pytest.mark.parametrize("kind", ["float32", "dynamic", "int8"])
def test_narrowed_files_hold_the_same_weights_and_answer_alike(files: dict, kind: str) -> None:
    made = narrowed(files[kind])
    stored: dict[str, int] = {}
    for tensor in read_model(made).weights:
        if len(tensor.shape) > 1:
            stored[tensor.dtype] = stored.get(tensor.dtype, 0) + 1
    assert stored == STORED[kind, files["bits"]]
    for kernel, wanted in zip(dequantized(made), dequantized(files["float32"]), strict=True):
        slack = 0.5 / 127 if kind == "int8" and "int8" in stored and kernel.shape[0] == 5 else 1e-6
        np.testing.assert_allclose(kernel, wanted, atol=slack * np.abs(wanted).max())
    wanted = answers(files["float32"], files["inputs"])
    spread = np.ptp(wanted)
    for delegate in (True, False):
        found = answers(made, files["inputs"], delegate=delegate)
        as_8_bits = answers(files[kind], files["inputs"], delegate=delegate)
        limit = 0.01 + 2 * np.abs(as_8_bits - wanted).max() / spread
        assert np.abs(found - wanted).max() / spread < limit
    assert len(made) < len(files[kind])
    # the converter's note on the oldest runtime is of the file that it wrote, not of this one
    assert read_model(files[kind]).runtime_version
    assert read_model(made).runtime_version is None
    assert narrowed(made) == narrowed(narrowed(made))


def test_what_lies_on_no_grid_stays_as_it_is(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((20,)), layers.Dense(60), layers.Dense(4)])
    made = convert(model, {"dynamic": Conversion("int8")}, tmp_path)["dynamic"]
    weights = [(t.dtype, t.scales) for t in read_model(made).weights]
    same = read_model(narrowed(made))
    assert [(t.dtype, t.scales) for t in same.weights] == weights
    assert same.runtime_version == read_model(made).runtime_version


def test_codes_and_steps_are_those_of_litert_quantizer(tmp_path: Path) -> None:
    quantizer = pytest.importorskip("litert_quantizer.quantizer")
    from litert_quantizer import recipe_manager
    from litert_quantizer.algorithm_manager import AlgorithmName
    from litert_quantizer.qtyping import TFLOperationName

    rng = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((6, 6, 4)), layers.Conv2D(8, 3), layers.Dense(5)])
    for layer in model.layers:
        multiples = rng.integers(-7, 8, layer.kernel.shape)
        layer.kernel.assign(multiples * rng.uniform(0.02, 0.1, multiples.shape[-1]))
    made = convert(model, {"float32": Conversion()}, tmp_path)["float32"]
    recipe = recipe_manager.RecipeManager()
    recipe.add_dynamic_config(
        ".*",
        TFLOperationName.ALL_SUPPORTED,
        4,
        algorithm_key=AlgorithmName.DEQUANTIZED_WEIGHT_RECOVERY,
    )
    theirs = quantizer.Quantizer(bytearray(made), recipe.get_quantization_recipe()).quantize()
    for ours, other in zip(
        dequantized(narrowed(made)), dequantized(bytes(theirs.quantized_model)), strict=True
    ):
        np.testing.assert_allclose(ours, other, rtol=1e-5)


@given(
    st.sampled_from([2, 4]),
    arrays.arrays(np.int8, st.integers(1, 40), elements=st.integers(-2, 1)),
)
def test_packed_codes_are_read_back(bits: int, values: np.ndarray) -> None:
    stored = packed(values, bits)
    assert len(stored) == -(-len(values) * bits // 8)
    shifts = np.arange(0, 8, bits)
    unpacked = (stored[:, None] >> shifts & (2**bits - 1)).ravel()[: len(values)].astype("int16")
    assert np.array_equal(
        np.where(unpacked >= 2 ** (bits - 1), unpacked - 2**bits, unpacked), values
    )


@pytest.mark.parametrize("method", [Int4, pytest.param(Int2, marks=pytest.mark.slow)])
def test_the_method_does_what_a_method_must(method: type) -> None:
    check_method(method)


def plan(**profile: tuple[str, ...]) -> Plan:
    return Plan(ModelFacts(Kind.KERAS), (), (), None, DeviceProfile("test", **profile))


@pytest.mark.parametrize("values", [{"activations": "int8"}, {"rounding": "gptq"}])
def test_what_needs_data_is_refused_without(values: dict[str, str]) -> None:
    (option,) = values
    with pytest.raises(UsageError, match=f"--int4-{option} .* needs data") as told:
        list(Int4(LowBitOptions(**values)).check(plan()))
    assert "--data" in told.value.hint


def test_a_device_without_the_kernels_is_refused() -> None:
    with pytest.raises(UsageError, match="no kernels for dynamic"):
        list(Int4().check(plan(precisions=("float32", "int8"))))


@pytest.mark.slow
def test_resnet8_in_four_bits_needs_no_training(
    shared: Path, tmp_path: Path, edgeshrink: Callable
) -> None:
    done = edgeshrink(
        "compress",
        shared / "models" / "mlperf_resnet8_cifar10.keras",
        *("--data", shared / "data" / "cifar10_40k.npz", "--int4", "--rules", "smoke"),
        *("-o", tmp_path / "four.tflite"),
    )
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "four.report.json").read_text())["ledger"]["rows"][-1]
    assert told["size_bytes"] <= 55_296
    assert told["scores"][0]["value"] >= 0.86
    assert told["agreement"]["top1"] >= 0.95
