"""Proof that a device computes what this machine computes: outputs are compared, always.

There are runtimes that answer NaN, or one class for everything, without an error.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from edgeshrink.engine.measuring.signature import Signature
from edgeshrink.errors import VerificationError
from edgeshrink.models import write_npy
from edgeshrink.recipes import digest_of
from edgeshrink.results import Outputs, Samples

if TYPE_CHECKING:
    from edgeshrink.models import Artifact

COMPARED = 32
# Kernels round differently, each step on what those before it rounded, and a softmax spreads it.
# ResNet-8 in 8 bits, XNNPACK's kernels beside the reference kernels: single outputs differ by up to
# 0.2 of the range, 0.02 of it as a root mean square. One wrong row of 32 makes over 0.05.
LARGEST_ERROR = 0.05


def head(samples: Samples, folder: Path, count: int = COMPARED) -> Samples:
    """Return the first samples of a set, as a set of their own."""
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    inputs = {}
    for name, path in samples.inputs.items():
        inputs[name] = folder / f"{digest_of({'head': name})[:16]}.npy"
        first = np.load(path, mmap_mode="r", allow_pickle=False)[:count]
        write_npy(inputs[name], [first], len(first))
    taken = min(count, samples.count)
    labels = {name: values[:taken] for name, values in samples.labels.items()}
    key = digest_of({"head of": samples.digest, "count": taken})
    truth = None if samples.truth is None else samples.truth[:taken]
    stored = samples.stored and head(samples.stored, folder / "stored", count)
    return dataclasses.replace(
        samples,
        inputs=inputs,
        labels=labels,
        digest=key,
        count=taken,
        stored=stored,
        truth=truth,
    )


def made_up(model: Artifact, folder: Path, count: int = COMPARED) -> Samples:
    """Return inputs for a .tflite for which there is no data: numbers of its inputs' ranges.

    A model of pixels from 0 to 255 sees near-black images between 0 and 1, tells them hardly apart,
    and kernels that round differently are far apart in the little range of such outputs.
    """
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    signature, random, inputs = Signature.read(model.path), np.random.default_rng(0), {}
    for name, shape in signature.inputs.items():
        size = (count, *(max(1, n) for n in shape[1:]))
        low, high = signature.ranges[name]
        values = low + np.float32(high - low) * random.random(size, dtype=np.float32)
        if signature.types[name] != "float32":
            values = np.asarray(np.rint(values), signature.types[name])
        inputs[name] = folder / f"{digest_of({'model': model.digest, 'input': name})[:16]}.npy"
        write_npy(inputs[name], [values], count)
    return Samples(inputs, {}, digest_of({"made up": model.digest}), count, synthetic=True)


def error(expected: Outputs, found: Outputs) -> float:
    """Return the greatest difference from this machine's outputs, over their range.

    Args:
        expected: this machine's outputs for the first samples.
        found: the device's, for the same samples or more.

    Raises:
        VerificationError: the device's outputs are not those of this model.
    """
    from edgeshrink.nn.inputs import agreement

    count = len(next(iter(expected.values())))
    same = {name: values[:count] for name, values in found.items()}
    worst = agreement(expected, same).max_error
    if (typical := apart(expected, same)) > LARGEST_ERROR:
        raise VerificationError(
            f"its outputs differ from this machine's by {typical:.0%} of their range (root "
            f"mean square), on {count} inputs"
        )
    return worst


def apart(expected: Outputs, found: Outputs) -> float:
    """Return how far outputs are from this machine's: root mean square over range, the worst.

    Args:
        expected: this machine's.
        found: others, for the same samples.
    """
    import numpy as np

    from edgeshrink.nn.inputs import matched_outputs

    worst = 0.0
    for wanted, given in zip(expected.values(), matched_outputs(expected, found), strict=True):
        spread = float(np.ptp(wanted)) or 1.0
        typical = float(np.sqrt(np.square(wanted.astype("float64") - given).mean())) / spread
        worst = max(worst, typical)
    return worst
