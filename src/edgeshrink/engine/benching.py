"""Measure models on devices: latency, size, memory and accuracy, each pair a result."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgeshrink import data as datasets
from edgeshrink import modelfile, profile
from edgeshrink.artifact import Artifact, Kind
from edgeshrink.engine.compressing import VERSIONED
from edgeshrink.engine.planning import described
from edgeshrink.engine.results import BenchReport, BenchRequest, BenchResult
from edgeshrink.engine.sessions import open_session
from edgeshrink.errors import DataError, EdgeshrinkError, ModelError, TargetError, UsageError
from edgeshrink.judge import Judge, Outputs, Samples, samples_of
from edgeshrink.measure import Failure, Measurement
from edgeshrink.metric import Score
from edgeshrink.part import task_of
from edgeshrink.plugins import Plugins
from edgeshrink.profile import DeviceProfile
from edgeshrink.workspace import version_of

if TYPE_CHECKING:
    from edgeshrink.data import Dataset


def bench(request: BenchRequest, plugins: Plugins) -> BenchReport:
    """Measure every model on every device; a device that is lost does not end the sweep.

    Raises:
        UsageError: a model, device or metric does not exist.
        DataError: the data cannot be used.
    """
    for model in request.models:
        kind = modelfile.identify(model)
        if kind is not Kind.TFLITE:
            raise ModelError(
                f"bench takes .tflite files; {model} is a {kind} file",
                hint=f"`edgeshrink compress {model} --float` makes one",
            )
    devices = [profile.find(name, plugins.profile_folders) for name in request.devices]
    if request.at and len(devices) > 1:
        raise UsageError("--at goes with one --device")
    data = None
    if request.data:
        data = _bench_data(request, plugins)
    results: list[BenchResult] = []
    notes = list(data.notes) if data else []
    with tempfile.TemporaryDirectory(prefix="edgeshrink-") as scratch:
        samples = None
        if data is not None:
            if data.test is None:
                raise DataError(f"{request.data} has no test samples to measure accuracy on")
            names = _flat(request.models[0]).output_names
            samples = samples_of(data, data.test, "test", Path(scratch), names)
        for device in devices:
            chosen = replace(device, address=request.at or device.address)
            results += _bench_device(chosen, request, samples, Path(scratch), plugins)
    versions = {name: version_of(name) for name in VERSIONED}
    return BenchReport(tuple(results), tuple(notes), request.command, described(data), versions)


@dataclass(frozen=True)
class _Signature:
    inputs: dict[str, tuple[int, ...]]
    types: dict[str, str]
    outputs: dict[str, tuple[int, ...]]

    @property
    def output_names(self) -> list[str]:
        return list(self.outputs)


def _flat(path: Path) -> _Signature:
    """Return the inputs and outputs of a .tflite by the names that its signature gives them."""
    from edgeshrink.nn.flat import read

    flat = read(path.read_bytes())
    first = [t for t in flat.tensors if t.subgraph == 0]
    by_index = {t.index: t for t in first}
    if flat.signatures:
        signature = flat.signatures[0]
        ins = {n: by_index[i] for n, i in signature.inputs.items()}
        outs = {n: by_index[i] for n, i in signature.outputs.items()}
    else:
        ins, outs = {t.name: t for t in flat.inputs}, {t.name: t for t in flat.outputs}
    return _Signature(
        {n: t.shape for n, t in ins.items()},
        # a quantized input still takes real values: the runner quantizes them
        {n: "float32" if t.scales else t.dtype for n, t in ins.items()},
        {n: t.shape for n, t in outs.items()},
    )


def _bench_data(request: BenchRequest, plugins: Plugins) -> Dataset:
    first = _flat(request.models[0])
    data = datasets.load(
        request.data,
        preprocess=request.preprocess,
        hook=lambda spec: plugins.hook.edgeshrink_load_data(spec=spec),
    )
    return data.for_model(first.inputs, first.outputs, first.types)


def _bench_device(
    device: DeviceProfile,
    request: BenchRequest,
    samples: Samples | None,
    scratch: Path,
    plugins: Plugins,
) -> list[BenchResult]:
    """Return the results of all models on one device."""
    models = list(request.models)
    threads = request.plan.threads or device.threads
    try:
        with open_session(device, plugins) as session:
            timed = session.time(models, replace(request.plan, threads=threads))
            for result in timed:
                plugins.hook.edgeshrink_measured(result=result)
            judge = Judge(
                session,
                scratch / "outputs" / device.name,
                plugins.metrics,
                record=request.metric,
                classes=samples is not None and _tells_classes(samples),
                progress=lambda fraction, note: plugins.hook.edgeshrink_step_progress(
                    step=None, fraction=fraction, note=note
                ),
            )
            return _judged(models, timed, device, samples, judge)
    except TargetError as error:
        lost = [Failure(str(model), device.name, str(error), lost=True) for model in models]
        return [_result(m, device, f, ()) for m, f in zip(models, lost, strict=True)]


def _tells_classes(samples: Samples) -> bool:
    return any(task_of(labels) != "regression" for labels in samples.labels.values())


def _judged(
    models: list[Path],
    timed: list[Measurement | Failure],
    device: DeviceProfile,
    samples: Samples | None,
    judge: Judge,
) -> list[BenchResult]:
    results: list[BenchResult] = []
    base: Outputs | None = None
    for model, measured in zip(models, timed, strict=True):
        outputs: Outputs | None = None
        if samples is not None and isinstance(measured, Measurement):
            try:
                outputs = judge.outputs(Artifact(model, Kind.TFLITE), samples, lambda: None)
            except TargetError:
                raise
            except EdgeshrinkError as error:
                measured = Failure(str(model), device.name, str(error))
        scores = judge.scores(outputs, samples) if outputs and samples else ()
        result = _result(model, device, measured, scores)
        if outputs and samples and base is not None:
            result = replace(
                result,
                p_value=judge.p_value(base, outputs, samples),
                agreement=judge.agreement(base, outputs, samples),
            )
        base = outputs if base is None else base
        results.append(result)
    return results


def _result(
    model: Path,
    device: DeviceProfile,
    measured: Measurement | Failure,
    scores: tuple[Score, ...],
) -> BenchResult:
    artifact = Artifact(model, Kind.TFLITE)
    return BenchResult(
        str(model),
        device.name,
        artifact.size_bytes,
        artifact.compressed_bytes,
        measured if isinstance(measured, Measurement) else None,
        measured if isinstance(measured, Failure) else None,
        scores,
    )
