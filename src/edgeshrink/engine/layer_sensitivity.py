"""What each layer of a model bears, measured on samples, outside of a run."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.devices import Session
from edgeshrink.engine import workers
from edgeshrink.engine.measuring.sessions import import_tensorflow
from edgeshrink.engine.planning.planner import plan
from edgeshrink.engine.planning.request import Request
from edgeshrink.engine.running.models import Models
from edgeshrink.engine.running.sample_sets import SampleSets
from edgeshrink.errors import ModelError, UsageError, near
from edgeshrink.models import Kind
from edgeshrink.plugins import Plugins
from edgeshrink.recipes import Changed, LayerChange, Method, Recipe, Strengths
from edgeshrink.results import (
    Effect,
    Judge,
    Outputs,
    Samples,
    Sensitivity,
    SensitivityReport,
    most_sensitive_first,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras


@dataclass(frozen=True)
class SensitivityRequest:
    """One measurement of a model's layers, as it was asked for.

    Attributes:
        methods: names of those to try; empty for all that change layers. Other fields are those of
            `Request`.
    """

    model: Path
    methods: tuple[str, ...] = ()
    data: str = ""
    preprocess: str = "none"
    reading: Mapping[str, Any] = field(default_factory=dict)
    task: str = ""
    decode: str = ""
    metric: str = ""
    unsafe: bool = False
    custom: tuple[str, ...] = ()
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    seed: int = 0


def sensitivity(request: SensitivityRequest, plugins: Plugins) -> SensitivityReport:
    """Measure what methods do to a model's answers where they change one layer alone.

    Nothing is trained. Validation samples are compared on, since what is chosen by the result is
    not to be judged on them; without data, made-up inputs.

    Raises:
        UsageError: what the request says is wrong, or a method changes no layers.
        ModelError: the model cannot be worked with, or not by a method that was named.
        DataError: the data cannot be used, or does not fit the model.
    """
    methods = _chosen(request.methods, plugins)
    with tempfile.TemporaryDirectory(prefix="edgeshrink-") as name:
        folder = Path(name)
        planned = plan(
            Request(
                model=request.model,
                recipe=Recipe(seed=request.seed),
                out=folder / "float.tflite",
                data=request.data,
                preprocess=request.preprocess,
                reading=request.reading,
                task=request.task,
                decode=request.decode,
                metric=request.metric,
                unsafe=request.unsafe,
                custom=request.custom,
                input_shapes=request.input_shapes,
            ),
            plugins,
        )

        if planned.base.kind is not Kind.KERAS:
            raise ModelError(
                f"sensitivity changes the layers of a Keras model; {request.model} has none",
                hint="compress it to a .keras file first: -o model.keras",
            )

        def tell(share: float, note: str) -> None:
            plugins.hook.edgeshrink_step_progress(step=None, fraction=share, note=note)

        tell(0.0, "loading TensorFlow")
        import_tensorflow(folder / "log")
        models = Models(planned, folder)
        data = planned.data.answering(models.outputs) if planned.data else None
        planned = replace(planned, data=data)
        tasks = data.tasks if data else models.outputs.tasks({})
        workers.at("the changes of layers")
        samples = SampleSets(planned, models, folder, tell).compared
        judge = Judge(
            _no_session,
            folder / "outputs",
            plugins.metrics,
            record=request.metric,
            tasks=tasks,
            decode=request.decode,
            progress=tell,
        )
        model = models.base
        changes, left = _changes(methods, model, named=bool(request.methods))
        strengths = {name: own for name in changes if (own := methods[name].strengths)}
        base = judge.run(model, samples)
        effects = _effects(changes, strengths, _Comparison(judge, samples, base), tell)
        scores = judge.scores(base, samples)
        return SensitivityReport(
            str(request.model),
            samples.count,
            samples.synthetic,
            scores[0] if scores else None,
            strengths,
            most_sensitive_first(_layers(model, effects), strengths),
            (*planned.warnings, *left),
        )


def _chosen(names: Sequence[str], plugins: Plugins) -> dict[str, type[Method]]:
    """Return the methods that change layers, by name: all, or those that are named."""
    known = {name: one for name, one in plugins.methods.items() if one.strengths is not None}
    if not known:
        raise UsageError(
            "no plugin has a method that changes single layers",
            hint="`edgeshrink plugins` lists what is installed",
        )
    for name in names:
        if name not in known:
            why = "changes no single layers" if name in plugins.methods else "is not known"
            raise UsageError(f"--method: {name!r} {why}", hint=near(name, known))
    return {name: one for name, one in known.items() if not names or name in names}


def _changes(
    methods: Mapping[str, type[Method]], model: keras.Model, *, named: bool
) -> tuple[dict[str, Sequence[LayerChange]], list[str]]:
    """Return what each method can change, and why some of them can change nothing.

    Raises:
        ModelError: a method that was named cannot.
    """
    found: dict[str, Sequence[LayerChange]] = {}
    left = []
    for name, method in methods.items():
        try:
            changes = method.by_layer(model)
            if not changes:
                raise ModelError("it can change no layer of this model")
        except ModelError as error:
            if named:
                raise ModelError(f"{name}: {error}", hint=error.hint) from error
            left.append(f"{name} was not tried: {error}")
        else:
            found[name] = changes
    return found, left


@dataclass(frozen=True, eq=False)
class _Comparison:
    """What changed models are compared with."""

    judge: Judge
    samples: Samples
    base: Outputs

    def effect(self, method: str, strength: float, changed: Changed) -> Effect:
        """Return what a change does; the model's weights are as they were afterwards."""
        import numpy as np

        from edgeshrink.nn.inputs import divergence, matched_outputs

        before = [np.array(variable) for variable, _ in changed.weights]
        same = all(map(np.array_equal, before, (values for _, values in changed.weights)))
        outputs = self.base
        if not (changed.weights and same):
            try:
                for variable, values in changed.weights:
                    variable.assign(values)
                found = self.judge.run(changed.model, self.samples)
            finally:
                for (variable, _), values in zip(changed.weights, before, strict=True):
                    variable.assign(values)
            outputs = dict(zip(self.base, matched_outputs(self.base, found), strict=True))
        far, agreed, value = divergence(self.base, outputs), None, None
        if math.isfinite(far):
            agreed = self.judge.agreement(self.base, outputs, self.samples).top1
            scores = self.judge.scores(outputs, self.samples)
            value = scores[0].value if scores else None
        saved = changed.bytes_saved, changed.macs_saved
        return Effect(method, strength, *saved, far, agreed, value)


def _effects(
    changes: Mapping[str, Sequence[LayerChange]],
    strengths: Mapping[str, Strengths],
    comparison: _Comparison,
    tell: Callable[[float, str], None],
) -> dict[str, list[Effect]]:
    """Return all effects, by layer."""
    found: dict[str, list[Effect]] = {}
    for place, (method, layers) in enumerate(changes.items()):
        for done, change in enumerate(layers):
            share = (place + done / len(layers)) / len(changes)
            tell(share, f"{method}, layer after layer: {change.layer}")
            for strength in strengths[method].values:
                changed = change.changed(strength)
                if changed is not None:
                    effect = comparison.effect(method, strength, changed)
                    found.setdefault(change.layer, []).append(effect)
    tell(1.0, "layers are measured")
    return found


def _layers(model: keras.Model, effects: Mapping[str, Sequence[Effect]]) -> dict[str, Sensitivity]:
    """Return layers with their parameters, by name."""
    parameters = {
        layer.name: sum(math.prod(variable.shape) for variable in layer.weights)
        for layer in model._flatten_layers(include_self=False)
    }
    return {
        name: Sensitivity(
            name,
            sum(parameters.get(n, 0) for n in ([name] if name in parameters else name.split("+"))),
            tuple(own),
        )
        for name, own in effects.items()
    }


def _no_session() -> Session:
    raise AssertionError("only Keras models are run")
