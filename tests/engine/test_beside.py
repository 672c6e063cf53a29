"""What lies beside a result is of that result: nothing of an earlier one, or of another, stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeshrink import cli
from edgeshrink.engine.planning.beside import told_beside


def lies(folder: Path, told: str) -> None:
    (folder / "small.report.json").write_text(json.dumps({"output": told}))


@pytest.mark.parametrize(
    ("told", "there", "found"),
    [
        ("small.tflite", "small.tflite", True),
        ("runs/small.tflite", "small.tflite", True),  # as it was written, seen from elsewhere
        ("small.tflite", "", False),  # removed since
        ("small.esz", "small.esz", False),  # the result itself
        ("other.tflite", "other.tflite", False),  # its report was renamed
        ("small.npz", "small.npz", False),
    ],
)
def test_a_report_of_another_result_is_seen(
    told: str, there: str, found: bool, tmp_path: Path
) -> None:
    lies(tmp_path, told)
    if there:
        (tmp_path / there).touch()
    assert told_beside(tmp_path / "small.esz") == (tmp_path / "small.tflite" if found else None)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"output": 5}', '{"output": ""}', "\0"])
def test_what_is_no_report_stops_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "small.tflite").touch()
    (tmp_path / "small.report.json").write_text(text)
    assert told_beside(tmp_path / "small.esz") is None


@pytest.mark.parametrize("command", ["report", "check"])
def test_a_report_of_another_kind_of_output_is_not_taken(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lies(tmp_path, "small.esz")
    more = ["--max-bytes", "1MB"] if command == "check" else []
    assert cli.run([command, str(tmp_path / "small.tflite"), *more]) == 2
    error = capsys.readouterr().err
    assert "small.report.json tells of small.esz, not of small.tflite" in error
    assert "hint:  name small.esz or small.report.json" in error


@pytest.mark.heavy
def test_what_an_earlier_result_had_beside_it_is_gone(
    digits_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, packed = tmp_path / "small.tflite", tmp_path / "small.esz"
    shared = ["compress", str(digits_model), "--dynamic", "--rules", "smoke"]
    shared += ["--max-drop", "none", "-o"]
    assert cli.run([*shared, str(out)]) == 0
    assert out.with_suffix(".names.json").is_file()
    out.with_suffix(".search.md").touch()  # of a search before
    capsys.readouterr()
    assert cli.run([*shared, str(out), "--no-strip", "--force"]) == 0
    told = "".join(capsys.readouterr().out.split())  # lines are wrapped
    assert "small.recipe.toml" in told
    assert "small.search.md" not in told  # which it did not write
    assert not out.with_suffix(".names.json").exists()  # its names are of another file
    assert out.with_suffix(".infer.py").is_file()

    assert cli.run([*shared, str(packed), "--pack"]) == 2
    error = capsys.readouterr().err
    assert "what small.esz gets beside it, such as small.report.json, is there for" in error
    assert "hint:  -o with another name keeps both" in error
    assert cli.run([*shared, str(packed), "--pack", "--force"]) == 0
    assert not out.with_suffix(".infer.py").exists()  # it would run small.tflite
    assert json.loads(out.with_suffix(".report.json").read_text())["output"] == str(packed)
