"""A report of a stranger's: each place in it with a value of another type is a sentence."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fuzz import seeds, trees

from edgeshrink import cli
from edgeshrink.texts import shown

ODD: tuple[Any, ...] = (None, True, -1, 10**30, 0.5, "x", "\x1b[31m<b>|", [], [1], {}, {"x": 1})


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("seeds")
    seeds._reports(folder)
    return json.loads((folder / "report" / "run.report.json").read_text())


def test_a_whole_report_is_told(document: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.report.json"
    file.write_text(json.dumps(document))
    for form in ("table", "markdown", "html", "json"):
        assert cli.run(["report", str(file), "--format", form]) == 0


@pytest.mark.heavy
def test_every_place_with_another_type_is_a_sentence(
    document: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.report.json"
    found = list(trees.places(document))
    for number, (holder, key) in enumerate(found):
        kept = holder[key]
        for turn in range(3):
            holder[key] = ODD[(number + 4 * turn) % len(ODD)]
            file.write_text(json.dumps(document))
            for form in ("table", "markdown", "html"):
                code = cli.run(["report", str(file), "--format", form])
                told = capfd.readouterr()
                assert code in (0, 1), (key, holder[key])
                assert "unexpected" not in told.err, (key, holder[key], told.err)
                assert shown(told.out + told.err) == told.out + told.err
                tags = re.sub(r"```.*?```|`[^`\n]*`|\\<b>", "", told.out, flags=re.DOTALL)
                assert form == "table" or "<b>" not in tags, (form, key)
        holder[key] = kept


@pytest.mark.parametrize("text", ["", "[]", "5", '{"schema": 3', "[" * 5000, '{"schema": []}'])
def test_what_is_no_report_is_a_sentence(
    text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.report.json"
    file.write_text(text)
    assert cli.run(["report", str(file)]) == 1
    assert "unexpected" not in capfd.readouterr().err
