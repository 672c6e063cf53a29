"""Mean average precision: boxes matched by pycocotools, and what becomes of it on other samples.

Which boxes match is settled within each sample, so that samples may be drawn again, or left out,
without matching anew: each then counts as often as it was drawn.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

DRAWS = 1000
GROUPS = 300  # of samples that are left out together, at most, to learn what each adds
VALUES = 1 << 22  # in memory at once
RECALLS = np.linspace(0.0, 1.0, 101)
KEPT = 3  # results that are asked for again: a base, and what is compared with it

_kept: dict[str, Matched] = {}


@dataclass(frozen=True, eq=False)  # arrays do not compare to one truth
class _Class:
    """The boxes of one class, those of higher scores first.

    Attributes:
        samples: of each box, `(boxes,)`.
        right: whether it matches one that is there, `(IoU thresholds, boxes)`.
        there: how many are there in each sample, `(samples,)`.
    """

    samples: np.ndarray
    right: np.ndarray
    there: np.ndarray


@dataclass(frozen=True, eq=False)  # arrays do not compare to one truth
class Matched:
    """Boxes that were found, matched with those that are there.

    Attributes:
        value: the mean average precision, pycocotools' own.
        classes: those of which there is any.
        count: of samples.
    """

    value: float
    classes: tuple[_Class, ...]
    count: int

    @cached_property
    def draws(self) -> np.ndarray:
        """The value of as many samples, drawn with replacement, `(draws,)`."""
        return self.weighted(drawn(self.count))

    @cached_property
    def influences(self) -> np.ndarray:
        """What each sample stands for, `(samples,)`: their mean is the value.

        By leaving it out (the jackknife); of many samples, groups are left out, whose members are
        given the same share, so far from the mean that the error of the mean is that of groups.
        """
        groups = min(self.count, GROUPS)
        if groups < 2:
            return np.full(self.count, self.value)
        group = np.arange(self.count) * groups // self.count
        without = self.weighted((group != np.arange(groups)[:, None]).astype("float64"))
        without = np.where(np.isnan(without), self.value, without)
        added = (groups - 1) * (without.mean() - without) * np.sqrt(self.count / groups)
        each = added[group]
        return np.asarray(self.value + each - each.mean())

    def weighted(self, weights: np.ndarray) -> np.ndarray:
        """Return the value where samples count as often as weights say, `(rows,)`.

        Args:
            weights: `(rows, samples)`; a row in which no box is there has the value nan.
        """
        sums, known = np.zeros(len(weights)), np.zeros(len(weights))
        for one in self.classes:
            step = max(1, VALUES // max(1, len(one.samples)))
            for start in range(0, len(weights), step):
                rows = slice(start, start + step)
                found = _average_precision(one, weights[rows])
                there = ~np.isnan(found)
                sums[rows] += np.where(there, found, 0.0)
                known[rows] += there
        return np.divide(sums, known, out=np.full(len(sums), np.nan), where=known > 0)


def matched(found: np.ndarray, truth: np.ndarray) -> Matched:
    """Return boxes that were found, matched with those that are there.

    Args:
        found: `(samples, most, 6)`: x0, y0, x1, y1, score and class; rows of nan are padding.
        truth: `(samples, most, 5)`: x0, y0, x1, y1 and class; likewise.
    """
    digest = hashlib.sha256(f"{found.shape} {truth.shape}".encode())
    for array in (found, truth):
        digest.update(np.ascontiguousarray(array, "float64").tobytes())
    key = digest.hexdigest()
    if key not in _kept:
        while len(_kept) >= KEPT:
            del _kept[next(iter(_kept))]
        _kept[key] = _evaluated(found, truth)
    return _kept[key]


def drawn(count: int) -> np.ndarray:
    """Return how often each sample is drawn, `(draws, samples)`: the same for the same count."""
    return np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), DRAWS)


def _evaluated(found: np.ndarray, truth: np.ndarray) -> Matched:
    from pycocotools.cocoeval import COCOeval

    there, said = list(_boxes(truth)), list(_boxes(found))
    classes = sorted({one["category_id"] for one in (*there, *said)})
    with contextlib.redirect_stdout(io.StringIO()):  # it tells what it does
        work = COCOeval(_coco(there, classes, len(truth)), _coco(said, classes, len(truth)), "bbox")
        work.params.areaRng, work.params.areaRngLbl = [[0, 1e10]], ["all"]
        work.params.maxDets = [100]
        work.evaluate()
        work.accumulate()
    precision = work.eval["precision"]
    known = precision > -1
    value = float(precision[known].mean()) if known.any() else 0.0
    count = len(truth)
    kept = tuple(
        one
        for place in range(len(classes))
        if (one := _class(work.evalImgs[place * count : (place + 1) * count])).there.any()
    )
    return Matched(value, kept, count)


def _coco(boxes: list[dict[str, Any]], classes: list[int], count: int) -> Any:
    """Return boxes as pycocotools keeps them."""
    from pycocotools.coco import COCO

    made = COCO()
    made.dataset = {
        "images": [{"id": place} for place in range(count)],
        "categories": [{"id": one} for one in classes],
        "annotations": boxes,
    }
    made.createIndex()
    return made


def _boxes(padded: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield each box of an array as pycocotools takes it; a sixth column is before the class."""
    number = 0
    for place, rows in enumerate(padded):
        for row in rows[~np.isnan(rows[:, 0])]:
            number += 1  # 0 stands for none
            x, y, right, bottom = row[:4].tolist()
            width, height = right - x, bottom - y
            yield {
                "id": number,
                "image_id": place,
                "category_id": int(row[-1]),
                "bbox": [x, y, width, height],
                "area": width * height,
                "iscrowd": 0,
                **({"score": float(row[4])} if len(row) == 6 else {}),
            }


def _class(samples: list[dict[str, Any] | None]) -> _Class:
    """Return the boxes of one class of what pycocotools matched in each sample."""
    known = [(place, one) for place, one in enumerate(samples) if one is not None]
    there = np.zeros(len(samples))
    for place, one in known:
        there[place] = len(one["gtIds"])
    if not known:
        return _Class(np.zeros(0, int), np.zeros((10, 0), bool), there)
    scores = np.concatenate([np.asarray(one["dtScores"], "float64") for _, one in known])
    order = np.argsort(-scores, kind="mergesort")
    of = np.concatenate([np.full(len(one["dtScores"]), place) for place, one in known])
    right = np.concatenate([np.asarray(one["dtMatches"]) > 0 for _, one in known], axis=1)
    return _Class(of[order].astype(int), right[:, order], there)


def _average_precision(one: _Class, weights: np.ndarray) -> np.ndarray:
    """Return the mean over IoU thresholds of the average precision of a class, `(rows,)`.

    As pycocotools has it: the greatest precision at each of 101 recalls or beyond it, averaged.
    """
    there = weights @ one.there
    if not len(one.samples):
        return np.where(there > 0, 0.0, np.nan)
    counts = weights[:, one.samples].astype("float64")
    total = np.cumsum(counts, axis=1)
    sums = np.zeros(len(weights))
    rows, needed = np.arange(len(weights))[:, None], _needed(there)
    apart = there.max() + counts.sum(axis=1).max() + 2
    for right in one.right:
        places = np.flatnonzero(right)
        if not len(places):
            continue
        true = np.cumsum(counts[:, places], axis=1)
        precision = np.divide(
            true, total[:, places], out=np.zeros_like(true), where=total[:, places] > 0
        )
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        best = np.concatenate([best, np.zeros((len(best), 1))], axis=1)
        # rows lie behind each other, so that one search finds the places in all
        found = np.searchsorted(
            (true + apart * rows).reshape(-1), (needed + apart * rows).reshape(-1), side="left"
        )
        at = np.minimum(found.reshape(len(rows), -1) - rows * len(places), len(places))
        sums += best[rows, at].mean(axis=1)
    return np.where(there > 0, sums / len(one.right), np.nan)


def _needed(there: np.ndarray) -> np.ndarray:
    """Return how many boxes must be found for each recall, `(rows, 101)`.

    Args:
        there: how many there are, `(rows,)`.
    """
    most = np.maximum(there, 1)[:, None]
    needed = np.ceil(RECALLS * most)
    # what is reached is told by the quotient, as pycocotools tells it
    needed = np.where((needed - 1) / most >= RECALLS, needed - 1, needed)
    return np.asarray(np.where(needed / most < RECALLS, needed + 1, needed))
