"""What the engine lends a step while it runs, and how alike two models are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.recipes.training import Training

if TYPE_CHECKING:
    import keras
    import numpy as np

    from edgeshrink.devices import DeviceProfile, Measurement
    from edgeshrink.samples import Dataset, Task


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
class Room:
    """What a result may take: the least of what its devices have and of what was asked for.

    Attributes:
        storage_bytes: for the file; None where nothing limits it.
        memory_bytes: for tensors at work; None where nothing limits it.
    """

    storage_bytes: int | None = None
    memory_bytes: int | None = None


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
        room: what the result may take; a step that looks at it says so (`Method.fits`).
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
        custom: `module:object` of the user's own code, losses among it.
        callbacks: gives the callbacks of Keras that a training calls.
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
    room: Room = Room()
    evaluate_each: Callable[[Any], np.ndarray | None] = lambda model: None
    tasks: Mapping[str, Task] = field(default_factory=dict)
    inherited: Mapping[str, np.ndarray] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    state: dict[str, np.ndarray] = field(default_factory=dict)
    companions: list[str] = field(default_factory=list)
    shared: Path | None = None
    custom: tuple[str, ...] = ()
    callbacks: Callable[[], Sequence[Any]] = tuple

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
