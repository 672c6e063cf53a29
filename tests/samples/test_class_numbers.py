"""Labels of a model that says what its classes are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeshrink.errors import DataError
from edgeshrink.samples import Dataset, load_dataset

NAMES = ("cat", "dog", "owl")


def loaded(folder: Path, labels: Any, classes: tuple[Any, ...], **more: Any) -> Dataset:
    labels = np.asarray(labels)
    x = np.arange(len(labels) * 2, dtype="float32").reshape(-1, 2)
    np.savez(folder / "d.npz", x_train=x, y_train=labels, x_test=x, y_test=labels, **more)
    return load_dataset(str(folder / "d.npz"), classes=classes)


def test_names_become_places_among_the_models_own(tmp_path: Path) -> None:
    found = loaded(tmp_path, ["owl", "cat", "owl", "cat"], NAMES)
    assert found.test is not None
    assert found.test.labels.tolist() == [2, 0, 2, 0]
    assert found.class_names == NAMES


def test_numbers_that_are_not_from_0_become_places(tmp_path: Path) -> None:
    found = loaded(tmp_path, [[3], [8], [5], [8]], (3, 5, 8))
    assert found.test is not None
    assert found.test.labels.tolist() == [0, 2, 1, 2]
    assert found.class_names == ("3", "5", "8")


def test_numbers_of_named_classes_are_read_by_the_datas_own_names(tmp_path: Path) -> None:
    found = loaded(tmp_path, [0, 1, 0, 1], NAMES, class_names=np.array(["owl", "dog"]))
    assert found.test is not None
    assert found.test.labels.tolist() == [2, 1, 2, 1]


def test_names_of_numbered_classes_are_kept(tmp_path: Path) -> None:
    found = loaded(tmp_path, [1, 0, 1, 0], (0, 1), class_names=np.array(["no", "yes"]))
    assert found.class_names == ("no", "yes")


def test_labels_with_an_axis_of_classes_are_left_as_they_are(tmp_path: Path) -> None:
    found = loaded(tmp_path, np.eye(3)[[0, 1, 2, 1]], NAMES)
    assert found.test is not None
    assert found.test.labels.shape == (4, 3)


@pytest.mark.parametrize(
    ("labels", "classes", "said"),
    [
        ([0, 1, 0, 1], NAMES, r"by names \('cat', 'dog', 'owl'\).* are numbers \(0, 1\)"),
        (["a", "b", "a", "b"], (0, 1), r"by numbers \(0, 1\), and .* are names \('a', 'b'\)"),
        ([0, 1, 7, 7], (0, 1), r"must be classes of the model \(0, 1\); .* has 7"),
        (["cat", "cow", "owl", "emu"], NAMES, "has 'cow', 'emu'"),
        ([0, 1, 0, 9], tuple(range(9)), r"\(0, 1, 2, 3, 4, …\); .* has 9"),
    ],
)
def test_labels_that_the_model_does_not_know_are_refused(
    tmp_path: Path, labels: Any, classes: tuple[Any, ...], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        loaded(tmp_path, labels, classes)
