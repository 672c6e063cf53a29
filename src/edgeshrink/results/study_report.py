"""What a study found: its tables, and what the publication claims in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from edgeshrink.recipes import Column, Figure
from edgeshrink.results.claims import ClaimFound
from edgeshrink.results.study_row import RowFound

STUDY_SCHEMA = 2


@dataclass(frozen=True)
class TableFound:
    """A table with what was found for it.

    Attributes:
        name: as the publication calls it.
        title: what it shows.
        note: a sentence under the table; empty for none.
        columns: in their order.
        rows: in their order, each with a cell for each column.
        figure: what is drawn of it, or None.
        claims: what the publication says of its rows, held against ours.
    """

    name: str
    title: str
    note: str
    columns: tuple[Column, ...]
    rows: tuple[RowFound, ...]
    figure: Figure | None = None
    claims: tuple[ClaimFound, ...] = ()


@dataclass(frozen=True)
class StudyReport:
    """All tables of a study.

    Attributes:
        title: of the study.
        cite: the publication.
        command: what was typed.
        tables: in their order.
        built: how each model that is no file was made, by its name in commands.
        machines: each device in words: processor, cores, system, runtime.
        versions: of what took part, by distribution.
        notes: sentences on the whole.
        lost: a device was unreachable or lost.
        schema: of this document.
    """

    title: str
    cite: str
    command: str
    tables: tuple[TableFound, ...]
    built: Mapping[str, str] = field(default_factory=dict)
    machines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    lost: bool = False
    schema: int = STUDY_SCHEMA

    @property
    def failed(self) -> bool:
        """Whether a row failed."""
        return any(row.failed for table in self.tables for row in table.rows)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values; cells are by key of their column, with their difference."""
        document = asdict(self)
        for written, table in zip(document["tables"], self.tables, strict=True):
            for line, row in zip(written["rows"], table.rows, strict=True):
                line["cells"] = {
                    column.key: {**asdict(cell), "difference": cell.difference}
                    for column, cell in zip(table.columns, row.cells, strict=True)
                }
        return document
