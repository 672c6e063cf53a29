"""A study: a grid of models, recipes and seeds, in tables whose rows carry published values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from edgeshrink.errors import StudyError, UsageError
from edgeshrink.flag import Flag, build
from edgeshrink.recipes.table import Filled, StudyRow, check_known, filled, table_of, tables_of
from edgeshrink.samples import Preprocess, Reading
from edgeshrink.texts import from_toml, read_text, shortly


@dataclass(frozen=True, kw_only=True)
class Source(Reading):
    """A data set, and what is done to its samples."""

    spec: Annotated[str, Flag("A data set, as --data takes it; paths begin at the root.")]
    preprocess: Annotated[str, Flag("As --preprocess takes it.")] = "none"
    task: Annotated[str, Flag("As --task takes it.")] = ""

    def __post_init__(self) -> None:
        """Refuse preprocessing that cannot be read, and windows without a length."""
        super().__post_init__()
        Preprocess.from_spec(self.preprocess)

    @property
    def reading(self) -> dict[str, Any]:
        """How its files are read: only what is not as usual."""
        given = ((one.name, getattr(self, one.name)) for one in fields(Reading))
        usual = Reading()
        return {
            name: ",".join(value) if isinstance(value, tuple) else value
            for name, value in given
            if value != getattr(usual, name)
        }


@dataclass(frozen=True)
class Base:
    """A model that recipes begin with; one that is built may be trained by a recipe first."""

    data: Annotated[str, Flag("A name under [data].")]
    file: Annotated[str, Flag("A Keras file; paths begin at the root.")] = ""
    build: Annotated[str, Flag("module:function that returns a Keras model.")] = ""
    recipe: Annotated[str, Flag("A name under [recipes]: it makes the base of what is built.")] = ""
    unlike: Annotated[str, Flag("What is done otherwise than in the publication.")] = ""

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
        unlike: by name of a recipe, what is done otherwise than in the publication.
    """

    heading: Heading
    data: Mapping[str, Source]
    models: Mapping[str, Base]
    recipes: Mapping[str, str | tuple[str, ...]]
    unlike: Mapping[str, str]
    tables: tuple[Filled, ...]

    @classmethod
    def read(cls, path: Path) -> Study:
        """Return the study in a file.

        Raises:
            UsageError: the file cannot be read.
            StudyError: it is no study; the message names file, key and what was received.
        """
        return cls.from_toml(read_text(path, "study"), origin=path.name)

    @classmethod
    def from_toml(cls, text: str, *, origin: str = "study") -> Study:
        """Return the study that is written in a TOML document.

        Raises:
            StudyError: it is not TOML, or names a key or value that does not exist.
        """
        document = from_toml(text, origin, StudyError)
        try:
            return _study(document)
        except UsageError as error:  # right words, but this is inside a file
            raise StudyError(f"{origin}: {error}", hint=error.hint) from error

    def otherwise(self, row: StudyRow) -> tuple[str, ...]:
        """Return the sentences on what is done otherwise than in the publication for a row."""
        of_model = self.models[row.model].unlike if row.model else ""
        said = (of_model, self.unlike.get(row.recipe, ""), row.unlike)
        return tuple(sentence for sentence in said if sentence)


def _study(document: Mapping[str, Any]) -> Study:
    parts = {k: document.get(k, {}) for k in ("data", "models", "recipes", "unlike")}
    for key, part in parts.items():
        if not isinstance(part, dict):
            raise UsageError(f"[{key}] has names, each with its own; received {shortly(part)}")
    own = {k: v for k, v in document.items() if k not in (*parts, "tables")}
    heading = build(Heading, own, "a study")
    for key in ("models", "recipes"):  # they name folders of the run
        for name in parts[key]:
            check_name(name, f"{key}:")
    study = Study(
        heading,
        {
            name: build(Source, table_of(v, name), f"data.{name}")
            for name, v in parts["data"].items()
        },
        {
            name: build(Base, table_of(v, name), f"models.{name}")
            for name, v in parts["models"].items()
        },
        {name: _recipe(name, said) for name, said in parts["recipes"].items()},
        {name: _sentence(name, said) for name, said in parts["unlike"].items()},
        tuple(filled(t, heading.devices) for t in tables_of(document.get("tables"), "[[tables]]")),
    )
    _check_names(study)
    return study


_NAME = re.compile(r"[\w+][\w+.()=-]{0,99}")


def check_name(name: str, where: str) -> None:
    """Refuse a name that could lead out of a folder, or that no file can have.

    Raises:
        UsageError: it is not letters, digits and `_ - + . ( ) =`, 100 at most.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{where} a name has letters, digits and _ - + . ( ) =, 100 at most; "
            f"received {shortly(name)}"
        )


def _recipe(name: str, said: Any) -> str | tuple[str, ...]:
    if isinstance(said, str):
        return said
    if isinstance(said, list) and all(isinstance(step, str) for step in said):
        return tuple(said)
    raise UsageError(
        f"recipes.{name} must be a line of flags or a list of steps; received {shortly(said)}"
    )


def _sentence(name: str, said: Any) -> str:
    if isinstance(said, str):
        return said
    raise UsageError(f"unlike.{name} must be a sentence; received {shortly(said)}")


def _check_names(study: Study) -> None:
    for name, base in study.models.items():
        check_known(base.data, study.data, f"models.{name}: data")
        if base.recipe:
            check_known(base.recipe, study.recipes, f"models.{name}: recipe")
    for name in study.unlike:
        check_known(name, study.recipes, "[unlike]: recipe")
    names = [one.table.name for one in study.tables]
    for one in study.tables:
        owner = f"table {one.table.name!r}"
        labels = [row.label for row in one.rows]
        for said, among in ((one.table.name, names), *((label, labels) for label in labels)):
            if among.count(said) > 1:
                raise UsageError(f"{owner}: {said!r} is there twice", hint="name them apart")
        for row in one.rows:
            where = f"{owner}, row {row.label!r}"
            if row.model:
                check_known(row.model, study.models, f"{where}: model")
            if row.recipe:
                check_known(row.recipe, study.recipes, f"{where}: recipe")
