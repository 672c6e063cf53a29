"""The measures that a study's tables may show, taken from a run's ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgeshrink.results import Ledger, Row


def stage_of(rows: Sequence[Row], at: str) -> int | None:
    """Return the place of a stage in a ledger, or None if it is not there.

    Args:
        rows: the base first, the base as a float file second, where there is a file.
        at: `file` (the last), `float`, `base`, or the name of a step (its last).
    """
    if at == "file":
        return len(rows) - 1
    for place in reversed(range(len(rows))):
        step = rows[place].step
        fits = step.startswith("base as") if at == "float" else step.partition("(")[0] == at
        if fits:
            return place
    return None


def figure_of(
    measure: str, rows: Sequence[Row], place: int, layers: Mapping[str, Sequence[int]]
) -> tuple[float, tuple[float, float] | None] | None:
    """Return a measure of one stage with its interval over samples, or None if it has none.

    Args:
        measure: a key of `MEASURES`, but `ms`.
        rows: of a ledger.
        place: the stage's.
        layers: weights and MACs by layer; where there are any, the measure is of them alone.
    """
    row = rows[place]
    if measure in ("accuracy", "accuracy_gain", "top5", "score"):
        return _score_of(measure, row, rows[0])
    file = stage_of(rows, "float")
    before = rows[file] if file is not None else rows[0]
    parameters, macs, whole = row.parameters, row.macs, Ledger(tuple(rows))
    if layers:
        parameters, macs = (sum(one[part] for one in layers.values()) for part in (0, 1))
    values: dict[str, float | None] = {
        "agreement": 100 * row.agreement.share if row.agreement else None,
        "size_kib": row.size_bytes / 2**10,
        "size_mib": row.size_bytes / 2**20,
        "size_change": 100 * (row.size_bytes / before.size_bytes - 1),
        "deflated_kib": row.compressed_bytes / 2**10,
        "deflated_mib": row.compressed_bytes / 2**20,
        "deflated_change": 100 * (row.compressed_bytes / before.compressed_bytes - 1),
        "smaller": whole.weight_bytes / row.compressed_bytes,
        "on_disk": whole.on_disk(row),
        "download": before.compressed_bytes / row.compressed_bytes,
        "parameters": parameters,
        "parameters_m": parameters / 1e6,
        "nonzeros": row.nonzeros,
        "sparsity": 100 * row.sparsity,
        "macs": macs,
        "macs_m": macs / 1e6,
    }
    found = values.get(measure, row.merits.get(measure))
    return None if found is None else (float(found), None)


def _score_of(measure: str, row: Row, base: Row) -> tuple[float, tuple[float, float]] | None:
    if measure == "score":
        score = row.score
        return (score.value, (score.low, score.high)) if score else None
    wanted = "top5" if measure == "top5" else "top1"
    shares = {s.metric: s for s in row.scores}
    if wanted not in shares:
        return None
    share, less = shares[wanted], 0.0
    if measure == "accuracy_gain":
        less = next(s.value for s in base.scores if s.metric == wanted)
    return 100 * (share.value - less), (100 * (share.low - less), 100 * (share.high - less))
