"""A method turns one model into another; what it declares, and what the engine lends it."""

from __future__ import annotations

import enum
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from edgeshrink.devices import lacking
from edgeshrink.errors import PluginError
from edgeshrink.flag import NoOptions, Option, build, options_of
from edgeshrink.models import Kind
from edgeshrink.recipes.context import Context
from edgeshrink.recipes.layerwise import LayerChange, Strengths
from edgeshrink.recipes.training import Training

if TYPE_CHECKING:
    import keras

    from edgeshrink.devices import DeviceProfile
    from edgeshrink.models import ModelFacts
    from edgeshrink.samples import Dataset


class Phase(enum.IntEnum):
    """When a method runs if only flags say so: lower values first; ties are broken by name.

    Attributes:
        TRANSLATE: another kind of model becomes a Keras model.
        DISTILL: the model is trained, or another one in its place.
        SUBSTITUTE: layers are replaced by cheaper ones.
        SHRINK: channels or layers are taken out.
        PRUNE: weights are set to zero.
        CLUSTER: weights are made to share few values.
        TRAIN_QUANTIZED: weights are prepared for few bits, by training or without.
        BAKE: what was done to samples is put into the model.
        PRECISION: the model is converted to .tflite.
        STRIP: the file loses what no runtime reads.
        DESCRIBE: the file gets what programs read of it, such as names of classes.
        PACK: the file is packed.
    """

    TRANSLATE = 5
    DISTILL = 10
    SUBSTITUTE = 20
    SHRINK = 30
    PRUNE = 40
    CLUSTER = 50
    TRAIN_QUANTIZED = 60
    BAKE = 65
    PRECISION = 70
    STRIP = 80
    DESCRIBE = 85
    PACK = 90


class Need(enum.StrEnum):
    """Whether a method needs data.

    Attributes:
        NONE: it uses none.
        OPTIONAL: it uses data, and works without.
        REQUIRED: a recipe with it is refused without data.
    """

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True)
class Plan:
    """What is known when a recipe is checked, before TensorFlow is loaded.

    Attributes:
        base: facts of the model file that is compressed.
        before: the steps that run before this one.
        after: the steps that run after it.
        data: the data set, or None.
        profile: the device that the result is for.
    """

    base: ModelFacts
    before: tuple[Method, ...]
    after: tuple[Method, ...]
    data: Dataset | None
    profile: DeviceProfile

    @property
    def zeros(self) -> str:
        """What zeros are: `zeros` where integer kernels follow, else `float_zeros`."""
        kernels = (getattr(step, "kernels", "") for step in self.after)
        return "zeros" if any(one.startswith("int") for one in kernels) else "float_zeros"

    def lacking(self, technique: str, *also: str) -> str:
        """Return in words what a technique does not gain on the device; empty where it gains all.

        Of a device that compiles files it is always said what is gained: no size shows it.

        Args:
            technique: a name of `PAYS`, such as `zeros` or `channels`.
            also: what is gained beside what the profile says, a key of `GAINS`.
        """
        recoded = any(s.produces is Kind.PACKED or technique in s.stores for s in self.after)
        gained = (*self.profile.gains(technique), *(("disk",) if recoded else ()), *also)
        return lacking(technique, gained, self.profile.name, compiled=self.profile.compiled)

    def has(self, name: str, *, among: tuple[Method, ...] | None = None) -> bool:
        """Return whether a step of this name is among the others.

        Args:
            name: of a method.
            among: the steps that are looked at; None for all before and after this one.
        """
        others = (*self.before, *self.after) if among is None else among
        return any(step.name == name for step in others)


class Method(ABC):
    """A step that turns one model into another.

    Subclasses declare; the first line of the docstring is the help of the flag.

    Args:
        options: an instance of `Options`; None for one with all defaults.
        tuning: training settings that go before the recipe's; None for none.

    Attributes:
        name: the method, its flag and its key in recipes: `prune`.
        title: heading of its flags in help.
        phase: when it runs if only flags say so.
        Options: a frozen dataclass of `Annotated[T, Flag(...)]`; the field without a default,
            at most one, is the value of the flag.
        accepts: kinds of model it takes.
        produces: the kind it makes.
        data: whether it needs data.
        slot: at most one step of a slot is in a recipe (`"precision"`).
        default: it fills its slot when a .tflite is asked for and no other step does.
        keeps: what of its input survives it: `sparsity`, `clusters`, `outputs`, `quantization`,
            and kinds of state, as `ranges`.
        training: its defaults; None means that it does not train.
        chooses: settings that nobody gave are open, and `finetune` chooses them.
        flag: False makes a step that only recipes and other steps name.
        default_on: it is in every plan that ends in a .tflite, unless `--no-NAME`.
        implied: any of its options switches it on, since it means nothing without one.
        leading: the option that is the value of the flag though it has a default, since another
            option may stand for it.
        requires: distributions it needs beyond the core.
        searched: it is in the space that a search makes itself, where its technique pays.
        technique: what it does that pays on some devices: `zeros`, `patterns`, `shared_values`,
            `channels`, `rank` or `depth`; empty where it only keeps the score up.
        timed: what it does depends on the device.
        tiled: it depends on the tile of the device's kernels.
        reads: it depends on what reads the file.
        fits: it depends on the room that there is: flash and memory of devices, and budgets.
        stores: techniques that make its file smaller on disk too, since it stores weights in a
            code of its own, so that they may take fewer bits than their precision says.
        bakes: the model that it makes takes samples as they are stored, and so do the next.
        trainings: how many times it trains by its settings, as far as that is known beforehand.
        files: that its options name; a step is made anew where what is in one has changed.
        strengths: at which `edgeshrink sensitivity` tries what `by_layer` gives; None for a method
            that changes no single layers.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    phase: ClassVar[Phase]
    Options: ClassVar[type] = NoOptions
    accepts: ClassVar[tuple[Kind, ...]] = (Kind.KERAS,)
    produces: ClassVar[Kind] = Kind.KERAS
    data: ClassVar[Need] = Need.OPTIONAL
    slot: ClassVar[str | None] = None
    default: ClassVar[bool] = False
    keeps: ClassVar[frozenset[str]] = frozenset()
    training: ClassVar[Training | None] = None
    chooses: ClassVar[bool] = True
    flag: ClassVar[bool] = True
    default_on: ClassVar[bool] = False
    implied: ClassVar[bool] = False
    leading: ClassVar[str | None] = None
    requires: ClassVar[tuple[str, ...]] = ()
    strengths: ClassVar[Strengths | None] = None
    searched: ClassVar[bool] = False
    technique: ClassVar[str] = ""
    timed = False
    tiled = False
    reads = False
    fits = False
    stores: ClassVar[tuple[str, ...]] = ()
    bakes = False
    trainings = 1
    files: tuple[Path, ...] = ()

    def __init_subclass__(cls) -> None:
        """Refuse a concrete method that lacks what every method declares."""
        super().__init_subclass__()
        if inspect.isabstract(cls) or any(
            getattr(value, "__isabstractmethod__", False) for value in vars(cls).values()
        ):
            return
        for attribute in ("name", "title", "phase"):
            if not hasattr(cls, attribute):
                raise PluginError(f"method {cls.__module__}.{cls.__qualname__} has no {attribute}")
        if sum(option.required for option in options_of(cls.Options)) > 1:
            raise PluginError(f"method {cls.name!r} has more than one option without a default")

    def __init__(self, options: Any = None, tuning: Training | None = None) -> None:
        """Take checked options, and training settings that go before the recipe's."""
        self.options = build(self.Options, {}, self.name) if options is None else options
        self.tuning = tuning or Training()

    @classmethod
    def of(cls, values: Mapping[str, Any], training: Mapping[str, Any] | None = None) -> Method:
        """Return a step with these options, checked.

        Args:
            values: options by name; texts are read as the option's type.
            training: settings of `Training` by name.

        Raises:
            UsageError: an option or training setting is unknown or wrong.
        """
        return cls(
            build(cls.Options, values, cls.name),
            build(Training, {} if training is None else training, f"{cls.name} training"),
        )

    @classmethod
    def value(cls) -> Option | None:
        """Return the option that is the flag's value, or None for a switch."""
        options = options_of(cls.Options)
        return next((o for o in options if o.required or o.name == cls.leading), None)

    @classmethod
    def flag_keys(cls) -> dict[str, tuple[str, str]]:
        """Return each flag's key and what it sets: `{"prune_scope": ("options", "scope")}`.

        The value is `prune`, other options are `prune_scope`, training is `prune_epochs`;
        a switch alone is `("on", "")`.
        """
        first = cls.value()
        found = {cls.name: ("options", first.name) if first else ("on", "")}
        for option in options_of(cls.Options):
            if option is not first:
                found[f"{cls.name}_{option.name}"] = ("options", option.name)
        if cls.training is not None:
            for option in options_of(Training):
                found.setdefault(f"{cls.name}_{option.name}", ("training", option.name))
        return found

    def given(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, by name."""
        return {
            option.name: value
            for option in options_of(self.Options)
            if (value := option.of(self.options)) != option.default
        }

    def __str__(self) -> str:
        """Return the step as it is written in ledgers: `prune(sparsity=0.8)`."""
        inside = ", ".join(
            f"{key}={'+'.join(map(str, v)) if isinstance(v, tuple) else v}"
            for key, v in self.given().items()
        )
        return f"{self.name}({inside})" if inside else self.name

    def before(self) -> tuple[Method, ...]:
        """Return the steps that must run just before this one."""
        return ()

    @classmethod
    def by_layer(cls, model: keras.Model) -> Sequence[LayerChange]:
        """Return the layers that can be changed alone, in the order of the model; without training.

        Args:
            model: any Keras model; to be left as it is.

        Raises:
            ModelError: the method cannot work on such a model.
        """
        return ()

    def check(self, plan: Plan) -> Iterable[str]:
        """Return sentences on what the step can and cannot change, to be told before it runs.

        Args:
            plan: the model, the other steps, the data and the device.

        Raises:
            UsageError: the step cannot run.
        """
        return ()

    @abstractmethod
    def apply(self, model: Any, context: Context) -> Any:
        """Return the new model.

        Args:
            model: a `keras.Model` where `accepts` says Keras, else the file's bytes.
            context: what the engine lends; facts, notes and state are left there.

        Returns:
            A `keras.Model` that plain `keras.models.load_model` can open again, or the bytes
            of a .tflite or .esz file, as `produces` says.

        Raises:
            EdgeshrinkError: the step failed; the run adds the step's name and ends.
        """
