"""Detectors: your own function makes boxes of raw outputs, which mean average precision judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import edgeshrink
from edgeshrink.errors import DataError, EdgeshrinkError, UsageError
from edgeshrink.results import Report
from edgeshrink.samples import Decoder
from edgeshrink.samples.readers import from_value
from edgeshrink.samples.truth.boxes import boxes_apart

GRID, SIDE, TRAIN, TEST = 4, 16, 160, 60


def scenes(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images, boxes of one or two squares in each, and what a grid should say of them."""
    images = rng.normal(0.1, 0.05, (count, SIDE, SIDE, 1)).astype("float32")
    boxes = np.full((count, 2, 5), -1.0)
    grids = np.zeros((count, GRID, GRID, 7), "float32")  # whether, corners in the cell, classes
    for place in range(count):
        for row in range(rng.integers(1, 3)):
            left, top = rng.integers(0, SIDE - 5, 2)
            size, bright = rng.integers(3, 6), rng.integers(0, 2)
            images[place, top : top + size, left : left + size] += 0.5 + 0.5 * bright
            box = np.array([left, top, left + size, top + size])
            boxes[place, row] = *box, bright
            x, y = (left + size / 2) * GRID / SIDE, (top + size / 2) * GRID / SIDE
            cell = grids[place, int(y), int(x)]
            cell[0] = 1
            cell[1:5] = box * GRID / SIDE - np.array([int(x), int(y)] * 2)
            cell[5:] = np.eye(2)[bright]
    return images, boxes, grids


def decode(outputs: np.ndarray) -> tuple[Any, Any, Any]:
    """Return boxes in pixels, scores and classes of the cells of a grid."""
    across, down = np.meshgrid(np.arange(GRID), np.arange(GRID))
    corners = np.stack([across, down] * 2, axis=-1)
    boxes = (outputs[..., 1:5] + corners) * SIDE / GRID
    boxes[..., 2:] = np.maximum(boxes[..., :2], boxes[..., 2:])
    flat = len(outputs), GRID * GRID
    return (
        boxes.reshape(*flat, 4),
        outputs[..., 0].reshape(flat),
        outputs[..., 5:].argmax(-1).reshape(flat),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images, boxes, grids = scenes(TRAIN, rng)
    tests, there, raw = scenes(TEST, rng)
    image = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.Conv2D(16, 3, 2, padding="same", activation="relu")(image)
    x = keras.layers.Conv2D(32, 3, 2, padding="same", activation="relu")(x)
    x = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    model = keras.Model(image, keras.layers.Conv2D(7, 1, name="grid")(x))
    model.compile(keras.optimizers.Adam(5e-3), "mse")
    model.fit(images, grids, epochs=60, batch_size=16, verbose=0)
    path = tmp_path_factory.mktemp("made") / "finder.keras"
    model.save(path)
    return path, {
        "x_train": images,
        "y_train/boxes": boxes,
        "y_train/grid": grids,
        "x_test": tests,
        "y_test/boxes": there,
        "y_test/grid": raw,
    }


def run(made: tuple[Path, Any], folder: Path, arrays: dict[str, Any], **how: Any) -> Report:
    np.savez(folder / "d.npz", **arrays)
    how = {"rules": "smoke", "decode": decode, "max_drop": "none"} | how
    return edgeshrink.compress(
        made[0], output=folder / "m.tflite", data=str(folder / "d.npz"), **how
    )


def boxes_alone(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"x_train": arrays["x_train"], "x_test": arrays["x_test"],
            "y_test": arrays["y_test/boxes"]}  # fmt: skip


@pytest.mark.heavy
def test_a_detector_is_judged_by_its_boxes(
    made: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    pytest.importorskip("pycocotools")
    from edgeshrink_metrics.coco import matched

    arrays = boxes_alone(made[1])
    report = run(made, tmp_path, arrays, prune=0.5, int8=True, epochs=2, lr=1e-3)
    said = keras.models.load_model(made[0]).predict(arrays["x_test"], verbose=0)
    padded = np.stack([np.concatenate([b, s[:, None], c[:, None]], 1)
                       for b, s, c in zip(*decode(said), strict=True)])  # fmt: skip
    truth = np.where(arrays["y_test"][..., 4:] == -1, np.nan, arrays["y_test"])
    wanted = matched(padded, truth).value  # which is pycocotools' own: tests/plugins
    assert wanted > 0.1
    base = report.ledger.base.score
    assert base is not None
    assert (base.metric, base.count) == ("map", TEST)
    assert base.value == pytest.approx(wanted, abs=1e-6)
    assert base.low < wanted < base.high
    verdict = report.verdict
    assert (verdict.metric, verdict.samples) == ("map", TEST)
    assert verdict.guess is None  # nothing found is no yardstick
    assert verdict.p_value is not None
    assert 0 < verdict.p_value <= 1
    assert report.ledger.final.score is not None
    assert any("boxes, which no loss compares" in note for note in report.notes)


@pytest.mark.heavy
def test_what_outputs_are_to_learn_can_stand_beside_the_boxes(
    made: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    pytest.importorskip("pycocotools")
    how = {"prune": 0.5, "teacher": "none", "epochs": 3, "lr": 3e-3}
    report = run(made, tmp_path, made[1], **how)
    metrics = [score.metric for score in report.ledger.final.scores]
    assert metrics == ["map", "mae", "rmse"]
    assert not any("boxes, which no loss compares" in note for note in report.notes)


def test_without_pycocotools_the_plan_says_how_to_get_it(
    made: tuple[Path, dict[str, np.ndarray]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeshrink.results.scoring.scored.version_of", lambda name: "")
    with pytest.raises(UsageError, match="map needs pycocotools") as told:
        run(made, tmp_path, boxes_alone(made[1]), float=True)
    assert told.value.hint.startswith("pip install ")


def test_a_base_that_finds_nothing_is_refused(
    made: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    pytest.importorskip("pycocotools")
    arrays = boxes_alone(made[1])
    arrays["y_test"] = arrays["y_test"] / np.array([SIDE] * 4 + [1])
    with pytest.raises(DataError, match="map is 0, where guessing gets 0") as told:
        run(made, tmp_path, arrays, float=True)
    assert "in the units of the labels" in told.value.hint


def test_what_is_asked_without_boxes_is_told(
    made: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    arrays = boxes_alone(made[1])

    def refused(kind: type[EdgeshrinkError], arrays: dict[str, Any], **how: Any) -> str:
        with pytest.raises(kind) as told:
            run(made, tmp_path, arrays, float=True, **how)
        return f"{told.value} / {told.value.hint}"

    said = refused(UsageError, made[1], decode="", metric="map")
    assert "map judges boxes, and nothing makes boxes" in said
    del arrays["y_test"]
    said = refused(DataError, arrays)
    assert "finds boxes, and" in said
    assert "there is no y_test" in said
    with pytest.raises(UsageError, match="and there is no data"):
        edgeshrink.compress(made[0], output=tmp_path / "n.tflite", decode=decode, float=True)
    with pytest.raises(UsageError, match="nowhere"):
        run(made, tmp_path, boxes_alone(made[1]), float=True, decode="nowhere_at_all:decode")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda y: y[..., :4], r"boxes must be an array .* is float64 of \(60, 2, 4\)"),
        (lambda y: np.full_like(y, -1), "has none, but padding alone"),
        (lambda y: y[:-1], "has boxes of 59 samples, and there are 60"),
        (lambda y: y[..., [2, 1, 0, 3, 4]], r"x0 at most x1 .* in sample 0"),
        (lambda y: y + 0.5, "classes are whole numbers; y_test in d has"),
        (lambda y: np.where(y == y[0, 0, 0], np.inf, y), "finite|x0 at most x1"),
    ],
)
def test_labels_that_are_no_boxes_are_refused(change: Any, told: str) -> None:
    images, boxes, _ = scenes(60, np.random.default_rng(0))
    stored = from_value({"x_test": images, "y_test": change(boxes)}, "d")
    with pytest.raises(DataError, match=told):
        boxes_apart(stored, "d")


def answer(outputs: np.ndarray) -> Any:
    """Return what `WRONG` says."""
    made = decode(outputs)
    return WRONG(*made) if WRONG else made


WRONG: Any = None


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda b, s, c: (b[:-1], s, c), "received boxes of 4, for 5 samples"),
        (lambda b, s, c: (b, s), "must return boxes .*; received a tuple of 2"),
        (lambda b, s, c: b[0], "received a ndarray"),
        (lambda b, s, c: {"boxes": b, "scores": s}, "received a dict without 'classes'"),
        (lambda b, s, c: (b[..., :3], s, c), r"those of sample 0 are boxes \(16, 3\)"),
        (lambda b, s, c: (b, s * np.nan, c), "scores are numbers; --decode .* of sample 0"),
        (lambda b, s, c: (b * np.inf, s, c), "boxes are finite numbers"),
        (lambda b, s, c: (b, s, c + 0.5), "classes are whole numbers"),
        (lambda b, s, c: (b[..., ::-1], s, c), r"x0 at most x1 .*made \(.*\) with score"),
        (lambda b, s, c: (["a"] * 5, s, c), "those of sample 0 are no numbers"),
        (lambda b, s, c: b["boxes"], "raised IndexError: only integers"),
    ],
)
def test_what_a_function_returns_that_is_no_boxes_is_told(
    wrong: Any, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = np.random.default_rng(0).random((5, GRID, GRID, 7))
    monkeypatch.setattr(f"{__name__}.WRONG", wrong)
    with pytest.raises(DataError, match=told) as caught:
        Decoder(f"{__name__}:answer")({"grid": outputs})
    assert caught.value.exit_code == 1


def test_boxes_may_come_as_a_dict_in_lists_and_with_padding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        f"{__name__}.WRONG",
        lambda b, s, c: {
            "boxes": [[], *b[1:].tolist()],
            "scores": [[], *s[1:]],
            "classes": [[], *np.where(s[1:] < 0.5, -1, c[1:])],
        },
    )
    outputs = np.random.default_rng(0).random((5, GRID, GRID, 7))
    found = Decoder(f"{__name__}:answer")({"grid": outputs})
    assert np.isnan(found[0]).all()
    scores = found[1:, :, 4]
    assert np.nanmin(scores) >= 0.5
    assert (np.diff(np.where(np.isnan(scores), -1, scores), axis=1) <= 0).all()
    assert (~np.isnan(scores)).sum() == (outputs[1:, ..., 0] >= 0.5).sum()
