"""Zeros left out of the file, and whether the device then skips them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from edgeshrink.api import Context, EdgeshrinkError
from edgeshrink.nn import convert
from edgeshrink.tflite import SparseConditions, skipping_kernels, sparse_conditions

if TYPE_CHECKING:
    import keras

    from edgeshrink.nn import Conversion

X86 = ("x86_64", "AMD64", "i386", "i686")


def without_zeros(model: keras.Model, want: Conversion, context: Context) -> bytes:
    """Return the converted model with its zeros left out, where that is smaller and safe.

    Args:
        model: what is converted.
        want: what the file should hold, in floats.
        context: gets notes on whether zeros are skipped, and why not.
    """
    context.progress(0.0, "converting")
    wants = {"dense": want, "sparse": replace(want, sparse=True)}
    made = convert(model, wants, context.folder, log=context.log)
    dense, sparse = made["dense"], made["sparse"]
    found = sparse_conditions(sparse)
    if found.unsafe:
        context.notes.append(
            "zeros are stored, since XNNPACK's sparse kernels would answer wrongly: the graph "
            f"begins and ends as they need it, but {found.unmet[0]}"
        )
        return dense
    if len(sparse) >= len(dense):
        context.notes.append("zeros are stored: no kernel has so many that the file gets smaller")
        return dense
    context.facts["zeros_left_out"] = True
    context.notes.append(f"zeros are left out of the file: {len(dense):,} -> {len(sparse):,} bytes")
    context.notes += _skipped(sparse, found, context)
    return sparse


def _skipped(data: bytes, found: SparseConditions, context: Context) -> Iterator[str]:
    """Yield whether the device skips the zeros of a file, as its own profile shows, or why not."""
    if found.in_the_way:
        yield f"XNNPACK does not skip the zeros: {found.in_the_way}"
        return
    device = context.profile.name
    context.progress(0.8, "looking at the kernels that run")
    try:
        measured = context.measure(data, profile=True)
    except EdgeshrinkError as error:
        yield f"whether {device} skips the zeros was not seen: {error}"
        return
    if not measured.operators:
        yield f"whether {device} skips the zeros was not seen: its runtime tells no kernels"
        return
    count = skipping_kernels(kernel.name for kernel in measured.operators)
    context.facts["kernels_that_skip_zeros"] = count
    share = f"{found.zeros / found.weights:.1%} zeros"
    if count:
        yield f"{count} of {found.kernels} 1x1 convolutions skip their zeros on {device} ({share})"
        return
    why = (
        "on x86, XNNPACK has sparse kernels only for processors without AVX"
        if measured.device.machine in X86
        else "no sparse kernel is among those that ran"
    )
    yield (
        f"the graph has all that XNNPACK asks for ({share} in {found.kernels} 1x1 convolutions), "
        f"but {device} skips none of them: {why}"
    )
