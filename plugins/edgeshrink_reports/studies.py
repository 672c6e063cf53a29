"""The tables of a study: ours, the published value and the difference for each column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from edgeshrink.api import (
    MEASURES,
    Cell,
    Column,
    RowFound,
    StudyReport,
    TableFound,
    in_markdown,
)
from edgeshrink_reports.footnotes import footnotes
from edgeshrink_reports.markdown import code, fenced, in_cell

NONE = "–"
CONTRADICTS = "Where ours differs from the publication:"


def markdown(found: StudyReport) -> str:
    """Return a study as Markdown."""
    parts = [f"# {in_markdown(found.title)}"]
    parts += [f"Beside: {in_markdown(found.cite)}"] if found.cite else []
    parts += [_marked(found)]
    for table in found.tables:
        parts += [f"## Table {in_markdown(table.name)}: {in_markdown(table.title)}", _table(table)]
        if lines := contradictions_of(table):
            parts += [f"**{CONTRADICTS}**", _list(lines)]
        if notes := list(notes_of(table)):
            parts.append(_list(notes))
        if commands := commands_of(table):
            parts.append(fenced("console", "\n".join(commands)))
    made = [code(found.command)] if found.command else []
    made += map(in_markdown, made_with(found))
    parts.append("## Made with\n\n" + "\n".join(f"- {line}" for line in made))
    return "\n\n".join(parts) + "\n"


def sentences(found: StudyReport) -> str:
    """Return what must be known to read the tables."""
    cells = (cell for table in found.tables for row in table.rows for cell in row.cells)
    beside = any(cell.published is not None for cell in cells)
    said = [
        f"In each column: ours [95 % interval]{', the published value, the difference' * beside}.",
        "The interval is over seeds (Student's t) where there are several, else over test "
        "samples. A latency is of the first seed's file, its interval of the mean over runs.",
    ]
    if any(footnotes(table) for table in found.tables):
        said.append("A letter behind a row is that of a sentence under its table.")
    return " ".join([*said, *(_sentence(note) for note in found.notes)])


def _marked(found: StudyReport) -> str:
    return sentences(replace(found, notes=tuple(map(in_markdown, found.notes))))


def heads(table: TableFound) -> list[str]:
    """Return what stands over the columns."""
    return ["", *(column.head for column in table.columns)]


def cells(table: TableFound, row: RowFound) -> list[str]:
    """Return a row as text, its label first, with the letters of what is said of it."""
    letters = ", ".join(note.letter for note in footnotes(table) if row.label in note.labels)
    label = f"{row.label} ({letters})" if letters else row.label
    return [label, *(_cell(*pair) for pair in zip(table.columns, row.cells, strict=True))]


def contradictions_of(table: TableFound) -> list[str]:
    """Return a sentence for each claim of the publication that ours do not bear out."""
    return [note.line for note in footnotes(table) if note.contradicts]


def notes_of(table: TableFound) -> Iterator[str]:
    """Yield further sentences on a table: its own, what is missing, done otherwise or doubted."""
    if table.note:
        yield table.note
    yield from (note.line for note in footnotes(table) if not note.contradicts)


def commands_of(table: TableFound) -> list[str]:
    """Return the commands of a table, each once."""
    return list(dict.fromkeys(row.command for row in table.rows if row.command))


def made_with(found: StudyReport) -> Iterator[str]:
    """Yield what the figures come from beside the command: models, machines, versions."""
    yield from (f"{name}: {how}" for name, how in found.built.items())
    for name, machine in found.machines.items():
        yield f"{name}: " + ", ".join(f"{key} {value}" for key, value in machine.items())
    yield ", ".join(f"{name} {version}" for name, version in found.versions.items())


def number(column: Column, value: float) -> str:
    """Return a figure with the decimals of its column."""
    return f"{value:,.{MEASURES[column.measure].places}f}"


def _cell(column: Column, cell: Cell) -> str:
    if cell.ours is None:
        ours = "not told" if cell.doubt else NONE
    else:
        ours = number(column, cell.ours.mean) + ("?" if cell.doubt else "")
        low, high = cell.ours.low, cell.ours.high
        if low is not None and high is not None and number(column, low) != number(column, high):
            ours += f" [{number(column, low)}–{number(column, high)}]"
    if cell.published is None:
        return ours
    told = f"{ours} / {number(column, cell.published)}"
    if cell.difference is None:
        return told
    sign = "+" if cell.difference >= 0 else "−"
    return f"{told} / {sign}{number(column, abs(cell.difference))}"


def _table(table: TableFound) -> str:
    lines = [[in_cell(text) for text in heads(table)], ["---"] + ["---:"] * len(table.columns)]
    for row in table.rows:
        label, *figures = cells(table, row)
        lines.append([in_markdown(label), *map(in_cell, figures)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {in_markdown(line)}" for line in lines)


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
