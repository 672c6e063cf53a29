"""The one fine-tuning loop, which keeps what earlier steps made: zeros, and shared values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import keras
import numpy as np

from edgeshrink.errors import DataError, EdgeshrinkError, UsageError
from edgeshrink.nn.augment import shifted
from edgeshrink.nn.convert import output_names, packed
from edgeshrink.nn.objective import OutputLoss, Trainee, activation_of, output_loss
from edgeshrink.nn.reparam import Reparameterized
from edgeshrink.nn.sharing import shared
from edgeshrink.part import labels_by_output

if TYPE_CHECKING:
    from edgeshrink.data import Dataset
    from edgeshrink.method import Context


BATCHES_TOGETHER = 16


class Mask:
    """A constraint that keeps a variable's zeros; composes with the variable's own constraint."""

    def __init__(self, variable: keras.Variable, mask: np.ndarray) -> None:
        self.own = variable.constraint
        self.mask = keras.Variable(mask, trainable=False, dtype=variable.dtype, name="mask")

    def __call__(self, value: Any) -> Any:
        """Return the value as the model's own constraint wants it, masked."""
        if self.own is not None:
            value = self.own(value)
        return value * self.mask


class Masks:
    """Zero patterns that are held on variables while a model trains.

    Keras's optimizers apply a variable's constraint inside the compiled step, so a mask holds
    under Adam and SGD, gradient accumulation, mixed precision and XLA. Moving averages of the
    weights are written past the constraint: `enforce` after training makes good.
    """

    def __init__(self, variables: Iterable[keras.Variable]) -> None:
        self.variables = list(variables)
        self._masks = [Mask(v, (np.asarray(v) != 0).astype("float32")) for v in self.variables]

    def assign(self, masks: Iterable[np.ndarray]) -> None:
        """Hold these patterns (1 keeps, 0 zeroes) from now on, and apply them."""
        for held, mask in zip(self._masks, masks, strict=True):
            held.mask.assign(mask)
        self.enforce()

    def enforce(self) -> None:
        """Set to zero what the patterns say.

        Masked products leave -0.0 behind where weights were negative, at random to a compressor.
        """
        for variable, held in zip(self.variables, self._masks, strict=True):
            variable.assign(keras.ops.where(held.mask != 0, variable, 0.0))

    def zeros(self) -> int:
        """Return how many values the patterns hold at zero."""
        return sum(int((np.asarray(held.mask) == 0).sum()) for held in self._masks)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the patterns by constraints within the block; take them off after it."""
        for variable, held in zip(self.variables, self._masks, strict=True):
            variable.constraint = held
        try:
            yield
        finally:
            for variable, held in zip(self.variables, self._masks, strict=True):
                variable.constraint = held.own
            self.enforce()


def kernels(model: keras.Model) -> list[keras.Variable]:
    """Return the weights of two or more dimensions, each once; not those of functions of them."""
    inner = model.model if isinstance(model, Reparameterized) else model
    return [v for v in inner.weights if len(v.shape) >= 2 and "float" in str(v.dtype)]


class Schedule(Protocol):
    """What changes masks while training goes on."""

    def update(self, share: float) -> None:
        """Do what is due when this share (0..1) of all training steps is done."""

    @property
    def settled(self) -> bool:
        """Whether the masks have reached their final form."""


def finetune(
    model: keras.Model,
    context: Context,
    *,
    masks: Masks | None = None,
    schedule: Schedule | None = None,
) -> keras.Model:
    """Train a model in place on the data of `context`, by its training settings.

    Adam with cosine decay; the weights kept are those of the epoch that scores best on the
    validation samples, among epochs after the schedule has settled; batch-norm statistics are
    estimated anew at the end where that does not score worse. Kernels with shared values are
    trained as codebooks (`nn.sharing`): zeros and the number of distinct values are kept.

    Args:
        model: trained in place; a `Reparameterized` one is trained as it is.
        context: data, settings, seed, teacher and validation score.
        masks: zero patterns to hold; None holds whatever zeros the kernels have.
        schedule: changes the masks while training goes on.

    Returns:
        The model.

    Raises:
        DataError: there is nothing to learn from.
        EdgeshrinkError: the loss is no longer a number.
    """
    if not isinstance(model, Reparameterized) and (sharing := shared(model)):
        seen = Reparameterized(model, sharing)
        finetune(seen, context, masks=masks, schedule=schedule)
        return seen.settle()
    losses, labels = objectives(model, context)
    data, settings = context.data, context.training
    assert data is not None
    assert data.train is not None
    masks = Masks(v for v in kernels(model) if not np.asarray(v).all()) if masks is None else masks
    keras.utils.set_random_seed(context.seed)
    taught = any(loss.soft is not None for loss in losses.values())
    trainee = Trainee(model, losses, context.original() if taught else None)
    assert settings.epochs is not None
    assert settings.batch_size is not None
    assert settings.lr is not None
    batch_size = min(settings.batch_size, len(data.train))
    steps = len(data.train) // batch_size
    rate = keras.optimizers.schedules.CosineDecay(settings.lr, steps * settings.epochs)
    trainee.compile(keras.optimizers.Adam(rate), jit_compile=False)
    watch = _Watch(context, masks, schedule, steps, settings.epochs)
    with masks.held():
        trainee.fit(
            batches(model, data, labels, batch_size, context.seed, settings.shift or 0),
            epochs=settings.epochs,
            verbose=0,
            shuffle=False,  # the pipeline shuffles
            callbacks=[watch],
        )
    watch.restore(model)
    masks.enforce()
    reestimate_batchnorm(model, context)
    return model


def objectives(
    model: keras.Model, context: Context
) -> tuple[dict[str, OutputLoss], dict[str, np.ndarray]]:
    """Return what a model is trained towards: the loss of each output, and its labels.

    Returns:
        By output name the loss, and `(samples, ...)` labels where there are any; a teacher is
        needed where a loss has a soft part.

    Raises:
        DataError: there is nothing to learn from.
    """
    data, settings = context.data, context.training
    if data is None or data.train is None:
        raise DataError(
            "training needs training samples", hint="pass --data with a train part, or --epochs 0"
        )
    taught = settings.teacher in ("original", "only") or data.train.labels is None
    names = output_names(model)
    labels = {} if settings.teacher == "only" else labels_by_output(data.train, names)
    for name, tensor in zip(names, model.outputs, strict=True):
        if name in labels and labels[name].ndim == 1 and tensor.shape[-1] == 1:
            labels[name] = labels[name].reshape(-1, 1)
    losses = {
        name: output_loss(
            activation_of(model, place),
            labels.get(name),
            chosen=settings.loss or context.base_loss,
            taught=taught,
        )
        for place, name in enumerate(names)
    }
    return losses, labels


def batches(
    model: keras.Model,
    data: Dataset,
    labels: Mapping[str, np.ndarray],
    size: int,
    seed: int,
    shift: int = 0,
) -> Any:
    """Return a tf.data pipeline of preprocessed batches, shuffled anew in each epoch.

    Python is called for many batches at once: it would else wait for the training step, and the
    step for it. Each epoch leaves out the few samples that fill no batch, others each time.
    Images, which are inputs of height, width and channels, are shifted by up to `shift` pixels.

    Raises:
        UsageError: there are no images to shift.
    """
    import tensorflow as tf

    part = data.train
    assert part is not None
    epoch = itertools.count()
    kinds = {t.name: np.dtype(t.dtype) for t in model.inputs}
    images = [t.name for t in model.inputs if len(t.shape) == 4]
    if shift and not images:
        raise UsageError(
            "only images can be shifted; no input of the model has height, width and channels"
        )

    def generate() -> Iterator[tuple[Any, dict[str, np.ndarray]]]:
        rng = np.random.default_rng([seed, next(epoch)])
        order = rng.permutation(len(part))
        batches = order[: len(part) // size * size].reshape(-1, size)
        for start in range(0, len(batches), BATCHES_TOGETHER):
            places = batches[start : start + BATCHES_TOGETHER]
            taken = data.values(part, places.reshape(-1))
            if shift:
                taken |= {name: shifted(taken[name], shift, rng) for name in images}
            inputs = {
                name: taken[name]
                .astype(kind, copy=False)
                .reshape(*places.shape, *taken[name].shape[1:])
                for name, kind in kinds.items()
            }
            yield together(inputs), {n: v[places].astype("float32") for n, v in labels.items()}

    def together(inputs: dict[str, Any]) -> Any:
        x = packed(model, inputs)
        return tuple(x) if isinstance(x, list) else x  # tf.data would stack a list into one tensor

    signature = (
        together(
            {t.name: tf.TensorSpec((None, size, *t.shape[1:]), t.dtype) for t in model.inputs}
        ),
        {n: tf.TensorSpec((None, size, *v.shape[1:]), tf.float32) for n, v in labels.items()},
    )
    many = tf.data.Dataset.from_generator(generate, output_signature=signature)
    steps = tf.data.experimental.assert_cardinality(len(part) // size)
    return many.prefetch(1).unbatch().apply(steps).prefetch(4)


class _Watch(keras.callbacks.Callback):
    """Moves the schedule, tells progress, and keeps the best weights of settled epochs."""

    UPDATES = 50  # of the masks over the whole training: a threshold over all weights costs

    def __init__(
        self, context: Context, masks: Masks, schedule: Schedule | None, steps: int, epochs: int
    ) -> None:
        super().__init__()
        self.context, self.masks, self.schedule = context, masks, schedule
        self.total, self.epochs, self.step = steps * epochs, epochs, 0
        self.every = max(1, self.total // self.UPDATES)
        self.best: tuple[float, list[np.ndarray]] | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        if self.schedule is not None:
            self.schedule.update(0.0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.step += 1
        if self.step % self.every == 0:
            if self.schedule is not None and not self.schedule.settled:
                self.schedule.update(self.step / self.total)
            self.context.progress(self.step / self.total, "training")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        loss = float((logs or {}).get("loss", math.nan))
        if not math.isfinite(loss):
            raise EdgeshrinkError(
                f"training diverged: the loss is {loss} in epoch {epoch + 1}",
                hint="lower the learning rate with --lr",
            )
        self.masks.enforce()
        inner = self.model.model
        alone = self.context.training.teacher == "only"
        score = None if alone else self.context.evaluate(inner)
        score = -loss if score is None else score
        self.context.progress(
            (epoch + 1) / self.epochs, f"epoch {epoch + 1}: loss {loss:.4f}, validation {score:.4f}"
        )
        settled = self.schedule is None or self.schedule.settled
        if settled and (self.best is None or score >= self.best[0]):
            self.best = (score, inner.get_weights())

    def restore(self, model: keras.Model) -> None:
        """Put the best weights back, if an epoch was settled."""
        if self.best is not None:
            model.set_weights(self.best[1])


def reestimate_batchnorm(
    model: keras.Model, context: Context, *, samples: int = 4096, size: int = 128
) -> bool:
    """Estimate the statistics of batch norms anew on training samples, unless that scores worse.

    Returns:
        Whether new statistics were kept.
    """
    norms = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    if not norms or context.data is None or context.data.train is None:
        return False
    before, score = model.get_weights(), context.evaluate(model)
    momenta = [layer.momentum for layer in norms]
    part = context.data.train
    places = np.random.default_rng(context.seed).permutation(len(part))[:samples]
    try:
        for turn in range(max(1, len(places) // size)):
            for layer in norms:
                layer.momentum = turn / (turn + 1)  # the running mean of all batches so far
            batch = context.data.values(part, places[turn * size : (turn + 1) * size])
            model(packed(model, batch), training=True)
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
    after = context.evaluate(model)
    if score is not None and after is not None and after < score:
        model.set_weights(before)
        return False
    return True
