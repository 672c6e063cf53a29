"""How far integer kernels scale their sums to what they put out, and ranges that they can reach."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgeshrink.errors import ModelError
from edgeshrink.tflite.flat_model import FlatModel, FlatTensor
from edgeshrink.tflite.ranges import Ranges
from edgeshrink.tflite.reader import constant_values, read_model, schema_model

# XNNPACK creates no convolution or dense layer whose sums are scaled by this or more; with
# ai-edge-litert 2.3.0 the process may end on it ("double free or corruption").
STEEPEST = 256
# Places of what comes in and of the weights among an operator's inputs.
OPERANDS = {
    "CONV_2D": (0, 1),
    "DEPTHWISE_CONV_2D": (0, 1),
    "FULLY_CONNECTED": (0, 1),
    "TRANSPOSE_CONV": (2, 1),
}
LEVELS, HALF = 255, 127  # steps from end to end of a range, and from zero to the largest weight
NOTHING = 2e-6  # the least range that TensorFlow's converter gives a tensor


def too_steep(data: bytes) -> bool:
    """Return whether a kernel of a file would have to scale its sums too far.

    The sums count steps of input times weight, and are scaled to steps of the output. Those are
    next to nothing where the output is zero for all samples, as behind a ReLU that never opens.

    Args:
        data: the bytes of a .tflite with 8-bit activations.
    """
    return any(
        given.scales[0] * max(weights.scales) >= STEEPEST * made.scales[0]
        for given, weights, made in _kernels(read_model(data))
        if given.scales and weights.scales and made.scales
    )


def reachable(calibrated: bytes, ranges: Ranges) -> Ranges:
    """Return ranges with wider ones added where kernels could not scale their sums so far.

    By M = S1 * S2 / S3 of Jacob et al. (CVPR 2018, section 2.2, equation 5), which has to stay
    below 256.

    Args:
        calibrated: the bytes of a float .tflite with the least and greatest value at each tensor.
        ranges: to be used instead of those, by index in the first subgraph.

    Raises:
        ModelError: a step of the sums is more than all that the output spans.
    """
    flat, graph = read_model(calibrated), schema_model(calibrated).Subgraphs(0)
    found = dict(ranges)

    def ends(tensor: FlatTensor) -> tuple[float, float]:
        """Return the range of what a tensor holds, zero in it; that of a reshaped one's source."""
        index = flat.origin(tensor)[0].index
        seen = graph.Tensors(index).Quantization()
        low, high = 0.0, 0.0
        if index in found:
            low, high = found[index]
        elif seen is not None and seen.MinLength():
            low, high = float(seen.Min(0)), float(seen.Max(0))
        return min(low, 0.0), max(high, 0.0)

    for given, weights, made in _kernels(flat):
        if made.subgraph or not weights.constant:
            continue
        (least, most), (low, high) = ends(given), ends(made)
        largest = float(np.abs(constant_values(calibrated, weights)).max(initial=0.0))
        needed, span = (most - least) * largest / HALF, high - low  # for M = 1
        if needed < STEEPEST * max(span, NOTHING):
            continue
        if span <= NOTHING:
            found[made.index] = 0.0, needed
        elif needed < STEEPEST * LEVELS * span:
            wider = 2 * needed / STEEPEST / span
            found[made.index] = low * wider, high * wider
        else:
            place = weights.name.partition(";")[0]
            raise ModelError(
                f"integers cannot hold the weights at {place}, which go up to {largest:.2g}: in "
                f"steps that reach there, all answers from {low:.2g} to {high:.2g} are alike",
                hint="weights so far from the others are seldom meant: look at them",
            )
    return found


def _kernels(flat: FlatModel) -> Iterator[tuple[FlatTensor, FlatTensor, FlatTensor]]:
    """Yield what comes in, the weights and what comes out of each convolution and dense layer."""
    for operator in flat.operators:
        if operator.name in OPERANDS:
            given, weights = (operator.inputs[place] for place in OPERANDS[operator.name])
            yield (
                flat.tensor(operator.subgraph, given),
                flat.tensor(operator.subgraph, weights),
                flat.tensor(operator.subgraph, operator.outputs[0]),
            )
