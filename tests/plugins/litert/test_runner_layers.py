"""Rows of the profiler's table are given to layers where that is certain, and only there."""

from __future__ import annotations

import json
import shutil

import pytest
from tiny_models import batch_mean, converted, written

from edgeshrink.devices.measurement import BenchPlan, Measurement, OperatorTime
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.tflite import reader
from edgeshrink.tflite.stripping import strip
from edgeshrink_litert import layers, scopes
from edgeshrink_litert.litert import LiteRT
from edgeshrink_litert.runner import operators
from edgeshrink_targets.local import Local

# As the profiler tells them of the tiny model on x86-64.
ROWS = [
    "Convolution (NHWC, F32) IGEMM",
    "Convolution (NHWC, F32) DWConv",
    "Static Reshape (NC)",
    "Static Reshape (NC)",
    "Fully Connected (NC, F32) GEMM",
    "Softmax (NC, F32)",
]
TABLE = """\
========================= Run Order =========================
                            [node type]    [start]    [first]   [avg ms]        [%]     [cdf%]\
   [mem KB] [times called]   [Name]
 Delegate/Convolution (NHWC, QC8) IGEMM      0.000      0.126      0.066    79.776%    79.776%\
      0.000            400   [Delegate]:0
                        AVERAGE_POOL_2D      0.000      0.013      0.018    10.947%    90.768%\
      0.000            200   [Builtin]:2

================= Top by Computation Time ===================
                            [node type]    [start]    [first]   [avg ms]        [%]     [cdf%]\
   [mem KB] [times called]   [Name]
                        AVERAGE_POOL_2D      0.000      0.013      0.018    10.947%    90.723%\
      0.000            200   [Builtin]:2
"""
LAYERS = ["conv2d", "depthwise_conv2d", "", "", "dense", ""]


def of(names, calls=1):
    return [OperatorTime(name, 1.0, 0.0, calls) for name in names]


@pytest.mark.parametrize("name", ["float", "float16", "dynamic", "int8", "int8_float_io"])
def test_operators_of_real_files_have_their_layers(name):
    path = converted() / f"{name}.tflite"
    model = reader.read_model(path.read_bytes())
    found = scopes.layers(model, path)
    told = [(o.name, found.get(o.index)) for o in model.operators if o.name not in layers.STEPS]
    assert told == [
        ("CONV_2D", "conv2d"),
        ("DEPTHWISE_CONV_2D", "depthwise_conv2d"),
        ("FULLY_CONNECTED", "dense"),
        ("SOFTMAX", None),  # its tensor has the name of the signature
    ]


def test_rows_have_their_layers():
    assert layers.of_rows(of(ROWS), converted() / "float.tflite") == LAYERS


@pytest.mark.parametrize("name", ["float", "dynamic", "int8"])
def test_what_the_profiler_tells_here_is_matched(name):
    plan = BenchPlan("short", runs=20, seconds=0.02, warmup_seconds=0.0, profile=True)
    with (
        Local.connect("", None) as target,
        LiteRT().open(target, target.folder(), DeviceProfile("here")) as session,
    ):
        (result,) = session.time([converted() / f"{name}.tflite"], plan)
    assert isinstance(result, Measurement)
    if not result.operators:
        pytest.skip(f"the profiler tells nothing of so fast a model: {result.notes[-1]}")
    told = {o.layer: o.name for o in result.operators if o.layer}
    assert set(told) == {"conv2d", "depthwise_conv2d", "dense"}
    assert "DWConv" in told["depthwise_conv2d"]
    assert told["dense"].startswith("Fully Connected")


@pytest.mark.parametrize(
    "rows",
    [
        [],
        ROWS[1:],
        ROWS[:-1],
        [*ROWS, "Add (ND)"],
        [ROWS[1], ROWS[0], *ROWS[2:]],
        ["Convolution (NHWC, F32) DWConv", *ROWS[1:]],
        ["CONV_3D", *ROWS[1:]],
        ["Delegate", *ROWS],
    ],
)
def test_rows_that_do_not_match_one_to_one_have_no_layers(rows):
    assert layers.of_rows(of(rows), converted() / "float.tflite") == [""] * len(rows)


def test_operators_without_xnnpack_have_their_own_names():
    rows = ["CONV_2D", "DEPTHWISE_CONV_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]
    wanted = ["conv2d", "depthwise_conv2d", "", "dense", ""]
    assert layers.of_rows(of(rows), converted() / "int8.tflite") == wanted


@pytest.mark.parametrize("left", ["short", "none"])
def test_names_that_a_stripped_file_lost_are_read_beside_it(tmp_path, left):
    smaller, names = strip((converted() / "float.tflite").read_bytes(), left)
    path = tmp_path / "model.tflite"
    path.write_bytes(smaller)
    assert layers.of_rows(of(ROWS), path) == [""] * 6
    (tmp_path / "model.names.json").write_text(json.dumps(names))
    assert layers.of_rows(of(ROWS), path) == LAYERS


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "no JSON",
        "{}",
        '{"tensors": {"0": 5}}',
        '{"tensors": {"0": ["a"]}}',
        '{"tensors": {"0": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}}',
    ],
)
def test_a_table_that_is_not_of_the_file_is_not_used(tmp_path, text):
    path = tmp_path / "model.tflite"
    shutil.copy(converted() / "float.tflite", path)
    (tmp_path / "model.names.json").write_text(text)
    assert layers.of_rows(of(ROWS), path) == LAYERS


def test_names_that_a_stripped_file_has_kept_need_no_table(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(strip((converted() / "float.tflite").read_bytes(), "keep")[0])
    assert layers.of_rows(of(ROWS), path) == LAYERS


@pytest.mark.parametrize("left", ["short", "none"])
def test_the_table_of_another_model_is_not_used(tmp_path, left):
    smaller, names = strip((converted() / "float.tflite").read_bytes(), left)
    path = tmp_path / "model.tflite"
    path.write_bytes(smaller)
    names["tensors"]["0"] = ["other_1/" + name for name in names["tensors"]["0"]]
    (tmp_path / "model.names.json").write_text(json.dumps(names))
    assert layers.of_rows(of(ROWS), path) == [""] * 6


def test_a_file_without_layers_has_none(tmp_path):
    path = tmp_path / "mean.tflite"
    path.write_bytes(written(batch_mean))
    assert layers.of_rows(of(["Mean (ND) Reduce", "Subtract (ND)"]), path) == ["", ""]


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        # Keras 3, exported: TensorFlow numbered the scopes.
        (
            ["m_1/conv2d_1/convolution", "m_1/conv2d_1_2/convolution", "m_1/dense_1/MatMul"],
            ["conv2d", "conv2d_1", "dense"],
        ),
        (["m_1/dense_1/MatMul", "m_1/dense_1_2/MatMul"], ["dense", "dense_1"]),
        (["m_1/stem_1/convolution", "m_1/stem_7_1/BiasAdd"], ["stem", "stem_7"]),
        # Keras 2: scopes are names.
        (["model/conv2d_1/Conv2D", "model/dense/MatMul"], ["conv2d_1", "dense"]),
        (["model/conv2d_1/Conv2D", "model/dense_1/MatMul"], ["conv2d_1", "dense_1"]),
        # It may be either: `dense_1` of Keras 2, or `dense` of Keras 3.
        (["model_1/dense_1/MatMul"], None),
        (["model_1/dense_3/MatMul", "model_1/dense_4/MatMul"], None),
        (["model_1/conv2d_2/Conv2D", "model_1/dense_1/MatMul"], None),
    ],
)
def test_scopes_are_decoded_only_where_they_tell(parts, names):
    found = scopes.decoded(parts)
    assert (list(found.values()) or None) == names


def test_the_profilers_table_is_read_with_times_of_one_inference():
    assert operators.parse(TABLE, 200) == [
        {"name": "Convolution (NHWC, QC8) IGEMM", "milliseconds": 0.132, "calls": 2},
        {"name": "AVERAGE_POOL_2D", "milliseconds": 0.018, "calls": 1},
    ]
    assert operators.parse("another table", 200) == []


def test_a_row_that_stands_for_two_operators_has_no_layer():
    rows = [*of(ROWS[:1], calls=2), *of(ROWS[1:])]
    assert layers.of_rows(rows, converted() / "float.tflite") == [""] * 6


def test_the_layers_of_most_time_are_told():
    def times(*pairs):
        return [OperatorTime("k", 1.0, share, layer=layer) for layer, share in pairs]

    assert layers.notes(times(("a", 0.4), ("b", 0.2), ("c", 0.3), ("", 0.1))) == [
        "these 2 layers are 70 % of the time: a, c"
    ]
    assert layers.notes(times(("a", 0.8), ("b", 0.2))) == ["this layer is 80 % of the time: a"]
    assert layers.notes(times(("a", 0.5), ("", 0.5))) == []
    quick = [OperatorTime("k", 0.001, 1.0, layer="a")]
    assert layers.notes(quick) == []
