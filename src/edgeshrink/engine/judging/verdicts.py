"""What every stage is worth: its size, its score, and what devices say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from edgeshrink.devices import DeviceInfo
from edgeshrink.engine.judging.resolution import coarse_columns
from edgeshrink.engine.measuring.checkpoint import Kept
from edgeshrink.engine.measuring.device_farm import DeviceFarm
from edgeshrink.engine.measuring.device_result import DeviceResult
from edgeshrink.engine.planning.request import PlannedStep
from edgeshrink.engine.running.run import Run
from edgeshrink.engine.running.stage_store import Stage
from edgeshrink.models import RUNNABLE, Artifact
from edgeshrink.recipes import Phase, digest_of
from edgeshrink.results import (
    UNCOMPRESSED,
    Ledger,
    OnDevice,
    Outputs,
    Row,
    Verdict,
    observations,
    with_merits,
)

COUNTED = 1.02  # times: a base's file that is larger than what is counted is told


class Verdicts:
    """Judges the stages of a run on its samples and on its devices.

    Attributes:
        devices: by name what is known of each; None until it was measured.
    """

    def __init__(self, run: Run, devices: Mapping[str, DeviceInfo | None]) -> None:
        self.run, self.planned, self.devices = run, run.planned, dict(devices)
        self._counts: dict[str, tuple[int, int, int]] = {}

    def ledger(self, chain: list[Stage], reference: Stage | None) -> tuple[Ledger, Verdict]:
        """Return the ledger, and the verdict on its result.

        Its rows are the base, the base converted, and each step.
        """
        found = self.observed(self.timeable(chain, reference))
        base = self.run.outputs(self.planned.base, self.run.sets.judged)
        rows = [self.row(chain[0], "base", base, ())]
        beside = []
        if reference is not None:
            name = f"{UNCOMPRESSED}{reference.artifact.made_by}"
            beside = [self.row(reference, name, base, found[reference.artifact.digest])]
        uncompressed = beside[0] if beside else None
        for stage, planned in zip(chain[1:], self.planned.steps, strict=True):
            said_there = found.get(stage.artifact.digest, ())
            row = self.row(stage, stage.artifact.made_by, base, said_there)
            said = observations(row, rows[-1], uncompressed)
            said += teachable(planned, row, rows[-1], rows[0])
            rows.append(replace(row, notes=(*row.notes, *said)))
        verdict = self.verdict(chain[-1].artifact)
        merits = self.run.plugins.merits
        all_rows = with_merits((rows[0], *beside, *rows[1:]), merits, verdict.has_merits)
        return Ledger(all_rows), verdict

    def verdict(self, final: Artifact) -> Verdict:
        """Return what the result is worth beside the base."""
        data, judged = self.planned.data, self.run.sets.judged
        base, made = (self.run.outputs(one, judged) for one in (self.planned.base, final))
        names = data.class_names if data else ()
        return self.run.judge.verdict(base, made, judged, self.planned.request.budgets.drop, names)

    def observed(self, files: list[Artifact]) -> dict[str, tuple[DeviceResult, ...]]:
        """Return what each device said of each file, by the file's digest."""
        if not files:
            return {}
        plan, devices = self.planned.request.bench, self.planned.devices
        rules = digest_of(asdict(plan))[:16]  # times by other rules are not these
        kept = Kept(self.run.workspace.devices / rules, self.run.judge.folder)
        farm = DeviceFarm(devices, plan, self.run.plugins, lambda: self.run.judge, kept)
        judged = self.run.sets.judged
        found = farm.observe(files, judged, self.run.scratch)
        for name, said in found.items():
            measured = (o.measurement for o in said if o.measurement)
            self.devices[name] = next((m.device for m in measured), self.devices[name])
        if not any(o.failure and o.failure.lost for said in found.values() for o in said):
            kept.forget()
        return {
            file.digest: tuple(found[device.name][place] for device in devices)
            for place, file in enumerate(files)
        }

    def on_device(self, observed: DeviceResult) -> OnDevice:
        """Return what a device said of a stage, as the ledger keeps it."""
        name, timed = observed.device.name, observed.measurement
        if observed.failure is not None:
            failure = observed.failure
            return OnDevice(name, failure=failure.reason, lost=failure.lost)
        assert timed is not None
        outputs = observed.outputs
        scores = self.run.judge.scores(outputs, self.run.sets.judged) if outputs else ()
        score = scores[0] if scores else None
        return replace(OnDevice.of(timed, score, observed.host_error), device=name)

    def timeable(self, chain: list[Stage], reference: Stage | None) -> list[Artifact]:
        """Return the .tflite files to time: not those that the next step computes alike."""
        files = [reference.artifact] if reference else []
        followed = [*self.planned.steps[1:], None]
        for stage, after in zip(chain[1:], followed, strict=True):
            alike = after is not None and "outputs" in after.step.keeps
            if stage.artifact.kind in RUNNABLE and not alike:
                files.append(stage.artifact)
        return files

    def row(self, stage: Stage, name: str, base: Outputs, observed: Sequence[DeviceResult]) -> Row:
        """Return the verdict on one stage."""
        artifact, samples = stage.artifact, self.run.sets.judged
        self.run.progress(None, 0.0, f"judging {name}")
        outputs = self.run.outputs(artifact, samples)
        parameters, nonzeros, macs = self.count(artifact)
        notes = [*stage.notes, *said_by_devices(observed)]
        is_base = artifact is self.planned.base
        weighed = self.run.models.weighed_base if is_base else artifact
        file = artifact.path
        if is_base and (left_out := beside_weights(artifact, weighed)):
            notes.append(left_out)
        if artifact.kind in RUNNABLE:
            from edgeshrink.tflite import read_model, tflite_bytes

            flat = read_model(tflite_bytes(artifact.path))
            notes += coarse_columns(flat, base, self.run.judge.tasks_of(base))
        hidden = self.planned.base.facts
        return Row(
            step=name,
            kind=artifact.kind,
            file=str(file) if is_base else self.run.workspace.relative(file),
            digest=artifact.digest,
            parameters=parameters,
            nonzeros=nonzeros,
            macs=macs,
            size_bytes=weighed.size_bytes,
            compressed_bytes=weighed.compressed_bytes,
            scores=self.run.judge.scores(outputs, samples),
            p_value=None if is_base else self.run.judge.p_value(base, outputs, samples),
            agreement=None if is_base else self.run.judge.agreement(base, outputs, samples),
            on=tuple(map(self.on_device, observed)),
            seconds=stage.seconds,
            reused=stage.reused,
            facts={k: v for k, v in artifact.facts.items() if k not in hidden},
            notes=tuple(notes),
        )

    def count(self, artifact: Artifact) -> tuple[int, int, int]:
        """Return parameters, non-zeros and MACs of a stage.

        Conversion changes no MACs; those of a loop cannot be counted in a .tflite.
        """
        if artifact.kind in RUNNABLE:
            from edgeshrink.tflite import decoded, read_model, tflite_bytes

            flat = read_model(decoded(tflite_bytes(artifact.path)))
            source = next(a for a in artifact.lineage if a.kind not in RUNNABLE)
            return flat.parameters, flat.nonzeros, self.count(source)[2]
        if artifact.digest not in self._counts:
            from edgeshrink.nn.graph import count

            counted = count(self.run.models.shown(artifact))
            self._counts[artifact.digest] = counted.parameters, counted.nonzeros, counted.macs
        return self._counts[artifact.digest]


def said_by_devices(observed: Sequence[DeviceResult]) -> list[str]:
    """Return why a stage was not measured, or not well, in sentences that name the device."""
    notes = []
    for one in observed:
        where = one.device.name
        if one.failure is not None:
            notes.append(f"not measured on {where}: {one.failure.reason}")
        notes += [f"on {where}: {note}" for note in one.notes]
        if one.measurement is not None:
            if one.measurement.estimate:  # what it leaves out is no detail of how it was measured
                notes += [f"on {where}: {note}" for note in one.measurement.notes]
            notes += [f"on {where}, not valid: {doubt}" for doubt in one.measurement.disturbed]
    return notes


def beside_weights(base: Artifact, weighed: Artifact) -> str:
    """Return what of the base's file is not counted as its size, or an empty text."""
    if not base.path.is_file() or base is weighed:
        return ""
    whole, counted = base.path.stat().st_size, weighed.size_bytes
    if whole <= counted * COUNTED:
        return ""
    return (
        f"its file has {whole:,} bytes; {whole - counted:,} of them are the state of an optimizer "
        f"and the like, which no device needs: {counted:,} are counted"
    )


def teachable(planned: PlannedStep, row: Row, before: Row, base: Row) -> list[str]:
    """Return a sentence where a step trained, and lost what more training or a teacher may save.

    Args:
        planned: the step, with its training.
        row: what it made.
        before: the stage that it was made from.
        base: the uncompressed model.
    """
    training = planned.training
    if training is None or planned.step.phase is Phase.DISTILL:
        return []
    if not _lost(row, base) or _lost(before, base):
        return []
    if "epochs" in row.facts.get("training", {}) and training.effort != "thorough":
        epochs = row.facts["training"]["epochs"]
        return [
            f"{row.step} lost more than chance would, after {epochs} epoch{'s' * (epochs != 1)}: "
            "--effort thorough trains longer"
        ]
    tried = "teacher" in row.facts.get("training", {})
    if tried or training.epochs == 0 or training.teacher not in (None, "none"):
        return []
    return [
        f"{row.step} trained on labels alone and lost more than chance would: more epochs, or the "
        "base as its teacher (--teacher original --temperature 4 --alpha 0.1), may win some of it "
        "back"
    ]


def _lost(row: Row, base: Row) -> bool:
    """Return whether fewer samples are right than with the base, by more than chance."""
    if row.score is None or base.score is None:
        return False
    worse = row.score.value < base.score.value
    return row.significant and worse == row.score.higher_is_better
