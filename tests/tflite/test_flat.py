"""Reading and stripping .tflite files: real converted ones, and damaged ones."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import zipfile

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings, strategies as st
from tiny_models import converted, flex, outputs_of, recurrent, written

from edgeshrink.errors import ModelError
from edgeshrink.tflite import reader as flat
from edgeshrink.tflite.stripping import naming, short_names, strip

KINDS = ["float", "float16", "dynamic", "int8", "int8_float_io", "pair"]


def read(name: str) -> bytes:
    return (converted() / f"{name}.tflite").read_bytes()


def test_read_tells_shapes_types_and_signature():
    model = flat.read_model(read("int8"))
    (image,), (scores,) = model.inputs, model.outputs
    assert (image.shape, image.dtype, scores.shape) == ((1, 8, 8, 1), "int8", (1, 8))
    assert len(image.scales) == len(image.zero_points) == 1
    (signature,) = model.signatures
    assert signature.inputs == {"image": image.index}
    assert list(signature.outputs.values()) == [scores.index]


@pytest.mark.parametrize("name", ["float", "float16", "dynamic", "int8"])
def test_parameters_and_macs_are_those_of_the_keras_model(name):
    model = flat.read_model(read(name))
    # conv 3*3*4+4, depthwise 3*3*4+4, dense 144*8+8; the latter two run 6*6 places and once
    assert model.parameters == 40 + 40 + 1160
    assert model.macs == 36 * 36 + 36 * 36 + 1152


def test_weight_bytes_follow_the_precision():
    sizes = {
        name: flat.read_model(read(name)).weight_bytes for name in ("float", "float16", "int8")
    }
    assert sizes == {"float": 4 * 1240, "float16": 2 * 1240, "int8": 1224 + 4 * 16}


def test_operators_are_named_and_counted_by_subgraph():
    model = flat.read_model(read("float"))
    names = [o.name for o in model.operators]
    assert names == ["CONV_2D", "DEPTHWISE_CONV_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]
    assert [o.index for o in model.operators] == list(range(5))


def test_kernels_of_an_int8_file_have_a_scale_for_each_channel():
    model = flat.read_model(read("int8"))
    kernels = {o.name: model.tensor(0, o.inputs[1]) for o in model.operators if o.macs}
    assert {name: (len(k.scales), k.axis) for name, k in kernels.items()} == {
        "CONV_2D": (4, 0),
        "DEPTHWISE_CONV_2D": (4, 3),
        "FULLY_CONNECTED": (8, 0),
    }


def test_constant_values_are_the_interpreters():
    data = read("int8")
    model = flat.read_model(data)
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    for tensor in model.weights:
        expected = interpreter.get_tensor(tensor.index)
        np.testing.assert_array_equal(flat.constant_values(data, tensor), expected)


def test_nonzeros_counts_stored_zeros():
    model = flat.read_model(read("int8"))
    data = read("int8")
    for tensor in model.weights:
        assert tensor.nonzeros == np.count_nonzero(flat.constant_values(data, tensor))


def test_four_bit_values_are_unpacked_low_half_first():
    tensor = flat.FlatTensor(
        index=0,
        subgraph=0,
        name="",
        shape=(3,),
        shape_signature=(3,),
        dtype="int4",
        bytes=2,
        buffer=1,
        constant=True,
        nonzeros=None,
        scales=(1.0,),
        zero_points=(0,),
        axis=0,
        variable=False,
        sparse=False,
    )
    stored = np.array([0x8F, 0x07], np.uint8)  # -1, -8 and 7, then half a byte of padding
    assert flat._unpacked(stored, tensor).tolist() == [-1, -8, 7]


def test_constant_values_of_a_computed_tensor_is_refused():
    data = read("float")
    with pytest.raises(ModelError, match="not a constant"):
        flat.constant_values(data, flat.read_model(data).inputs[0])


def test_float_operators_of_a_full_integer_file_are_none():
    assert flat.float_operators(flat.read_model(read("int8"))) == []
    assert flat.float_operators(flat.read_model(read("int8_float_io"))) == []


def test_float_operators_of_a_float_file_are_all():
    found = flat.float_operators(flat.read_model(read("float")))
    assert [reason for _, reason in found] == [
        "CONV_2D computes in float32",
        "DEPTHWISE_CONV_2D computes in float32",
        "RESHAPE computes in float32",
        "FULLY_CONNECTED computes in float32",
        "SOFTMAX computes in float32",
    ]


def test_a_recurrent_layer_is_stateful():
    model = flat.read_model(written(recurrent))
    assert model.stateful
    assert not flat.read_model(read("float")).stateful
    assert model.macs == 3 * 8


def test_runtime_requirements_names_flex_operators():
    (sentence,) = flat.runtime_requirements(flat.read_model(written(flex)))
    assert "FlexErf" in sentence
    assert flat.runtime_requirements(flat.read_model(read("int8"))) == []


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"", "TFL3"),
        (b"\x1c\x00\x00\x00TFL2" + bytes(40), "TFL3"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"PK\x03\x04" + bytes(40), "converted first"),
    ],
)
def test_what_is_no_tflite_file_is_refused_with_a_hint(data, hint):
    with pytest.raises(ModelError, match=r"not a \.tflite") as caught:
        flat.read_model(data)
    assert hint in caught.value.hint


def test_a_file_cut_short_is_refused():
    data = read("float")
    with pytest.raises(ModelError, match="damaged"):
        flat.read_model(data[: len(data) // 2])


@pytest.mark.parametrize("zero_points", [None, [], [0, 0]])
def test_scales_without_as_many_zero_points_are_refused_as_litert_refuses_them(zero_points):
    model = schema.ModelT.InitFromPackedBuf(read("int8"), 0)
    place = model.subgraphs[0].inputs[0]
    model.subgraphs[0].tensors[place].quantization.zeroPoint = zero_points
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    data = bytes(builder.Output())
    with pytest.raises(ModelError, match=rf"tensor {place} has 1 scales and \d zero points"):
        flat.read_model(data)
    with pytest.raises(ValueError, match="zero_point"):
        Interpreter(model_content=data)


@settings(max_examples=150)
@given(
    name=st.sampled_from(["float", "int8", "pair"]),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
)
def test_damaged_bytes_are_read_or_refused_and_nothing_else(name, cut, flips):
    data = bytearray(read(name))
    for place, value in flips:
        data[int(place * len(data))] = value
    damaged = bytes(data[: int(cut * len(data))] if cut < 0.7 else data)
    for reader in (flat.read_model, strip):
        with contextlib.suppress(ModelError):
            reader(damaged)


@settings(max_examples=150)
@given(place=st.integers(0, 400), value=st.binary(min_size=4, max_size=4), early=st.booleans())
def test_damaged_offsets_are_read_or_refused_and_nothing_else(place, value, early):
    data = bytearray(read("float"))
    start = 4 * place if early else len(data) - 4 * (place + 2)
    data[start : start + 4] = value
    for reader in (flat.read_model, strip):
        with contextlib.suppress(ModelError):
            reader(bytes(data))


@pytest.mark.parametrize("names", ["short", "none", "keep"])
@pytest.mark.parametrize("name", KINDS)
def test_strip_shrinks_the_file_and_changes_no_output(name, names):
    data = read(name)
    stripped, _ = strip(data, names)
    assert len(stripped) < len(data)
    for before, after in zip(outputs_of(data), outputs_of(stripped), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("name", KINDS)
def test_strip_keeps_what_a_reader_needs(name):
    before, after = flat.read_model(read(name)), flat.read_model(strip(read(name))[0])
    for field in ("parameters", "nonzeros", "macs", "signatures", "runtime_version", "subgraphs"):
        assert getattr(before, field) == getattr(after, field), field
    for ends in ("inputs", "outputs"):
        old, new = getattr(before, ends), getattr(after, ends)
        assert [(t.name, t.shape, t.scales) for t in old] == [
            (t.name, t.shape, t.scales) for t in new
        ]
    assert [(o.name, o.version, o.inputs) for o in before.operators] == [
        (o.name, o.version, o.inputs) for o in after.operators
    ]
    assert "CONVERSION_METADATA" not in after.metadata


def test_strip_returns_the_names_that_it_drops():
    model = flat.read_model(read("int8"))
    _, names = strip(read("int8"))
    assert names["tensors"] == {"0": [t.name for t in model.tensors]}
    assert names["operators"]["0"][-1] == [model.outputs[0].name]
    assert json.loads(json.dumps(names)) == names


@pytest.mark.parametrize("names", ["short", "none", "keep"])
def test_strip_again_changes_nothing_more(names):
    once, _ = strip(read("int8"), names)
    assert naming(once) == names
    assert strip(once, names)[0] == once


def packed(model: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_short_names_tell_all_tensors_apart_those_of_ends_too():
    model = schema.ModelT.InitFromPackedBuf(read("int8"), 0)
    model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].name = b"3"
    model = flat.read_model(strip(packed(model))[0])
    names = {t.index: t.name for t in model.tensors}
    (image,), (scores,) = model.inputs, model.outputs
    assert names.pop(image.index) == "3"
    assert names.pop(scores.index) == flat.read_model(read("int8")).outputs[0].name
    assert "".join(names.values()) == "012456789abcdefghijkl"[: len(names)]


def test_short_names_count_on_from_one_subgraph_to_the_next():
    model = schema.ModelT.InitFromPackedBuf(read("int8"), 0)
    model.subgraphs *= 2
    made = flat.read_model(strip(packed(model))[0])
    ends = {t.index for t in (*made.inputs, *made.outputs)}
    inner = [t.name for t in made.tensors if t.index not in ends]
    assert made.subgraphs == 2
    assert len(inner) == len(set(inner)) == 2 * (len(made.tensors) // 2 - len(ends))


def test_names_are_counted_in_base_36():
    names = list(itertools.islice(short_names(()), 1300))
    assert len(set(names)) == 1300
    assert [names[n] for n in (0, 35, 36, 1295, 1296)] == [b"0", b"z", b"10", b"zz", b"100"]


def test_strip_can_keep_names_and_leave_none():
    before = flat.read_model(read("int8"))
    kept = flat.read_model(strip(read("int8"), "keep")[0])
    assert [t.name for t in kept.tensors] == [t.name for t in before.tensors]
    none = flat.read_model(strip(read("int8"), "none")[0])
    assert {t.name for t in none.tensors} == {"", before.inputs[0].name, before.outputs[0].name}


def test_strip_aligns_constants_to_16_bytes():
    stripped, _ = strip(read("int8"))
    root = flat.schema_model(stripped)
    for index in range(1, root.BuffersLength()):
        table = root.Buffers(index)._tab
        assert table.Vector(table.Offset(4)) % 16 == 0


def test_strip_keeps_files_appended_as_an_archive():
    file = io.BytesIO(read("float"))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("labels.txt", "zero\none\n")
    data = file.getvalue()
    stripped, _ = strip(data)
    assert len(stripped) < len(data)
    with zipfile.ZipFile(io.BytesIO(stripped)) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt") == b"zero\none\n"
    np.testing.assert_array_equal(outputs_of(stripped)[0], outputs_of(data)[0])


def test_strip_keeps_a_recurrent_state():
    data = written(recurrent)
    for before, after in zip(outputs_of(data), outputs_of(strip(data)[0]), strict=True):
        np.testing.assert_array_equal(before, after)
