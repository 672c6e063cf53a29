"""The check that a method declares well, builds from its options, and does its work."""

from __future__ import annotations

import dataclasses
import inspect
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from edgeshrink.devices import PAYS, DeviceProfile
from edgeshrink.errors import EdgeshrinkError, UsageError
from edgeshrink.flag import Option, options_of
from edgeshrink.models import Kind
from edgeshrink.plugins import CORE_KEYS, NAME
from edgeshrink.recipes import Method, Need, Phase, Plan, Recipe

if TYPE_CHECKING:
    import keras

    from edgeshrink.models import ModelFacts
    from edgeshrink.samples import Dataset

KEEPS = frozenset({"sparsity", "clusters", "outputs", "quantization", "ranges"})
PROFILE = DeviceProfile("test")


def check_method(
    cls: type[Method], options: Mapping[str, Any] | None = None, *, apply: bool = True
) -> None:
    """Check that a method declares well, builds from its options, and does its work.

    It is applied to a tiny model with zeros and few distinct values, with data and, unless it
    needs data, without; what comes out must open with plain Keras (or run in LiteRT), take the
    same inputs, and keep what `keeps` says.

    Args:
        cls: the method.
        options: values to apply it with, by name; a value that is required is guessed from its
            bounds where it is not given.
        apply: False stops before the work, for methods that need more than a tiny model.

    Raises:
        AssertionError: a rule is broken; the message says which.
    """
    check_declaration(cls)
    values = {**_guesses(cls, options or {}), **(options or {})}
    step = check_options(cls, values)
    if not apply:
        return
    from edgeshrink.models import facts as facts_of
    from edgeshrink.testing.samples import tiny_data, tiny_model

    for with_data in (True, False):
        if cls.data is Need.REQUIRED and not with_data:
            continue
        data = tiny_data() if with_data else None
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            model = tiny_model(zeros=True, clusters=True)
            model.save(folder / "tiny.keras")
            _check_plan(step, facts_of(folder / "tiny.keras"), data)
            _check_apply(step, model, data, folder)
    check_by_layer(cls)


def check_declaration(cls: type[Method]) -> None:
    """Check what a method says of itself, without running it."""
    who = f"{cls.__module__}.{cls.__qualname__}"
    _hold(not inspect.isabstract(cls), f"{who} must implement apply")
    _hold(NAME.fullmatch(cls.name) is not None, f"{who}: the name {cls.name!r} is not snake_case")
    _hold(bool(cls.title), f"{who} needs a title, the heading of its flags")
    _hold(isinstance(cls.phase, Phase), f"{who}: phase must be a Phase; received {cls.phase!r}")
    _hold(bool(cls.__doc__), f"{who} needs a docstring: its first paragraph is the flag's help")
    kinds = (*cls.accepts, cls.produces)
    _hold(bool(cls.accepts), f"{who} accepts nothing")
    _hold(all(isinstance(k, Kind) for k in kinds), f"{who}: accepts and produces must be Kinds")
    _hold(isinstance(cls.data, Need), f"{who}: data must be a Need; received {cls.data!r}")
    unknown = sorted(cls.keeps - KEEPS)
    _hold(not unknown, f"{who}: keeps {unknown}; known: {sorted(KEEPS)}")
    _hold(dataclasses.is_dataclass(cls.Options), f"{who}.Options must be a dataclass")
    for option in options_of(cls.Options):
        _hold(bool(option.flag.help.strip()), f"{who}: option {option.name} needs help")
        if not option.required:
            hash(option.default)  # a list would be shared by all
    _check_search(cls, who)
    clash = sorted(set(cls.flag_keys()) & CORE_KEYS)
    _hold(not clash, f"{who}: edgeshrink itself has the flags {clash}")


def _check_search(cls: type[Method], who: str) -> None:
    """Check what a method says of itself to a search."""
    known = sorted(PAYS)
    _hold(not cls.technique or cls.technique in PAYS, f"{who}: technique must be of {known}")
    options = options_of(cls.Options)
    required = [o.name for o in options if o.required and not o.flag.search]
    _hold(
        not (cls.searched and required),
        f"{who} is searched, and its option {required} says no values to search",
    )
    for option in options:
        values = option.flag.search
        _hold(len(set(map(str, values))) == len(values), f"{who}: {option.name} searches one twice")
    if required:
        return
    first = {option.name: option.flag.search[0] for option in options if option.flag.search}
    for option in options:
        for value in option.flag.search:
            try:
                cls.of({**first, option.name: value})
            except UsageError as error:
                said = f"{who} says to search {option.name}={value!r}, and refuses it: {error}"
                raise AssertionError(said) from error


def check_by_layer(cls: type[Method]) -> None:
    """Check what a method that declares strengths says of single layers, on a tiny model.

    Raises:
        AssertionError: a rule is broken; the message says which.
    """
    from edgeshrink.testing import running
    from edgeshrink.testing.samples import tiny_model

    if cls.strengths is None:
        _hold("by_layer" not in vars(cls), f"{cls.name} has by_layer, and declares no strengths")
        return
    model = tiny_model()
    before = running.values(model)
    changes = list(cls.by_layer(model))
    names = [change.layer for change in changes]
    known = {layer.name for layer in model.layers}
    _hold(bool(changes), f"{cls.name} changes no layer of a tiny model with kernels")
    _hold(len(set(names)) == len(names), f"{cls.name} names a layer twice: {names}")
    unknown = sorted({part for name in names for part in name.split("+")} - known)
    _hold(not unknown, f"{cls.name} names {unknown}; the model has {sorted(known)}")
    for change in changes:
        for strength in cls.strengths.values:
            who = f"{cls.name} of {change.layer} at {strength:g}"
            changed = change.changed(strength)
            if changed is None:
                continue
            _hold(running.is_model(changed.model), f"{who}: model must be a keras.Model")
            for variable, values in changed.weights:
                shapes = tuple(variable.shape), tuple(values.shape)
                _hold(shapes[0] == shapes[1], f"{who}: {shapes[1]} values for {shapes[0]} weights")
    after = running.values(model)
    same = all((after[path] == values).all() for path, values in before.items())
    _hold(same, f"{cls.name}: by_layer must leave the model as it was")


def check_options(cls: type[Method], values: Mapping[str, Any]) -> Method:
    """Check that options are the same from values, from text and from a recipe; return the step."""
    step = cls.of(values)
    text = {key: _typed(value) for key, value in values.items()}
    _hold(cls.of(text).options == step.options, f"{cls.name} differs when built from text: {text}")
    recipe = Recipe((step,))
    again = Recipe.from_toml(recipe.to_toml(), {cls.name: cls})
    _hold(
        again.steps[0].options == step.options,
        f"{cls.name} is not the same from the recipe it is written to: {recipe.to_toml()}",
    )
    try:
        cls.of({**values, "no_such_option": 1})
    except UsageError:
        return step
    raise AssertionError(f"{cls.name} takes an option that it does not have")


def _guesses(cls: type[Method], given: Mapping[str, Any]) -> dict[str, Any]:
    option = cls.value()
    return {option.name: _guess(option)} if option and option.name not in given else {}


def _guess(option: Option) -> Any:
    flag, kind = option.flag, option.type
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):  # as in int | Literal["auto"]
        kind = get_args(kind)[0]
    low = flag.min if flag.min is not None else flag.above
    high = flag.max if flag.max is not None else flag.below
    if kind is float:
        low = 0.0 if low is None else low
        return (low + (low + 1 if high is None else high)) / 2
    if kind is int:
        low = 1 if low is None else low + (flag.min is None)
        return int(low if high is None else (low + high) // 2)
    raise AssertionError(f"pass a value for {option.name} in options")


def _typed(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_plan(step: Method, facts: ModelFacts, data: Dataset | None) -> None:
    try:
        notes = list(step.check(Plan(facts, (), (), data, PROFILE)))
    except EdgeshrinkError as error:
        raise AssertionError(f"{step.name} refuses a plain model: {error}") from error
    _hold(all(isinstance(n, str) and n for n in notes), f"{step.name}: check must give sentences")


def _check_apply(step: Method, model: keras.Model, data: Dataset | None, folder: Path) -> None:
    from edgeshrink.testing import running

    takes_file = Kind.KERAS not in step.accepts
    given = running.as_tflite(model, folder) if takes_file else model
    before = running.outputs(given)
    known = running.values(given)
    context = running.context(step, given, model, data, folder)
    made = step.apply(given, context)
    if step.produces is Kind.KERAS:
        _hold(running.is_model(made), f"{step.name} must return a keras.Model")
        made = running.opened_again(made, folder, step.name)
    else:
        _hold(isinstance(made, bytes), f"{step.name} must return the bytes of a file")
    if step.produces not in (Kind.KERAS, Kind.TFLITE):
        return
    after = running.outputs(made)
    _hold(after.shape == before.shape, f"{step.name} changed the outputs' shape to {after.shape}")
    if "outputs" in step.keeps:
        _hold(bool((after == before).all()), f"{step.name} says that it keeps outputs; it does not")
    if step.produces is Kind.KERAS:
        running.check_kept(step, known, running.values(made))
    for name in context.companions:
        _hold((folder / name).is_file(), f"{step.name} names a companion that is not there: {name}")
    facts = repr(context.facts)
    _hold(running.is_json(context.facts), f"{step.name}: facts must be JSON values: {facts}")


def _hold(kept: bool, rule: str) -> None:
    if not kept:
        raise AssertionError(rule)
