"""Measure models on devices: latency, size, memory and accuracy, each pair a result."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from pathlib import Path

from edgeshrink.engine.judging.perturbing import Perturbing, sampled
from edgeshrink.engine.measuring.bench_request import BenchReport, BenchRequest, BenchResult
from edgeshrink.engine.measuring.checkpoint import Kept
from edgeshrink.engine.measuring.device_farm import DeviceFarm
from edgeshrink.engine.measuring.device_result import DeviceResult
from edgeshrink.engine.measuring.sessions import chosen_devices, host_session
from edgeshrink.engine.measuring.signature import Signature
from edgeshrink.errors import DataError, ModelError, UsageError
from edgeshrink.flag import build
from edgeshrink.models import RUNNABLE, Artifact, identify
from edgeshrink.plugins import Plugins
from edgeshrink.results import (
    Judge,
    Outputs,
    Robustness,
    Samples,
    check_record,
    rules_of,
    samples_of,
    versions,
)
from edgeshrink.samples import Dataset, Meaning, ModelOutputs, check_images, load_dataset

SEED = 0  # of what is drawn


def bench(request: BenchRequest, plugins: Plugins) -> BenchReport:
    """Measure every model on every device; a device that is lost does not end the sweep.

    What was measured before a device was lost is kept; the same request with `resume` goes on.

    Raises:
        UsageError: a model, device or metric does not exist.
        DataError: the data cannot be used.
    """
    for model in request.models:
        kind = identify(model)
        if kind not in RUNNABLE:
            raise ModelError(
                f"bench takes .tflite and .esz files; {model} is a {kind} file",
                hint=f"`edgeshrink compress {model} --float` makes one",
            )
    devices = chosen_devices(
        request.devices,
        request.at,
        request.connection,
        plugins,
        request.options,
        trust=request.trust_profile,
    )
    models = [Artifact(path, identify(path)) for path in request.models]
    data = _data(request, plugins) if request.data else None
    if request.robustness:
        check_images(data.test if data else None)
        if len(models) < 2:
            raise UsageError(
                "--robustness compares with the first model", hint="name another model behind it"
            )
    _check_budgets(request)
    sweep = {
        "models": [model.digest for model in models],
        "devices": [asdict(device) for device in devices],
        "plan": asdict(request.plan),
        "data": data.digest if data else None,
    }

    def told(text: str) -> None:
        plugins.hook.edgeshrink_told(text=text)

    with contextlib.ExitStack() as stack:
        kept = stack.enter_context(Kept.of(sweep, resume=request.resume, told=told))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeshrink-")))
        session = stack.enter_context(host_session(plugins))
        samples = None
        if data is not None:
            if data.test is None:
                raise DataError(f"{request.data} has no test samples to measure accuracy on")
            check_record(request.metric, plugins.metrics, data)
            names = list(data.tasks)
            samples = samples_of(data, data.test, "test", scratch, names)
        judge = Judge(
            session,
            scratch / "host",
            plugins.metrics,
            record=request.metric,
            tasks=data.tasks if data else None,
            decode=request.decode,
            progress=lambda fraction, note: None,
        )
        farm = DeviceFarm(devices, request.plan, plugins, lambda: judge, kept)
        found = farm.observe(models, samples, scratch)
        results = tuple(
            result for device in devices for result in _judged(found[device.name], samples, judge)
        )
        robustness = _robustness(request, data, models, judge, scratch, plugins)
        report = BenchReport(
            results,
            tuple(data.notes) if data else (),
            request.command,
            data.described() if data else {},
            versions(),
            robustness,
        )
        if not report.lost:
            kept.forget()
    rules = (rules_of(request.budgets, one, beside) for one, beside in report.pairs())
    return replace(report, rules=tuple(chain.from_iterable(rules)))


def _check_budgets(request: BenchRequest) -> None:
    """Refuse rules that nothing could be held to.

    Raises:
        UsageError: there is but one model, or no data.
    """
    budgets = request.budgets
    if len(request.models) < 2 and (asked := budgets.compares):
        raise UsageError(
            f"{asked[0]} compares with the first model", hint="name another model behind it"
        )
    if not request.data and budgets.drop and budgets.drop.limited:
        raise UsageError(f"--max-drop {budgets.max_drop} needs scores", hint="pass --data")


def _data(request: BenchRequest, plugins: Plugins) -> Dataset:
    first = Signature.read(request.models[0])
    said = build(Meaning, {"task": request.task, "decode": request.decode}, "data")
    outputs = ModelOutputs(first.outputs, given=said.task, decode=said.decode)
    data = load_dataset(
        request.data,
        preprocess=request.preprocess,
        hook=lambda spec: plugins.hook.edgeshrink_load_data(spec=spec),
        outputs=outputs,
        **request.reading,
    )
    return data.for_model(first.inputs, None, first.types).answering(outputs)


def _robustness(
    request: BenchRequest,
    data: Dataset | None,
    models: Sequence[Artifact],
    judge: Judge,
    folder: Path,
    plugins: Plugins,
) -> dict[str, Robustness]:
    """Return the scores of the first model and each other on perturbed images, by the other."""
    if not request.robustness or data is None or data.test is None:
        return {}
    part = sampled(data, data.test, request.robustness_samples, SEED)
    names = list(data.tasks)

    def run(model: Artifact, samples: Samples) -> Outputs:
        return judge.outputs(model, samples, lambda: None)

    def progress(share: float, note: str) -> None:
        plugins.hook.edgeshrink_step_progress(step=None, fraction=share, note=note)

    return {
        str(model.path): Perturbing(
            data, part, judge, (partial(run, models[0]), partial(run, model)), names, folder, SEED
        ).robustness(progress)
        for model in models[1:]
    }


def _judged(
    observed: Sequence[DeviceResult], samples: Samples | None, judge: Judge
) -> list[BenchResult]:
    """Return the results of one device, each compared with that of its first model."""
    results: list[BenchResult] = []
    base: Outputs | None = None
    for one in observed:
        result = BenchResult(
            str(one.model.path),
            one.device.name,
            one.model.size_bytes,
            one.model.compressed_bytes,
            one.measurement if one.failure is None else None,
            one.failure,
            host_error=one.host_error,
            notes=one.notes,
        )
        if samples is not None and one.outputs is not None:
            result = replace(result, scores=judge.scores(one.outputs, samples))
            if base is None:
                base = one.outputs
            else:
                result = replace(
                    result,
                    p_value=judge.p_value(base, one.outputs, samples),
                    agreement=judge.agreement(base, one.outputs, samples),
                )
        results.append(result)
    return results
