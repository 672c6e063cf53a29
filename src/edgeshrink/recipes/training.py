"""How a step trains: what its settings are, and who goes before whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal

from edgeshrink.errors import UsageError, near
from edgeshrink.flag import Flag
from edgeshrink.models import by_output

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


def check_loss(given: str | None) -> None:
    """Refuse a loss that Keras does not have, before Keras is there.

    Args:
        given: names, by commas, each perhaps behind an output and `=`; None for none.

    Raises:
        UsageError: it names one that does not exist.
    """
    for part in [] if given is None else given.split(","):
        name = part.rpartition("=")[2].strip()
        if name.lower().replace("_", "") not in LOSSES:
            raise UsageError(
                f"Keras has no loss {name!r}",
                hint=near(name, LOSSES, otherwise="as in --loss sparse_categorical_crossentropy"),
            )


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
        loss: a Keras loss by name, instead of the model's own; `output=name` is that of one output,
            several are parted by commas.
        teacher: `original` also learns the uncompressed model's outputs, `only` learns them
            without labels, `none` learns labels alone.
        temperature: what a teacher's logits and the model's are divided by, above 0.
        alpha: share of labels in the loss beside a teacher's, 0..1.
        shift: most pixels that training images are moved by, each way.
        flip: whether training images are turned left to right at random.

    Raises:
        ValueError: there is no such teacher; `build` makes a `UsageError` of it.
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
            "A Keras loss by name, instead of the model's own; OUTPUT=NAME for one of several "
            "outputs, parted by commas."
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
