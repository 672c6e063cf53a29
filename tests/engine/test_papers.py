"""The papers' tables: every row that contradicts its paper says why, and no other row does."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from paths import ROOT

from edgeshrink.engine.studies.grid import Grid
from edgeshrink.engine.studies.retelling import retold
from edgeshrink.engine.studies.study_request import StudyRequest
from edgeshrink.plugins import installed
from edgeshrink.recipes import Study
from edgeshrink.recipes.column import OF_LAYERS

FILES = sorted((ROOT / "benchmarks" / "papers").glob("*.toml"))
TABLES = ROOT / "benchmarks" / "results" / "papers"


def found(path, text=None):
    """Return a study's tables with the figures that were written, in the words of now."""
    text = path.read_text(encoding="utf-8") if text is None else text
    grid = Grid(StudyRequest(path), Study.from_toml(text), installed())
    return retold(grid, TABLES / f"{path.stem}.json")


def wrong(report):
    """Return the claims whose reason is missing, and those whose reason nothing asks for."""
    claims = [(table.name, claim) for table in report.tables for claim in table.claims]
    unexplained = [
        f"{table}: {change.label} beside {claim.against or 'nothing'}: {change.column}"
        for table, claim in claims
        if not claim.why
        for change in claim.differing
    ]
    idle = [f"{table}: {claim.why}" for table, claim in claims if claim.why and not claim.differing]
    return unexplained, idle


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_row_that_contradicts_its_paper_says_why_and_no_other_does(path):
    unexplained, idle = wrong(found(path))
    assert unexplained == []
    assert idle == []


def test_a_reason_that_is_taken_away_is_missed():
    path = TABLES.parents[1] / "papers" / "shah.toml"
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith('why = "They conclude')]
    unexplained, idle = wrong(found(path, "\n".join(lines)))
    assert unexplained
    assert all(said.startswith("III: Quantized") and said.endswith(": ms") for said in unexplained)
    assert idle == []


def test_a_reason_that_no_row_asks_for_is_told():
    path = TABLES.parents[1] / "papers" / "shah.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    place = lines.index('rows = ["Scheduled*"]') + 1
    lines.insert(place, 'why = "Nothing differs here."')
    unexplained, idle = wrong(found(path, "\n".join(lines)))
    assert unexplained == []
    assert idle == ["II: Nothing differs here."]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_published_figure_is_held_against_ours(path):
    missed = []
    for table in found(path).tables:
        held = {(change.label, change.column) for c in table.claims for change in c.changes}
        held |= {(claim.against, column.key) for claim in table.claims for column in table.columns}
        missed += [
            f"{table.name}: {row.label}: {column.key}"
            for row in table.rows
            for column, cell in zip(table.columns, row.cells, strict=True)
            if cell.published is not None
            and cell.ours is not None
            and (row.label, column.key) not in held
            # a count is right or wrong by itself
            and not (column.measure in OF_LAYERS and cell.difference == 0)
        ]
    assert missed == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_pages_are_what_the_study_says_now(path):
    """Mended by: edgeshrink study FILE -o benchmarks/results/papers --retell."""
    report = found(path)
    written = json.loads((TABLES / f"{path.stem}.json").read_text(encoding="utf-8"))
    # that code has changed since is told when tables are written, and not with every change of it
    stale = {(t["name"], r["label"]): r["stale"] for t in written["tables"] for r in t["rows"]}
    tables = tuple(
        replace(t, rows=tuple(replace(r, stale=stale[t.name, r.label]) for r in t.rows))
        for t in report.tables
    )
    report = replace(report, tables=tables)
    page = installed().reporters["markdown"]().study(report)
    assert (TABLES / f"{path.stem}.md").read_text(encoding="utf-8") == page
    assert json.loads(json.dumps(report.as_dict())) == written


def test_labels_promise_what_the_recipes_do():
    study = {path.stem: Study.read(path) for path in FILES}
    for filled in study["choudhary"].tables:
        for row in filled.rows:
            if "slimming" in row.label and row.recipe:
                assert "theirs: slimming" in row.label
            if row.recipe.startswith("binary"):
                assert "one-bit weights" in row.label
                assert "activations" in " ".join(study["choudhary"].otherwise(row))
    for filled in study["lalwani"].tables:
        for row in filled.rows:
            if row.recipe.startswith(("dense", "both")):
                assert "all layers" in " ".join(study["lalwani"].otherwise(row))
