"""What arguments of Python mean, as requests of the engine say it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.devices import RULES
from edgeshrink.errors import UsageError, near
from edgeshrink.flag import build, options_of
from edgeshrink.python.given import given_data, given_model
from edgeshrink.python.own import class_weight_of, loss_of, metric_of
from edgeshrink.recipes import Recipe, Training
from edgeshrink.results import Budgets
from edgeshrink.texts import read_text, seconds

if TYPE_CHECKING:
    from edgeshrink.devices import BenchPlan
    from edgeshrink.engine import Request
    from edgeshrink.plugins import Plugins

Shapes = Mapping[str, Sequence[int]] | Sequence[int] | None


def request_of(
    model: Any,
    *,
    recipe: Recipe,
    output: str | Path | None,
    data: Any,
    custom: Any,
    loss: Any,
    metric: Any,
    input_shape: Shapes,
    device: str | Sequence[str],
    toolchain: str | Sequence[str],
    run: str | Path | None,
    rules: str,
    **same: Any,
) -> Request:
    """Return the request that arguments of Python mean.

    Args:
        model: as it was given; so are those below.
        recipe: what is done to it.
        output: where the result goes; None puts it beside the working folder's files.
        data: for it.
        custom: the user's own code.
        loss: as `loss=`; what is the user's own of it is added to `custom`.
        metric: of record.
        input_shape: of inputs with dynamic dimensions.
        device: one or several.
        toolchain: likewise.
        run: the run folder.
        rules: of timing, by name.
        same: what a request takes as it is.
    """
    from edgeshrink.engine import Request

    shapes = shapes_of(input_shape)
    name, classes = given_model(model, custom)
    return Request(
        model=Path(name),
        recipe=recipe,
        out=Path(output) if output else beside(model, name, recipe),
        data=given_data(data, name, shapes),
        devices=many(device),
        toolchains=many(toolchain),
        run=Path(run) if run else None,
        custom=(*classes, *loss_of(loss)[1]),
        metric=metric_of(metric),
        input_shapes=shapes,
        bench=rules_of(rules),
        **same,
    )


def many(value: str | Sequence[str]) -> tuple[str, ...]:
    """Return names, of which one may be given alone."""
    return (value,) if isinstance(value, str) else tuple(value)


def shapes_of(given: Shapes) -> dict[str, tuple[int, ...]]:
    """Return shapes by input; a shape alone has an empty name, as on the command line."""
    if given is None or isinstance(given, Mapping):
        return {name: tuple(shape) for name, shape in (given or {}).items()}
    return {"": tuple(given)}


def beside(model: Any, path: str, recipe: Recipe) -> Path:
    """Return where a result goes if nothing is said: here, by the model's name.

    Args:
        model: as it was given.
        path: of the file that it is in.
        recipe: tells how the file ends.
    """
    from edgeshrink.engine import default_out

    named = path if isinstance(model, str | Path) else f"{model.name}.keras"
    return default_out(Path(named), recipe)


def training_of(flags: Mapping[str, Any]) -> tuple[Training, dict[str, Any]]:
    """Return what flags say of training, and the flags that do not.

    Own losses are told by their names alone.
    """
    known = {option.name for option in options_of(Training)}
    training = {name: value for name, value in flags.items() if name in known}
    if "loss" in training:
        training["loss"] = loss_of(training["loss"])[0]
    if "class_weight" in training:
        training["class_weight"] = class_weight_of(training["class_weight"])
    return build(Training, training, "training"), {
        name: value for name, value in flags.items() if name not in known
    }


def check_flags(
    flags: Iterable[str], function: Callable[..., Any], further: Iterable[str] = ()
) -> None:
    """Refuse what a function does not take.

    Args:
        flags: names that were given beside its arguments.
        function: whose arguments may have been meant.
        further: names that it takes, beside those of training.

    Raises:
        UsageError: it takes no such argument; the hint has those that are nearest.
    """
    known = {*further, *(option.name for option in options_of(Training))}
    own = set(inspect.signature(function).parameters) - {"flags"}
    for name in flags:
        if name not in known:
            raise UsageError(f"{function.__name__} takes no {name!r}", hint=near(name, known | own))


def recipe_of(
    recipe: str | Path | None,
    steps: Sequence[str],
    flags: Mapping[str, Any],
    seed: int | None,
    plugins: Plugins,
) -> Recipe:
    """Return the recipe that a file, lines or flags say; they go with each other not at all.

    Raises:
        UsageError: two of them are given, or one is wrong.
        RecipeError: what is in the file is wrong.
    """
    training, chosen = training_of(flags)
    if sum(map(bool, (recipe, steps, chosen))) > 1:
        raise UsageError("a recipe, steps and flags cannot be mixed", hint="use one of them")
    if recipe and (training != Training() or seed is not None):
        said = next((name for name in flags if name not in chosen), "seed")
        raise UsageError(
            f"a recipe says its own training and seed; received {said}= beside recipe=",
            hint=f"write {said} into the recipe, or use step=",
        )
    if recipe:
        text = read_text(Path(recipe), "recipe")
        return Recipe.from_toml(text, plugins.methods, origin=str(recipe))
    settings: dict[str, Any] = {"training": training, "seed": seed or 0}
    if steps:
        return Recipe.from_steps(steps, plugins.methods, **settings)
    return Recipe.from_flags(chosen, plugins.methods, **settings)


def seconds_of(time: float | str | None) -> float | None:
    """Return a time in seconds: given as such, or as in `"20m"`."""
    return seconds(time) if isinstance(time, str) else time


def budgets_of(**given: Any) -> Budgets:
    """Return budgets; numbers may be given as such."""
    texts = {
        name: str(value) if type(value) in (int, float) else value
        for name, value in given.items()
        if value is not None
    }
    return build(Budgets, texts, "the budgets")


def rules_of(name: str) -> BenchPlan:
    """Return rules of timing by name.

    Raises:
        UsageError: there are none of that name.
    """
    if name not in RULES:
        raise UsageError(f"no rules {name!r}", hint=near(name, RULES))
    return RULES[name]
