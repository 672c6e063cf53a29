"""Reports and studies as pages of HTML that need nothing beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from edgeshrink.api import (
    Package,
    Report,
    SearchReport,
    SensitivityReport,
    StudyReport,
    TableFound,
    search_cells,
    search_heads,
    search_summary,
    summary,
)
from edgeshrink_reports import further, learning, markdown, searches, studies

MATPLOTLIB = Package("matplotlib", "figures in reports: curves of trainings and studies")
PANDAS = Package("pandas", "to_pandas() of reports in Python")
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem;
  color: #1c1c1c; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #ccc; padding: .3rem .5rem; text-align: right; }
th { font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; min-width: 8rem; }
pre { background: #f5f5f5; padding: .8rem; overflow-x: auto; font-size: 13px; }
svg { max-width: 100%; height: auto; }
li { margin: .2rem 0; }
"""


def report_page(report: Report) -> str:
    """Return the page of a run."""
    rows = report.ledger.rows
    told = [markdown.cells_of(report, row) for row in rows]
    notes = [*report.notes, *(note for row in rows for note in row.notes)]
    parts = [f"<p><strong>Not met:</strong> {escape(report.failed)}</p>"] if report.failed else []
    parts += [_list(summary(report)), f"<pre>$ {escape(report.command)}</pre>"]
    parts.append(_table(markdown.heads_of(rows), told))
    if any(row.merits for row in rows):
        cells = [further.merit_cells(rows, row) for row in rows]
        parts += ["<h2>Figures of merit</h2>", _table(further.merit_heads(rows), cells)]
    if learned := learning.trainings(rows):
        cells = [learning.cells(one) for one in learned]
        parts += ["<h2>Training</h2>", _table(learning.HEADS, cells), _curves(learned)]
        parts.append(f"<p>{escape(learning.FOOTNOTE)}</p>")
    if found := report.robustness:
        heads, cells = further.robustness_heads(found), further.robustness_cells(found)
        parts += ["<h2>Robustness</h2>", _table(heads, cells)]
        parts.append(f"<p>{escape(further.robustness_footnote(found))}</p>")
    parts += [_list(notes), f"<h2>Recipe</h2><pre>{escape(report.recipe)}</pre>"]
    return _page(report.output, parts)


def compare_page(reports: Mapping[str, Report]) -> str:
    """Return the page of several runs: base and result of each."""
    heads = markdown.heads_of([row for report in reports.values() for row in report.ledger.rows])
    rows = [
        [name, *markdown.cells_of(report, report.ledger.rows[place])]
        for name, report in reports.items()
        for place in dict.fromkeys((0, len(report.ledger.rows) - 1))
    ]
    return _page("Results side by side", [_table(["report", *heads], rows)])


def study_page(found: StudyReport) -> str:
    """Return the page of a study."""
    parts = [f"<p>{escape(found.cite)}</p>" if found.cite else ""]
    parts.append(f"<p>{escape(studies.sentences(found))}</p>")
    for table in found.tables:
        parts.append(f"<h2>Table {escape(table.name)}: {escape(table.title)}</h2>")
        parts.append(_table(studies.heads(table), [studies.cells(table, r) for r in table.rows]))
        parts.append(_figure(table))
        if lines := studies.contradictions_of(table):
            parts += [f"<p><strong>{escape(studies.CONTRADICTS)}</strong></p>", _list(lines)]
        parts.append(_list(studies.notes_of(table)))
        if commands := studies.commands_of(table):
            parts.append(f"<pre>{escape(chr(10).join(commands))}</pre>")
    parts += ["<h2>Made with</h2>", _list([found.command, *studies.made_with(found)])]
    return _page(found.title, parts)


def search_page(found: SearchReport) -> str:
    """Return the page of a search."""
    parts = [f"<p><strong>Not met:</strong> {escape(found.failed)}</p>"] if found.failed else []
    parts += [_list(search_summary(found)), f"<pre>$ {escape(found.command)}</pre>"]
    if found.front:
        parts += ["<h2>Front</h2>", _table(search_heads(found), search_cells(found))]
        parts.append(_front(found))
    parts += ["<h2>All recipes</h2>", _table(searches.ALL, searches.rows(found))]
    parts.append(f"<h2>Space</h2><pre>{escape(found.space)}</pre>")
    return _page(f"Search: {found.model}", parts)


def _front(found: SearchReport) -> str:
    try:
        return searches.drawn(found)
    except ImportError:
        return _not_drawn()


def sensitivity_page(report: SensitivityReport) -> str:
    """Return the page of what layers bear: the figure, and a table for each method."""
    kind = "made-up" if report.synthetic else "validation"
    base = f"; {report.score.title} {report.score.value:.4g}" if report.score else ""
    parts = [f"<p>{report.samples:,} {kind} samples{escape(base)}</p>", _layers(report)]
    score = [report.score.title] if report.score else []
    heads = ["layer", "strength", *score, "divergence", "agreement", "bytes saved", "MACs saved"]
    for method, strengths in report.methods.items():
        rows = [
            [
                layer.layer,
                strengths.said(effect.strength),
                *(["–" if effect.score is None else f"{effect.score:.4g}"] if score else []),
                f"{effect.divergence:.3g}",
                "–" if effect.agreement is None else f"{100 * effect.agreement:.1f} %",
                f"{effect.bytes_saved:,}",
                f"{effect.macs_saved:,}",
            ]
            for layer in report.layers
            for effect in layer.of(method)
        ]
        parts += [f"<h2>{escape(method)}: {escape(strengths.unit)}</h2>", _table(heads, rows)]
    return _page(f"What the layers of {report.model} bear", parts)


def _not_drawn() -> str:
    return (
        "<p>The figure is not drawn: matplotlib is not installed "
        f"({escape(MATPLOTLIB.install)}).</p>"
    )


def _curves(found: Sequence[learning.Training]) -> str:
    try:
        from edgeshrink_reports.curves import drawn
    except ImportError:
        return _not_drawn()
    return drawn(found)


def _layers(report: SensitivityReport) -> str:
    try:
        from edgeshrink_reports.layers import element
    except ImportError:
        return _not_drawn()
    return element(report)


def _figure(table: TableFound) -> str:
    if table.figure is None:
        return ""
    try:
        from edgeshrink_reports.plot import drawn
    except ImportError:
        return _not_drawn()
    return drawn(table) or "<p>The figure is not drawn: none of its points was measured yet.</p>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(t)}</td>' for t in row)}</tr>\n" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"


def _cell(text: str) -> str:
    """Return a cell whose lines break between figures, not within one or its interval."""
    return escape(text).replace(" %", "\u00a0%").replace("–", "\u2060–\u2060")


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>\n" for line in lines)
    return f"<ul>\n{items}</ul>" if items else ""


def _page(title: str, parts: Iterable[str]) -> str:
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
    )
