"""How a step trains: what its settings are, and who goes before whom."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal

from edgeshrink.errors import UsageError, near
from edgeshrink.flag import Flag
from edgeshrink.models import LossFacts, by_output, own_name

# Keras's losses, in small letters without underscores; a test holds them against Keras, which is
# not imported before the work begins.
LOSSES = frozenset(
    (
        *("bce", "binarycrossentropy", "binaryfocalcrossentropy", "categoricalcrossentropy"),
        *("categoricalfocalcrossentropy", "categoricalhinge", "circle", "cosinesimilarity", "ctc"),
        *("dice", "hinge", "huber", "kld", "kldivergence", "logcosh", "mae", "mape", "mse", "msle"),
        *("meanabsoluteerror", "meanabsolutepercentageerror", "meansquarederror"),
        *("meansquaredlogarithmicerror", "poisson", "sparsecategoricalcrossentropy"),
        *("squaredhinge", "tversky"),
    )
)


def check_loss(given: str | None, own: Collection[str] = ()) -> None:
    """Refuse a loss that there is not, before Keras is there.

    Args:
        given: losses, as `LossFacts.parse` takes them, by commas, each perhaps behind an output and
            `=`; None for none.
        own: names of the user's own losses.

    Raises:
        UsageError: it names one that does not exist.
    """
    said = by_output(given or "").values()
    for text in said if said or given is None else [""]:
        name = text if ":" in text else LossFacts.parse(text).spelled
        if name not in own and name.lower().replace("_", "") not in LOSSES:
            hint = near(name, LOSSES, otherwise="as in --loss sparse_categorical_crossentropy")
            if ":" in name:  # a recipe may be a stranger's: code is what a command names
                hint = f"--loss {name} on the command line takes a loss of your own"
            raise UsageError(f"Keras has no loss {name!r}", hint=hint)


def own_losses(given: str | None) -> tuple[str | None, tuple[str, ...]]:
    """Return losses by their names alone, and where those of the user's own are.

    Args:
        given: losses as `check_loss` takes them, or `module:object`; None for none.

    Returns:
        The losses, and `module:object` of each that is the user's own.

    Example:
        >>> own_losses("box=losses:giou, cls=mse")
        ('box=giou,cls=mse', ('losses:giou',))
    """
    said, specs = [], []
    for output, text in by_output(given or "").items():
        spec, bracket, made = text.partition("(")
        if ":" in spec:
            specs.append(spec)
            text = own_name(spec) + bracket + made
        said.append(f"{output}={text}" if output else text)
    return (",".join(said) if specs else given), tuple(specs)


def _positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


@dataclass(frozen=True)
class Training:
    """How to train; None leaves the choice to the next in line (step, recipe, method).

    What none of them says is chosen when the step runs, unless both the epochs and the rate are
    given: see `chosen_training` of `edgeshrink.nn`.

    Attributes:
        effort: what the choice may cost: `quick`, `normal` or `thorough`.
        epochs: passes over the training samples, at least 0.
        max_epochs: that are chosen, at most.
        epoch_size: training samples that an epoch shows, drawn anew each time; None for all.
        lr: peak learning rate of Adam, above 0.
        batch_size: samples in a training step.
        loss: a Keras loss by name, as `mse` or `huber(delta=0.5)`, or one of the user's own,
            instead of the model's; `output=name` is that of one output, several are parted by
            commas.
        class_weight: what the samples of a class count in the loss against labels: `balanced`, or
            weights by number or name of a class, as in `0=1,2=5`.
        teacher: `original` also learns the uncompressed model's outputs, `only` learns them
            without labels, `none` learns labels alone.
        temperature: what a teacher's logits and the model's are divided by, above 0.
        alpha: share of labels in the loss beside a teacher's, 0..1.
        shift: most pixels that training images are moved by, each way.
        flip: whether training images are turned left to right at random.

    Raises:
        ValueError: there is no such teacher, or weights are none; `build` makes a `UsageError` of
            it.
    """

    effort: Annotated[
        Literal["quick", "normal", "thorough"] | None,
        Flag(
            "What training may cost. Without both --epochs and --lr, each step chooses by short "
            "trials what no flag gives of epochs, rate, teacher and shifts (default: normal)."
        ),
    ] = None
    epochs: Annotated[int | None, Flag("Passes over the training samples.", min=0)] = None
    max_epochs: Annotated[
        int | None, Flag("Epochs at most, where they are chosen and not given.", min=1)
    ] = None
    epoch_size: Annotated[
        int | None,
        Flag("Training samples that an epoch shows, drawn anew each time (default: all).", min=1),
    ] = None
    lr: Annotated[float | None, Flag("Peak learning rate of Adam.", above=0)] = None
    batch_size: Annotated[int | None, Flag("Samples in a training step.", min=1)] = None
    loss: Annotated[
        str | None,
        Flag(
            "A Keras loss by name, as mse or huber(delta=0.5), or MODULE:OBJECT of your own, "
            "instead of the model's; OUTPUT=NAME for one of several outputs, parted by commas."
        ),
    ] = None
    class_weight: Annotated[
        str | None,
        Flag(
            "What the samples of a class count in the loss: `balanced`, or by number or name, as "
            "in 0=1,2=5 (default: all 1)."
        ),
    ] = None
    teacher: Annotated[
        str | None,
        Flag(
            "`original`: also learn the uncompressed model's outputs; `only`: learn them without "
            "labels; `none`: labels alone."
        ),
    ] = None
    temperature: Annotated[
        float | None,
        Flag("That a teacher's logits and the model's are divided by.", above=0),
    ] = None
    alpha: Annotated[
        float | None, Flag("Share of labels in the loss beside a teacher's.", min=0, max=1)
    ] = None
    shift: Annotated[
        int | None,
        Flag("Move training images at random by up to so many pixels each way.", min=0),
    ] = None
    flip: Annotated[bool | None, Flag("Turn training images left to right at random.")] = None

    def __post_init__(self) -> None:
        """Refuse a teacher that does not exist."""
        if self.teacher not in (None, "none", "original", "only"):
            raise ValueError(f"teacher must be original, only or none; received {self.teacher!r}")
        for part in (self.class_weight or "balanced").split(","):
            name, equals, weight = part.rpartition("=")
            if part != "balanced" and not (name and equals and _positive(weight)):
                raise ValueError(
                    "class_weight must be balanced, or weights above 0 as in 0=1,2=5; received "
                    f"{self.class_weight!r}"
                )

    def samples(self, available: int) -> int:
        """Return how many of the available training samples an epoch shows."""
        return min(available, self.epoch_size or available)

    def losses(self, outputs: Iterable[str]) -> dict[str, str | None]:
        """Return the loss that was chosen for each output; None for the model's own.

        Args:
            outputs: their names.

        Raises:
            UsageError: a loss was chosen for an output that there is not.
        """
        said, names = by_output(self.loss or ""), list(outputs)
        for name in said:
            if name and name not in names:
                raise UsageError(f"--loss: no output {name!r}", hint=near(name, names))
        return {name: said.get(name, said.get("")) for name in names}

    def over(self, defaults: Training) -> Training:
        """Return these settings, with what is None here taken from `defaults`."""
        chosen = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(defaults, **{k: v for k, v in chosen.items() if v is not None})
