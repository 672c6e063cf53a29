"""Inputs made from what a trained model remembers of its data: the statistics of batch norms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from edgeshrink.errors import ModelError
from edgeshrink.nn.graph import functional, opened, structured
from edgeshrink.nn.inputs.noise import COMMON_RANGES, made_up
from edgeshrink.nn.inputs.prediction import samples_at_once

TOGETHER = 64  # inputs whose statistics are matched together
TRIED = 1 << 20  # values of noise, at most, by which a range is chosen
EARLY = 8  # batch norms by which a range is chosen: what lies deeper only follows them
RATE = 0.05  # of Adam, in shares of the input's range
NEAR = 0.02  # a distance as that of a batch of the training data itself
Ends = tuple[Any, Any]  # arrays or numbers


def inverted(
    model: keras.Model,
    count: int,
    *,
    ends: Mapping[str, Ends] | None = None,
    steps: int = 100,
    seed: int = 0,
    progress: Callable[[float, str], None] = lambda share, note: None,
) -> dict[str, np.ndarray]:
    """Return inputs for which the batch norms see the means and variances of their training data.

    Inputs begin as noise and blobs, and follow the gradient of the distance between the batch's
    statistics and those that were learned (ZeroQ: Cai et al., CVPR 2020, section 3.1;
    DeepInversion: Yin et al., CVPR 2020, eq. 4). They stay within their range all the time.

    Args:
        model: with batch norms, and inputs of floats.
        count: of inputs.
        ends: least and greatest value of each input, each that broadcasts with a sample; by
            default that common range (0..1, -1..1, 0..255, -3..3) whose noise is nearest already.
        steps: of Adam for each batch, at most; it ends where the statistics are near.
        seed: of everything random.
        progress: told the share done (0..1) and a note.

    Returns:
        For each input float32 `(count, ...)`.

    Raises:
        ModelError: there are no batch norms, an input is no float, or nothing finite comes out.
    """
    for tensor in model.inputs:
        if "float" not in str(tensor.dtype):
            raise ModelError(
                f"only inputs of floats can be synthesised; {tensor.name!r} is {tensor.dtype}",
                hint="pass --data",
            )
    known = _Distance(model)
    rng = np.random.default_rng(seed)
    if not ends:
        low, high = (np.float32(end) for end in _nearest(model, known, seed))
        ends = {t.name: (low, high) for t in model.inputs}
    limits = [ends[t.name] for t in model.inputs]
    size = min(TOGETHER, count)  # the last batch is cut afterwards, so that none is small
    shapes = [(size, *t.shape[1:]) for t in model.inputs]
    search = _Search(known, limits, shapes, steps)
    parts: list[list[np.ndarray]] = []
    for start in range(0, count, size):
        begun = [made_up(model, t, *ends[t.name], size, rng) for t in model.inputs]

        def told(share: float, done: int = start) -> None:
            progress(min(1.0, (done + share * size) / count), "synthesising inputs")

        parts.append(search(begun, told))
    joined = [np.concatenate(values)[:count] for values in zip(*parts, strict=True)]
    if not all(np.isfinite(values).all() for values in joined):
        raise ModelError(
            "no inputs fit the statistics of the model's batch norms: their gradient is no number",
            hint="pass --data",
        )
    return {t.name: values for t, values in zip(model.inputs, joined, strict=True)}


def distance(model: keras.Model, inputs: Mapping[str, np.ndarray]) -> float:
    """Return how far the statistics of these inputs are from those of the batch norms.

    Returns:
        The mean over batch norms of what the mean over channels is: the squared difference of
        the means in units of the larger deviation, and the squared logarithm of the deviations'
        ratio. All layers count alike, and inputs too faint are as far as inputs too strong; the
        sums of squares of the papers are neither. About 0 for the training data itself.
    """
    measured = _Distance(model)
    return float(measured([ops.convert_to_tensor(inputs[t.name]) for t in model.inputs]))


class _Distance:
    """The distance between a batch's statistics and the learned ones, as a function of inputs.

    Args:
        model: has batch norms.
        first: of them, in order, as many are looked at; None for all.
    """

    def __init__(self, model: keras.Model, first: int | None = None) -> None:
        graph = functional(model)
        self._model = graph
        self._norms: list[keras.layers.BatchNormalization] = []
        taken: list[Any] = []

        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(layer, keras.Model):
                return opened(layer, args[0], call)
            if isinstance(layer, keras.layers.BatchNormalization):
                self._norms.append(layer)
                taken.append(args[0])
            return layer(*args, **kwargs)

        inputs = keras.tree.map_structure(
            lambda t: keras.Input(batch_shape=t.shape, dtype=t.dtype, name=t.name), graph.input
        )
        opened(graph, inputs, call)
        if not taken:
            raise ModelError(
                f"{model.name} has no batch norms, whose statistics inputs are synthesised from",
                hint="pass --data, or work without",
            )
        self._norms = self._norms[:first]
        self._probe = keras.Model(inputs, taken[:first])

    def __call__(self, inputs: list[Any]) -> Any:
        named = {t.name: value for t, value in zip(self._model.inputs, inputs, strict=True)}
        seen = keras.tree.flatten(self._probe(structured(self._model, named), training=False))
        total = 0.0
        for norm, values in zip(self._norms, seen, strict=True):
            axis = norm.axis % len(values.shape)
            others = [a for a in range(len(values.shape)) if a != axis]
            mean, variance = ops.moments(values, axes=others)
            learned = ops.convert_to_tensor(norm.moving_variance) + norm.epsilon
            variance = variance + norm.epsilon
            total += ops.mean(ops.square(mean - norm.moving_mean) / ops.maximum(variance, learned))
            total += ops.mean(ops.square(0.5 * ops.log(variance / learned)))
        return total / len(self._norms)


class _Search:
    """Follows the gradient of the distance with Adam; compiled once for all batches.

    What moves are shares 0..1 of each input's range, which a constraint keeps there.
    """

    def __init__(self, distance: _Distance, ends: list[Ends], shapes: Any, steps: int) -> None:
        import tensorflow as tf

        self._distance, self._ends, self._steps = distance, ends, steps
        self._shares = [
            keras.Variable(np.zeros(shape, "float32"), name=f"share_{place}")
            for place, shape in enumerate(shapes)
        ]
        for share in self._shares:
            share.constraint = lambda value: ops.clip(value, 0.0, 1.0)
        self._adam = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps))
        self._adam.build(self._shares)
        self._fresh = [np.asarray(v) for v in self._adam.variables]
        self._step = tf.function(self._advance, autograph=False)

    def __call__(self, begun: list[np.ndarray], told: Callable[[float], None]) -> list[np.ndarray]:
        for variable, value in zip(self._adam.variables, self._fresh, strict=True):
            variable.assign(value)
        for share, value, (low, high) in zip(self._shares, begun, self._ends, strict=True):
            share.assign((value - low) / (high - low))
        for step in range(self._steps):
            far = self._step()
            if step % 10 == 9:
                told(step / self._steps)
                if float(far) < NEAR:
                    break
        return [np.asarray(v) for v in self._values()]

    def _values(self) -> list[Any]:
        pairs = zip(self._shares, self._ends, strict=True)
        return [low + share * (high - low) for share, (low, high) in pairs]

    def _advance(self) -> Any:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = self._distance(self._values())
        self._adam.apply(tape.gradient(loss, [v.value for v in self._shares]), self._shares)
        return loss


def learned_range(model: keras.Model, seed: int = 0) -> tuple[float, float] | None:
    """Return the common range whose noise a model's batch norms know best; None without any."""
    if any("float" not in str(t.dtype) for t in model.inputs):
        return None
    try:
        return _nearest(model, _Distance(model, EARLY), seed)
    except ModelError:
        return None


def _nearest(model: keras.Model, known: _Distance, seed: int) -> tuple[float, float]:
    """Return the common range whose noise is least far from the statistics.

    Raises:
        ModelError: all are infinitely far.
    """
    import tensorflow as tf

    found: dict[float, tuple[float, float]] = {}
    count = samples_at_once(model, TRIED, 8, TOGETHER)  # few large images have pixels enough
    measured = tf.function(known, autograph=False)
    for low, high in COMMON_RANGES:
        rng = np.random.default_rng(seed)
        noise = [made_up(model, t, low, high, count, rng) for t in model.inputs]
        far = float(measured([ops.convert_to_tensor(v) for v in noise]))
        if np.isfinite(far):
            found.setdefault(far, (low, high))
    if not found:
        raise ModelError("the statistics of the model's batch norms are no numbers")
    return found[min(found)]
