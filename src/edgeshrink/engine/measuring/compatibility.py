"""Whether a .tflite file can run on a device at all, told before anything is sent there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgeshrink.tflite import FLOATS, PACKED_BITS, uses

if TYPE_CHECKING:
    from edgeshrink.devices import DeviceProfile
    from edgeshrink.tflite import FlatModel

BYTES = {"float64": 8, "int64": 8, "float32": 4, "int32": 4, "float16": 2, "int16": 2}


def problems(model: FlatModel, device: DeviceProfile) -> Iterator[str]:
    """Yield a sentence for each reason why the device cannot run the file."""
    name = device.name
    if not device.compiled:
        yield from _too_large(model, device)
    yield from device.refused(uses(model))
    for precision in sorted(precisions(model) - set(device.precisions)):
        yield f"the file computes in {precision}, and {name} has no kernels for it"
    fewest = min((PACKED_BITS.get(t.dtype, 8) for t in model.weights), default=8)
    if fewest < device.least_bits:
        yield (
            f"the file stores weights in {fewest} bits, and {name} reads {device.least_bits} and "
            "more"
        )


def _too_large(model: FlatModel, device: DeviceProfile) -> Iterator[str]:
    """Yield why a file that is stored and run as it is takes more than there is."""
    size, name = model.size_bytes, device.name
    if device.storage_bytes is not None and size > device.storage_bytes:
        yield f"the file has {size:,} bytes, and {name} has {device.storage_bytes:,} to store it"
    needed = largest_activations(model)
    if device.storage_bytes is None:  # weights lie in memory, not in a flash of their own
        needed += size
    if device.memory_bytes is not None and needed > device.memory_bytes:
        yield (
            f"the model needs {needed:,} bytes of memory at least, and {name} has "
            f"{device.memory_bytes:,}"
        )


def largest_activations(model: FlatModel) -> int:
    """Return the bytes of the inputs and outputs of the operator that has most of them.

    All of them are in memory when it runs, whatever the runtime's planner does.
    """
    most = 0
    for operator in model.operators:
        inputs, outputs = model.tensors_of(operator)
        tensors = {(t.subgraph, t.index): t for t in (*inputs, *outputs) if not t.constant}
        most = max(most, sum(t.elements * BYTES.get(t.dtype, 1) for t in tensors.values()))
    return most


def precisions(model: FlatModel) -> set[str]:
    """Return which precisions the kernels of a file's operators compute in."""
    found = set()
    for operator in model.operators:
        if not operator.macs:
            continue
        inputs, _ = model.tensors_of(operator)
        computed = next((t.dtype for t in inputs if not t.constant), "float32")
        stored = next((t.dtype for t in inputs if t.constant and len(t.shape) > 1), computed)
        if computed == "int16":
            found.add("int16x8")
        elif computed in FLOATS:
            found.add(computed if stored in FLOATS else "dynamic")
        else:
            found.add("int8")
    return found
