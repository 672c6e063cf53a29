"""A report as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgeshrink.api import in_markdown, summary
from edgeshrink_reports import further, learning

if TYPE_CHECKING:
    from edgeshrink.api import Latency, OnDevice, Report, Robustness, Row, Score

NONE = "–"
HEADS = (
    "stage",
    "weights",
    "non-zero",
    "MACs",
    "bytes",
    "deflated",
    "on disk",
    "download",
    "{metric} [95 %]",
    "agreement",
    "latency {devices}",
    "seconds",
)


def render(report: Report) -> str:
    """Return a whole report: what was done, the ledger, notes, and how to do it again."""
    rows = report.ledger.rows
    parts = [
        f"# {code(report.output)}",
        *([f"**Not met:** {in_markdown(report.failed)}"] if report.failed else ()),
        "\n".join(f"- {in_markdown(line)}" for line in summary(report)),
        f"Made from {code(report.model)} for {', '.join(map(in_markdown, report.devices))}:",
    ]
    parts.append(fenced("console", f"$ {report.command}"))
    heads = heads_of(rows)
    parts.append(_table(heads, [_shown(cells_of(report, row)) for row in rows], text_columns=1))
    parts.append(_footnote(report))
    if any(row.merits for row in rows):
        parts.append("## Figures of merit\n\n" + _merits(rows))
    if learned := learning.trainings(rows):
        parts.append("## Training\n\n" + _training(learned))
    if report.robustness:
        parts.append("## Robustness\n\n" + _robustness(report.robustness))
    notes = [*report.notes, *(note for row in rows for note in row.notes)]
    if notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {in_markdown(note)}" for note in notes))
    if report.data:
        parts.append("## Data\n\n" + _data(report.data))
    parts.append("## Recipe\n\n" + fenced("toml", report.recipe))
    if report.snippet:
        parts.append("## Use\n\n" + fenced("python", report.snippet))
    if report.versions:
        said = ", ".join(
            f"{in_markdown(name)} {in_markdown(v)}" for name, v in report.versions.items()
        )
        parts.append(f"Made with {said}.")
    return "\n\n".join(parts) + "\n"


def _merits(rows: Sequence[Row]) -> str:
    cells = [_shown(further.merit_cells(rows, row)) for row in rows]
    return _table(further.merit_heads(rows), cells, text_columns=1)


def _training(found: Sequence[learning.Training]) -> str:
    cells = [[in_markdown(text) for text in learning.cells(one)] for one in found]
    return f"{_table(learning.HEADS, cells, text_columns=2)}\n\n{learning.FOOTNOTE}"


def _robustness(found: Robustness) -> str:
    heads, cells = further.robustness_heads(found), map(_shown, further.robustness_cells(found))
    table = _table(heads, cells, text_columns=1)
    return f"{table}\n\n{in_markdown(further.robustness_footnote(found))}"


def compare(reports: Mapping[str, Report]) -> str:
    """Return a table with the base and the result of each report."""
    heads = heads_of([row for report in reports.values() for row in report.ledger.rows])
    rows = []
    for name, report in reports.items():
        for row in dict.fromkeys((0, len(report.ledger.rows) - 1)):
            stage, *cells = _shown(cells_of(report, report.ledger.rows[row]))
            rows.append([in_markdown(name), stage, *cells])
    return _table(["report", *heads], rows, text_columns=2) + "\n"


def cells_of(report: Report, row: Row) -> list[str]:
    """Return a stage as text, in the order of `heads_of`."""
    scored = row.score
    change = " *" if row.significant else ""
    return [
        row.step,
        f"{row.parameters:,}" if row.parameters else NONE,
        f"{100 * (1 - row.sparsity):.1f} %" if row.parameters else NONE,
        f"{row.macs:,}" if row.parameters else NONE,
        f"{row.size_bytes:,}",
        f"{row.compressed_bytes:,}",
        f"{report.ledger.on_disk(row):.2f}×",
        f"{report.ledger.download(row):.2f}×",
        "; ".join((f"{_score(scored)}{change}", *map(_titled, row.beside))) if scored else NONE,
        f"{100 * row.agreement.share:.2f} %" if row.agreement else NONE,
        " / ".join(map(_on_device, row.on)) or NONE,
        "reused" if row.reused else f"{row.seconds:.1f}",
    ]


def heads_of(rows: Sequence[Row]) -> list[str]:
    """Return what stands over the columns of the ledger."""
    metrics = dict.fromkeys(row.score.title for row in rows if row.score)
    devices = dict.fromkeys(one.device for row in rows for one in row.on)
    return [
        head.format(metric=" or ".join(metrics) or "score", devices=" / ".join(devices)).strip()
        for head in HEADS
    ]


def _shown(cells: Sequence[str]) -> list[str]:
    stage, *rest = cells
    return [in_markdown(stage), *rest]


def _on_device(one: OnDevice) -> str:
    if one.latency:
        return _latency(one.latency)
    return one.untimed


def _data(data: Mapping[str, Any]) -> str:
    said = [
        f"- {in_markdown(key)}: {in_markdown(_words(value))}"
        for key, value in data.items()
        if value
    ]
    return "\n".join(said)


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(item)}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _titled(score: Score) -> str:
    return f"{score.title} {_score(score)}"


def _score(score: Score) -> str:
    if score.share:
        return f"{100 * score.value:.2f} % [{100 * score.low:.2f}–{100 * score.high:.2f}]"
    return f"{score.value:.4g} [{score.low:.4g}–{score.high:.4g}]"


def _latency(latency: Latency) -> str:
    micro = latency.median_ms < 0.1
    scale, unit = (1e3, "µs") if micro else (1.0, "ms")
    text = f"{latency.median_ms * scale:.3g} ±{latency.standard_error_ms * scale:.2g} {unit}"
    return text if latency.valid else f"{text} (not valid)"


def _footnote(report: Report) -> str:
    imitated = report.ledger.imitated
    said = [
        "non-zero: share of the weights; deflated: bytes after deflate at level 9; on disk: "
        f"{report.ledger.weight_bytes:,} bytes "
        f"({'the file of the base' if imitated else '4 for each weight of the base'}) over the "
        f"file's; download: {report.ledger.uncompressed.compressed_bytes:,} deflated bytes of the "
        f"{'same' if imitated else 'float'} file over deflated"
    ]
    if any(row.significant for row in report.ledger.rows):
        said.append("\\*: differs from the base by more than chance (p < 0.05)")
    if not any(row.score for row in report.ledger.rows):
        said.append("accuracy NOT measured: there are no labels")
    timed = {
        o.device: (o.latency.threads, o.kernels or "unknown")
        for row in report.ledger.rows
        for o in row.on
        if o.latency
    }
    said += [
        f"latency: median ± standard error on {in_markdown(device)}, threads: {threads}, kernels: "
        f"{in_markdown(kernels)}"
        for device, (threads, kernels) in timed.items()
    ]
    emulated = {o.device: o.emulated for row in report.ledger.rows for o in row.on if o.emulated}
    said += [
        f"{in_markdown(device)}: {in_markdown(why)}; its times are not shown"
        for device, why in emulated.items()
    ]
    said += [
        f"{in_markdown(row.step)} on {in_markdown(one.device)}: {in_markdown(str(one.estimate))}"
        for row in report.ledger.rows
        for one in row.on
        if one.estimate
    ]
    return ". ".join(s[0].upper() + s[1:] for s in said) + "."


# an underscore that can begin or end emphasis; one within a word cannot
OUTER = r"(?<!\w)_|_(?!\w)"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int) -> str:
    rule = ["---"] * text_columns + ["---:"] * (len(heads) - text_columns)
    top = list(map(in_cell, heads))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (top, rule, *rows))


def fenced(language: str, text: str) -> str:
    """Return a code block whose fence is longer than any within the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def in_cell(text: str) -> str:
    """Return a text of ours, with a name in it, as a cell: neither tags nor further cells."""
    return re.sub(rf"([\\*|<`]|{OUTER})", r"\\\1", " ".join(text.splitlines()))


def code(text: str) -> str:
    """Return a text as code in one line; in tables a bar would end the cell."""
    text = " ".join(text.splitlines())
    fence = "`"
    while fence in text:
        fence += "`"
    return f"{fence}{text}{fence}" if len(fence) == 1 else f"{fence} {text} {fence}"
