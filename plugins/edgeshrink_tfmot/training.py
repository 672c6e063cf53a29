"""Train a tf_keras model on the data, towards the targets and by the settings of our own loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from edgeshrink.api import Context, EdgeshrinkError, UsageError
from edgeshrink.nn import OutputLoss, objectives, training_batches
from edgeshrink_tfmot.toolkit import load
from edgeshrink_tfmot.translation import Twin

TOLD = 100  # times that progress is told


def steps_in_all(context: Context) -> int:
    """Return how many batches the training has, each epoch leaving out what fills none.

    Raises:
        UsageError: no epochs.
    """
    data, settings = context.data, context.training
    assert data is not None
    assert data.train is not None
    if not settings.epochs:
        raise UsageError("TFMOT works while it trains: epochs must be at least 1")
    return settings.samples(len(data.train)) // batch_size(context) * settings.epochs


def batch_size(context: Context) -> int:
    """Return how many samples are in a batch: as wanted, at most all of an epoch."""
    data, settings = context.data, context.training
    assert data is not None
    assert data.train is not None
    assert settings.batch_size is not None
    return min(settings.batch_size, settings.samples(len(data.train)))


def train(twin: Twin, model: Any, context: Context, callbacks: Sequence[Any] = ()) -> None:
    """Train a tf_keras model in place, with Adam and cosine decay; the last weights are kept.

    Args:
        twin: tells what is learnt: losses and labels are those of the original model.
        model: the tf_keras model of the same inputs and outputs, as TFMOT wraps it.
        context: data, settings, seed and teacher.
        callbacks: of TFMOT, told of batches and epochs.

    Raises:
        DataError: there is nothing to learn from.
        EdgeshrinkError: the loss is no longer a number.
        UsageError: no epochs.
    """
    _, tf_keras = load()
    total, settings = steps_in_all(context), context.training
    losses, labels = objectives(twin.original, context)
    taught = any(loss.soft is not None for loss in losses.values())
    assert context.data is not None
    assert settings.epochs is not None
    keras.utils.set_random_seed(context.seed)
    rate = tf_keras.optimizers.schedules.CosineDecay(settings.lr, total)
    step = _step(
        model, losses, context.original() if taught else None, tf_keras.optimizers.Adam(rate)
    )
    every, done = max(1, total // TOLD), 0
    for callback in callbacks:
        callback.set_model(model)
        callback.on_train_begin()
    source = training_batches(twin.original, context, labels, batch_size(context))
    for epoch in range(settings.epochs):
        sum_of_losses = 0.0
        for inputs, targets in source:
            for callback in callbacks:
                callback.on_train_batch_begin(done)
            sum_of_losses += step(inputs, targets)
            done += 1
            if done % every == 0:
                context.progress(done / total, "training")
        for callback in callbacks:
            callback.on_epoch_end(epoch)
        mean = float(sum_of_losses) * settings.epochs / total
        if not math.isfinite(mean):
            raise EdgeshrinkError(
                f"training diverged: the loss is {mean} in epoch {epoch + 1}",
                hint="lower the learning rate with --lr",
            )
        context.progress(done / total, f"epoch {epoch + 1}: loss {mean:.4f}")


def _step(
    model: Any, losses: Mapping[str, OutputLoss], teacher: keras.Model | None, optimizer: Any
) -> Callable[[Any, Mapping[str, Any]], Any]:
    """Return what trains a model on one batch and returns the loss."""
    usable = [name for name, loss in losses.items() if loss.hard or loss.soft]
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(inputs: Any, targets: Mapping[str, Any]) -> Any:
        labels = targets["labels"]
        taught: dict[str, Any] = {}
        if teacher is not None:
            # a tuple stands for the list that a model takes
            given = list(inputs) if isinstance(inputs, tuple) else inputs
            answers = keras.tree.flatten(teacher(given, training=False))
            taught = dict(zip(losses, answers, strict=True))
        with tf.GradientTape() as tape:
            answers = keras.tree.flatten(model(keras.tree.flatten(inputs), training=True))
            outputs = dict(zip(losses, answers, strict=True))
            parts = [losses[n](labels.get(n), taught.get(n), outputs[n]) for n in usable]
            loss = tf.add_n([*parts, *model.losses])
        variables = model.trainable_variables
        pairs = zip(tape.gradient(loss, variables), variables, strict=True)
        # TFMOT leaves kernels among the variables that it computes anew from centroids
        optimizer.apply_gradients([pair for pair in pairs if pair[0] is not None])
        return loss

    return step
