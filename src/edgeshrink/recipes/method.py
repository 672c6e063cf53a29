"""A method turns one model into another; what it declares, and what the engine lends it."""

from __future__ import annotations

import enum
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from edgeshrink.devices import lacking
from edgeshrink.errors import PluginError
from edgeshrink.flag import NoOptions, Option, build, options_of
from edgeshrink.models import Kind
from edgeshrink.recipes.training import Training

if TYPE_CHECKING:
    import keras
    import numpy as np

    from edgeshrink.devices import DeviceProfile, Measurement
    from edgeshrink.models import ModelFacts
    from edgeshrink.samples import Dataset, Task


class Phase(enum.IntEnum):
    """When a method runs if only flags say so: lower values first; ties are broken by name.

    Attributes:
        DISTILL: the model is trained, or another one in its place.
        SUBSTITUTE: layers are replaced by cheaper ones.
        SHRINK: channels or layers are taken out.
        PRUNE: weights are set to zero.
        CLUSTER: weights are made to share few values.
        TRAIN_QUANTIZED: weights are prepared for few bits, by training or without.
        BAKE: what was done to samples is put into the model.
        PRECISION: the model is converted to .tflite.
        STRIP: the file loses what no runtime reads.
        PACK: the file is packed.
    """

    DISTILL = 10
    SUBSTITUTE = 20
    SHRINK = 30
    PRUNE = 40
    CLUSTER = 50
    TRAIN_QUANTIZED = 60
    BAKE = 65
    PRECISION = 70
    STRIP = 80
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
class Agreement:
    """How alike two models answer the same inputs.

    Attributes:
        samples: how many inputs were compared.
        synthetic: the inputs were made up, not data.
        top1: share of answers with the same class, 0..1, of all elements of all samples, the worst
            over outputs; None where outputs are no classes.
        cosine: similarity of all values of an output over all samples, the worst over outputs.
        max_error: greatest difference over the range of the reference, the worst over outputs.
        classes: how many classes the reference named on these inputs, if they are classes.
        answers: how many were compared, where they are classes and an input has several, as a mask
            has for its pixels; else None.
    """

    samples: int
    synthetic: bool
    top1: float | None
    cosine: float
    max_error: float
    classes: int | None = None
    answers: int | None = None

    def answers_to(self, inputs: str) -> str:
        """Return what was compared, in words: the inputs, or the answers to them."""
        return f"{self.answers:,} answers to {inputs}" if self.answers else inputs

    @property
    def share(self) -> float:
        """The one figure to compare by: top-1 agreement, else the cosine."""
        return self.cosine if self.top1 is None else self.top1


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

        Args:
            technique: `zeros`, `float_zeros`, `shared_values`, `channels` or `rank`.
            also: what is gained beside what the profile says, of download, disk and ms.
        """
        packed = ("disk",) if any(step.produces is Kind.PACKED for step in self.after) else ()
        gained = (*self.profile.gains(technique), *packed, *also)
        return lacking(technique, gained, self.profile.name)

    def has(self, name: str, *, among: tuple[Method, ...] | None = None) -> bool:
        """Return whether a step of this name is among the others.

        Args:
            name: of a method.
            among: the steps that are looked at; None for all before and after this one.
        """
        others = (*self.before, *self.after) if among is None else among
        return any(step.name == name for step in others)


@dataclass
class Context:
    """What the engine lends a step while it runs.

    Attributes:
        data: the data set, or None.
        profile: the device that the result is for.
        folder: the step's own folder, for files on the way.
        seed: of everything random.
        training: the resolved settings, every field a value or None for "by rule".
        progress: told the share done (0..1) and a note.
        original: gives a fresh copy of the uncompressed model.
        evaluate: the score of a model (Keras model or .tflite bytes) on the *validation* samples
            (greater is better), or None without labels; given a number too, on at most so many
            of them, always the same, for choices among many models.
        evaluate_each: of a Keras model, the same metric for each validation sample, `(samples,)`,
            greater being better: differences between two models count in pairs. None without
            labels.
        agreement: how like the step's input model a candidate (Keras model or .tflite bytes)
            answers validation samples, or synthetic inputs where there is no data.
        measure: times .tflite bytes on the device; with `profile=True` by operator too, where
            its runtime tells that.
        log: the run's log file.
        tasks: what each output of the uncompressed model answers, by its name, in order, with the
            loss, weight and metrics that it was compiled with; empty leaves it to the labels.
        inherited: the arrays that came with the step's input model.
        facts: what the step measured of its result; the step fills it. `unmet` is a sentence on
            what it could not reach: the run goes on, and ends in exit code 4.
            `trained_quantized` says that training rounded the model, and how: a file that is
            converted of it must answer as it does, its activations rounded to `activation_bits`
            between the `ranges/NAME` in `state`, if there are any. Reports draw
            `curve`, the validation score after each epoch, and `trials`, for each its settings
            by name, its `score` and its `curve`.
        notes: plain sentences for the ledger; the step fills it.
        state: arrays to travel with the model, by `kind/name` (`ranges/conv1`); the step fills
            it. A later step hands on the kinds that it `keeps`.
        companions: files in `folder` that belong to the result; the step fills it.
        shared: the folder of stages, where several runs share one; None is that of the log.
    """

    data: Dataset | None
    profile: DeviceProfile
    folder: Path
    seed: int
    training: Training
    progress: Callable[[float, str], None]
    original: Callable[[], keras.Model]
    evaluate: Callable[..., float | None]
    agreement: Callable[[Any], Agreement]
    measure: Callable[..., Measurement]
    log: Path
    evaluate_each: Callable[[Any], np.ndarray | None] = lambda model: None
    tasks: Mapping[str, Task] = field(default_factory=dict)
    inherited: Mapping[str, np.ndarray] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    state: dict[str, np.ndarray] = field(default_factory=dict)
    companions: list[str] = field(default_factory=list)
    shared: Path | None = None

    @property
    def trains(self) -> bool:
        """Whether there are training samples, and epochs were not set to 0."""
        data = self.data
        return data is not None and data.train is not None and self.training.epochs != 0

    @property
    def run_folder(self) -> Path:
        """The folder that outlives the step, for what later runs can use again.

        Other runs may use it at the same time: what is in it is named by all that decides it.
        """
        return self.shared or self.log.parent


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
        timed: what it does depends on what the device measures.
        tiled: it depends on the tile of the device's kernels.
        bakes: the model that it makes takes samples as they are stored, and so do the next.
        trainings: how many times it trains by its settings, as far as that is known beforehand.
        files: that its options name; a step is made anew where what is in one has changed.
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
    timed = False
    tiled = False
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
