"""The training loop: a course of one model, which holds zeros and keeps the best weights."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import keras
import numpy as np

from edgeshrink.errors import EdgeshrinkError, PluginError
from edgeshrink.nn.graph import structured
from edgeshrink.nn.learning.losses import Trainee
from edgeshrink.nn.learning.masks import Masks, kernel_weights
from edgeshrink.nn.learning.rates import RangeTest, Rate
from edgeshrink.nn.learning.soft_targets import answers
from edgeshrink.nn.learning.supervision import (
    Supervision,
    objectives,
    supervision_of,
    training_batches,
)

if TYPE_CHECKING:
    from edgeshrink.recipes import Context


class Schedule(Protocol):
    """What changes masks while training goes on."""

    def update(self, share: float) -> None:
        """Do what is due when this share (0..1) of all training steps is done."""

    @property
    def settled(self) -> bool:
        """Whether the masks have reached their final form."""


class Course:
    """A training of one model, compiled once, that can be run several times.

    Adam with cosine decay; the weights kept are those of the epoch that scores best on the
    validation samples, among epochs after the schedule has settled; batch-norm statistics are
    estimated anew at the end where that does not score worse.

    Args:
        model: trained in place.
        context: data, settings, seed, teacher and validation score.
        masks: zero patterns to hold; None holds whatever zeros the kernels have.
        taught: what is learned; None for what the settings say.

    Attributes:
        model: as it was given.
        context: likewise.
        masks: the zero patterns that are held.
        size: samples in a batch.
        steps: batches in an epoch.

    Raises:
        DataError: there are no training samples.
        UsageError: there is no such loss.
        PluginError: the method has not declared that it trains.
    """

    def __init__(
        self,
        model: keras.Model,
        context: Context,
        *,
        masks: Masks | None = None,
        taught: Supervision | None = None,
    ) -> None:
        self.model, self.context = model, context
        taught = supervision_of(context) if taught is None else taught
        losses, self._labels = objectives(model, context, taught)
        data, settings = context.data, context.training
        assert data is not None
        assert data.train is not None
        if settings.batch_size is None:
            raise PluginError("a method that trains must declare `training = Training()`")
        self.masks = masks
        if masks is None:
            self.masks = Masks(v for v in kernel_weights(model) if not np.asarray(v).all())
        shown = settings.samples(len(data.train))
        self.size = min(settings.batch_size, shown)
        self.steps = shown // self.size
        self._answers = answers(taught.teacher, model, context) if taught.teacher else None
        keras.utils.set_random_seed(context.seed)
        self._trainee = Trainee(model, losses, taught.teacher, taught.hints)
        self._rate = Rate()
        self._optimizer = keras.optimizers.Adam(self._rate)
        self._trainee.compile(self._optimizer, jit_compile=False)
        # a step that makes its variables when it first runs is traced twice
        self._optimizer.build(self._trainee.trainable_variables)

    def run(self, schedule: Schedule | None = None) -> None:
        """Train from the weights that the model has now; the scores of epochs become a fact.

        Args:
            schedule: changes the masks while training goes on, as `finetune` takes it.

        Raises:
            UsageError: there are no images to shift or flip.
            EdgeshrinkError: the loss is no longer a number.
        """
        context, settings = self.context, self.context.training
        assert settings.epochs is not None
        assert settings.lr is not None
        assert self.masks is not None
        watch = _Watch(context, self.masks, schedule, self.steps, settings.epochs)
        further = self.context.callbacks()
        self._fit(watch, self.steps * settings.epochs, settings.lr, further=further)
        context.facts["curve"] = watch.curve
        watch.restore(self.model)
        self.masks.enforce()
        reestimate_batchnorm(self.model, context)

    def range_test(self, steps: int = 100) -> float | None:
        """Return the peak rate that a range test finds; the model stays as it is.

        Args:
            steps: that the test takes.

        Returns:
            None where the loss is no number at any rate.
        """
        test, before = RangeTest(steps), self._trainee.get_weights()
        self._fit(test, steps, rising=True)
        self._trainee.set_weights(before)
        return test.peak()

    def pace(self, steps: int = 12) -> float:
        """Return the seconds that a training step takes; the model stays as it is.

        Args:
            steps: that are timed; the first compiles.
        """
        clock, before = _Clock(steps), self._trainee.get_weights()
        self._fit(clock, steps)
        self._trainee.set_weights(before)
        return clock.pace

    def trial(self, rate: float, steps: int) -> None:
        """Train for a few steps, as a trial of what is learned.

        Args:
            rate: the peak; it falls along a cosine.
            steps: how many.
        """
        self._fit(_Last(steps), steps, rate)

    def _fit(
        self,
        callback: keras.callbacks.Callback,
        steps: int,
        rate: float = 0.0,
        *,
        rising: bool = False,
        further: Sequence[Any] = (),
    ) -> None:
        """Train for so many steps, from an optimizer that has seen none."""
        keras.utils.set_random_seed(self.context.seed)
        states = (v for v in self._trainee.variables if v.path.endswith("seed_generator_state"))
        for place, state in enumerate(states):  # of dropout: weights do not hold them
            state.assign([self.context.seed % 2**32, place])
        for variable in self._optimizer.variables:
            if variable is not self._optimizer._learning_rate:
                variable.assign(keras.ops.zeros_like(variable))
        self._rate.peak.assign(rate)
        self._rate.total.assign(float(steps))
        self._rate.rising.assign(float(rising))
        assert self.masks is not None
        with self.masks.held():
            self._trainee.fit(
                training_batches(
                    self.model, self.context, self._labels, self.size, self._answers or ()
                ),
                epochs=-(-steps // self.steps),
                verbose=0,
                shuffle=False,  # the pipeline shuffles
                callbacks=[callback, *further],
            )
        self.masks.enforce()


class _Last(keras.callbacks.Callback):
    """Ends a training after so many steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left <= 0:
            self.model.stop_training = True


class _Clock(_Last):
    """Ends a training after so many steps, and times them."""

    def __init__(self, steps: int) -> None:
        super().__init__(steps)
        self.times = list[float]()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.times.append(time.perf_counter())
        super().on_train_batch_end(batch, logs)

    @property
    def pace(self) -> float:
        """The median time from one step to the next, in seconds."""
        return statistics.median(b - a for a, b in pairwise(self.times))


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
        self.curve: list[float] = []

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
        self.curve.append(score)
        if logs is not None:
            logs["val_score"] = score
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

    Args:
        model: changed in place.
        context: data, seed and validation score.
        samples: how many are used, at most.
        size: samples in a batch.

    Returns:
        Whether new statistics were kept; False where there are no batch norms or no data.
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
            model(structured(model, batch), training=True)
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
    after = context.evaluate(model)
    if score is not None and after is not None and after < score:
        model.set_weights(before)
        return False
    return True
