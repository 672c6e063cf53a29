"""The jobs of a study: what builds a model, what trains a base, and one run of each recipe."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from edgeshrink.devices import RULES
from edgeshrink.engine.jobs.job import Job
from edgeshrink.engine.jobs.tasks import BUILD, COMPRESS, Build, Compress
from edgeshrink.engine.measuring.sessions import chosen_devices
from edgeshrink.engine.planning.request import Request
from edgeshrink.engine.studies.study_request import Run, StudyRequest
from edgeshrink.errors import EdgeshrinkError, StudyError, UsageError, near
from edgeshrink.models import Kind, content_digest
from edgeshrink.part import version_of
from edgeshrink.plugins import Plugins
from edgeshrink.recipes import (
    Base,
    Filled,
    Recipe,
    Study,
    StudyRow,
    digest_of,
    used_digest,
)
from edgeshrink.results import Budgets

# What makes figures of any run, beside its steps: conversion, counts, scores, timing.
ALWAYS = frozenset(
    {
        "edgeshrink.nn.conversion.keras_to_tflite",
        "edgeshrink.nn.graph.counts",
        "edgeshrink.results.judge",
        "edgeshrink_litert.runner.timing",
        "edgeshrink_metrics",
    }
)
VERSIONED = ("edgeshrink", "tensorflow", "keras", "ai-edge-litert", "pillow")
OBJECT = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_][\w.]*")


class Waiting(StudyError):
    """A model is not there yet."""


class Grid:
    """The jobs of a study, each where its result lies or will lie."""

    def __init__(self, request: StudyRequest, study: Study, plugins: Plugins) -> None:
        self.request, self.study, self.plugins = request, study, plugins
        self.root, self.here = request.root_folder, request.file.parent.resolve()
        self.versions = {name: version_of(name) for name in VERSIONED}
        self.digests: dict[Path, str] = {}
        self.recipes: dict[tuple[str, int], Recipe] = {}
        for name in study.recipes:
            self.recipe(name, 0)
        try:
            chosen_devices(study.heading.devices, "", {}, plugins)
        except EdgeshrinkError as error:
            raise StudyError(f"{request.file.name}: devices: {error}", hint=error.hint) from error

    def check_places(self) -> None:
        """Refuse files that are not there.

        Raises:
            StudyError: it names the first.
        """
        named = {f"models.{name}": base.file for name, base in self.study.models.items()}
        named |= {f"data.{name}": source.spec for name, source in self.study.data.items()}
        for where, path in named.items():
            if path and ":" not in path and not (self.root / path).exists():
                raise StudyError(
                    f"{self.request.file.name}: {where}: no file {path!r} in {self.root}",
                    hint="--root names the folder where the study's paths begin",
                )

    def recipe(self, name: str, seed: int) -> Recipe:
        """Return a recipe of the study by its name; none for an empty one.

        Raises:
            StudyError: it names what does not exist.
        """
        if (name, seed) in self.recipes:
            return self.recipes[name, seed]
        said = self.study.recipes[name] if name else ""
        make = Recipe.from_text if isinstance(said, str) else Recipe.from_steps
        try:
            made = make(said, self.plugins.methods, seed=seed)  # type: ignore[arg-type]
            made.check_losses()
        except UsageError as error:
            where = f"{self.request.file.name}: recipes.{name}"
            raise StudyError(f"{where}: {error}", hint=error.hint) from error
        return self.recipes.setdefault((name, seed), made)

    def rows(self) -> Iterator[tuple[Filled, StudyRow]]:
        """Yield every row with its table."""
        for filled in self.study.tables:
            for row in filled.rows:
                yield filled, row

    @cached_property
    def wanted(self) -> list[StudyRow]:
        """The rows that are to be run.

        Raises:
            UsageError: a pattern fits none.
        """
        names = {id(row): f"{filled.table.name}/{row.label}" for filled, row in self.rows()}
        patterns = [p if "/" in p else f"{p}/*" for p in self.request.only or ("*",)]
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names.values()):
                tables = [filled.table.name for filled in self.study.tables]
                raise UsageError(f"no row fits --only {pattern!r}", hint=near(pattern, tables))
        return [
            row
            for _, row in self.rows()
            if not row.left_out and any(fnmatchcase(names[id(row)], p) for p in patterns)
        ]

    def runs(self, filled: Filled, row: StudyRow) -> list[Run]:
        """Return the runs of a row: one a seed; a model as it is needs one."""
        if not row.model:
            return []
        seeds = filled.table.seeds or self.study.heading.seeds
        return [Run(row.model, row.recipe, seed) for seed in seeds[: None if row.recipe else 1]]

    def wanted_runs(self) -> list[Run]:
        """Return the runs of all rows that are wanted, each once, in the order of the tables."""
        wanted = {id(row) for row in self.wanted}
        found = (r for f, row in self.rows() if id(row) in wanted for r in self.runs(f, row))
        return list(dict.fromkeys(found))

    def building(self, model: str) -> Job | None:
        """Return the job that builds a model, or None for a file."""
        base = self.study.models[model]
        if not base.build:
            return None
        decides = {"do": BUILD, "build": base.build, **self._code(base.build)}
        folder, key = self._place(f"{model}-built", decides)
        return Job(f"build {base.build}", folder, key, Build(base.build))

    def training(self, model: str) -> Job | None:
        """Return the job that makes a built model a base, or None: it has no recipe.

        Raises:
            StudyError: the model could not be built, or is not yet.
        """
        base = self.study.models[model]
        building = self.building(model)
        if building is None or not base.recipe:
            return None
        _check_done(building)
        place = building.folder / "model.keras"
        return self._compression(Run(model, base.recipe, 0), base, place, Kind.KERAS)

    def job(self, run: Run) -> Job:
        """Return the job of a run.

        Raises:
            StudyError: its model could not be made, or is not yet.
        """
        base = self.study.models[run.model]
        making = self.training(run.model) or self.building(run.model)
        if making is not None:
            _check_done(making)
        place = making.folder / "model.keras" if making else self.root / base.file
        packs = any(s.produces is Kind.PACKED for s in self.recipe(run.recipe, 0).steps)
        return self._compression(run, base, place, Kind.PACKED if packs else Kind.TFLITE)

    def used(self, run: Run) -> str:
        """Return the digest of the sources that a run and the training of its base use."""
        names = (run.recipe, self.study.models[run.model].recipe)
        steps = (step for name in names for step in self.recipe(name, 0).steps)
        return used_digest(ALWAYS | {type(step).__module__ for step in steps})

    def making(self, model: str) -> str:
        """Return how a model is built and trained, in words; nothing for a file."""
        base = self.study.models[model]
        trained = f", trained with {self._typed(base.recipe)}" if base.recipe else ", not trained"
        return f"built by {base.build}{trained}" if base.build else ""

    def command(self, run: Run, seeds: int) -> str:
        """Return a run as the command that does it."""
        base = self.study.models[run.model]
        source = self.study.data[base.data]
        words = ["edgeshrink compress", base.file or f"{run.model}.keras", self._typed(run.recipe)]
        words += ["--data", source.spec, "--preprocess", source.preprocess]
        for name, value in source.reading.items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        words += ["--task", source.task] if source.task else []
        words += ["--seed", "SEED" if seeds > 1 else str(run.seed)]
        return " ".join(word for word in words if word)

    def _typed(self, recipe: str) -> str:
        said = self.study.recipes[recipe] if recipe else ""
        return said if isinstance(said, str) else " ".join(f'--step "{step}"' for step in said)

    def _compression(self, run: Run, base: Base, model: Path, produces: Kind) -> Job:
        source, recipe = self.study.data[base.data], self.recipe(run.recipe, run.seed)
        whole, device = self.root / source.spec, self.study.heading.devices[0]
        out, text = f"model{produces.suffix}", recipe.to_toml()
        untrained = base.untrained or produces is Kind.KERAS
        by_layer = any(row.layers for _, row in self.rows())
        decides = {
            "do": COMPRESS,
            "recipe": text,
            "out": out,
            "preprocess": source.preprocess,
            "reading": source.reading,
            "task": source.task,
            "device": device,
            "untrained": untrained,
            "by_layer": by_layer,
            **self._code(text),
            "model": self._digest(model),
            "data": self._digest(whole) if whole.is_file() else source.spec,
        }
        label = "-".join(filter(None, (run.model, run.recipe, str(run.seed))))
        folder, key = self._place(label, decides)
        request = Request(
            model=model,
            recipe=recipe,
            out=folder / out,
            data=str(whole) if whole.exists() else source.spec,
            preprocess=source.preprocess,
            reading=source.reading,
            task=source.task,
            devices=(device,),
            run=folder / "run",
            stages=self.request.stages,
            force=untrained,
            budgets=Budgets(max_drop="none"),  # a table shows what is lost
            bench=RULES["smoke"],  # to see that files run: they are timed together, after all runs
            command=self.command(run, 1),
        )
        return Job(str(run), folder, key, Compress(request, by_layer, self.used(run)))

    def _place(self, label: str, decides: Mapping[str, Any]) -> tuple[Path, str]:
        """Return the folder of a job, and the digest of all that decides its result."""
        key = digest_of({**decides, "versions": self.versions})
        return self.request.run_folder / "results" / f"{label}-{key[:12]}", key

    def _code(self, text: str) -> dict[str, str]:
        """Return digests of the modules and files beside the study that a text names."""
        named = {self.here / f"{m.replace('.', '/')}.py" for m in OBJECT.findall(text)}
        named |= {self.here / word for word in re.findall(r'"([^"\n]+\.\w+)"', text)}
        return {path.name: self._digest(path) for path in sorted(named) if path.is_file()}

    def _digest(self, path: Path) -> str:
        if path not in self.digests:
            self.digests[path] = content_digest(path)
        return self.digests[path]


def _check_done(job: Job) -> None:
    if not job.done:
        found = job.result()
        if found is None:
            raise Waiting(f"{job.name}: not done yet")
        raise StudyError(f"{job.name}: {found['error']}")
