"""A base that was trained on the samples that judge it: told, and proved where the data can."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgeshrink as package
from edgeshrink.results import Report


def compressed(model: Path, digits: Path, folder: Path, *, hard: bool, val: bool) -> Report:
    """Compress on the digits without their test part; its samples may serve for validation."""
    with np.load(digits) as data:
        kept = {"x_train": data["x_train"], "y_train": data["y_train"]}
        labels = data["y_test"].copy()
        if hard:  # samples that the model does worse on
            labels[::4] = (labels[::4] + 1) % 10
        if val:
            kept |= {"x_val": data["x_test"], "y_val": labels}
    np.savez(folder / "data.npz", **kept)
    return package.compress(
        model,
        output=folder / "small.tflite",
        data=str(folder / "data.npz"),
        preprocess="scale=1/16",
        rules="smoke",
    )


@pytest.mark.parametrize(
    ("hard", "val", "proved"),
    [
        (True, True, True),
        pytest.param(False, True, False, marks=pytest.mark.slow),
        pytest.param(True, False, False, marks=pytest.mark.slow),
    ],
)
def test_test_samples_that_were_split_off_are_told(
    digits_model: Path, digits: Path, tmp_path: Path, hard: bool, val: bool, proved: bool
) -> None:
    report = compressed(digits_model, digits, tmp_path, hard=hard, val=val)
    assert report.data["split_off"] == (["test"] if val else ["validation", "test"])
    (always,) = [note for note in report.notes if "has no test set" in note]
    assert "if the model was trained on them, its score here is flattered" in always
    stronger = [note for note in report.notes if "knows its test samples" in note]
    assert bool(stronger) == proved
    for note in stronger:
        assert f"top1 is {report.ledger.base.score.value:.4g} on those" in note


@pytest.mark.slow
def test_a_test_part_of_its_own_is_not_doubted(
    digits_model: Path, digits: Path, tmp_path: Path
) -> None:
    report = package.compress(
        digits_model,
        output=tmp_path / "small.tflite",
        data=str(digits),
        preprocess="scale=1/16",
        rules="smoke",
    )
    assert report.data["split_off"] == ["validation"]
    assert not [note for note in report.notes if "flattered" in note or "knows its" in note]
