"""Make Keras models small, and prove it on the device.

Example:
    >>> import edgeshrink                                                   # doctest: +SKIP
    >>> report = edgeshrink.compress("model.keras", prune=0.8, int8=True,
    ...                              data="mnist.npz", preprocess="scale=1/255")
    >>> report.ledger.final.score.value

Plugins import `edgeshrink.api`, `edgeshrink.nn` and `edgeshrink.tflite`, and nothing else of it;
their tests `edgeshrink.testing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeshrink.devices import BenchPlan
    from edgeshrink.engine import BenchReport
    from edgeshrink.results import Budgets, Report

__version__ = "0.1.0"
__all__ = ["__version__", "bench", "compress"]


def compress(
    model: str | Path,
    *,
    out: str | Path | None = None,
    recipe: str | Path | None = None,
    steps: Sequence[str] = (),
    training: dict[str, Any] | None = None,
    seconds: float | None = None,
    seed: int | None = None,
    data: str = "",
    data_free: bool = False,
    preprocess: str = "none",
    resize: str = "keras",
    task: str = "",
    devices: Sequence[str] = ("desktop",),
    toolchains: Sequence[str] = (),
    at: str = "",
    trust_profile: bool = False,
    force: bool = False,
    unsafe: bool = False,
    custom: Sequence[str] = (),
    input_shapes: dict[str, tuple[int, ...]] | None = None,
    metric: str = "",
    max_drop: float | str | None = None,
    max_bytes: int | str = "",
    max_ms: float | str = "",
    max_arena: int | str = "",
    larger: bool = True,
    slower: bool = True,
    robustness: bool = False,
    robustness_samples: int = 1000,
    run: str | Path | None = None,
    calibration: int = 200,
    rules: str = "quick",
    **flags: Any,
) -> Report:
    """Compress a Keras model and return the report; the same as `edgeshrink compress`.

    It works in this process, where a crash of TensorFlow cannot be caught; the command works in one
    of its own.

    Args:
        model: a .keras or .h5 file, or a SavedModel folder; or a fitted model of scikit-learn, as
            a .skops file or `module:object`.
        out: the .tflite, .esz or .keras file to write; None puts `<model>.tflite` here, or .esz
            where `pack` is among the steps.
        recipe: a recipe file, which says training and seed too; goes with none of `steps`, flags,
            `training` and `seed`.
        steps: lines such as `"prune sparsity=0.8"`, in the order in which they run.
        training: settings for all steps: `{"epochs": 5, "lr": 1e-3}`.
        seconds: that training may take, all steps together; None for what `effort` says.
        seed: of everything random; None for 0, or what the recipe says.
        data: a data set, as `--data` takes it.
        data_free: synthesise inputs from the model's batch norms, in place of data.
        preprocess: what is done to samples before the model sees them.
        resize: how images of a folder are read: `keras`, as its own reader does, or `antialias`.
        task: what the outputs answer, where the model does not tell: `classification`, `binary`,
            `tags` or `regression`; `output=regression` for one of several outputs.
        devices: names or paths of device profiles; the result is for the first, and measured on
            all.
        toolchains: names of readers that the result goes through on its way to a chip.
        at: the address of the one device, in place of its profile's.
        trust_profile: profiles that are named by their path may name programs of this machine.
        force: overwrite `out`, and go on where a check says stop.
        unsafe: code inside the model file may run.
        custom: `module:object` of classes that are not Keras's.
        input_shapes: fixed shapes of inputs with dynamic dimensions, batch included.
        metric: the metric of record.
        max_drop: what the result may lose: points of accuracy, or `none` for anything; None is 10
            points, or half of the way from the base to guessing, if that is less.
        max_bytes: how large the result may be: bytes, or a size such as `100kB` or `64KiB`.
        max_ms: how long one inference may take: milliseconds of the median, or `p90<25`.
        max_arena: how much memory its tensors may need, as `max_bytes`.
        larger: whether it may be larger than the base as a float file.
        slower: whether it may be slower than the base as a float file.
        robustness: also score the base and the result on perturbed test images.
        robustness_samples: test samples that are perturbed, at most.
        run: the run folder; None puts it beside `out`.
        calibration: samples that calibrate activations.
        rules: how long files are timed: `smoke`, `demo`, `quick` or `mlperf`.
        flags: methods and their options as on the command line, with underscores:
            `prune=0.8, prune_scope="layer", int8=True`.

    Returns:
        The report; `report.failed` says why a result is not what was asked for.

    Raises:
        edgeshrink.errors.EdgeshrinkError: something is wrong; the message says what.
    """
    from edgeshrink.engine import Request, compress as run_plan, default_out, plan
    from edgeshrink.errors import UsageError
    from edgeshrink.flag import build
    from edgeshrink.plugins import installed
    from edgeshrink.recipes import Recipe, Training
    from edgeshrink.texts import read_text

    if sum(map(bool, (recipe, steps, flags))) > 1:
        raise UsageError("a recipe, steps and flags cannot be mixed", hint="use one of them")
    if recipe and (training or seed is not None):
        said = "training" if training else "seed"
        raise UsageError(
            f"a recipe says its own training and seed; received {said}= beside recipe=",
            hint=f"write {said} into the recipe, or use steps=",
        )
    plugins = installed()
    settings = {"training": build(Training, training or {}, "training"), "seed": seed or 0}
    if recipe:
        wanted = Recipe.from_toml(
            read_text(Path(recipe), "recipe"), plugins.methods, origin=str(recipe)
        )
    elif steps:
        wanted = Recipe.from_steps(_several("steps", steps), plugins.methods, **settings)
    else:
        wanted = Recipe.from_flags(flags, plugins.methods, **settings)
    request = Request(
        model=Path(model),
        recipe=wanted,
        out=Path(out) if out else default_out(Path(model), wanted),
        data=data,
        data_free=data_free,
        preprocess=preprocess,
        resize=resize,
        task=task,
        calibration=calibration,
        devices=_several("devices", devices),
        toolchains=_several("toolchains", toolchains),
        at=at,
        trust_profile=trust_profile,
        run=Path(run) if run else None,
        force=force,
        unsafe=unsafe,
        custom=_several("custom", custom),
        input_shapes=input_shapes or {},
        metric=metric,
        budgets=_budgets(
            max_drop=max_drop,
            max_bytes=max_bytes,
            max_ms=max_ms,
            max_arena=max_arena,
            larger=larger,
            slower=slower,
        ),
        robustness=robustness,
        robustness_samples=robustness_samples,
        seconds=seconds,
        bench=_rules(rules),
        command="edgeshrink.compress(...)",
    )
    return run_plan(plan(request, plugins), plugins)


def bench(
    *models: str | Path,
    devices: Sequence[str] = ("desktop",),
    at: str = "",
    trust_profile: bool = False,
    resume: bool = False,
    rules: str = "quick",
    threads: int | None = None,
    kernels: str = "",
    data: str = "",
    preprocess: str = "none",
    resize: str = "keras",
    task: str = "",
    max_drop: float | str | None = None,
    max_bytes: int | str = "",
    max_ms: float | str = "",
    max_arena: int | str = "",
    larger: bool = True,
    slower: bool = True,
    robustness: bool = False,
    robustness_samples: int = 1000,
) -> BenchReport:
    """Measure .tflite files on devices; the same as `edgeshrink bench`.

    Args:
        models: .tflite files; the first is what the others are compared with.
        devices: names or paths of device profiles.
        at: the address of the one device, in place of its profile's.
        trust_profile: profiles that are named by their path may name programs of this machine.
        resume: take what an earlier, cut run of the same call has measured.
        rules: how long to measure: `smoke`, `demo`, `quick` or `mlperf`.
        threads: of the runtime; None means each profile's default.
        kernels: what LiteRT runs models with: `xnnpack`, `builtin` or `reference`; empty means what
            each profile says.
        data: a data set with test samples, for accuracy.
        preprocess: what is done to samples before the models see them.
        resize: how images of a folder are read, as for `compress`.
        task: what the outputs answer, as for `compress`.
        max_drop: what the others may lose beside the first: points of accuracy; None for anything.
        max_bytes: how large the result may be: bytes, or a size such as `100kB` or `64KiB`.
        max_ms: how long one inference may take: milliseconds of the median, or `p90<25`.
        max_arena: how much memory its tensors may need, as `max_bytes`.
        larger: whether it may be larger than the first.
        slower: whether it may be slower than the first.
        robustness: also score the first model and each other on perturbed test images.
        robustness_samples: test samples that are perturbed, at most.

    Returns:
        The report; `report.unmet` says which budgets are not kept, by the models behind the first,
        or by the only one.

    Raises:
        edgeshrink.errors.EdgeshrinkError: something is wrong; the message says what.
    """
    from dataclasses import replace

    from edgeshrink.engine import BenchRequest, bench as measure
    from edgeshrink.plugins import installed

    request = BenchRequest(
        tuple(Path(model) for model in models),
        _several("devices", devices),
        at=at,
        options={"kernels": kernels} if kernels else {},
        trust_profile=trust_profile,
        resume=resume,
        plan=replace(_rules(rules), threads=threads),
        data=data,
        preprocess=preprocess,
        resize=resize,
        task=task,
        robustness=robustness,
        robustness_samples=robustness_samples,
        budgets=_budgets(
            max_drop=max_drop,
            max_bytes=max_bytes,
            max_ms=max_ms,
            max_arena=max_arena,
            larger=larger,
            slower=slower,
        ),
        command="edgeshrink.bench(...)",
    )
    return measure(request, installed())


def _several(name: str, given: Sequence[str]) -> tuple[str, ...]:
    """Return texts; one text by itself, whose letters would be taken for them, is refused."""
    if isinstance(given, str):
        from edgeshrink.errors import UsageError

        said = f"{name} takes several; received the text {given!r}"
        raise UsageError(said, hint=f"{name}=[{given!r}]")
    return tuple(given)


def _budgets(**given: Any) -> Budgets:
    from edgeshrink.flag import build
    from edgeshrink.results import Budgets

    texts = {
        name: str(value) if type(value) in (int, float) else value
        for name, value in given.items()
        if value is not None
    }
    return build(Budgets, texts, "the budgets")


def _rules(name: str) -> BenchPlan:
    from edgeshrink.devices import RULES
    from edgeshrink.errors import UsageError, near

    if name not in RULES:
        raise UsageError(f"no rules {name!r}", hint=near(name, RULES))
    return RULES[name]
