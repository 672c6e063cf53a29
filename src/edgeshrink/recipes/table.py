"""A table of a study: its rows with published values, its figure, and what is claimed in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from edgeshrink.errors import UsageError, near
from edgeshrink.flag import Flag, build
from edgeshrink.recipes.column import MEASURES, OF_LAYERS, Column
from edgeshrink.texts import shortly


@dataclass(frozen=True)
class StudyRow:
    """A row of a table: where its figures come from, and what was published."""

    label: Annotated[str, Flag("What stands before the row.")]
    model: Annotated[str, Flag("A name under [models].")] = ""
    recipe: Annotated[str, Flag("A name under [recipes]; empty for the base as it is.")] = ""
    at: Annotated[
        str, Flag("A stage of the run: file (the last), float, base, or a step's name.")
    ] = "file"
    layers: Annotated[
        tuple[str, ...], Flag("Weights and MACs are of the layers that these patterns fit.")
    ] = ()
    published: Annotated[Mapping[str, float], Flag("Values by column.")] = field(
        default_factory=dict
    )
    unlike: Annotated[str, Flag("What is done otherwise than in the publication.")] = ""
    left_out: Annotated[str, Flag("Why the row is not run.")] = ""
    series: Annotated[str, Flag("The curve of the figure that it belongs to.")] = ""
    x: Annotated[float | None, Flag("Its place along the figure.")] = None


@dataclass(frozen=True)
class Claim:
    """A change that a publication tells: of some rows, seen beside one row of their table."""

    against: Annotated[
        str, Flag("The row that others are seen beside; empty where figures are changes already.")
    ] = ""
    rows: Annotated[tuple[str, ...], Flag("Patterns of labels; empty for every other row.")] = ()
    columns: Annotated[tuple[str, ...], Flag("Columns; empty for all.")] = ()
    says: Annotated[
        Literal["", "up", "kept", "down"],
        Flag("The change that the publication tells, where it prints no figures."),
    ] = ""
    why: Annotated[str, Flag("Why ours differ; to be given where they do, and only there.")] = ""

    def fits(self, label: str) -> bool:
        """Whether it is of the row with this label."""
        patterns = self.rows or ("*",)
        return label != self.against and any(fnmatchcase(label, p) for p in patterns)


@dataclass(frozen=True)
class Figure:
    """A figure of a table: a column against a column, or against the rows' own `x`."""

    x: Annotated[str, Flag("A column, or what the rows' x is called.")]
    y: Annotated[str, Flag("A column.")]
    scale: Annotated[Literal["linear", "log"], Flag("Of the x axis.")] = "linear"


@dataclass(frozen=True)
class Table:
    """Rows with the same columns.

    Attributes:
        seeds: of its runs; empty for the study's.
    """

    name: Annotated[str, Flag("As the publication calls it.")]
    title: Annotated[str, Flag("What it shows.")]
    columns: Annotated[tuple[str, ...], Flag("Measures, as `Column` reads them.")]
    note: Annotated[str, Flag("A sentence under the table.")] = ""
    seeds: Annotated[tuple[int, ...], Flag("Seeds of its runs.", min=0)] = ()


@dataclass(frozen=True)
class Filled:
    """A table with its rows, columns, figure, and what the publication claims in it."""

    table: Table
    columns: tuple[Column, ...]
    rows: tuple[StudyRow, ...]
    figure: Figure | None
    claims: tuple[Claim, ...] = ()


def filled(given: Mapping[str, Any], devices: tuple[str, ...]) -> Filled:
    """Return a table that is written in a study.

    Raises:
        UsageError: it names a key, column, row or value that does not exist.
    """
    owner = f"table {given.get('name', '?')!r}"
    inner = ("rows", "figure", "claims")
    table = build(Table, {k: v for k, v in given.items() if k not in inner}, owner)
    columns = tuple(Column.parse(text, devices) for text in table.columns)
    rows = []
    for row in tables_of(given.get("rows"), f"{owner}: rows"):
        where = f"{owner}, row {row.get('label', '?')!r}"
        rows.append(build(StudyRow, row, where))
        _check_row(rows[-1], columns, where)
    figure = (
        build(Figure, table_of(given["figure"], owner), f"{owner}: figure")
        if "figure" in given
        else None
    )
    if figure is not None and figure.y not in (keys := [c.key for c in columns]):
        raise UsageError(f"{owner}: figure.y {figure.y!r} is no column", hint=near(figure.y, keys))
    claims = tuple(
        build(Claim, claim, f"{owner}: claims")
        for claim in (tables_of(given["claims"], f"{owner}: claims") if "claims" in given else ())
    )
    for claim in claims:
        _check_claim(claim, columns, rows, f"{owner}: claims")
    return Filled(table, columns, tuple(rows), figure, claims)


def _check_claim(
    claim: Claim, columns: tuple[Column, ...], rows: list[StudyRow], where: str
) -> None:
    keys = {column.key: MEASURES[column.measure] for column in columns}
    labels = [row.label for row in rows]
    for key in claim.columns:
        check_known(key, keys, f"{where}: column")
    if claim.against:
        check_known(claim.against, dict.fromkeys(labels), f"{where}: against")
    elif odd := [key for key in claim.columns or keys if not keys[key].in_points]:
        raise UsageError(f"{where}: {', '.join(odd)} needs a row that it is against")
    for pattern in claim.rows:
        if not any(fnmatchcase(label, pattern) for label in labels):
            raise UsageError(f"{where}: no row fits {pattern!r}", hint=near(pattern, labels))


def _check_row(row: StudyRow, columns: tuple[Column, ...], where: str) -> None:
    keys = [column.key for column in columns]
    for key, value in row.published.items():
        if key not in keys:
            raise UsageError(f"{where}: published {key!r} is no column", hint=near(key, keys))
        if not math.isfinite(value):
            raise UsageError(f"{where}: published {key} must be finite; received {value}")
    if not row.left_out and not row.model:
        raise UsageError(f"{where} needs a model, or left_out that says why there is none")
    odd = [c.key for c in columns if row.layers and c.measure not in OF_LAYERS]
    if odd:
        raise UsageError(f"{where}: layers have {', '.join(OF_LAYERS)}; received {', '.join(odd)}")


def check_known(name: str, among: Mapping[str, Any], where: str) -> None:
    """Refuse a name that is not among others."""
    if name not in among:
        hint = near(name, among) if among else "there are none"
        raise UsageError(f"{where} {name!r} does not exist", hint=hint)


def table_of(value: Any, where: str) -> Mapping[str, Any]:
    """Return a TOML table, refusing anything else."""
    if not isinstance(value, dict):
        raise UsageError(f"{where} must be a table; received {shortly(value)}")
    return value


def tables_of(value: Any, where: str) -> list[Mapping[str, Any]]:
    """Return a list of TOML tables with one at least, refusing anything else."""
    if not isinstance(value, list) or not value or not all(isinstance(v, dict) for v in value):
        raise UsageError(
            f"{where} must be a list of tables, one at least; received {shortly(value)}"
        )
    return value
