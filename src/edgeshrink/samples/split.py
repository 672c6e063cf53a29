"""How samples are split into training, validation, calibration and test: by a seed, by class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError
from edgeshrink.samples.apart import by_group, in_time, unseen
from edgeshrink.samples.checks import check_varied
from edgeshrink.samples.files.stored import Stored
from edgeshrink.samples.subset import Subset, labels_by_output
from edgeshrink.samples.task import Task

if TYPE_CHECKING:
    import numpy as np


# Held out where a file has no test set of its own.
TEST_SHARE = 0.2


def split_stored(
    stored: Stored,
    spec: str,
    seed: int,
    validation: float,
    calibration: int,
    tasks: Mapping[str, Task],
) -> tuple[dict[str, Subset | None], list[str]]:
    """Return the subsets of what is stored, and notes on what was held out.

    Args:
        stored: arrays by the part that they were stored for.
        spec: what the user named, for errors and notes.
        seed: of the choices.
        validation: share of the training samples held out, where none are stored for it.
        calibration: how many training samples serve for calibration, at most.
        tasks: of the outputs, by name: where a sample has one class, parts have as much of each.

    Returns:
        By `train`, `validation`, `calibration` and `test` a subset, or None where there is none.
        All but calibration are disjoint; that is a sample of train, where none is stored.

    Raises:
        DataError: there are too few samples to hold out a test, all are the same, or all that
            could be trained on are anomalous.
    """
    notes: list[str] = []
    parts = {name: _stored_subset(stored, name) for name in stored.inputs}
    train, held, test = parts.get("train", parts.get("")), parts.get("val"), parts.get("test")
    if train is not None and stored.spans is not None:
        parted = (
            by_group(stored.spans, spec, seed, validation, TEST_SHARE)
            if stored.grouped
            else in_time(stored.spans, spec, validation, TEST_SHARE)
        )
        whole, test = train, train.subset(parted.test)
        held = None if parted.validation is None else train.subset(parted.validation)
        train = train.subset(parted.train)
        validation = 0.0  # held out already
        notes += parted.notes
        notes += unseen(strata_of(whole, tasks), parted, spec, stored.grouped)
    elif train is not None and test is None:
        if len(train) < 2:
            raise DataError(f"{spec} must have at least 2 samples, to hold one out as a test")
        count = min(max(1, round(TEST_SHARE * len(train))), len(train) - 1)
        chosen, rest = split_rows(train.rows, count, seed, strata_of(train, tasks))
        test, train = train.subset(chosen), train.subset(rest)
        notes.append(
            f"{spec} has no test set: {len(test):,} of {len(test) + len(train):,} samples were "
            f"split off at random as one (seed {seed}); if the model was trained on them, its "
            "score here is flattered: only samples that it never saw (x_test, a folder test) tell "
            "the true one"
        )
    sample = parts.get("calibration")
    if train is None:
        notes.append(
            f"{spec} has test samples only: nothing can be trained or calibrated on it"
            if sample is None
            else f"{spec} has no training samples: nothing can be trained on it"
        )
    else:
        if held is None and validation > 0 and len(train) > 1:
            count = min(max(1, round(validation * len(train))), len(train) - 1)
            chosen, rest = split_rows(train.rows, count, seed + 1, strata_of(train, tasks))
            held, train = train.subset(chosen), train.subset(rest)
        if train.truth is not None and train.truth.ndim == 1 and train.truth.any():
            normal = train.subset(train.rows[train.truth == 0])
            left_out = len(train) - len(normal)
            if not len(normal):
                raise DataError(f"all {left_out:,} training samples of {spec} are anomalous")
            notes.append(
                f"{left_out:,} of {len(train):,} training samples of {spec} are anomalous, and "
                "left out: a model that gives its input back is trained on normal ones"
            )
            train = normal
        if sample is None:
            count = min(calibration, len(train))
            chosen, _ = split_rows(train.rows, count, seed + 2, strata_of(train, tasks))
            sample = train.subset(chosen)
    if sample is not None:
        check_varied(sample, spec)
    return {"train": train, "validation": held, "calibration": sample, "test": test}, notes


def _stored_subset(stored: Stored, name: str) -> Subset:
    import numpy as np

    labels: Any = stored.labels.get(name)
    if labels is not None and set(labels) == {""}:
        labels = labels[""]
    sources = stored.inputs[name]
    rows = np.arange(next(iter(sources.values())).shape[0])
    return Subset(sources, rows, labels, all_truth=stored.truth.get(name))


def split_rows(
    rows: np.ndarray[Any, Any],
    count: int,
    seed: int,
    strata: np.ndarray[Any, Any] | None = None,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Split rows into `count` chosen by a seed and the rest, each in its old order.

    Args:
        rows: row numbers.
        count: how many to choose, at most all.
        seed: gives the choice.
        strata: a class for each row; every class is then chosen from in proportion.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    groups = [np.arange(len(rows))]
    if strata is not None:
        groups = [np.flatnonzero(strata == value) for value in np.unique(strata)]
    exact = [count * len(group) / max(len(rows), 1) for group in groups]
    quotas = [math.floor(e) for e in exact]
    # the largest remainders get what rounding left over
    by_remainder = sorted(range(len(groups)), key=lambda i: quotas[i] - exact[i])
    for position in by_remainder[: count - sum(quotas)]:
        quotas[position] += 1
    chosen = np.zeros(len(rows), bool)
    for group, quota in zip(groups, quotas, strict=True):
        chosen[rng.permutation(group)[:quota]] = True
    return rows[chosen], rows[~chosen]


def strata_of(part: Subset, tasks: Mapping[str, Task]) -> np.ndarray[Any, Any] | None:
    """Return the class of each sample where the labels of the first output are one class each.

    Samples that are normal or anomalous are of these two classes.
    """
    if part.truth is not None and part.truth.ndim == 1:
        return part.truth
    labels = labels_by_output(part, list(tasks))
    return next((tasks[name].strata(values) for name, values in labels.items()), None)
