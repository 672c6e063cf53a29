"""What a request asks for, checked before TensorFlow is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.devices import DeviceProfile
from edgeshrink.engine.exporting import export_places, exporter_named
from edgeshrink.engine.measuring.sessions import chosen_devices
from edgeshrink.engine.planning.base import load_base, opened
from edgeshrink.engine.planning.beside import told_beside
from edgeshrink.engine.planning.data_free import synthesised_dataset
from edgeshrink.engine.planning.request import Planned, PlannedStep, Request
from edgeshrink.engine.planning.suiting import suited
from edgeshrink.engine.planning.unfinished import is_unfinished
from edgeshrink.errors import ModelError, UsageError, near
from edgeshrink.flag import build
from edgeshrink.hookspecs import OpenedModel
from edgeshrink.models import Artifact, Kind, ModelFacts, facts, own_name, refuse
from edgeshrink.part import pip_install, version_of
from edgeshrink.plugins import Plugins
from edgeshrink.recipes import Need, Plan, Recipe, Training
from edgeshrink.results import check_record, with_own
from edgeshrink.samples import (
    Meaning,
    ModelOutputs,
    check_images,
    load_dataset,
    warn_double_scaling,
)

if TYPE_CHECKING:
    from edgeshrink.samples import Dataset

KERAS_KINDS = (Kind.KERAS, Kind.KERAS2, Kind.SAVEDMODEL)
FEW_SAMPLES = 10_000


def plan(request: Request, plugins: Plugins) -> Planned:
    """Return what would be done, with every mistake told that can be told by now.

    Raises:
        UsageError: what the request says is wrong.
        ModelError: the model file cannot be worked with.
        DataError: the data cannot be used, or does not fit the model.
    """
    model = opened(request, plugins)
    found = facts(request.model) if model is None else model.facts
    if set(request.input_shapes) == {""} and len(found.inputs) == 1:  # a shape without a name
        named = {found.inputs[0].name: request.input_shapes[""]}
        request = replace(request, input_shapes=named)
    said = build(Meaning, {"task": request.task, "decode": request.decode}, "data")
    request = replace(request, task=said.task)
    if request.decode and not request.data:
        raise UsageError(
            f"--decode {request.decode} makes boxes that labels judge, and there is no data",
            hint="pass --data with boxes as y_test",
        )
    if found.kind not in (*KERAS_KINDS, Kind.SKLEARN):
        raise ModelError(
            f"compress takes a Keras model; {request.model} is a {found.kind} file",
            hint="`edgeshrink bench`, `inspect` and `pack` take .tflite files",
        )
    kind = found.kind if found.kind is Kind.SKLEARN else Kind.KERAS
    warnings = [] if model is None else [*model.notes]
    warnings += list(
        refuse(found, unsafe=request.unsafe, custom=request.custom, source=str(request.model))
    )
    devices = chosen_devices(
        request.devices,
        request.at,
        request.connection,
        plugins,
        trust=request.trust_profile,
        toolchains=request.toolchains,
    )
    with_own(plugins.metrics, request.metric)
    produces = _produced(request.out)
    recipe = request.recipe.completed(plugins.methods, produces, kind)
    for step in recipe.steps if found.outputs else ():
        recipe.resolved(step).losses(output.name for output in found.outputs)
    recipe.check_order(kind)
    recipe.check_losses([own_name(spec) for spec in request.custom])
    if not recipe.steps:
        raise UsageError("there is nothing to do", hint="as in --prune 0.8 --int8")
    made = recipe.steps[-1].produces
    if made is not produces:
        hint = f"-o {request.out.with_suffix(made.suffix)}"
        raise UsageError(
            f"the recipe ends in a {made.suffix} file; -o asks for {request.out}",
            hint=f"--pack makes one, or {hint}" if produces is Kind.PACKED else hint,
        )
    if produces is Kind.KERAS and request.toolchains:
        raise UsageError(
            f"--toolchain {request.toolchains[0]} is for .tflite files; -o asks for {request.out}",
            hint="name a .tflite file",
        )
    if produces is Kind.KERAS and (asked := request.budgets.measures):
        raise UsageError(
            f"{asked[0]} is for files that devices run; -o asks for {request.out}",
            hint="name a .tflite file",
        )
    if request.seconds is not None and kind is not Kind.KERAS:
        raise UsageError(
            f"--time goes by training steps of the model itself, and a {kind} model has none",
            hint="--imitate-epochs says how long it takes",
        )
    _check_output(request, plugins)
    shapes = _fixed(found, request.input_shapes)
    base = Artifact(
        request.model,
        kind,
        content=None if model is None else model.content,
        facts={
            "custom": list(request.custom),
            "input_shapes": {k: list(v) for k, v in request.input_shapes.items()},
        },
    )
    if request.data and request.data_free:
        raise UsageError(
            f"--data-free is for when there is no data; received --data {request.data} too",
            hint="drop one of them",
        )
    data = load_data(request, recipe.seed, found, plugins) if request.data else None
    if request.data_free:
        data = _synthesised(request, recipe, shapes, found, base, model, plugins)
    if data is not None and request.data and request.metric and not data.judged:
        raise UsageError(
            f"the metric {request.metric} needs labels; {request.data} has none",
            hint="drop it: the result is compared with the original's answers",
        )
    if data is not None:
        check_record(request.metric, plugins.metrics, data)
        data = replace(data, bakes=any(step.bakes for step in recipe.steps))
        warnings += data.notes
        double = warn_double_scaling(found, data.preprocess)
        warnings += [double] if double else []
    if request.robustness:
        check_images(data.test if data else None)
    steps_asked = {step.name for step in request.recipe.steps}
    chosen = suited(recipe, steps_asked, plugins.methods, found, data, devices)
    if chosen is not None:
        recipe, told = chosen
        warnings.append(told)
    steps = tuple(
        _planned_step(place, recipe, found, data, devices) for place in range(len(recipe.steps))
    )
    warnings += _idle_settings(request, steps)
    warnings += _boxes_alone(request, data, steps)
    return Planned(request, base, found, devices, recipe, data, steps, tuple(warnings), model)


def _produced(out: Path) -> Kind:
    suffixes = {kind.suffix: kind for kind in (Kind.TFLITE, Kind.KERAS, Kind.PACKED)}
    if out.suffix not in suffixes:
        raise UsageError(f"the output must end in .tflite, .esz or .keras; received {str(out)!r}")
    return suffixes[out.suffix]


def _check_output(request: Request, plugins: Plugins) -> None:
    out = request.out
    if out.resolve() == request.model.resolve():
        raise UsageError(f"{out} is the input, and is never overwritten", hint="name another -o")
    if not out.parent.is_dir():
        raise UsageError(f"no folder {str(out.parent)!r} to write {out.name} to")
    if not os.access(out.parent, os.W_OK):
        raise UsageError(f"the folder {str(out.parent)!r} is read-only", hint="name another -o")
    ours = request.force or is_unfinished(request.run_folder, out)
    if out.exists() and not ours:
        raise UsageError(f"{out} exists", hint="--force overwrites it, -o names another file")
    if not ours and (other := told_beside(out)):
        raise UsageError(
            f"what {out.name} gets beside it, such as {out.stem}.report.json, is there for "
            f"{other.name}",
            hint="-o with another name keeps both; --force overwrites what lies beside it",
        )
    for name in request.exports:
        if out.suffix == Kind.KERAS.suffix:
            raise UsageError(f"--export {name} is for .tflite files; -o asks for {out}")
        export_places(exporter_named(name, plugins), out, force=ours)


def _fixed(
    found: ModelFacts, given: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int | None, ...]]:
    """Return each input's shape with what `--input-shape` fixes, as far as the file tells."""
    shapes = {i.name: i.shape for i in found.inputs if i.shape is not None}
    for name in given:
        if shapes and name not in shapes:
            raise UsageError(f"the model has no input {name!r}", hint=near(name, shapes))
    for tensor in found.dynamic_inputs:
        if tensor.name not in given:
            raise ModelError(
                f"input {tensor.name!r} has dynamic dimensions {tensor.shape}; "
                "edge runtimes need them fixed",
                hint=f"--input-shape {tensor.name}={tensor.fixed_example}",
            )
    return {**shapes, **given}


def load_data(request: Request, seed: int, found: ModelFacts, plugins: Plugins) -> Dataset:
    """Return the data of a request, as its model takes it.

    Raises:
        UsageError, ModelError: shapes are fixed that the model does not have, or not all are.
        DataError: the data cannot be used, or does not fit the model.
    """
    shapes = _fixed(found, request.input_shapes)
    data = load_dataset(
        request.data,
        preprocess=request.preprocess,
        seed=seed,
        calibration=request.calibration,
        hook=lambda spec: plugins.hook.edgeshrink_load_data(spec=spec),
        outputs=ModelOutputs(found.outputs, found.compiled, request.task, request.decode),
        classes=found.classes,
        **request.reading,
    )
    if not shapes:
        return data
    types = {i.name: i.dtype for i in found.inputs}
    return data.for_model(shapes, None, types).answering(data.outputs)


def _synthesised(
    request: Request,
    recipe: Recipe,
    shapes: Mapping[str, tuple[int | None, ...]],
    found: ModelFacts,
    base: Artifact,
    model: OpenedModel | None,
    plugins: Plugins,
) -> Dataset:
    def load() -> Any:
        return load_base(request, model)

    def progress(share: float, note: str) -> None:
        plugins.hook.edgeshrink_step_progress(step=None, fraction=share, note=note)

    return synthesised_dataset(
        found,
        shapes,
        load,
        lambda: base.digest,
        progress,
        preprocess=request.preprocess,
        calibration=request.calibration,
        trains=any(step.training is not None for step in recipe.steps),
        seed=recipe.seed,
    )


def _boxes_alone(
    request: Request, data: Dataset | None, steps: Sequence[PlannedStep]
) -> Iterator[str]:
    """Yield what steps train towards where labels are boxes alone."""
    trains = any(one.training is not None for one in steps)
    if request.decode and data is not None and not data.labelled and trains:
        yield (
            f"the labels of {request.data} are boxes, which no loss compares with what the model "
            "puts out: steps that train follow the uncompressed model's answers; y_train/OUTPUT "
            "would say what an output is to learn"
        )


def _idle_settings(request: Request, steps: Sequence[PlannedStep]) -> Iterator[str]:
    """Yield what is to be told of settings of training that no step goes by."""
    if request.stages is not None:
        return  # several runs have these settings, and some of them train
    said = [one.name for one in fields(Training)]
    tuning = request.recipe.training
    given = [name for name in said if getattr(tuning, name) is not None]
    if tuning.epochs == 0:  # which asks for none
        given = []
    trained = [one.step for one in steps if one.training is not None]
    if not trained:
        idle, why = [*given, *(["time"] if request.seconds is not None else [])], "no step trains"
    elif not any(step.chooses for step in trained):
        idle = [name for name in given if name in ("effort", "max_epochs")]
        why = "no step chooses how long it trains"
    else:
        return
    if idle:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in idle)
        yield f"{why}: {flags} {'has' if len(idle) == 1 else 'have'} no effect"


def _planned_step(
    place: int,
    recipe: Recipe,
    found: ModelFacts,
    data: Dataset | None,
    devices: Sequence[DeviceProfile],
) -> PlannedStep:
    step = recipe.steps[place]
    missing = [name for name in step.requires if not version_of(name)]
    if missing:
        raise UsageError(f"{step.name} needs {', '.join(missing)}", hint=pip_install(missing))
    if step.data is Need.REQUIRED and data is None:
        raise UsageError(f"{step.name} needs data", hint="pass --data")
    training = None
    if step.training is not None and data is not None and data.train is not None:
        training = _settled(recipe.resolved(step), found, data, chooses=step.chooses)
    notes: dict[str, None] = {}  # an ordered set: most is true of all devices
    for device in devices:
        around = Plan(found, recipe.steps[:place], recipe.steps[place + 1 :], data, device)
        notes |= dict.fromkeys(step.check(around))
    return PlannedStep(step, training, tuple(notes))


def _settled(wanted: Training, found: ModelFacts, data: Dataset, *, chooses: bool) -> Training:
    """Return the settings, of which a step that chooses them when it runs leaves some open.

    These are the epochs, the peak rate, the shift of images and, where there are labels, the
    teacher. For other steps they are three epochs, or ten where there are few samples, a tenth of
    the rate that the model was compiled with, or 1e-4, and labels alone. Batches are of 64.
    """
    assert data.train is not None
    unlabelled = not data.labelled
    common = Training(batch_size=64, teacher="original" if unlabelled else None)
    if chooses:
        return wanted.over(common).over(Training(effort="normal"))
    few = len(data.train) < FEW_SAMPLES
    # archives store the rate as float32: 0.0010000000474974513
    rate = float(f"{found.learning_rate / 10:.6g}") if found.learning_rate else 1e-4
    fixed = Training(epochs=10 if few else 3, lr=rate, teacher="none")
    return wanted.over(common).over(fixed)
