"""Whether a converted file answers as the model did that was trained to be rounded as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgeshrink.engine.running.run import Run
from edgeshrink.errors import CheckFailed
from edgeshrink.models import Artifact

if TYPE_CHECKING:
    import numpy as np

AGREED = 0.9  # of the answers, at least; where they are numbers, the cosine
FEW = 16  # samples that the tensors are compared on


def check_trained(
    run: Run, artifact: Artifact, parent: Artifact, state: Mapping[str, np.ndarray]
) -> None:
    """Check that a file agrees with the twin that was trained, if one was.

    Args:
        run: has the samples that candidates are compared on.
        artifact: the .tflite.
        parent: what it was converted from; its fact `trained_quantized` says that it was trained
            to be rounded, `activation_bits` how finely its activations were.
        state: the arrays beside the parent.

    Raises:
        CheckFailed: it does not agree; the message names the layer where they part most.
    """
    if "trained_quantized" not in parent.facts:
        return
    import numpy as np

    from edgeshrink.nn.conversion import parting_layer
    from edgeshrink.nn.learning import trained_twin

    bits = parent.facts.get("activation_bits", 8)
    twin = trained_twin(run.models.shown(parent), state, bits)
    samples = run.sets.compared
    names, taken = run.outputs(parent, samples), samples.taken_by(parent)
    wanted = dict(zip(names, run.judge.run(twin.model, taken).values(), strict=True))
    found = run.judge.agreement(wanted, run.outputs(artifact, samples), samples)
    if found.share >= AGREED:
        return
    few = {name: np.array(np.load(p, mmap_mode="r")[:FEW]) for name, p in taken.inputs.items()}
    folder, data = artifact.path.parent, artifact.path.read_bytes()
    place = parting_layer(data, twin, few, folder, run.workspace.log).removeprefix("input:")
    inputs = "synthetic inputs" if found.synthetic else "validation samples"
    cosine = f"the outputs have a cosine of {found.cosine:.3f}"
    agreed = cosine if found.top1 is None else f"{found.top1:.1%} have the same answer"
    raise CheckFailed(
        "a converted file must answer as the model that was trained for it; "
        f"of {found.answers_to(f'{found.samples:,} {inputs}')} {agreed}"
        + (f", and they part most at {place!r}" if place else ""),
        hint="leave that training out: plain --int8 takes its ranges from samples",
    )
