"""Compress and bench as functions: what is given as objects, and what the flags mean."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.python.given import given_data, given_model
from edgeshrink.python.speaking import speaks_python

if TYPE_CHECKING:
    import keras

    from edgeshrink.devices import BenchPlan
    from edgeshrink.engine import BenchReport
    from edgeshrink.plugins import Plugins
    from edgeshrink.recipes import Recipe
    from edgeshrink.results import Budgets, Report


@speaks_python
def compress(
    model: str | Path | keras.Model,
    *,
    output: str | Path | None = None,
    recipe: str | Path | None = None,
    step: str | Sequence[str] = (),
    time: float | str | None = None,
    seed: int | None = None,
    data: Any = None,
    data_free: bool = False,
    preprocess: str = "none",
    resize: str = "keras",
    task: str = "",
    device: str | Sequence[str] = "desktop",
    toolchain: str | Sequence[str] = (),
    at: str = "",
    trust_profile: bool = False,
    force: bool = False,
    unsafe: bool = False,
    custom: Sequence[str | type] = (),
    input_shape: Mapping[str, tuple[int, ...]] | tuple[int, ...] | None = None,
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
    export: str | Sequence[str] = (),
    rules: str = "quick",
    **flags: Any,
) -> Report:
    """Compress a Keras model and return the report; the same as `edgeshrink compress`.

    Arguments mean what the flags of the same name mean, with underscores. Objects are kept in files
    by their content: a run that was given a model and arrays finds what a command made of files of
    the same, and the other way round. It works in this process, where a crash of TensorFlow cannot
    be caught; the command works in one of its own.

    Args:
        model: a .keras or .h5 file, a SavedModel folder, `module:object` of a fitted model of
            scikit-learn; or a `keras.Model`, built, compiled or not.
        output: the .tflite, .esz or .keras file to write; None puts `<model>.tflite` here.
        recipe: a recipe file, which says training and seed too; goes with none of `step`, `seed`
            and flags.
        step: lines such as `"prune sparsity=0.8"`, in the order in which they run.
        time: that training may take, all steps together: seconds, or `"20m"`; None for what
            `effort` says.
        seed: of everything random; None for 0, or what the recipe says.
        data: a data set as `--data` takes it; or arrays `x`, `(x, y)`, `((x, y), (x_test,
            y_test))`, a dict of arrays by the names of an .npz or of the model's inputs; a
            `tf.data.Dataset`, `keras.utils.PyDataset`, torch `DataLoader`, Hugging Face data set,
            or a function that returns an iterator of samples or batches; or a dict of any of
            these by `train`, `validation`, `test` and `calibration`.
        data_free: synthesise inputs from the model's batch norms, in place of data.
        preprocess: what is done to samples before the model sees them.
        resize: how images of a folder are read: `keras`, as its own reader does, or `antialias`.
        task: what the outputs answer, where the model does not tell: `classification`, `binary`,
            `tags` or `regression`; `output=regression` for one of several outputs.
        device: names or paths of device profiles; the result is for the first, and measured on
            all.
        toolchain: names of readers that the result goes through on its way to a chip.
        at: the address of the one device, in place of its profile's.
        trust_profile: profiles that are named by their path may name programs of this machine.
        force: overwrite `output`, and go on where a check says stop.
        unsafe: code inside the model file may run.
        custom: classes that are not Keras's, or `module:object` of them.
        input_shape: fixed shapes of inputs with dynamic dimensions, batch included, by name; the
            shape alone where there is one input.
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
        run: the run folder; None puts it beside `output`.
        calibration: samples that calibrate activations.
        export: also write the result as source, such as `c`.
        rules: how long files are timed: `smoke`, `demo`, `quick` or `mlperf`.
        flags: methods, their options and training as on the command line:
            `prune=0.8, prune_scope="layer", int8=True, epochs=5, lr=1e-3`.

    Returns:
        The report; `report.failed` says why a result is not what was asked for.

    Raises:
        edgeshrink.errors.EdgeshrinkError: something is wrong; the message says what.
    """
    from edgeshrink.engine import Request, compress as run_plan, plan
    from edgeshrink.plugins import installed

    plugins = installed()
    wanted = _recipe(recipe, _many(step), flags, seed, plugins)
    shapes = {"": input_shape} if isinstance(input_shape, tuple) else dict(input_shape or {})
    name, classes = given_model(model, custom)
    request = Request(
        model=Path(name),
        recipe=wanted,
        out=Path(output) if output else _beside(model, name, wanted),
        data=given_data(data, name, shapes),
        data_free=data_free,
        preprocess=preprocess,
        resize=resize,
        task=task,
        calibration=calibration,
        devices=_many(device),
        toolchains=_many(toolchain),
        at=at,
        trust_profile=trust_profile,
        run=Path(run) if run else None,
        force=force,
        unsafe=unsafe,
        custom=classes,
        input_shapes=shapes,
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
        seconds=_seconds(time),
        exports=_many(export),
        bench=_rules(rules),
        command="edgeshrink.compress(...)",
    )
    return run_plan(plan(request, plugins), plugins)


@speaks_python
def bench(
    *models: str | Path,
    device: str | Sequence[str] = "desktop",
    at: str = "",
    trust_profile: bool = False,
    resume: bool = False,
    rules: str = "quick",
    threads: int | None = None,
    kernels: str = "",
    data: Any = None,
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
        device: names or paths of device profiles.
        at: the address of the one device, in place of its profile's.
        trust_profile: profiles that are named by their path may name programs of this machine.
        resume: take what an earlier, cut run of the same call has measured.
        rules: how long to measure: `smoke`, `demo`, `quick` or `mlperf`.
        threads: of the runtime; None means each profile's default.
        kernels: what LiteRT runs models with: `xnnpack`, `builtin` or `reference`; empty means what
            each profile says.
        data: a data set with test samples, for accuracy; as for `compress`.
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
        _many(device),
        at=at,
        options={"kernels": kernels} if kernels else {},
        trust_profile=trust_profile,
        resume=resume,
        plan=replace(_rules(rules), threads=threads),
        data=given_data(data, str(models[0])) if models else "",
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


def _many(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _beside(model: Any, name: str, recipe: Recipe) -> Path:
    """Return where the result goes if nothing is said: here, by the model's name."""
    from edgeshrink.models import Kind

    packed = any(one.produces is Kind.PACKED for one in recipe.steps)
    stem = Path(name.rpartition(":")[2]).stem if isinstance(model, str | Path) else model.name
    return Path(f"{stem}{(Kind.PACKED if packed else Kind.TFLITE).suffix}")


def _recipe(
    recipe: str | Path | None,
    steps: Sequence[str],
    flags: Mapping[str, Any],
    seed: int | None,
    plugins: Plugins,
) -> Recipe:
    from edgeshrink.errors import UsageError, near
    from edgeshrink.flag import build, options_of
    from edgeshrink.recipes import Recipe, Training
    from edgeshrink.texts import read_text

    trains = {option.name for option in options_of(Training)}
    known = {key for method in plugins.methods.values() for key in method.flag_keys()}
    for name in flags.keys() - known - trains:
        others = {*known, *trains, *inspect.signature(compress).parameters} - {"flags"}
        raise UsageError(f"compress takes no {name!r}", hint=near(name, others))
    training = {name: value for name, value in flags.items() if name in trains}
    chosen = {name: value for name, value in flags.items() if name not in trains}
    if sum(map(bool, (recipe, steps, chosen))) > 1:
        raise UsageError("a recipe, steps and flags cannot be mixed", hint="use one of them")
    if recipe and (training or seed is not None):
        said = next(iter(training), "seed")
        raise UsageError(
            f"a recipe says its own training and seed; received {said}= beside recipe=",
            hint=f"write {said} into the recipe, or use step=",
        )
    settings: dict[str, Any] = {
        "training": build(Training, training, "training"),
        "seed": seed or 0,
    }
    if recipe:
        text = read_text(Path(recipe), "recipe")
        return Recipe.from_toml(text, plugins.methods, origin=str(recipe))
    if steps:
        return Recipe.from_steps(steps, plugins.methods, **settings)
    return Recipe.from_flags(chosen, plugins.methods, **settings)


def _seconds(time: float | str | None) -> float | None:
    from edgeshrink.texts import seconds

    return seconds(time) if isinstance(time, str) else time


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
