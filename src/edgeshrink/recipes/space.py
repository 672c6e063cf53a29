"""A space of recipes: at each place a step, one of several, or none."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_origin

from edgeshrink.devices import DeviceProfile
from edgeshrink.errors import EdgeshrinkError, RecipeError, UsageError, near
from edgeshrink.flag import Option, build, options_of
from edgeshrink.models import Kind, ModelFacts
from edgeshrink.part import version_of
from edgeshrink.recipes.keys import digest_of
from edgeshrink.recipes.method import Method, Plan
from edgeshrink.recipes.recipe import Methods, Recipe, checked_seed, training_table
from edgeshrink.recipes.training import Training
from edgeshrink.texts import from_toml, shortly, toml_value

if TYPE_CHECKING:
    from edgeshrink.samples import Dataset

Point = tuple[int, ...]  # which step is taken at each place, by number
MOST_STEPS = 10_000  # of one place


@dataclass(frozen=True)
class Place:
    """What may stand at one place of a recipe.

    Attributes:
        name: of the method, or of the slot where several methods may fill it.
        steps: that may stand there, the lightest first; None where nothing may.
    """

    name: str
    steps: tuple[Method | None, ...]

    def __str__(self) -> str:
        """Return the place as it is listed."""
        return f"{self.name}: {', '.join('none' if s is None else str(s) for s in self.steps)}"

    def apart(self, one: int, other: int) -> float:
        """Return how unlike two of its steps are, 0..1.

        Methods are alike or not; steps of one method are as unlike as their options, by their
        order. Of several options that differ in the place, each counts for its share.
        """
        first, second = self.steps[one], self.steps[other]
        if one == other:
            return 0.0
        varied = self._varied
        if len(varied) == 1 and all(len(options) <= 1 for options in varied.values()):
            return abs(one - other) / (len(self.steps) - 1)  # none is the least of them
        if first is None or second is None or first.name != second.name:
            return 1.0
        ranks = [self._rank(first, o) - self._rank(second, o) for o in varied[first.name]]
        return sum(map(abs, ranks)) / len(ranks) if ranks else 0.0

    @property
    def _varied(self) -> dict[str, list[str]]:
        """The options that are not the same in all steps of a method, for each method."""
        found = {}
        for name in dict.fromkeys(step.name for step in self.steps if step is not None):
            mine = [step for step in self.steps if step is not None and step.name == name]
            found[name] = [
                option.name
                for option in options_of(mine[0].Options)
                if len({str(option.of(step.options)) for step in mine}) > 1
            ]
        return found

    def _rank(self, step: Method, name: str) -> float:
        option = next(o for o in options_of(step.Options) if o.name == name)
        mine = [s for s in self.steps if s is not None and s.name == step.name]
        values = list(dict.fromkeys(str(option.of(s.options)) for s in mine))
        place = values.index(str(option.of(step.options)))
        return place / (len(values) - 1) if len(values) > 1 else 0.0


@dataclass(frozen=True)
class Space:
    """All recipes that a search may try.

    Attributes:
        places: in the order in which the steps run.
        training: settings for every step that trains.
        seed: of everything random.
    """

    places: tuple[Place, ...]
    training: Training = field(default_factory=Training)
    seed: int = 0

    @classmethod
    def of(
        cls,
        methods: Methods,
        profile: DeviceProfile,
        wanted: Collection[str],
        *,
        produces: Kind,
        model: ModelFacts,
        data: Dataset | None,
        **rest: Any,
    ) -> Space:
        """Return the space that methods declare themselves, for a device and what is wanted of it.

        A step is in it if its technique moves what is wanted there, or if it has none and keeps the
        score up: methods say so by `searched`, their options by the `search` of their flags. What
        its own check refuses on the model, the data or the device is not.

        Args:
            methods: the registry.
            profile: the device.
            wanted: of `disk` and `ms`.
            produces: the kind of file that comes out; what packs is in it only for a packed one.
            model: facts of the model file.
            data: the data set, or None.
            rest: `training` and `seed`.
        """
        chosen = sorted(
            (m for m in methods.values() if m.searched and _moves(m, profile, wanted, produces)),
            key=lambda m: (m.phase, m.name),
        )
        places: dict[str, list[Method | None]] = {}
        for method in chosen:
            if method.produces is Kind.PACKED and produces is not Kind.PACKED:
                continue
            if all(map(version_of, method.requires)):
                optional = method.slot is None and method.produces is not Kind.PACKED
                varied = {
                    o.name: list(o.flag.search) for o in options_of(method.Options) if o.flag.search
                }
                plan = Plan(model, (), (), data, profile)
                steps = [step for step in _settings(method, varied, {}) if not _refused(step, plan)]
                if steps:
                    first: list[Method | None] = [None] if optional else []
                    places.setdefault(method.slot or method.name, first).extend(steps)
        return cls(tuple(Place(name, tuple(steps)) for name, steps in places.items()), **rest)

    @classmethod
    def from_toml(cls, text: str, methods: Methods, *, origin: str = "space") -> Space:
        """Return the space written in a TOML document.

        It is written as a recipe, with lists of values in place of single ones, and with
        `optional = true` for a step that may be left out. Steps that fill the same slot, and steps
        of one method, are alternatives.

        Args:
            text: the document.
            methods: the registry.
            origin: what messages call the document.

        Raises:
            RecipeError: it is not TOML, or names a key, method or value that does not exist.
        """
        document = from_toml(text, origin, RecipeError)
        known = ("step", "training", "seed")
        for key in document:
            if key not in known:
                raise RecipeError(f"{origin} has an unknown key {key!r}", hint=near(key, known))
        tables = document.get("step", [])
        if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
            raise RecipeError(f"{origin}: steps are written as [[step]] tables")
        places: dict[str, list[Method | None]] = {}
        try:
            for table in tables:
                _add(places, table, methods)
            training = build(Training, document.get("training", {}), "training")
            seed = checked_seed(document.get("seed", 0))
        except UsageError as error:
            raise RecipeError(f"{origin}: {error}", hint=error.hint) from error
        if not places:
            raise RecipeError(f"{origin} has no steps", hint="as in [[step]] and method = ...")
        found = (Place(name, tuple(steps)) for name, steps in places.items())
        return cls(tuple(found), training, seed)

    @property
    def size(self) -> int:
        """How many recipes are in it."""
        return math.prod(len(place.steps) for place in self.places)

    @property
    def digest(self) -> str:
        """What tells it from others, SHA-256 in hex."""
        return digest_of({"space": self.to_toml()})

    def points(self) -> Iterator[Point]:
        """Yield every point, the last place changing fastest, so that first steps are shared."""
        return itertools.product(*(range(len(place.steps)) for place in self.places))

    def recipe(self, point: Point) -> Recipe:
        """Return the recipe of a point."""
        steps = (place.steps[k] for place, k in zip(self.places, point, strict=True))
        return Recipe(tuple(s for s in steps if s is not None), self.training, self.seed)

    def named(self, point: Point) -> dict[str, str]:
        """Return a point as the step at each place, in words."""
        places = self.choices().items()
        return {name: steps[k] for (name, steps), k in zip(places, point, strict=True)}

    def choices(self) -> dict[str, list[str]]:
        """Return the steps at each place, in words."""
        return {
            place.name: ["none" if step is None else str(step) for step in place.steps]
            for place in self.places
        }

    def point(self, named: Mapping[str, str]) -> Point:
        """Return the point of steps in words.

        Raises:
            UsageError: it is none of this space.
        """
        try:
            return tuple(steps.index(named[name]) for name, steps in self.choices().items())
        except (KeyError, ValueError):
            raise UsageError(f"the space has no point {shortly(dict(named))}") from None

    def trained(self, training: Training) -> Space:
        """Return the space with training settings that go before its own."""
        return replace(self, training=training.over(self.training))

    def to_toml(self) -> str:
        """Return the TOML document that makes this space again."""
        lines = Recipe(training=self.training, seed=self.seed).to_toml().rstrip("\n").split("\n")
        for place in self.places:
            optional = ["optional = true"] if None in place.steps else []
            for steps in _together([step for step in place.steps if step is not None]):
                lines += ["", "[[step]]", f'method = "{steps[0].name}"', *optional]
                lines += [f"{k} = {toml_value(v)}" for k, v in _values(steps).items()]
                lines += training_table("step.training", steps[0].tuning)
        return "\n".join(lines) + "\n"


def _together(steps: list[Method]) -> list[list[Method]]:
    """Return the steps that one table makes: all of a method where they are every combination."""
    found: list[list[Method]] = []
    for _, some in itertools.groupby(steps, lambda step: (step.name, step.tuning)):
        alike = list(some)
        every = math.prod(len(v) if isinstance(v, list) else 1 for v in _values(alike).values())
        found += [alike] if every == len(alike) else [[step] for step in alike]
    return found


def _values(steps: list[Method]) -> dict[str, Any]:
    """Return the options that are not everywhere at their defaults, several values as a list."""
    options = [o for o in options_of(steps[0].Options) if any(o.name in s.given() for s in steps)]
    found: dict[str, Any] = {}
    for option in options:
        values = list({str(v): v for v in (option.of(step.options) for step in steps)}.values())
        choice = len(values) > 1 or isinstance(values[0], tuple)
        found[option.name] = values if choice else values[0]
    return found


def _moves(
    method: type[Method], profile: DeviceProfile, wanted: Collection[str], produces: Kind
) -> bool:
    if not method.technique:
        return True
    gained = set(profile.gains(method.technique))
    if produces is Kind.PACKED:
        gained.add("disk")
    return not gained.isdisjoint(wanted)


def _refused(step: Method, plan: Plan) -> bool:
    """Return whether a step's own check refuses it."""
    try:
        list(step.check(plan))
    except EdgeshrinkError:
        return True
    return False


def _add(
    places: dict[str, list[Method | None]], table: Mapping[str, Any], methods: Methods
) -> None:
    """Add the steps of a table to the place that they may fill."""
    name, optional = table.get("method"), table.get("optional", False)
    if not isinstance(name, str) or name not in methods:
        raise UsageError(f"no method {shortly(name)}", hint=near(str(name), methods))
    if not isinstance(optional, bool):
        raise UsageError(f"{name}: optional must be true or false; received {shortly(optional)}")
    method = methods[name]
    given = {k: v for k, v in table.items() if k not in ("method", "optional", "training")}
    place = places.setdefault(method.slot or name, [])
    place += [step for step in _settings(method, given, table.get("training", {}))]
    if optional and None not in place:
        place.insert(0, None)
    if len(place) > MOST_STEPS:
        raise UsageError(f"{name} has more than {MOST_STEPS:,} combinations of values")


def _settings(
    method: type[Method], given: Mapping[str, Any], training: Mapping[str, Any]
) -> list[Method]:
    """Return a step for each combination of values.

    Where the value of a method is not given, those that its flag names are tried.
    """
    options = {option.name: option for option in options_of(method.Options)}
    varied: dict[str, list[Any]] = {
        o.name: list(o.flag.search)
        for o in options.values()
        if o.required and o.name not in given and o.flag.search
    }
    for name, value in given.items():
        if value == []:
            raise UsageError(f"{method.name}: {name} needs a value to try; received none")
        several = isinstance(value, list) and _is_choice(options.get(name), value)
        varied[name] = list(value) if several else [value]
    if math.prod(map(len, varied.values())) > MOST_STEPS:
        raise UsageError(f"{method.name} has more than {MOST_STEPS:,} combinations of values")
    steps = (
        method.of(dict(zip(varied, values, strict=True)), training)
        for values in itertools.product(*varied.values())
    )
    return list({str(step): step for step in steps}.values())


def _is_choice(option: Option | None, value: list[Any]) -> bool:
    """Return whether a list is of values to try, and not itself the value."""
    if option is None or get_origin(option.type) is not tuple:
        return True
    return bool(value) and all(isinstance(one, list) for one in value)
