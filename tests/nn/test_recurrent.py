"""Recurrent layers in a .tflite: fused, unrolled, or told why not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgeshrink import api
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.devices.target import Target
from edgeshrink.errors import ConversionError, VerificationError
from edgeshrink.nn.conversion.converter_process import Conversion
from edgeshrink.nn.conversion.keras_to_tflite import convert, loops
from edgeshrink.nn.conversion.verification import check_zeros
from edgeshrink.nn.inputs.comparison import agreement
from edgeshrink.samples import load_dataset
from edgeshrink.tflite.reader import float_operators, read_model
from edgeshrink.tflite.stripping import strip
from edgeshrink_litert.litert import LiteRT
from edgeshrink_litert.runner.interpreter import Package
from edgeshrink_quantize import Int8, Int16x8
from edgeshrink_targets.local import Local

layers = keras.layers
FUSED = "UNIDIRECTIONAL_SEQUENCE_LSTM"
STEPS, FEATURES = 8, 3


def network(*inside: keras.Layer, steps: int = STEPS, spread: float = 0.6) -> keras.Model:
    """Return a model of these layers with weights of that standard deviation."""
    model = keras.Sequential([keras.Input((steps, FEATURES), name="x"), *inside])
    random = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(spread * random.normal(size=weight.shape))
    return model


def sequences(count: int = 24, steps: int = STEPS) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, steps, FEATURES)).astype("float32")


def answers(file: bytes, samples: np.ndarray) -> np.ndarray:
    """Return what a file answers, each sample from a state of zero."""
    net = Interpreter(model_content=file)
    net.allocate_tensors()
    taken, given = net.get_input_details()[0]["index"], net.get_output_details()[0]["index"]
    found = []
    for sample in samples:
        net.reset_all_variables()
        net.set_tensor(taken, sample[None])
        net.invoke()
        found.append(net.get_tensor(given)[0])
    return np.array(found)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[keras.Model, dict[str, bytes]]:
    """LSTM layers of every kind that is fused, with zeros in their kernels, converted."""
    model = network(
        layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
        layers.LSTM(4, go_backwards=True, use_bias=False, recurrent_dropout=0.2, unroll=True),
        layers.Dense(3),
        spread=0.9,
    )
    random = np.random.default_rng(2)
    for weight in model.trainable_weights:
        if len(weight.shape) > 1:
            weight.assign(np.where(random.random(weight.shape) < 0.4, 0, weight))
    wants = {"float32": Conversion(), "int8": Conversion("int8", "int8")}
    folder = tmp_path_factory.mktemp("everything")
    return model, convert(model, wants, folder, {"x": sequences()})


def test_lstm_layers_are_fused_and_answer_alike(
    everything: tuple[keras.Model, dict[str, bytes]],
) -> None:
    model, made = everything
    expected = model(sequences()).numpy()
    for name, error in [("float32", 1e-5), ("int8", 0.1)]:
        operators = [operator.name for operator in read_model(made[name]).operators]
        assert operators.count(FUSED) == 3, name
        assert "WHILE" not in operators
        spread = np.ptp(expected)
        assert np.abs(answers(made[name], sequences()) - expected).max() <= error * spread, name
    assert float_operators(read_model(made["int8"])) == []


def test_the_model_is_not_changed_by_conversion(
    everything: tuple[keras.Model, dict[str, bytes]],
) -> None:
    model, _ = everything
    for layer in model._flatten_layers():
        assert "inner_loop" not in vars(layer)
    assert model.layers[1].unroll


def test_a_cell_state_beyond_ten_is_not_clipped(tmp_path: Path) -> None:
    # thirteen steps up, eleven down: the state ends at 2, or at -1 if it is clipped at 10
    model = network(layers.LSTM(2), steps=24, spread=0)
    cell = model.layers[0].cell
    cell.kernel.assign([[0, 0, 0, 0, 9, 9, 0, 0]] + [[0] * 8] * (FEATURES - 1))
    cell.bias.assign([9, 9, 12, 12, 0, 0, 0, 0])
    cell.recurrent_kernel.assign([[0, 0, 0, 0, 0, 0, 1, -1]] * 2)
    samples = np.full((1, 24, FEATURES), 2, "float32")
    samples[:, 13:] = -2
    made = convert(model, {"float": Conversion()}, tmp_path)["float"]
    assert FUSED in {operator.name for operator in read_model(made).operators}
    expected = model(samples).numpy()
    assert expected.min() > 0.2
    np.testing.assert_allclose(answers(made, samples), expected, atol=1e-5)


def test_states_have_the_scale_of_their_outputs(
    everything: tuple[keras.Model, dict[str, bytes]],
) -> None:
    file = read_model(everything[1]["int8"])
    for operator in file.operators:
        if operator.name == FUSED:
            state = file.tensor(operator.subgraph, operator.inputs[18])
            output = file.tensor(operator.subgraph, operator.outputs[0])
            assert state.scales == output.scales
            assert state.zero_points == output.zero_points


def test_calibration_begins_each_sample_with_a_state_of_zero(tmp_path: Path) -> None:
    model, one = network(layers.LSTM(3)), sequences(1)
    want = {"int8": Conversion("int8", "int8")}
    once = convert(model, want, tmp_path, {"x": one})["int8"]
    often = convert(model, want, tmp_path, {"x": np.repeat(one, 4, axis=0)})["int8"]
    assert once == often


def test_samples_in_a_row_answer_as_each_alone(
    everything: tuple[keras.Model, dict[str, bytes]], tmp_path: Path
) -> None:
    path = tmp_path / "int8.tflite"
    path.write_bytes(everything[1]["int8"])
    samples = sequences(24)
    places = [tmp_path / "all.npy", tmp_path / "last.npy"]
    for place, values in zip(places, (samples, samples[-1:]), strict=True):
        np.save(place, values)
    with Local.connect("", None) as target, opened(target) as session:
        (together,), (alone,) = (session.predict(path, {"x": p}).values() for p in places)
    np.testing.assert_array_equal(together[-1:], alone)
    np.testing.assert_array_equal(together, answers(everything[1]["int8"], samples))


def opened(target: Target) -> api.Session:
    return LiteRT().open(target, target.folder(), DeviceProfile("here"))


def test_timed_runs_can_begin_with_a_state_of_zero(
    everything: tuple[keras.Model, dict[str, bytes]], tmp_path: Path
) -> None:
    path = tmp_path / "float.tflite"
    path.write_bytes(everything[1]["float32"])
    package = Package("ai_edge_litert", "ai-edge-litert")
    job = {"threads": 1, "kernels": "xnnpack"}
    model = package.load(
        job, {"path": str(path), "stateful": read_model(path.read_bytes()).stateful}
    )
    given = model.interpreter.get_output_details()[0]["index"]

    def run() -> np.ndarray:
        model.run()
        return model.interpreter.get_tensor(given).copy()

    first, carried = run(), run()
    assert model.reset is not None
    model.reset()
    assert not np.array_equal(first, carried)
    np.testing.assert_array_equal(run(), first)


def test_zeros_are_looked_for_in_the_gates(
    everything: tuple[keras.Model, dict[str, bytes]],
) -> None:
    model, made = everything
    for name, file in made.items():
        assert check_zeros(model, file) > 0.3, name
        assert check_zeros(model, strip(file)[0]) > 0.3, name
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    kernel = other.layers[1].cell.recurrent_kernel
    kernel.assign(np.where(np.arange(16) < 10, 0, kernel))
    with pytest.raises(VerificationError, match=r"of .* in .*recurrent_kernel"):
        check_zeros(other, made["int8"])


def masked() -> keras.Model:
    return network(layers.Masking(), layers.LSTM(2))


def started() -> keras.Model:
    x = keras.Input((STEPS, FEATURES))
    state = layers.Dense(2)(layers.Flatten()(x))
    return keras.Model(x, layers.LSTM(2)(x, initial_state=[state, state]))


def returned() -> keras.Model:
    x = keras.Input((STEPS, FEATURES))
    return keras.Model(x, layers.LSTM(2, return_state=True)(x)[2])


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (masked, "its input is masked"),
        (started, "it does not start from zero"),
        (returned, "its states are kept or returned"),
        (lambda: network(layers.LSTM(2, activation="relu")), "not tanh and sigmoid"),
        (lambda: network(layers.LSTM(2, recurrent_activation="hard_sigmoid")), "not tanh and sig"),
        (lambda: network(layers.LSTM(2, dtype="mixed_float16")), "it computes in float16"),
        (lambda: network(layers.LSTM(1)), "it has one unit"),
        (lambda: network(layers.GRU(2)), "no operator for GRU"),
        (lambda: network(layers.SimpleRNN(2)), "no operator for SimpleRNN"),
        (lambda: network(layers.RNN([layers.LSTMCell(2)] * 1)), "no operator for RNN"),
    ],
)
def test_what_is_not_fused_is_told(build: Callable[[], keras.Model], reason: str) -> None:
    (loop,) = loops(build())
    assert reason in loop.reason
    assert loop.steps == STEPS


def test_an_lstm_that_runs_inside_a_loop_is_not_fused() -> None:
    # its state would be carried from one turn of the loop to the next
    lstm = layers.LSTM(2)

    class Each(keras.Layer):
        def call(self, x):
            import tensorflow as tf

            return tf.map_fn(lambda one: lstm(one[None])[0], x[0], fn_output_signature=x.dtype)[
                None
            ]

        def compute_output_shape(self, shape):
            return (*shape[:2], 2)

    each = Each()
    each.lstm = lstm
    model = keras.Sequential([keras.Input((2, STEPS, FEATURES), batch_size=1), each])
    assert {loop.reason for loop in loops(model)} == {"it runs several times for each sample"}


def test_layers_without_loops_have_none() -> None:
    shared = layers.LSTM(2)
    x = keras.Input((STEPS, FEATURES))
    both = layers.Add()([shared(x), shared(keras.ops.flip(x, 1))])
    assert loops(keras.Model(x, both)) == []
    assert len(loops(keras.Model(x, both), fuse=False)) == 2
    assert loops(network(layers.GRU(2, unroll=True))) == []
    assert loops(network(layers.Flatten())) == []


def context(model: keras.Model, folder: Path, **profile: object) -> api.Context:
    """Return a context with data for a model, whose agreement is measured."""
    inputs = sequences(60, model.inputs[0].shape[1])
    labels = np.arange(60) % model.outputs[0].shape[1]
    arrays = {"x_train": inputs, "y_train": labels, "x_test": inputs, "y_test": labels}
    loaded = load_dataset("sequences", calibration=20, hook=lambda spec: arrays)
    fitting = loaded.for_model({"x": model.inputs[0].shape}, {"y": model.outputs[0].shape})
    expected = {"y": model(inputs).numpy()}

    def measured(candidate: bytes) -> api.Agreement:
        return agreement(expected, {"y": answers(candidate, inputs)}, tasks=fitting.tasks)

    nothing = dict.fromkeys(("original", "evaluate", "measure"), lambda *_: None)
    return api.Context(
        data=fitting,
        profile=DeviceProfile("here", **profile),
        folder=folder,
        seed=0,
        training=api.Training(),
        progress=lambda share, note: None,
        agreement=measured,
        log=folder / "log",
        **nothing,
    )


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (Int8.of({"granularity": "channel", "ranges": "mse"}), "int8, static"),
        pytest.param(Int16x8.of({}), "int8 weights, int16 activations", marks=pytest.mark.slow),
    ],
    ids=["int8", "int16x8"],
)
def test_a_loop_that_is_small_unrolled_has_integers(
    tmp_path: Path, step: api.Precision, told: str
) -> None:
    model = network(layers.SimpleRNN(40), layers.Dense(3), steps=4, spread=0.2)
    given = context(model, tmp_path)
    file = read_model(step.apply(model, given))
    assert given.facts["quantization"] == told
    assert given.facts["unrolled"] == 4
    assert given.notes[0] == f"{model.layers[0].name} unrolled: 4 steps"
    ends = "ranges of unrolled layers are the ends seen, not mse"
    assert (ends in given.notes) == isinstance(step, Int8)
    assert float_operators(file) == []
    assert {operator.name for operator in file.operators}.isdisjoint({"WHILE", FUSED})


def test_a_loop_that_is_large_unrolled_is_dynamic_range(tmp_path: Path) -> None:
    model = network(layers.GRU(4), layers.Dense(3))
    given = context(model, tmp_path)
    file = Int8.of({"granularity": "tensor", "ranges": "mse"}).apply(model, given)
    assert given.facts["quantization"] == "int8 weights, dynamic range"
    assert given.notes[0].startswith("the activations stayed in float (dynamic range): integers")
    assert len(given.notes) == 1  # nothing is said of ranges, which there are none of
    assert "WHILE" in {operator.name for operator in read_model(file).operators}


@pytest.mark.parametrize(
    ("options", "profile"),
    [
        ({"io": "int8"}, {}),
        pytest.param({}, {"precisions": ("float32", "int8")}, marks=pytest.mark.slow),
    ],
    ids=["bytes at the border", "no kernels"],
)
def test_dynamic_range_is_not_used_where_it_cannot_be(
    tmp_path: Path, options: dict[str, str], profile: dict[str, tuple[str, ...]]
) -> None:
    model = network(layers.GRU(4), layers.Dense(3))
    with pytest.raises(ConversionError, match="take more than"):
        Int8.of(options).apply(model, context(model, tmp_path, **profile))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fsdd_lstm", "mnist_row_lstm"])
def test_real_models_keep_their_accuracy_in_int8(shared: Path, tmp_path: Path, name: str) -> None:
    model = keras.models.load_model(shared / "models" / f"{name}.keras", compile=False)
    source, scale = ("fsdd_logmel", 1) if name.startswith("fsdd") else ("mnist", 255)
    with np.load(shared / "data" / f"{source}.npz") as arrays:
        train, test, labels = (arrays[key] for key in ("x_train", "x_test", "y_test"))
    shape = (-1, *model.inputs[0].shape[1:])
    inputs = (np.float32(test[:1000]) / scale).reshape(shape)
    samples = {model.inputs[0].name: (np.float32(train[:200]) / scale).reshape(shape)}
    made = convert(model, {"int8": Conversion("int8", "int8")}, tmp_path, samples)["int8"]
    assert len(made) <= 35_840
    assert read_model(made).operators[1].name == FUSED or name == "mnist_row_lstm"
    assert float_operators(read_model(made)) == []
    wrong = [
        np.count_nonzero(found.argmax(-1) != labels[:1000])
        for found in (answers(made, inputs), model.predict(inputs, verbose=0))
    ]
    assert wrong[0] <= wrong[1] + 3
