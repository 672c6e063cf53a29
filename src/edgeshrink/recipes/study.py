"""A study: a grid of models, recipes and seeds, in tables whose rows carry published values."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from edgeshrink.errors import StudyError, UsageError, near
from edgeshrink.flag import Flag, build
from edgeshrink.recipes.column import OF_LAYERS, Column


@dataclass(frozen=True)
class Source:
    """A data set, and what is done to its samples."""

    spec: Annotated[str, Flag("A data set, as --data takes it; paths begin at the root.")]
    preprocess: Annotated[str, Flag("As --preprocess takes it.")] = "none"


@dataclass(frozen=True)
class Base:
    """A model that recipes begin with; one that is built may be trained by a recipe first."""

    data: Annotated[str, Flag("A name under [data].")]
    file: Annotated[str, Flag("A Keras file; paths begin at the root.")] = ""
    build: Annotated[str, Flag("module:function that returns a Keras model.")] = ""
    recipe: Annotated[str, Flag("A name under [recipes]: it makes the base of what is built.")] = ""
    scaled: Annotated[str, Flag("What was made smaller than in the publication.")] = ""

    def __post_init__(self) -> None:
        """Refuse a base that comes from nowhere, or from two places."""
        if bool(self.file) == bool(self.build):
            raise ValueError(
                f"a model has a file or is built; received {self.file!r} and {self.build!r}"
            )

    @property
    def untrained(self) -> bool:
        """Whether its weights are random still."""
        return bool(self.build) and not self.recipe


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
    scaled: Annotated[str, Flag("What was made smaller than in the publication.")] = ""
    left_out: Annotated[str, Flag("Why the row is not run.")] = ""
    series: Annotated[str, Flag("The curve of the figure that it belongs to.")] = ""
    x: Annotated[float | None, Flag("Its place along the figure.")] = None


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
    """A table with its rows, columns and figure."""

    table: Table
    columns: tuple[Column, ...]
    rows: tuple[StudyRow, ...]
    figure: Figure | None


@dataclass(frozen=True)
class Heading:
    """What a study says of itself."""

    title: Annotated[str, Flag("Of the study.")]
    cite: Annotated[str, Flag("The publication.")] = ""
    note: Annotated[str, Flag("What must be known to compare.")] = ""
    seeds: Annotated[tuple[int, ...], Flag("Seeds of every run.", min=0)] = (0,)
    devices: Annotated[tuple[str, ...], Flag("Where files are timed.")] = ("desktop",)
    rules: Annotated[Literal["smoke", "demo", "quick", "mlperf"], Flag("How files are timed.")] = (
        "quick"
    )

    def __post_init__(self) -> None:
        """Refuse a study of nothing."""
        if not self.seeds or not self.devices:
            raise ValueError("a study has a seed and a device at least")


@dataclass(frozen=True)
class Study:
    """What is run, and what it is set beside.

    Attributes:
        recipes: by name, a line of flags or a list of steps.
    """

    heading: Heading
    data: Mapping[str, Source]
    models: Mapping[str, Base]
    recipes: Mapping[str, str | tuple[str, ...]]
    tables: tuple[Filled, ...]

    @classmethod
    def read(cls, path: Path) -> Study:
        """Return the study in a file.

        Raises:
            UsageError: the file cannot be read.
            StudyError: it is no study; the message names file, key and what was received.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"study {str(path)!r} cannot be read: {why}") from None
        return cls.from_toml(text, origin=path.name)

    @classmethod
    def from_toml(cls, text: str, *, origin: str = "study") -> Study:
        """Return the study that is written in a TOML document.

        Raises:
            StudyError: it is not TOML, or names a key or value that does not exist.
        """
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise StudyError(f"{origin} is not TOML: {error}") from error
        try:
            return _study(document)
        except UsageError as error:  # right words, but this is inside a file
            raise StudyError(f"{origin}: {error}", hint=error.hint) from error

    def scaled(self, row: StudyRow) -> tuple[str, ...]:
        """Return the sentences on what was made smaller for a row."""
        of_model = self.models[row.model].scaled if row.model else ""
        return tuple(sentence for sentence in (of_model, row.scaled) if sentence)


def _study(document: Mapping[str, Any]) -> Study:
    parts = {k: document.get(k, {}) for k in ("data", "models", "recipes")}
    for key, part in parts.items():
        if not isinstance(part, dict):
            raise UsageError(f"{key} is written as [{key}.NAME] tables; received {part!r}")
    own = {k: v for k, v in document.items() if k not in (*parts, "tables")}
    heading = build(Heading, own, "a study")
    study = Study(
        heading,
        {name: build(Source, _table(v, name), f"data.{name}") for name, v in parts["data"].items()},
        {
            name: build(Base, _table(v, name), f"models.{name}")
            for name, v in parts["models"].items()
        },
        {name: _recipe(name, said) for name, said in parts["recipes"].items()},
        tuple(_filled(t, heading.devices) for t in _tables(document.get("tables"), "[[tables]]")),
    )
    _check_names(study)
    return study


def _recipe(name: str, said: Any) -> str | tuple[str, ...]:
    if isinstance(said, str):
        return said
    if isinstance(said, list) and all(isinstance(step, str) for step in said):
        return tuple(said)
    raise UsageError(
        f"recipes.{name} must be a line of flags or a list of steps; received {said!r}"
    )


def _filled(given: Mapping[str, Any], devices: tuple[str, ...]) -> Filled:
    owner = f"table {given.get('name', '?')!r}"
    table = build(Table, {k: v for k, v in given.items() if k not in ("rows", "figure")}, owner)
    columns = tuple(Column.parse(text, devices) for text in table.columns)
    rows = []
    for row in _tables(given.get("rows"), f"{owner}: rows"):
        where = f"{owner}, row {row.get('label', '?')!r}"
        rows.append(build(StudyRow, row, where))
        _check_row(rows[-1], columns, where)
    figure = (
        build(Figure, _table(given["figure"], owner), f"{owner}: figure")
        if "figure" in given
        else None
    )
    if figure is not None and figure.y not in (keys := [c.key for c in columns]):
        raise UsageError(f"{owner}: figure.y {figure.y!r} is no column", hint=near(figure.y, keys))
    return Filled(table, columns, tuple(rows), figure)


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


def _check_names(study: Study) -> None:
    for name, base in study.models.items():
        _known(base.data, study.data, f"models.{name}: data")
        if base.recipe:
            _known(base.recipe, study.recipes, f"models.{name}: recipe")
    names = [filled.table.name for filled in study.tables]
    for filled in study.tables:
        owner = f"table {filled.table.name!r}"
        labels = [row.label for row in filled.rows]
        for said, among in ((filled.table.name, names), *((label, labels) for label in labels)):
            if among.count(said) > 1:
                raise UsageError(f"{owner}: {said!r} is there twice", hint="name them apart")
        for row in filled.rows:
            where = f"{owner}, row {row.label!r}"
            if row.model:
                _known(row.model, study.models, f"{where}: model")
            if row.recipe:
                _known(row.recipe, study.recipes, f"{where}: recipe")


def _known(name: str, among: Mapping[str, Any], where: str) -> None:
    if name not in among:
        hint = near(name, among) if among else "there are none"
        raise UsageError(f"{where} {name!r} does not exist", hint=hint)


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{where} must be a table; received {value!r}")
    return value


def _tables(value: Any, where: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not value or not all(isinstance(v, dict) for v in value):
        raise UsageError(f"{where} must be a list of tables, one at least; received {value!r}")
    return value
