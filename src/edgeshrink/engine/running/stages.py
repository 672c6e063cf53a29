"""Run a step: its key, its context, its file written and checked, or found from before."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.devices import Failure, Measurement
from edgeshrink.engine import workers
from edgeshrink.engine.planning.request import PlannedStep
from edgeshrink.engine.running.run import Run
from edgeshrink.engine.running.stage_store import Stage
from edgeshrink.engine.running.trained import check_trained
from edgeshrink.errors import EdgeshrinkError, VerificationError
from edgeshrink.models import (
    Artifact,
    Kind,
    content_digest,
    own_digest,
    read_arrays,
    write_arrays,
    write_bytes,
)
from edgeshrink.part import version_of
from edgeshrink.recipes import (
    Agreement,
    Context,
    Method,
    Need,
    Training,
    digest_of,
    source_digest,
)

if TYPE_CHECKING:
    import keras
    import numpy as np

SERVED = "a serving function is converted as it stands: give the model that it was exported from"


class Stages:
    """Makes the stages of one run."""

    def __init__(self, run: Run) -> None:
        self._run, self._planned = run, run.planned

    @property
    def base(self) -> keras.Model:
        """The uncompressed model; never trained."""
        return self._run.models.base

    def make(self, planned: PlannedStep, parent: Artifact) -> Stage:
        """Return the stage that a step makes of `parent`, made now or found whole.

        Raises:
            EdgeshrinkError: naming the step, and where the last good model is.
        """
        step = planned.step
        parts = self._key(planned, parent)
        keys = [digest_of({**parts, **mark}) for mark in self._run.kernels.marks]

        def found() -> Stage | None:
            looked = (self._run.workspace.store.find(step.name, key, parent) for key in keys)
            return next((stage for stage in looked if stage is not None), None)

        def waiting() -> None:
            self._run.progress(step, 0.0, "another run makes this stage; waiting for it")

        if stage := found():
            return stage
        with self._run.workspace.store.held(step.name, keys[-1], waiting) as folder:
            return found() or self._made(planned, parent, folder)

    def _made(self, planned: PlannedStep, parent: Artifact, folder: Path) -> Stage:
        """Return the stage that a step makes of `parent` in a folder that is held."""
        step, kernels, store = planned.step, self._run.kernels, self._run.workspace.store
        workers.at(str(step))
        store.begin(folder)
        started = time.perf_counter()
        context = self.context(planned, parent, folder)
        try:
            made = step.apply(self._run.models.load(parent), context)
            artifact = self._saved(made, step, parent, context)
        except EdgeshrinkError as error:
            message = str(error).removeprefix(f"{step.name}: ")
            said = type(error)(f"{step.name}: {message}; the last good model is {parent.path}")
            facts = self._planned.facts
            served = facts.kind is Kind.SAVEDMODEL and not facts.class_name
            said.hint = error.hint or (SERVED if served else "")
            raise said from error
        context.notes += kernels.notes(str(step), trained=planned.training is not None)
        stage = Stage(artifact, time.perf_counter() - started, tuple(context.notes))
        store.finish(stage)
        return stage

    def _key(self, planned: PlannedStep, parent: Artifact) -> dict[str, Any]:
        """Return what a step's result depends on, whatever the kernels."""
        step, data, request = planned.step, self._planned.data, self._planned.request
        called = self._callbacks(planned)
        own = [*request.custom, *([request.metric] if ":" in request.metric else [])]
        own += [request.decode] if request.decode else []
        plugin = type(step).__module__.partition(".")[0]
        makers = ("tensorflow", "keras", "edgeshrink", *step.requires)
        versions = {name: version_of(name) for name in makers}
        return {
            "base": self._planned.base.digest,
            "parent": parent.digest,
            "facts": dict(parent.facts),
            "step": step.name,
            "options": asdict(step.options),
            "training": asdict(planned.training) if planned.training else None,
            "task": request.task,
            "data": data.digest if data and step.data is not Need.NONE else None,
            "metric": request.metric if step.data is not Need.NONE else None,
            "seed": self._planned.recipe.seed,
            "device": self._planned.profile.name if step.timed else None,
            "tile": self._planned.profile.tile if step.tiled else None,
            "reads": self._planned.read if step.reads else None,
            "room": asdict(self._planned.room) if step.fits else None,
            "files": [content_digest(path) for path in step.files],
            "versions": versions,
            "source": [source_digest("edgeshrink"), source_digest(plugin)],
            **({"own": [own_digest(spec) for spec in own]} if own else {}),
            **({"callbacks": list(map(_described, called))} if called else {}),
        }

    def _callbacks(self, planned: PlannedStep) -> list[Any]:
        """Return the callbacks of Keras that plugins have for a training of a step."""
        name = planned.step.name
        answers = self._run.plugins.hook.edgeshrink_callbacks(step=name) if planned.training else []
        return [one for answer in answers for one in answer]

    def context(self, planned: PlannedStep, parent: Artifact, folder: Path) -> Context:
        """Return what a step is lent that makes a stage of `parent` in a folder."""

        def agreement(model: Any) -> Agreement:
            return self._agreement(parent, _as_file(model, folder))

        def evaluate(model: Any, most: int | None = None) -> float | None:
            return self._evaluate(parent, _as_file(model, folder), most)

        def evaluate_each(model: Any) -> np.ndarray | None:
            samples = self._run.sets.chosen()
            if samples is None:
                return None
            found = self._run.judge.run(model, samples.taken_by(parent))
            return self._run.judge.each(found, samples)

        def measure(model: bytes, *, profile: bool = False) -> Measurement:
            (result,) = self._run.timed([_as_file(model, folder)], profile)
            if isinstance(result, Failure):
                raise EdgeshrinkError(f"a candidate could not be timed: {result.reason}")
            return result

        data = self._planned.data
        return Context(
            data=data.stored if data and parent.takes_stored else data,
            profile=self._planned.profile,
            folder=folder,
            seed=self._planned.recipe.seed,
            training=planned.training or Training(),
            progress=partial(self._run.progress, planned.step),
            original=self._run.models.fresh_base,
            tasks=self._run.judge.tasks,
            evaluate=evaluate,
            evaluate_each=evaluate_each,
            agreement=agreement,
            measure=measure,
            log=self._run.workspace.log,
            room=self._planned.room,
            shared=self._run.workspace.store.folder,
            inherited=read_state(parent),
            custom=self._planned.request.custom,
            callbacks=partial(self._callbacks, planned),
        )

    def _agreement(self, parent: Artifact, model: Any) -> Agreement:
        """Return how like `parent` a candidate answers the samples that candidates meet."""
        samples = self._run.sets.compared
        reference = self._run.outputs(parent, samples)
        if isinstance(model, Path):
            candidate = Artifact(model, Kind.TFLITE, parent=parent)
            answers = self._run.judge.outputs(candidate, samples, lambda: None)
        else:
            answers = self._run.judge.run(model, samples.taken_by(parent))
        return self._run.judge.agreement(reference, answers, samples)

    def _evaluate(self, parent: Artifact, model: Any, most: int | None) -> float | None:
        """Return the validation score of a candidate made of `parent`, greater being better."""
        judge, samples = self._run.judge, self._run.sets.chosen(most)
        if samples is None:
            return None
        return judge.value(judge.run(model, samples.taken_by(parent)), samples)

    def _saved(self, made: Any, step: Method, parent: Artifact, context: Context) -> Artifact:
        """Write what a step made, check it, and return it as an artifact."""
        path = context.folder / f"{step.name}{step.produces.suffix}"
        if isinstance(made, bytes):
            write_bytes(path, made)
        else:
            from edgeshrink.nn.loading import save_model

            save_model(made, path)
        base_facts = self._planned.base.facts
        kept = {k: v for k, v in parent.facts.items() if k in step.keeps or k in base_facts}
        artifact = Artifact(
            path,
            step.produces,
            str(step),
            parent,
            {**kept, **context.facts},
            _saved_state(context, step),
            tuple(context.companions),
        )
        if parent.kind is not Kind.TFLITE and artifact.kind is Kind.TFLITE:
            self._verify(artifact, parent, step)
            check_trained(self._run, artifact, parent, context.inherited)
        return artifact

    def _verify(self, artifact: Artifact, parent: Artifact, step: Method) -> None:
        """Run a converted file, and check that it holds what it should.

        Raises:
            VerificationError: it needs operators that LiteRT lacks, lost zeros or shared values,
                or does not answer as its parent does in number and shape.
        """
        from edgeshrink.nn.conversion import check_clusters, check_zeros
        from edgeshrink.tflite import read_model, runtime_requirements

        data = artifact.path.read_bytes()
        flat = read_model(data)
        lacking = runtime_requirements(flat)
        if lacking:
            raise VerificationError(f"the file cannot run in LiteRT: {lacking[0]}")
        if "sparsity" in step.keeps:
            check_zeros(self._run.models.shown(parent), data)
        if "clusters" in step.keeps and "clusters" in parent.facts:
            check_clusters(self._run.models.shown(parent), data)
        self._agreement(parent, artifact.path)


def _as_file(model: Any, folder: Path) -> Any:
    """Return a candidate as the judge takes it: a .tflite as a path."""
    if not isinstance(model, bytes):
        return model
    path = folder / "candidate.tflite"
    write_bytes(path, model)
    return path


def read_state(artifact: Artifact) -> dict[str, np.ndarray]:
    """Return the arrays that travel with a model."""
    return (read_arrays(artifact.state) or {}) if artifact.state else {}


def _saved_state(context: Context, step: Method) -> Path | None:
    """Write the arrays that travel with a model as an .npz: the step's own, and what it keeps."""
    kept = {k: v for k, v in context.inherited.items() if k.partition("/")[0] in step.keeps}
    state = {**kept, **context.state}
    if not state:
        return None
    path = context.folder / "state.npz"
    write_arrays(path, state)
    return path


def _described(callback: Any) -> list[Any]:
    """Return what tells a callback from others: its class and its plain settings."""
    plain = {k: v for k, v in vars(callback).items() if isinstance(v, str | int | float | bool)}
    return [type(callback).__module__, type(callback).__qualname__, plain]
