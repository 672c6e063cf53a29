"""A model of one operator, to see whether a device can run any."""

from __future__ import annotations


def model() -> bytes:
    """Return a .tflite file that adds four numbers to four others."""
    import flatbuffers
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    shape = np.array([1, 4], np.int32)
    tensors = [
        schema.TensorT(shape=shape, type=schema.TensorType.FLOAT32, name=name)
        for name in ("left", "right", "sum")
    ]
    add = schema.OperatorT(
        inputs=np.array([0, 1], np.int32),
        outputs=np.array([2], np.int32),
        builtinOptionsType=schema.BuiltinOptions.AddOptions,
        builtinOptions=schema.AddOptionsT(),
    )
    graph = schema.SubGraphT(
        tensors=tensors,
        inputs=np.array([0, 1], np.int32),
        outputs=np.array([2], np.int32),
        operators=[add],
        name="main",
    )
    code = schema.OperatorCodeT(version=1)  # 0, which is the default, stands for ADD
    made = schema.ModelT(
        version=3, operatorCodes=[code], subgraphs=[graph], buffers=[schema.BufferT()]
    )
    builder = flatbuffers.Builder(1024)
    builder.Finish(made.Pack(builder), b"TFL3")
    return bytes(builder.Output())
