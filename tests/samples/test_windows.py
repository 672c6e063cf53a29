"""Tables, and windows of them: labels, groups, and parts that have no row in common."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeshrink.errors import DataError, UsageError
from edgeshrink.part import PYARROW
from edgeshrink.samples import load_dataset
from edgeshrink.samples.dataset import Dataset


def series(path: Path, rows: int = 400, **more: Any) -> str:
    """Write a table whose first column is the row's number; activity changes every 7 rows."""
    people = more.get("people", lambda row: "a")
    lines = ["time,n,x,person,activity"]
    for row in range(rows):
        activity = ("sit", "walk", "walk")[row // 7 % 3]
        lines.append(f"2026-01-01T00:{row:04},{row},{row % 5},{people(row)},{activity}")
    path.write_text("\n".join(lines) + "\n")
    return str(path)


COLUMNS: dict[str, Any] = {"label_column": "activity", "ignore_columns": "time,person"}


def rows_of(data: Dataset) -> dict[str, set[int]]:
    """Return the rows of the table that each part's windows have, told by the first column."""
    parts = {name: part for name, part in data.subsets().items() if name != "calibration"}
    return {
        name: set(part.take(slice(None))["x"][..., 0].astype(int).ravel().tolist())
        for name, part in parts.items()
    }


def test_windows_are_rows_and_have_the_most_frequent_label(tmp_path: Path) -> None:
    path = series(tmp_path / "s.csv")
    data = load_dataset(path, window=10, window_step=3, **COLUMNS)
    assert data.class_names == ("sit", "walk")
    assert data.train is not None
    found = data.train.take(slice(None))["x"]
    assert found.shape[1:] == (10, 2)
    for window, label in zip(found, data.train.labels, strict=True):
        first = int(window[0, 0])
        assert window[:, 0].tolist() == list(range(first, first + 10))
        assert first % 3 == 0
        rows = [row // 7 % 3 != 0 for row in range(first, first + 10)]
        assert label == (sum(rows) > 5)
    told = "s.csv is cut into 131 windows of 10 rows, one every 3 rows"
    assert told in data.notes
    overlap = "windows of s.csv have rows in common with their neighbours"
    assert any(note.startswith(overlap) for note in data.notes)
    apart = load_dataset(path, window=10, **COLUMNS)
    assert not any(note.startswith(overlap) for note in apart.notes)
    assert data.described()["windows"] == "10 rows, every 3, label: most"


def test_parts_in_time_have_no_row_in_common(tmp_path: Path) -> None:
    data = load_dataset(series(tmp_path / "s.csv"), window=10, window_step=2, **COLUMNS)
    parts = rows_of(data)
    assert set(parts) == {"train", "validation", "test"}
    assert max(parts["train"]) < min(parts["validation"])
    assert max(parts["validation"]) < min(parts["test"])
    assert min(parts["test"]) == 320
    assert set(data.split_off) == {"validation", "test"}
    said = next(note for note in data.notes if "split in time" in note)
    assert "rows from 321 on are the test (36 of 196 samples), from 289 on validation; 8" in said
    assert "so that no row is in two parts" in said


def test_windows_follow_each_other_where_no_step_is_given(tmp_path: Path) -> None:
    path = series(tmp_path / "s.csv")
    last = load_dataset(path, window=8, window_label="last", **COLUMNS)
    assert sum(len(part) for name, part in last.subsets().items() if name != "calibration") == 50
    found = last.test.take(slice(None))["x"]
    wanted = [int(window[-1, 0]) // 7 % 3 != 0 for window in found]
    assert last.test.labels.tolist() == wanted
    digests = {
        load_dataset(path, **COLUMNS, **more).digest
        for more in ({}, {"window": 8}, {"window": 8, "window_step": 4}, {"window": 9})
    }
    assert len({*digests, last.digest}) == 5


def test_groups_are_in_one_part_and_no_window_goes_over_their_end(tmp_path: Path) -> None:
    path = series(tmp_path / "s.csv", people=lambda row: "abcdefgh"[row // 25 % 8])
    how = {"label_column": "activity", "ignore_columns": "time", "group_column": "person"}
    data = load_dataset(path, window=10, window_step=5, **how)
    people = {name: {row // 25 % 8 for row in rows} for name, rows in rows_of(data).items()}
    assert len(set.union(*people.values())) == sum(map(len, people.values())) == 8
    for part in data.subsets().values():
        for window in part.take(slice(None))["x"]:
            assert len({int(row) // 25 for row in window[:, 0]}) == 1
    assert any("of 8 groups," in n and "no group is in two parts" in n for n in data.notes)
    other = load_dataset(path, window=10, window_step=5, seed=1, **how)
    assert rows_of(other) != rows_of(data)
    plain = load_dataset(path, **how)  # rows alone, by group
    people = {name: {row // 25 % 8 for row in rows} for name, rows in rows_of_rows(plain).items()}
    assert len(set.union(*people.values())) == sum(map(len, people.values())) == 8


def rows_of_rows(data: Dataset) -> dict[str, set[int]]:
    parts = {name: part for name, part in data.subsets().items() if name != "calibration"}
    return {n: set(part.take(slice(None))["x"][:, 0].astype(int)) for n, part in parts.items()}


@pytest.mark.parametrize(
    ("how", "kind", "said"),
    [
        (
            {"window": 401, **COLUMNS},
            DataError,
            "a window of 401 rows needs as many; s.csv has 400",
        ),
        (
            {"window": 200, "window_step": 7, "window_label": "last", **COLUMNS},
            DataError,
            "too few rows to split its windows in time",
        ),
        ({"label_column": "activty"}, UsageError, "s.csv has no column 'activty'; it has 'time'"),
        ({"window": 5, "group_column": "who"}, UsageError, "s.csv has no column 'who'"),
        (
            {**COLUMNS, "group_column": "activity"},
            UsageError,
            "a column is one thing; 'activity' was named for two",
        ),
        ({"label_column": "activity"}, DataError, "row 2 must hold numbers; column time holds"),
        (
            {"label_column": "n", "ignore_columns": "time,x,person,activity"},
            DataError,
            "a table must have features beside its label",
        ),
        ({"window_step": 3}, UsageError, "window_step is for windows of rows; give window"),
        ({"window": 0}, UsageError, "window must be a whole number at least 1"),
        (
            {"window": 5, "label_column": "activity", "ignore_columns": "time"}
            | {"group_column": "person"},
            DataError,
            "a split by groups needs 3 of them",
        ),
    ],
)
def test_what_cannot_be_cut_is_refused(
    how: dict[str, Any], kind: type[Exception], said: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=said):
        load_dataset(series(tmp_path / "s.csv"), **how)


def test_labels_that_are_numbers_are_those_of_the_last_row(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("a,y\n" + "\n".join(f"{row},{row / 7:.6f}" for row in range(60)))
    with pytest.raises(DataError, match="most frequent label of a window is for classes") as raised:
        load_dataset(str(path), window=4)
    assert raised.value.hint.startswith("--window-label last")
    data = load_dataset(str(path), window=4, window_label="last")
    found = data.test.take(slice(None))["x"][:, -1, 0]
    assert data.test.labels == pytest.approx(found / 7, abs=1e-5)


def test_gaps_and_missing_labels_are_told_with_their_row(tmp_path: Path) -> None:
    path = tmp_path / "g.csv"
    path.write_text("a,b,y\n" + "1,2,0\n" * 5 + "1,,0\n" + "1,2,1\n" * 5)
    with pytest.raises(DataError, match=r"g\.csv: row 7 must hold numbers; column b holds ''"):
        load_dataset(str(path), window=2)
    path.write_text("a,b,y\n" + "1,2,0\n" * 5 + "1,3,\n" + "1,2,1\n" * 5)
    with pytest.raises(DataError, match=r"g\.csv: row 7 has no label; column y is empty there"):
        load_dataset(str(path), window=2)
    path.write_text("1,2,0\n2,3,1\n")
    with pytest.raises(UsageError, match=r"g\.csv has no first row that names columns"):
        load_dataset(str(path), label_column="y")
    path.write_text("")
    with pytest.raises(DataError, match=r"g\.csv is empty"):
        load_dataset(str(path), window=2)


def test_parquet_without_pyarrow_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(type(PYARROW), "version", lambda self: "")
    with pytest.raises(UsageError, match=r"x\.parquet needs pyarrow") as raised:
        load_dataset(str(tmp_path / "x.parquet"))
    assert "pip install" in raised.value.hint


def test_parquet_is_read_as_a_csv_is(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.csv")
    pytest.importorskip("pyarrow.parquet")
    path = series(tmp_path / "s.csv", people=lambda row: "abcdefgh"[row // 25 % 8])
    table = pyarrow.csv.read_csv(path)
    pyarrow.parquet.write_table(table, tmp_path / "s.parquet")
    how = {"label_column": "activity", "ignore_columns": "time", "group_column": "person"}
    a = load_dataset(path, window=10, window_step=5, **how)
    b = load_dataset(str(tmp_path / "s.parquet"), window=10, window_step=5, **how)
    assert a.class_names == b.class_names
    for name, part in a.subsets().items():
        other = b.subsets()[name]
        assert (part.take(slice(None))["x"] == other.take(slice(None))["x"]).all()
        assert (part.labels == other.labels).all()
    with pytest.raises(DataError, match="must hold numbers; column time is"):
        load_dataset(str(tmp_path / "s.parquet"), label_column="activity")
    whole = (tmp_path / "s.parquet").read_bytes()
    (tmp_path / "s.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"no sound \.parquet file"):
        load_dataset(str(tmp_path / "s.parquet"))
    gap = pyarrow.table({"a": [1.0, None, 2.0], "y": [0, 1, 0]})
    pyarrow.parquet.write_table(gap, tmp_path / "gap.parquet")
    with pytest.raises(DataError, match="row 2 must hold numbers; column a is empty there"):
        load_dataset(str(tmp_path / "gap.parquet"))
    assert "pyarrow" in sys.modules


def test_a_class_that_training_lacks_is_told(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    rows = [f"{row},{'abc'[row // 50]}" for row in range(120)]
    path.write_text("\n".join(["n,y", *rows]))
    data = load_dataset(str(path), window=4)
    said = next(note for note in data.notes if "in no training sample" in note)
    assert said == (
        f"1 of 3 classes is in no training sample, since {path} is split in time: 2; "
        "--group-column splits by what its rows belong to"
    )


def test_windows_fit_a_model(tmp_path: Path) -> None:
    data = load_dataset(series(tmp_path / "s.csv"), window=10, window_step=5, **COLUMNS)
    fitted = data.for_model({"x": (None, 10, 2)}, {"y": (None, 2)})
    assert fitted.values(fitted.test, np.arange(3))["x"].shape == (3, 10, 2)
    assert fitted.python_snippet() == ("", (), "")
    assert fitted.sample_shape == (10, 2)
    with pytest.raises(DataError, match=r"shape \(12, 2\); received samples of \(10, 2\)"):
        data.for_model({"x": (None, 12, 2)})
