"""Mean average precision is pycocotools' own; its interval and test are by drawing samples."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest

from edgeshrink.results import Paired

pytest.importorskip("pycocotools")

CLASSES = 3


def scene(
    count: int, seed: int, noise: float = 0.08, extra: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes that were found, with some that are not there, and those that are."""
    rng = np.random.default_rng(seed)
    truth = np.full((count, 4, 5), np.nan)
    found = np.full((count, 4 + extra, 6), np.nan)
    for place in range(count):
        there = rng.integers(0, 5)
        corner, size = rng.random((there, 2)), rng.random((there, 2)) * 0.4 + 0.1
        classes = rng.integers(0, CLASSES, there)
        truth[place, :there] = np.concatenate([corner, corner + size, classes[:, None]], 1)
        seen = rng.random(there) < 0.85
        moved = truth[place, :there, :4][seen] + rng.normal(0, noise, (seen.sum(), 4))
        moved[:, 2:] = np.maximum(moved[:, :2], moved[:, 2:])
        wrong = rng.random((extra, 2))
        boxes = np.concatenate([moved, np.concatenate([wrong, wrong + 0.2], 1)])
        scores = np.round(np.concatenate([rng.random(len(moved)), 0.6 * rng.random(extra)]), 1)
        labels = np.concatenate([classes[seen], rng.integers(0, CLASSES + 1, extra)])
        rows = np.concatenate([boxes, scores[:, None], labels[:, None]], 1)
        found[place, : len(rows)] = rows[np.argsort(-scores, kind="stable")]
    return found, truth


def of_pycocotools(found: np.ndarray, truth: np.ndarray) -> float:
    """Return the first figure of pycocotools' own summary."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def listed(padded: np.ndarray) -> list[dict[str, Any]]:
        rows = [(n, row) for n, of in enumerate(padded) for row in of if not np.isnan(row[0])]
        return [
            {
                "image_id": n,
                "category_id": int(row[-1]),
                "bbox": [row[0], row[1], row[2] - row[0], row[3] - row[1]],
                "score": row[4],
            }
            for n, row in rows
        ]

    with contextlib.redirect_stdout(io.StringIO()):
        there = COCO()
        there.dataset = {
            "info": {},
            "images": [{"id": n} for n in range(len(truth))],
            "categories": [{"id": n} for n in range(CLASSES + 1)],
            "annotations": [
                {**one, "id": n + 1, "iscrowd": 0, "area": one["bbox"][2] * one["bbox"][3]}
                for n, one in enumerate(listed(truth))
            ],
        }
        there.createIndex()
        work = COCOeval(there, there.loadRes(listed(found)), "bbox")
        work.evaluate()
        work.accumulate()
        work.summarize()
    return float(work.stats[0])


def metric() -> Any:
    from edgeshrink.samples import Task
    from edgeshrink_metrics.detection import MeanAveragePrecision

    return MeanAveragePrecision(Task("boxes", "boxes"))


@pytest.mark.parametrize("seed", range(6))
def test_the_value_is_pycocotools_own(seed: int) -> None:
    from edgeshrink_metrics.coco import matched

    found, truth = scene(30, seed, noise=0.01 * (1 + seed))
    one = matched(found, truth)
    own = of_pycocotools(found, truth)
    assert 0.02 < own < 0.9
    assert one.value == pytest.approx(own, abs=1e-9)
    # what is reckoned for samples drawn again agrees where each is drawn once
    assert one.weighted(np.ones((2, 30))) == pytest.approx([own, own], abs=1e-9)
    score = metric().score(found, truth)
    assert score.value == pytest.approx(own, abs=1e-9)
    assert score.low < own < score.high
    assert score.count == 30


def test_samples_drawn_twice_are_two_samples_for_pycocotools() -> None:
    from edgeshrink_metrics.coco import matched

    found, truth = scene(20, 7)
    rng = np.random.default_rng(0)
    weights = rng.multinomial(20, np.full(20, 0.05), 5)
    again = [np.repeat(np.arange(20), row) for row in weights]
    wanted = [of_pycocotools(found[rows], truth[rows]) for rows in again]
    assert matched(found, truth).weighted(weights) == pytest.approx(wanted, abs=1e-9)


def test_intervals_hold_the_value_of_all_samples_as_often_as_they_say() -> None:
    found, truth = scene(3000, 9, noise=0.05)
    whole = of_pycocotools(found, truth)
    rng = np.random.default_rng(0)
    drawn = [rng.choice(3000, 60, replace=False) for _ in range(40)]
    scores = [metric().score(found[rows], truth[rows]) for rows in drawn]
    # few samples flatter: intervals about draws' own middle hold it in 28 to 33 of 40
    assert sum(score.low <= whole <= score.high for score in scores) >= 35


def test_what_samples_stand_for_has_the_value_as_mean_and_its_spread() -> None:
    for count in (120, 700):  # one by one, and by groups
        found, truth = scene(count, 3)
        one, each = metric(), metric().per_sample(found, truth)
        assert each.shape == (count,)
        assert each.mean() == pytest.approx(one.score(found, truth).value)
        error = each.std(ddof=1) / np.sqrt(count)
        assert error == pytest.approx(one.resampled(found, truth).std(), rel=0.2)


def test_a_detector_that_got_worse_is_told_from_one_that_did_not() -> None:
    found, truth = scene(80, 1, noise=0.01)
    worse = found.copy()
    worse[::2, :, 4] *= np.random.default_rng(0).random((40, 7))
    worse[:, :, :2] -= 0.05
    one = metric()

    def p_value(after: np.ndarray) -> float:
        change = one.resampled(after, truth) - one.resampled(found, truth)
        pair = (one.per_sample(found, truth), one.per_sample(after, truth))
        return Paired(one, *pair, truth, change).p_value

    assert p_value(found.copy()) == 1
    assert p_value(worse) < 0.01
    slightly = found.copy()
    slightly[0, 0, 4] = 0.0
    assert p_value(slightly) > 0.2


def test_nothing_found_and_classes_that_are_not_there_count_as_pycocotools_has_it() -> None:
    found, truth = scene(12, 5)
    nothing = np.full_like(found, np.nan)
    assert metric().score(nothing, truth).value == 0
    only = truth.copy()
    only[only[..., 4] != 1] = np.nan
    assert metric().score(found, only).value == pytest.approx(of_pycocotools(found, only))
