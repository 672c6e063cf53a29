"""Look-up tables of TensorFlow Lite Micro, spelled out: what LiteRT then answers."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_models import converted, flex, written

from edgeshrink.errors import ModelError
from edgeshrink.tflite import (
    constant_values,
    decoded,
    encoded_tensors,
    read_model,
    runtime_requirements,
)

KERNEL = np.array([[1, -2, 3, 1], [3, 3, -2, 1], [1, 1, 1, -2]], np.float32)
ONE_TABLE = 15


def encoded(axis=ONE_TABLE, bits=2, *, head=None, indices=None):
    """Return a dense layer whose kernel is looked up, written by hand."""
    tables = [KERNEL] if axis == ONE_TABLE else list(np.moveaxis(KERNEL, axis, 0))
    values = [np.unique(table) for table in tables]
    stride = max(map(len, values))
    places = np.empty(KERNEL.shape, int)
    for number, known in enumerate(values):
        part = slice(None) if axis == ONE_TABLE else (slice(None),) * axis + (number,)
        places[part] = np.searchsorted(known, KERNEL[part])
    places = places if indices is None else indices
    packed = np.packbits([int(b) for i in places.ravel() for b in f"{i:0{bits}b}"])
    told = head or [0, 1, 0, 0, 1, axis << 4 | bits, stride, *[0] * 9]
    table = np.concatenate([np.resize(known, stride) for known in values]).astype(np.float32)

    def build(schema, tensor, operator):
        given, kernel, result = tensor((1, 4)), tensor(KERNEL.shape), tensor((1, 3))
        stored = tensor(packed.shape, packed)
        ancillary = np.concatenate([np.array(told, np.uint8), table.view(np.uint8)])
        pair = (stored, tensor(ancillary.shape, ancillary))
        operator(schema.BuiltinOperator.CUSTOM, pair, (kernel,), custom=b"TFLM_DECODE")
        operator(
            schema.BuiltinOperator.FULLY_CONNECTED,
            (given, kernel, -1),
            (result,),
            schema.FullyConnectedOptionsT(),
            schema.BuiltinOptions.FullyConnectedOptions,
        )
        return [given], [result]

    return written(build)


@pytest.mark.parametrize("axis", [ONE_TABLE, 0, 1])
def test_tables_become_the_constants_that_they_stand_for(axis):
    from ai_edge_litert.interpreter import Interpreter

    data = encoded(axis)
    assert [t.shape for t in encoded_tensors(read_model(data))] == [(3, 4)]
    whole = decoded(data)
    flat = read_model(whole)
    assert [o.name for o in flat.operators] == ["FULLY_CONNECTED"]
    (kernel,) = flat.weights
    assert (constant_values(whole, kernel) == KERNEL).all()
    net = Interpreter(model_content=whole)
    net.allocate_tensors()
    sample = np.array([[1, 2, 3, 4]], np.float32)
    net.set_tensor(net.get_input_details()[0]["index"], sample)
    net.invoke()
    assert net.get_tensor(net.get_output_details()[0]["index"]) == pytest.approx(sample @ KERNEL.T)


def test_nothing_of_the_tables_is_left():
    big = np.zeros((3, 4), int)
    assert len(read_model(decoded(encoded(indices=big))).tensors) == 5
    assert sum(t.constant for t in read_model(decoded(encoded())).tensors) == 1


def test_files_without_tables_are_as_they_were():
    data = (converted() / "int8.tflite").read_bytes()
    assert decoded(data) is data
    assert decoded(written(flex)) == written(flex)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"head": [1, 1, 0, 0, 1, 0xF2, 3, *[0] * 9]}, "TFLM_DECODE of kind 1, version 1"),
        ({"head": [0, 2, 0, 0, 1, 0xF2, 3, *[0] * 9]}, "kind 0, version 2, is none that"),
        ({"head": [0, 1, 0, 0, 1, 0xF0, 3, *[0] * 9]}, "bits each, are too few"),
        ({"head": [0, 1, 0, 0, 1, 0xF7, 3, *[0] * 9]}, "bits each, are too few"),
        ({"head": [0, 1, 0, 0, 1, 0xF2, 2, *[0] * 9]}, "outside of its table"),
        ({"head": [0, 1, 0, 0, 1, 0x72, 3, *[0] * 9]}, "damaged"),
    ],
)  # fmt: skip
def test_damaged_tables_are_refused(changed, said):
    with pytest.raises(ModelError, match=said):
        decoded(encoded(**changed))


def test_litert_refuses_the_file_and_it_is_said_before():
    from ai_edge_litert.interpreter import Interpreter

    data = encoded()
    with pytest.raises((RuntimeError, ValueError), match="TFLM_DECODE"):
        Interpreter(model_content=data).allocate_tensors()
    (said,) = runtime_requirements(read_model(data))
    assert said.startswith("constants lie behind the operator TFLM_DECODE, as look-up tables")
