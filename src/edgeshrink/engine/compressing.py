"""Run a plan: every step, the verdict on each stage, and the files that come of it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from edgeshrink import words
from edgeshrink.devices import DeviceInfo, DeviceProfile
from edgeshrink.engine import workers
from edgeshrink.engine.exporting import export, exporter_named
from edgeshrink.engine.judging.flattery import flattery
from edgeshrink.engine.judging.perturbing import robustness
from edgeshrink.engine.judging.verdicts import Verdicts
from edgeshrink.engine.measuring import compatibility, parity
from edgeshrink.engine.measuring.handing import Handed, handed, toolchains_of
from edgeshrink.engine.measuring.sessions import (
    host_session,
    import_tensorflow,
    is_host,
    open_session,
)
from edgeshrink.engine.planning.request import Planned, PlannedStep
from edgeshrink.engine.planning.unfinished import unfinished
from edgeshrink.engine.running.forecast import forecast, limited, within
from edgeshrink.engine.running.inference import program
from edgeshrink.engine.running.kernels import Kernels
from edgeshrink.engine.running.run import Run
from edgeshrink.engine.running.run_folder import RunFolder
from edgeshrink.engine.running.stage_store import Stage
from edgeshrink.engine.running.stages import Stages
from edgeshrink.errors import DataError
from edgeshrink.models import (
    RUNNABLE,
    Artifact,
    Kind,
    copy_file,
    remove,
    write_text,
)
from edgeshrink.nn.conversion import shared_converter
from edgeshrink.plugins import Plugins
from edgeshrink.recipes import digest_of
from edgeshrink.results import Ledger, Report, Verdict, json_text, rules_of, versions
from edgeshrink.tflite import tflite_bytes

HANDED = 200  # samples that toolchains answer: simulators of chips take their time
# What only some results have beside them: one of an earlier result would tell of, or run, what is
# not there any more.
SOMETIMES = (".infer.py", ".names.json")


def compress(planned: Planned, plugins: Plugins) -> Report:
    """Run the plan and return what was found; the result lies at `request.out`.

    Interrupted anywhere, the same request goes on from the last whole stage.

    Raises:
        EdgeshrinkError: a step failed; the message names it and the last good model.
    """

    def told(text: str) -> None:
        plugins.hook.edgeshrink_told(text=text)

    workspace = RunFolder(planned.request.run_folder, told, planned.request.stages)
    with workspace.locked(), contextlib.ExitStack() as stack:
        devices = {device.name: _reached(device, plugins) for device in planned.devices}
        plugins.hook.edgeshrink_step_progress(step=None, fraction=0.0, note="loading TensorFlow")
        kernels = Kernels.of(workspace.folder, planned.base)  # before TensorFlow reads which
        if planned.recipe.steps[-1].produces in RUNNABLE:
            shared_converter.warm_up(workspace.log)
        import_tensorflow(workspace.log)
        scratch = stack.enter_context(workspace.scratch())
        host = stack.enter_context(host_session(plugins))()
        run = Run.of(planned, plugins, workspace, scratch, host, kernels)
        run = foreseen(run)
        return _Compression(run, devices).report()


def foreseen(run: Run) -> Run:
    """Tell what training will take; where a time is given, return the run held to it.

    What a time comes to is kept in the run's folder, so that the same request goes on from its
    stages, however fast the machine is then.

    Raises:
        UsageError: the time is too short.
    """
    seconds, planned = run.planned.request.seconds, run.planned
    if seconds is None and not run.plugins.hook.edgeshrink_told.get_hookimpls():
        return run  # nobody would hear it
    workers.at("the forecast of times")
    found = forecast(planned, Stages(run), run.scratch, always=seconds is not None)
    if seconds is not None:
        asked = digest_of(
            {
                "recipe": planned.recipe.to_toml(),
                "base": planned.base.digest,
                "data": planned.data.digest if planned.data else "",
                "seconds": seconds,
            }
        )
        most = run.workspace.kept(f"time-{asked[:16]}")
        if most is None:
            most = within(found, seconds)
            run.workspace.keep(f"time-{asked[:16]}", most)
        planned = limited(planned, most)
        found = tuple(one.held(most.get(one.place)) for one in found)
    for one in found:
        run.plugins.hook.edgeshrink_told(text=str(one))
    return replace(run, planned=planned)


class _Compression:
    """One run of a plan."""

    def __init__(self, run: Run, devices: Mapping[str, DeviceInfo | None]) -> None:
        self.run, self.planned, self.plugins = run, run.planned, run.plugins
        self.notes: list[str] = []
        self.stages, self.verdicts = Stages(run), Verdicts(run, devices)

    def report(self) -> Report:
        """Run all steps, write the results, and return what was found."""
        workers.at("the check of the base")
        self.check_chance()
        self.notes += filter(None, [flattery(self.run), self.run.sets.few()])
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
        recipe = self.planned.recipe.settled(
            stage.artifact.facts.get("training", {}) for stage in chain[1:]
        )
        workers.at("the judging of the result")
        ledger, verdict = self.verdicts.ledger(chain, reference)
        return self.written(ledger, verdict, chain[-1].artifact, recipe.to_toml())

    def check_chance(self) -> None:
        """Stop where a classifier is near chance before anything was done to it.

        Raises:
            DataError: it is, and `--force` was not given.
        """
        judge, judged = self.run.judge, self.run.sets.judged
        near = judge.near_chance(self.run.outputs(self.planned.base, judged), judged)
        if near is None:
            return
        hint = "Are classes numbered in the order that it was trained with?"
        if near.metric.name in ("top1", "top5"):
            whose = (
                "test samples" if near.single else "answers (pixels, steps, tags) to test samples"
            )
            said = (
                f"the uncompressed model is right on {near.value:.1%} of the {whose}, where always "
                f"naming the commonest class gets {near.guess:.1%}"
            )
        else:  # its values are no shares of answers
            name = near.metric.name
            value, guess = (words.value_of(name, one) for one in (near.value, near.guess))
            said = f"the uncompressed model's {name} is {value}, where guessing gets {guess}"
            hint = "Are labels what it was trained to tell, 1 of what is anomalous?"
            if not near.metric.chance:
                hint = "Does --decode make boxes in the units of the labels, x before y?"
        if not self.planned.request.force:
            raise DataError(
                said,
                hint="is --preprocess what the model was trained with (none, scale=1/255, …)? "
                f"{hint} --force goes on anyway",
            )
        self.notes.append(said)

    def reference(self) -> Stage | None:
        """Return the base as a plain float .tflite, which latency is compared with."""
        if self.planned.base.kind is not Kind.KERAS:
            return None  # no converter takes it
        method = next((m for m in self.plugins.methods.values() if m.default), None)
        if self.planned.recipe.steps[-1].produces not in RUNNABLE or method is None:
            return None
        self.run.progress(None, 0.0, "converting the base, to compare with")
        return self.stages.make(PlannedStep(method(), None, ()), self.planned.base)

    def written(self, ledger: Ledger, verdict: Verdict, final: Artifact, recipe: str) -> Report:
        """Write the result and all that belongs to it; return the report."""
        request, data = self.planned.request, self.planned.data
        out, text = request.out, ""
        if final.kind is Kind.TFLITE:
            text = program(final, out, data, list(self.run.judge.tasks.values()))
        taken = handed_on(self.run, final)
        report = Report(
            model=str(request.model),
            output=str(out),
            command=request.command,
            recipe=recipe,
            devices=self.verdicts.devices,
            data=data.described() if data else {},
            ledger=ledger,
            verdict=verdict,
            notes=(*self.planned.warnings, *self.notes, *(n for one in taken for n in one.notes)),
            snippet=text,
            versions=versions(),
            robustness=robustness(self.run, final),
        )
        rules = rules_of(request.budgets, *report.figures())
        missed = (rule.text for rule in rules if not rule.kept)
        failed = (
            verdict.failure,
            unmet(final),
            unfit(final, self.planned.devices),
            *(one.failed for one in taken),
            *missed,
        )
        report = replace(report, rules=rules, failed="; ".join(dict.fromkeys(filter(None, failed))))
        folder = self.run.workspace.folder
        with unfinished(folder, out, final.path):
            copy_file(final.path, out)
            for suffix in SOMETIMES:
                remove(out.with_suffix(suffix))
            for artifact in reversed(final.lineage):
                for companion in artifact.companions:
                    named = out.with_suffix(f".{companion}")
                    copy_file(artifact.path.with_name(companion), named)
            if text:
                write_text(out.with_suffix(".infer.py"), text)
            document = json_text(report.as_dict()) + "\n"
            for place in (out.with_suffix(".recipe.toml"), folder / "recipe.toml"):
                write_text(place, recipe)
            for place in (out.with_suffix(".report.json"), folder / "report.json"):
                write_text(place, document)
            for name in request.exports:
                export(final.path, exporter_named(name, self.plugins), out)
        return report


def unmet(final: Artifact) -> str:
    """Return what steps could not reach of what was asked of them, or nothing."""
    chain = reversed(final.lineage)
    return "; ".join(stage.facts["unmet"] for stage in chain if "unmet" in stage.facts)


def unfit(final: Artifact, devices: Sequence[DeviceProfile]) -> str:
    """Return why a device cannot run the result, or nothing."""
    if final.kind not in RUNNABLE:
        return ""
    from edgeshrink.tflite import read_model

    flat = read_model(tflite_bytes(final.path))
    return "; ".join(
        reason for device in devices for reason in compatibility.problems(flat, device)
    )


def handed_on(run: Run, final: Artifact) -> list[Handed]:
    """Return what came of handing the result to each toolchain that it goes through.

    Results among which one is still to be chosen are not handed on.
    """
    planned = run.planned
    toolchains = toolchains_of(planned.devices, planned.request.toolchains)
    if final.kind not in RUNNABLE or planned.request.judged != "test" or not toolchains:
        return []
    samples = parity.head(run.sets.judged, run.scratch / "handed", HANDED)
    expected = run.outputs(final, samples)
    samples = samples.taken_by(final)
    found = []
    for toolchain in toolchains:
        workers.at(f"the toolchain {toolchain.name}")
        run.progress(None, 0.0, f"handing the file to {toolchain.name}")
        found.append(handed(final.path, toolchain, run.plugins, run.judge, samples, expected))
    return found


def _reached(device: DeviceProfile, plugins: Plugins) -> DeviceInfo | None:
    """Return what a device says of itself, before any work: one that is not there ends it now."""
    if is_host(device):
        return None
    plugins.hook.edgeshrink_device_progress(device=device.name, fraction=0.0, note="connecting")
    with open_session(device, plugins) as session:
        return session.facts()
