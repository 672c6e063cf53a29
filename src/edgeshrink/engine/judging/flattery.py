"""Whether the base was trained on the samples that judge it, where the data shows that."""

from __future__ import annotations

from edgeshrink.engine.running.run import Run


def flattery(run: Run) -> str:
    """Return a sentence where test samples that we split off look known to the base, or nothing.

    They were drawn at random from the training samples, so that the base does as well on them as
    on the rest, whether it knows all or none of them. What shows is a validation part that was
    stored as one: if the base does worse there, by more than both 95 % intervals allow, then it
    knows the training samples, and among them those that judge it.
    """
    data, samples = run.planned.data, run.sets.chosen()
    if data is None or samples is None or data.split_off != ("test",):
        return ""
    base, judged = run.planned.base, run.sets.judged
    tested = run.judge.scores(run.outputs(base, judged), judged)
    held = run.judge.scores(run.outputs(base, samples), samples)
    if not (tested and held):
        return ""
    known, other = tested[0], held[0]
    better = known.low > other.high if known.higher_is_better else known.high < other.low
    if not better:
        return ""
    return (
        f"the uncompressed model knows its test samples: {known.metric} is {known.value:.4g} on "
        f"those, which were split off from the training samples, and {other.value:.4g} on the "
        "validation samples, which were not: believe the latter, or give a test part of its own"
    )
