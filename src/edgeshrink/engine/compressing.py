"""Run a plan: every step, the verdict on each stage, and the files that come of it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from edgeshrink import snippet
from edgeshrink.artifact import Artifact, Kind
from edgeshrink.engine.models import Models
from edgeshrink.engine.planning import Planned, PlannedStep, described
from edgeshrink.engine.samplesets import SampleSets
from edgeshrink.engine.sessions import host_profile, import_tensorflow, open_session
from edgeshrink.engine.stages import Stages
from edgeshrink.errors import DataError
from edgeshrink.judge import Judge, Outputs, near_chance
from edgeshrink.ledger import Latency, Ledger, Row, observations
from edgeshrink.measure import DeviceInfo, Failure, Measurement
from edgeshrink.method import Method
from edgeshrink.nn import converter
from edgeshrink.plugins import Plugins
from edgeshrink.report import Report, json_text
from edgeshrink.runtime import Session
from edgeshrink.workspace import Stage, Workspace, version_of, write_bytes, write_text

LEAST_AGREEMENT = 0.9  # without data: under it the result is kept, and the run ends in exit 4
VERSIONED = ("edgeshrink", "tensorflow", "keras", "ai-edge-litert", "numpy")


def compress(planned: Planned, plugins: Plugins) -> Report:
    """Run the plan and return what was found; the result lies at `request.out`.

    Interrupted anywhere, the same request goes on from the last whole stage.

    Raises:
        EdgeshrinkError: a step failed; the message names it and the last good model.
    """
    workspace = Workspace(planned.request.run_folder)
    with workspace.locked(), contextlib.ExitStack() as stack:
        plugins.hook.edgeshrink_step_progress(step=None, fraction=0.0, note="loading TensorFlow")
        if planned.request.out.suffix == ".tflite":
            converter.shared.warm_up(workspace.log)
        import_tensorflow(workspace.log)
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=workspace.folder)))
        host = stack.enter_context(open_session(host_profile(planned.profile), plugins))
        return _Compression(planned, plugins, workspace, scratch, host).report()


class _Compression:
    """One run of a plan."""

    def __init__(
        self,
        planned: Planned,
        plugins: Plugins,
        workspace: Workspace,
        scratch: Path,
        host: Session,
    ) -> None:
        self.planned, self.plugins, self.workspace = planned, plugins, workspace
        self.notes: list[str] = []
        self.device_info: DeviceInfo | None = None
        self.counts: dict[str, tuple[int, int, int]] = {}
        own = partial(self.progress, None)
        self.models = Models(planned, plugins, scratch)
        self.sets = SampleSets(planned, self.models, scratch, own)
        self.judge = Judge(
            host,
            workspace.folder / "outputs",
            plugins.metrics,
            record=planned.request.metric,
            classes=self.models.classes,
            progress=own,
        )
        self.stages = Stages(
            planned, workspace, self.models, self.sets, self.judge, self.timed, self.progress
        )

    def progress(self, step: Method | None, fraction: float, note: str) -> None:
        """Tell whoever watches."""
        self.plugins.hook.edgeshrink_step_progress(step=step, fraction=fraction, note=note)

    def timed(self, models: list[Path]) -> list[Measurement | Failure]:
        """Return a measurement or failure on the device for each .tflite, interleaved."""
        with open_session(self.planned.profile, self.plugins) as session:
            self.device_info = session.facts()
            plan = replace(self.planned.request.bench, threads=self.planned.profile.threads)
            results = session.time(models, plan)
        for result in results:
            self.plugins.hook.edgeshrink_measured(result=result)
        return results

    def report(self) -> Report:
        """Run all steps, write the results, and return what was found."""
        self.check_chance()
        chain = [Stage(self.planned.base, 0.0, ())]
        reference = self.reference()
        hook, count = self.plugins.hook, len(self.planned.steps)
        for place, planned in enumerate(self.planned.steps):
            hook.edgeshrink_step_started(step=planned.step, index=place, count=count)
            stage = self.stages.make(planned, chain[-1].artifact)
            hook.edgeshrink_step_finished(
                step=planned.step,
                artifact=stage.artifact,
                seconds=stage.seconds,
                reused=stage.reused,
            )
            chain.append(stage)
        return self.written(self.rows(chain, reference), chain[-1].artifact)

    def check_chance(self) -> None:
        """Stop where a classifier is near chance before anything was done to it.

        Raises:
            DataError: it is, and `--force` was not given.
        """
        outputs = self.outputs(self.planned.base)
        chance = self.judge.chance(outputs, self.sets.judged)
        if chance is None:
            return
        value = self.judge.scores(outputs, self.sets.judged)[0].value
        if not near_chance(value, chance):
            return
        said = (
            f"the uncompressed model is right on {value:.1%} of the test samples, where always "
            f"naming the commonest class gets {chance:.1%}"
        )
        if not self.planned.request.force:
            raise DataError(
                said,
                hint="is --preprocess what the model was trained with (none, scale=1/255, …)? "
                "--force goes on anyway",
            )
        self.notes.append(said)

    def reference(self) -> Stage | None:
        """Return the base as a plain float .tflite, which latency is compared with."""
        method = next((m for m in self.plugins.methods.values() if m.default), None)
        if self.planned.request.out.suffix != ".tflite" or method is None:
            return None
        self.progress(None, 0.0, "converting the base, to compare with")
        return self.stages.make(PlannedStep(method(), None, ()), self.planned.base)

    def outputs(self, artifact: Artifact) -> Outputs:
        """Return what a stage says of the samples that judge."""
        return self.judge.outputs(artifact, self.sets.judged, lambda: self.models.shown(artifact))

    def rows(self, chain: list[Stage], reference: Stage | None) -> tuple[Row, ...]:
        """Return the ledger's rows: the base, the base converted, and each step."""
        paths = self.timeable(chain, reference)
        times: dict[Path, Measurement | Failure] = {}
        if paths:
            self.progress(None, 0.0, f"timing on {self.planned.profile.name}")
            times = dict(zip(paths, self.timed(paths), strict=True))
        base = self.outputs(self.planned.base)
        rows = [self.row(chain[0], "base", base, None)]
        beside = []
        if reference is not None:
            name = f"base as {reference.artifact.made_by}"
            beside = [self.row(reference, name, base, times[reference.artifact.path])]
        uncompressed = beside[0].latency if beside else None
        for stage in chain[1:]:
            timed = times.get(stage.artifact.path)
            row = self.row(stage, stage.artifact.made_by, base, timed)
            said = observations(row, rows[-1], uncompressed)
            rows.append(replace(row, notes=(*row.notes, *said)))
        return (rows[0], *beside, *rows[1:])

    def timeable(self, chain: list[Stage], reference: Stage | None) -> list[Path]:
        """Return the .tflite files to time: not those that the next step computes alike."""
        files = [reference.artifact.path] if reference else []
        followed = [*self.planned.steps[1:], None]
        for stage, after in zip(chain[1:], followed, strict=True):
            alike = after is not None and "outputs" in after.step.keeps
            if stage.artifact.kind is Kind.TFLITE and not alike:
                files.append(stage.artifact.path)
        return files

    def row(
        self, stage: Stage, name: str, base: Outputs, timed: Measurement | Failure | None
    ) -> Row:
        """Return the verdict on one stage."""
        artifact, samples = stage.artifact, self.sets.judged
        self.progress(None, 0.0, f"judging {name}")
        outputs = self.outputs(artifact)
        parameters, nonzeros, macs = self.count(artifact)
        notes = list(stage.notes)
        if isinstance(timed, Failure):
            notes.append(f"not timed on {timed.device}: {timed.reason}")
        is_base = artifact is self.planned.base
        weighed = self.models.weighed_base if is_base else artifact
        file = artifact.path
        hidden = self.planned.base.facts
        return Row(
            step=name,
            kind=artifact.kind,
            file=str(file if is_base else file.relative_to(self.workspace.folder)),
            digest=artifact.digest,
            parameters=parameters,
            nonzeros=nonzeros,
            macs=macs,
            size_bytes=weighed.size_bytes,
            compressed_bytes=weighed.compressed_bytes,
            scores=self.judge.scores(outputs, samples),
            p_value=None if is_base else self.judge.p_value(base, outputs, samples),
            agreement=None if is_base else self.judge.agreement(base, outputs, samples),
            latency=_latency(timed, self.planned.profile.name),
            seconds=stage.seconds,
            reused=stage.reused,
            facts={k: v for k, v in artifact.facts.items() if k not in hidden},
            notes=tuple(notes),
        )

    def count(self, artifact: Artifact) -> tuple[int, int, int]:
        """Return parameters, non-zeros and MACs of a stage.

        Conversion changes no MACs; those of a loop cannot be counted in a .tflite.
        """
        if artifact.kind is Kind.TFLITE:
            from edgeshrink.nn.flat import read

            flat = read(artifact.path.read_bytes())
            source = next(a for a in _lineage(artifact) if a.kind is not Kind.TFLITE)
            return flat.parameters, flat.nonzeros, self.count(source)[2]
        if artifact.digest not in self.counts:
            from edgeshrink.nn.count import count

            counted = count(self.models.shown(artifact))
            self.counts[artifact.digest] = counted.parameters, counted.nonzeros, counted.macs
        return self.counts[artifact.digest]

    def written(self, rows: tuple[Row, ...], final: Artifact) -> Report:
        """Write the result and all that belongs to it; return the report."""
        request, data = self.planned.request, self.planned.data
        out, recipe, text = request.out, self.planned.recipe.to_toml(), ""
        if final.kind is Kind.TFLITE:
            line = data.preprocess.python_snippet() if data else ""
            text = snippet.inference(out, line, data.class_names if data else ())
        report = Report(
            model=str(request.model),
            output=str(out),
            command=request.command,
            recipe=recipe,
            device=self.planned.profile.name,
            device_info=self.device_info,
            data=described(data),
            ledger=Ledger(rows),
            notes=(*self.planned.warnings, *self.notes),
            snippet=text,
            versions={name: version_of(name) for name in VERSIONED},
            failed=doubts(rows[-1]),
        )
        write_bytes(out, final.path.read_bytes())
        for artifact in reversed([*_lineage(final)]):
            for companion in artifact.companions:
                shutil.copyfile(
                    artifact.path.with_name(companion), out.with_suffix(f".{companion}")
                )
        if text:
            write_text(out.with_suffix(".infer.py"), text)
        document = json_text(report.as_dict()) + "\n"
        for place in (out.with_suffix(".recipe.toml"), self.workspace.folder / "recipe.toml"):
            write_text(place, recipe)
        for place in (out.with_suffix(".report.json"), self.workspace.folder / "report.json"):
            write_text(place, document)
        return report


def doubts(final: Row) -> str:
    """Return why a result that was judged on made-up inputs is not to be trusted, or nothing."""
    agreed = final.agreement
    if agreed is None or not agreed.synthetic:
        return ""
    if agreed.classes == 1:
        return (
            f"the original names one class for all {agreed.samples} synthetic inputs, so that "
            "agreement on them says nothing"
        )
    if agreed.share >= LEAST_AGREEMENT:
        return ""
    return (
        f"the result agrees with the original on {agreed.share:.1%} of {agreed.samples} synthetic "
        f"inputs, under {LEAST_AGREEMENT:.0%}"
    )


def _latency(timed: Measurement | Failure | None, device: str) -> Latency | None:
    if not isinstance(timed, Measurement):
        return None
    return Latency(
        device,
        timed.median_ms,
        timed.p90_ms,
        timed.standard_error_ms,
        len(timed.samples_ns),
        timed.threads,
        timed.valid,
    )


def _lineage(artifact: Artifact) -> Iterator[Artifact]:
    """Yield an artifact and what it was made from, back to the base."""
    here: Artifact | None = artifact
    while here is not None:
        yield here
        here = here.parent
