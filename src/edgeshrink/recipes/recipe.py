"""A recipe: an ordered list of methods with their options, and what makes it again."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from edgeshrink.errors import RecipeError, UsageError, near
from edgeshrink.flag import build, options_of
from edgeshrink.models import RUNNABLE, Kind
from edgeshrink.recipes.method import Method
from edgeshrink.recipes.training import Training, check_loss
from edgeshrink.texts import from_toml, shortly, toml_value

Methods = Mapping[str, type[Method]]
S = TypeVar("S")
MOST_STEPS = 100  # papers have ten at most


@dataclass(frozen=True)
class Recipe:
    """What is done to a model.

    Attributes:
        steps: in the order in which they run.
        training: settings for every step that trains.
        seed: of everything random.
        without: methods that are on by default and were switched off.
    """

    steps: tuple[Method, ...] = ()
    training: Training = field(default_factory=Training)
    seed: int = 0
    without: tuple[str, ...] = ()

    @classmethod
    def from_flags(cls, values: Mapping[str, Any], methods: Methods, **rest: Any) -> Recipe:
        """Return the recipe that flags mean: steps in the order of their phases.

        Args:
            values: by key, as `Method.flag_keys` spells them: `{"prune": 0.8, "int8": True}`.
            methods: the registry.
            rest: `training` and `seed` of the recipe.

        Raises:
            UsageError: an unknown key, a wrong value, or an option without its method.
        """
        owners = {key: method for method in methods.values() for key in method.flag_keys()}
        for key in values:
            if key not in owners:
                raise UsageError(f"no method has the option {key!r}", hint=near(key, owners))
        steps, without = [], []
        for method in methods.values():
            given = {key: values[key] for key in method.flag_keys() if values.get(key) is not None}
            if not given:
                continue
            switch = given.get(method.name, (method.default_on or method.implied) or None)
            if switch is False:
                if idle := next((key for key in given if key != method.name), ""):
                    off = _spelled(f"no_{method.name}")
                    raise UsageError(
                        f"{_spelled(idle)} has no effect beside {off}", hint="drop one of them"
                    )
                without.append(method.name)
            elif switch is None:
                raise UsageError(
                    f"{_spelled(next(iter(given)))} has no effect without {_spelled(method.name)}"
                )
            else:
                parts: dict[str, dict[str, Any]] = {"options": {}, "training": {}, "on": {}}
                for key, value in given.items():
                    group, name = method.flag_keys()[key]
                    if group == "on" and not isinstance(value, bool):  # as Python may give it
                        raise UsageError(
                            f"{key} is on or off, True or False; received {shortly(value)}",
                            hint=f"options have keys of their own, as in {key}_OPTION=…",
                        )
                    parts[group][name] = value
                steps.append(method.of(parts["options"], parts["training"]))
        steps.sort(key=lambda step: (step.phase, step.name))
        return cls(tuple(steps), without=tuple(without), **rest)

    @classmethod
    def from_steps(cls, lines: Iterable[str], methods: Methods, **rest: Any) -> Recipe:
        """Return the recipe of lines such as `prune sparsity=0.8 training.epochs=2`.

        Args:
            lines: one for each step: a method, and its options and training settings.
            methods: the registry.
            rest: `training`, `seed` and `without`.

        Raises:
            UsageError: a line cannot be read, or names what does not exist.
        """
        steps = []
        for line in _bounded(list(lines)):
            try:
                name, *words = shlex.split(line)
            except ValueError as error:
                raise UsageError(
                    f"a step is a method and its options; received {line!r}",
                    hint='as in --step "prune sparsity=0.8"',
                ) from error
            parts: dict[str, dict[str, Any]] = {"options": {}, "training": {}}
            for word in words:
                key, equals, value = word.partition("=")
                if not equals:
                    raise UsageError(
                        f"step {line!r}: options are written key=value; received {word!r}"
                    )
                group = "training" if key.startswith("training.") else "options"
                parts[group][key.removeprefix("training.")] = value
            steps.append(_method(name, methods).of(parts["options"], parts["training"]))
        return cls(tuple(steps), **rest)

    @classmethod
    def from_text(cls, text: str, methods: Methods, **rest: Any) -> Recipe:
        """Return the recipe of flags as they are typed: `--prune 0.8 --int8 --epochs 5`.

        Args:
            text: flags of methods and of training.
            methods: the registry.
            rest: `seed` of the recipe.

        Raises:
            UsageError: a word is no flag of a method or of training, or a value is missing.
        """
        switches, values = _switches(methods), dict[str, Any]()
        tuned = [option.name for option in options_of(Training)]
        known = {key for method in methods.values() for key in method.flag_keys()} | set(tuned)
        try:
            words = iter(shlex.split(text))
        except ValueError as error:
            raise UsageError(f"a line of flags must close its quotes; received {text!r}") from error
        for word in words:
            spelled, equals, value = word.partition("=")
            key = spelled.removeprefix("--").replace("-", "_")
            if not spelled.startswith("--"):
                raise UsageError(f"flags begin with --; received {word!r} in {text!r}")
            if equals and (key in switches or key.removeprefix("no_") in switches):
                raise UsageError(
                    f"{spelled} takes no value; received {word!r}",
                    hint=f"{spelled} turns it on, {_spelled('no_' + key)} off",
                )
            if key in switches:
                values[key] = True
            elif key.removeprefix("no_") in switches:
                values[key.removeprefix("no_")] = False
            elif key not in known:
                raise UsageError(f"no flag {spelled!r}", hint=near(spelled, map(_spelled, known)))
            else:
                values[key] = value if equals else next(words, None)
                if values[key] is None:
                    raise UsageError(f"{spelled} needs a value")
        training = build(Training, {k: values.pop(k) for k in tuned if k in values}, "training")
        return cls.from_flags(values, methods, training=training, **rest)

    @classmethod
    def from_toml(cls, text: str, methods: Methods, *, origin: str = "recipe") -> Recipe:
        """Return the recipe written in a TOML document.

        Args:
            text: the document.
            methods: the registry.
            origin: what messages call the document.

        Raises:
            RecipeError: it is not TOML, or names a key, method or value that does not exist.
        """
        document = from_toml(text, origin, RecipeError)
        known = ("step", "training", "seed", "without")
        for key in document:
            if key not in known:
                raise RecipeError(f"{origin} has an unknown key {key!r}", hint=near(key, known))
        try:
            return cls(
                tuple(_step(table, methods) for table in _tables(document.get("step", []))),
                build(Training, document.get("training", {}), "training"),
                checked_seed(document.get("seed", 0)),
                _without(document.get("without", []), methods),
            )
        except UsageError as error:  # right words, but this is inside a file
            raise RecipeError(f"{origin}: {error}", hint=error.hint) from error

    def completed(self, methods: Methods, produces: Kind, base: Kind = Kind.KERAS) -> Recipe:
        """Return the recipe with what its steps ask for and what is on by default.

        Args:
            methods: the registry.
            produces: the kind of file that is asked for; a .tflite gets the default precision
                where no step sets one, and the steps that are on by default; so does a packed one.
            base: the kind of the model; one that is not Keras's first gets the step that takes it.

        Raises:
            UsageError: that step was switched off.
        """
        steps: list[Method] = []
        for step in self.steps:
            there = [(s.name, s.options) for s in steps]  # in a recipe that a run has written
            asked = [s for s in step.before() if (s.name, s.options) not in there]
            place = len(steps)
            while asked and place and steps[place - 1].bakes:
                place -= 1  # what trains does so before preprocessing is put inside
            steps = [*steps[:place], *asked, *steps[place:], step]
        if base is not Kind.KERAS and not any(base in step.accepts for step in steps):
            taking = [method for method in methods.values() if base in method.accepts][:1]
            if off := [_spelled(f"no_{one.name}") for one in taking if one.name in self.without]:
                raise UsageError(
                    f"of a {base} model only {taking[0].name} makes what other steps take; "
                    f"received {off[0]}",
                    hint=f"drop {off[0]}",
                )
            steps = [*(method() for method in taking), *steps]
        if produces in RUNNABLE:
            added = [
                method()
                for method in methods.values()
                if (method.default and not any(s.slot == method.slot for s in steps))
                or (
                    method.default_on
                    and method.name not in self.without
                    and not any(s.name == method.name for s in steps)
                )
            ]
            for step in sorted(added, key=lambda s: s.phase):
                place = len(steps)
                while place and steps[place - 1].phase > step.phase:
                    place -= 1
                steps.insert(place, step)
        return replace(self, steps=tuple(steps))

    def check_order(self, base: Kind) -> None:
        """Check that each step can take what comes before it, and that no slot is filled twice.

        Args:
            base: the kind of model that the first step gets.

        Raises:
            UsageError: a step cannot run in its place; both steps are named.
        """
        kind, source, seen = base, "the model", [base]
        filled: dict[str, Method] = {}
        for step in self.steps:
            if step.slot and step.slot in filled:
                raise UsageError(
                    f"a recipe has one {step.slot}; received {filled[step.slot].name} "
                    f"and {step.name}",
                    hint=f"drop {filled[step.slot].name} or {step.name}",
                )
            if step.slot:
                filled[step.slot] = step
            if kind not in step.accepts:
                wanted = " or ".join(f"a {k} model" for k in step.accepts)
                raise UsageError(
                    f"{step.name} takes {wanted} but gets a {kind} model from {source}",
                    hint=self._way_out(step, seen),
                )
            seen.append(step.produces)
            kind, source = step.produces, step.name

    def _way_out(self, step: Method, seen: Sequence[Kind]) -> str:
        """Return what to do about a step that cannot take what the steps before it made."""
        if any(kind in step.accepts for kind in seen):
            return f"put {step.name} earlier, or drop one of them"
        making = (s for s in self.steps if seen[-1] in s.accepts and s.produces in step.accepts)
        if makes := next(making, None):
            return f"put {makes.name} before it"
        more = ", or write a .tflite file" if Kind.TFLITE in step.accepts else ""
        return f"drop {step.name}{more}"

    def check_losses(self, own: Collection[str] = ()) -> None:
        """Check that there are the losses that are named.

        Args:
            own: names of the user's own.

        Raises:
            UsageError: neither Keras nor the user has one.
        """
        for training in (self.training, *(step.tuning for step in self.steps)):
            check_loss(training.loss, own)

    def resolved(self, step: Method) -> Training:
        """Return a step's training settings: its own, then the recipe's, then the method's.

        Args:
            step: whose settings; for one that does not train, all are None.
        """
        if step.training is None:
            return Training()
        return step.tuning.over(self.training).over(step.training)

    def trained_by(self, training: Training) -> Recipe:
        """Return the recipe with training settings that go before those of its steps."""
        steps = (
            type(step)(step.options, training.over(step.tuning)) if step.training else step
            for step in self.steps
        )
        return replace(self, steps=tuple(steps), training=training.over(self.training))

    def settled(self, chosen: Iterable[Mapping[str, Any]]) -> Recipe:
        """Return the recipe with the training settings that its steps chose when they ran.

        Args:
            chosen: for each step, settings of `Training` by name.
        """
        steps = (
            type(step)(step.options, replace(step.tuning, **settings))
            for step, settings in zip(self.steps, chosen, strict=True)
        )
        return replace(self, steps=tuple(steps))

    def to_toml(self) -> str:
        """Return the TOML document that makes this recipe again."""
        lines = [f"seed = {self.seed}"]
        if self.without:
            lines.append(f"without = {toml_value(self.without)}")
        lines += training_table("training", self.training)
        for step in self.steps:
            lines += ["", "[[step]]", f'method = "{step.name}"']
            lines += [f"{key} = {toml_value(value)}" for key, value in step.given().items()]
            lines += training_table("step.training", step.tuning)
        return "\n".join(lines) + "\n"


def _switches(methods: Methods) -> set[str]:
    """Return the keys of flags that take no value."""
    found = set()
    for method in methods.values():
        kinds = {option.name: option.type for option in options_of(method.Options)}
        for key, (group, name) in method.flag_keys().items():
            if group == "on" or (group == "options" and kinds[name] is bool):
                found.add(key)
    return found


def _spelled(key: str) -> str:
    return "--" + key.replace("_", "-")


def _method(name: Any, methods: Methods) -> type[Method]:
    if not isinstance(name, str) or name not in methods:
        raise UsageError(f"no method {shortly(name)}", hint=near(str(name), methods))
    return methods[name]


def _tables(steps: Any) -> Sequence[Mapping[str, Any]]:
    if not isinstance(steps, list) or not all(isinstance(s, dict) for s in steps):
        raise UsageError("steps are written as [[step]] tables")
    return _bounded(steps)


def _bounded(steps: list[S]) -> list[S]:
    """Return steps after checking that they are not too many to plan."""
    if len(steps) > MOST_STEPS:
        raise UsageError(f"a recipe has at most {MOST_STEPS} steps; received {len(steps):,}")
    return steps


def _without(names: Any, methods: Methods) -> tuple[str, ...]:
    if not isinstance(names, list):
        raise UsageError(f"without lists methods; received {shortly(names)}")
    return tuple(_method(name, methods).name for name in names)


def _step(table: Mapping[str, Any], methods: Methods) -> Method:
    if "method" not in table:
        raise UsageError(f"a [[step]] needs a method; received {shortly(dict(table))}")
    options = {k: v for k, v in table.items() if k not in ("method", "training")}
    return _method(table["method"], methods).of(options, table.get("training", {}))


def checked_seed(value: Any) -> int:
    """Return a seed after checking that it is one.

    Raises:
        UsageError: it is no whole number, or negative.
    """
    if type(value) is not int or value < 0:
        raise UsageError(f"seed must be a whole number at least 0; received {value!r}")
    return value


def training_table(name: str, training: Training) -> list[str]:
    """Return the lines of a TOML table of settings; none where all are open."""
    given = [(f.name, getattr(training, f.name)) for f in fields(training)]
    rows = [f"{key} = {toml_value(value)}" for key, value in given if value is not None]
    return ["", f"[{name}]", *rows] if rows else []
