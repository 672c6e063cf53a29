"""The inputs and outputs of a .tflite by the names that its signature gives them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeshrink.models import TensorFacts

if TYPE_CHECKING:
    from edgeshrink.tflite import FlatModel, FlatOperator, FlatTensor

ACTIVATIONS = {
    "LOGISTIC": "sigmoid",
    "SOFTMAX": "softmax",
    **dict.fromkeys(
        ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"), "linear"
    ),
}


@dataclass(frozen=True)
class Signature:
    """What goes into a .tflite and what comes out, by name.

    Attributes:
        inputs: their shapes, the batch first.
        ranges: of the inputs, the least and the greatest number that the file tells apart; 0 and 1
            where it does not say, since the input is not quantized.
        outputs: with what makes each, as far as its operator tells.
        types: of the inputs; a quantized input takes real values, which the runner quantizes.
    """

    inputs: dict[str, tuple[int, ...]]
    types: dict[str, str]
    ranges: dict[str, tuple[float, float]]
    outputs: tuple[TensorFacts, ...]

    @classmethod
    def read(cls, path: Path) -> Signature:
        """Return the first signature of a file, or its inputs and outputs if it has none.

        Raises:
            ModelError: the file is no whole .tflite, packed or not.
        """
        from edgeshrink.tflite import read_model, tflite_bytes

        flat = read_model(tflite_bytes(path))
        by_index = {t.index: t for t in flat.tensors if t.subgraph == 0}
        if flat.signatures:
            signature = flat.signatures[0]
            ins = {n: by_index[i] for n, i in signature.inputs.items()}
            outs = {n: by_index[i] for n, i in signature.outputs.items()}
        else:
            ins, outs = {t.name: t for t in flat.inputs}, {t.name: t for t in flat.outputs}
        return cls(
            {n: t.shape for n, t in ins.items()},
            {n: "float32" if t.scales else t.dtype for n, t in ins.items()},
            {n: _range(flat, t) for n, t in ins.items()},
            tuple(
                TensorFacts(n, t.shape, t.dtype, _activation(flat.origin(t)[1]))
                for n, t in outs.items()
            ),
        )


def _range(flat: FlatModel, tensor: FlatTensor) -> tuple[float, float]:
    """Return what an input's codes stand for, or those that it is rounded to at once."""
    import numpy as np

    takers = [op for op in flat.operators if op.subgraph == 0 and tensor.index in op.inputs]
    coded = flat.tensors_of(takers[0])[1][0] if [o.name for o in takers] == ["QUANTIZE"] else tensor
    if len(coded.scales) != 1 or coded.dtype not in ("int8", "uint8", "int16"):
        return 0.0, 1.0
    codes, zero = np.iinfo(coded.dtype), coded.zero_points[0] if coded.zero_points else 0
    low, high = ((code - zero) * coded.scales[0] for code in (codes.min, codes.max))
    return (low, high) if np.isfinite(np.float32(high - low)) else (0.0, 1.0)


def _activation(operator: FlatOperator | None) -> str:
    """Return what makes an output, as Keras calls it; empty where the operator does not tell."""
    return ACTIVATIONS.get(operator.name, "") if operator else ""
