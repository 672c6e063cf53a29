"""What each layer of a model bears, measured on samples, outside of a run."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from edgeshrink.devices import Session
from edgeshrink.engine import workers
from edgeshrink.engine.measuring.sessions import import_tensorflow
from edgeshrink.engine.planning.planner import plan
from edgeshrink.engine.planning.request import Request
from edgeshrink.engine.running.models import Models
from edgeshrink.engine.running.sample_sets import SampleSets
from edgeshrink.errors import UsageError
from edgeshrink.plugins import Plugins
from edgeshrink.recipes import Recipe
from edgeshrink.results import Judge, Outputs, Samples, Score, Sensitivity


@dataclass(frozen=True)
class SensitivityRequest:
    """One measurement of a model's layers, as it was asked for; fields as those of `Request`."""

    model: Path
    data: str = ""
    preprocess: str = "none"
    resize: str = "keras"
    task: str = ""
    metric: str = ""
    unsafe: bool = False
    custom: tuple[str, ...] = ()
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True)
class SensitivityReport:
    """What each layer of a model bears.

    Attributes:
        model: as it was named.
        samples: how many inputs were compared on.
        synthetic: the inputs were made up, not data.
        score: of the model as it is; None without labels.
        layers: those with weights that may have fewer bits, the most sensitive first.
        warnings: what was decided for the user, and what may be wrong.
    """

    model: str
    samples: int
    synthetic: bool
    score: Score | None
    layers: tuple[Sensitivity, ...]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def sensitivity(request: SensitivityRequest, plugins: Plugins) -> SensitivityReport:
    """Measure what fewer bits in each layer alone do to a model's answers.

    Validation samples are compared on, since what is chosen by the result is not to be judged on
    them; without data, made-up inputs.

    Raises:
        UsageError: what the request says is wrong, or no plugin measures.
        ModelError: the model cannot be worked with.
        DataError: the data cannot be used, or does not fit the model.
    """
    with tempfile.TemporaryDirectory(prefix="edgeshrink-") as name:
        folder = Path(name)
        planned = plan(
            Request(
                model=request.model,
                recipe=Recipe(seed=request.seed),
                out=folder / "float.tflite",
                data=request.data,
                preprocess=request.preprocess,
                resize=request.resize,
                task=request.task,
                metric=request.metric,
                unsafe=request.unsafe,
                custom=request.custom,
                input_shapes=request.input_shapes,
            ),
            plugins,
        )
        tell = partial(plugins.hook.edgeshrink_step_progress, step=None)
        tell(fraction=0.0, note="loading TensorFlow")
        import_tensorflow(folder / "log")
        models = Models(planned, plugins, folder)
        data = planned.data.answering(models.outputs) if planned.data else None
        planned = replace(planned, data=data)
        tasks = data.tasks if data else models.outputs.tasks({})
        workers.at("the rounding of layers")
        samples = SampleSets(
            planned, models, folder, lambda share, note: tell(fraction=share, note=note)
        ).compared
        judge = Judge(
            _no_session,
            folder / "outputs",
            plugins.metrics,
            record=request.metric,
            tasks=tasks,
            progress=lambda share, note: tell(fraction=share, note=note),
        )
        found = plugins.hook.edgeshrink_sensitivity(
            model=models.base,
            inputs=samples.inputs,
            compare=lambda base, outputs: judge.agreement(base, outputs, samples),
            score=lambda outputs: _value(judge, outputs, samples),
            progress=lambda share: tell(fraction=share, note="rounding layer after layer"),
        )
        if found is None:
            raise UsageError(
                "no plugin measures layers", hint="`edgeshrink plugins` lists what is installed"
            )
        scores = judge.scores(judge.run(models.base, samples), samples)
        return SensitivityReport(
            str(request.model),
            samples.count,
            samples.synthetic,
            scores[0] if scores else None,
            tuple(sorted(found, key=_at_4_bits, reverse=True)),
            planned.warnings,
        )


def _value(judge: Judge, outputs: Outputs, samples: Samples) -> float | None:
    scores = judge.scores(outputs, samples)
    return scores[0].value if scores else None


def _at_4_bits(layer: Sensitivity) -> float:
    """Return the divergence by which layers are ordered: in 2 bits, most are hurt badly."""
    return next((width.divergence for width in layer.widths if width.bits == 4), 0.0)


def _no_session() -> Session:
    raise AssertionError("only Keras models are run")
