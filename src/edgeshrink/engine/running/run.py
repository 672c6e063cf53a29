"""The parts of one run, each made once: what makes stages, and what judges them, share them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from edgeshrink.devices import Failure, Measurement, Session
from edgeshrink.engine.measuring.sessions import open_session
from edgeshrink.engine.planning.request import Planned
from edgeshrink.engine.running.kernels import Kernels
from edgeshrink.engine.running.models import Models
from edgeshrink.engine.running.run_folder import RunFolder
from edgeshrink.engine.running.sample_sets import SampleSets
from edgeshrink.models import Artifact
from edgeshrink.plugins import Plugins
from edgeshrink.recipes import Method
from edgeshrink.results import Judge, Outputs, Samples


@dataclass(frozen=True)
class Run:
    """A plan that is carried out.

    Attributes:
        planned: what is to be done.
        plugins: the methods, metrics and targets that there are.
        workspace: the run folder.
        scratch: a folder for files that go with the run.
        models: of its stages.
        sets: of samples.
        judge: gives scores, by running models on this machine.
        kernels: that TensorFlow computes with in this process.
    """

    planned: Planned
    plugins: Plugins
    workspace: RunFolder
    scratch: Path
    models: Models
    sets: SampleSets
    judge: Judge
    kernels: Kernels

    @classmethod
    def of(
        cls,
        planned: Planned,
        plugins: Plugins,
        workspace: RunFolder,
        scratch: Path,
        host: Session,
        kernels: Kernels,
    ) -> Self:
        """Return the run of a plan; models are run to be judged in the session `host`."""

        def own(fraction: float, note: str) -> None:
            plugins.hook.edgeshrink_step_progress(step=None, fraction=fraction, note=note)

        models = Models(planned, scratch)
        data = planned.data
        if data is not None and not planned.facts.inputs:
            # a serving function, whose file does not tell them
            shapes, types = models.inputs
            data = data.for_model(shapes, None, types)
        if data is not None:
            data = data.answering(models.outputs)
        planned = replace(planned, data=data)
        judge = Judge(
            lambda: host,
            workspace.store.outputs,
            plugins.metrics,
            record=planned.request.metric,
            tasks=data.tasks if data else models.outputs.tasks({}),
            decode=planned.request.decode,
            progress=own,
        )
        sets = SampleSets(planned, models, scratch, own)
        return cls(planned, plugins, workspace, scratch, models, sets, judge, kernels)

    def progress(self, step: Method | None, fraction: float, note: str) -> None:
        """Tell whoever watches."""
        self.plugins.hook.edgeshrink_step_progress(step=step, fraction=fraction, note=note)

    def outputs(self, artifact: Artifact, samples: Samples) -> Outputs:
        """Return what a stage says of samples."""
        return self.judge.outputs(artifact, samples, lambda: self.models.shown(artifact))

    def timed(self, models: list[Path], profile: bool) -> list[Measurement | Failure]:
        """Return a measurement or failure on the device for each .tflite, interleaved."""
        with open_session(self.planned.profile, self.plugins) as session:
            threads = self.planned.profile.threads
            plan = replace(self.planned.request.bench, threads=threads, profile=profile)
            results = session.time(models, plan)
        for result in results:
            self.plugins.hook.edgeshrink_measured(result=result)
        return results
