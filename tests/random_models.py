"""Models drawn at random, with every kind of layer that channels are followed through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

layers = keras.layers
ACTIVATIONS = (None, "relu", "tanh", "sigmoid", "softplus", "gelu")


class Maker:
    """Grows a tensor layer by layer; what is chosen is said by numbers, zeros when they run out."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = iter(numbers)

    def one(self, *choices: Any) -> Any:
        return choices[next(self.numbers, 0) % len(choices)]

    def width(self) -> int:
        return self.one(2, 3, 4, 5)

    def coin(self) -> bool:
        return self.one(False, True)

    # -- images, (height, width, channels) --

    def conv(self, x: Any) -> Any:
        options = {"strides": self.one(1, 2), "padding": self.one("same", "valid")}
        size = self.one(1, 3) if x.shape[1] >= 3 else 1
        kind = self.one(layers.Conv2D, layers.SeparableConv2D, layers.Conv2DTranspose)
        options |= {"activation": self.one(*ACTIVATIONS), "use_bias": self.coin()}
        return kind(self.width(), size, **options)(x)

    def grouped(self, x: Any) -> Any:
        groups = self.one(*(g for g in (1, 2, x.shape[-1]) if x.shape[-1] % g == 0))
        return layers.Conv2D(groups * self.one(1, 2), 3, padding="same", groups=groups)(x)

    def depthwise(self, x: Any) -> Any:
        options = {"depth_multiplier": self.one(1, 2), "use_bias": self.coin()}
        activation = self.one(*ACTIVATIONS)
        return layers.DepthwiseConv2D(3, padding="same", activation=activation, **options)(x)

    def norm(self, x: Any) -> Any:
        kind = self.one("batch", "batch", "batch", "layer")
        if kind == "layer":
            return layers.LayerNormalization()(x)
        return layers.BatchNormalization(scale=self.coin(), center=self.coin())(x)

    def alone(self, x: Any) -> Any:
        return self.one(
            layers.ReLU(6.0),
            layers.PReLU(shared_axes=list(range(1, len(x.shape) - 1)) or None),
            layers.LeakyReLU(),
            layers.Dropout(0.2),
            layers.Rescaling(0.5, 0.25),
            layers.Activation("sigmoid"),
            layers.Activation(ops.relu6),
            lambda t: ops.tanh(t),
            lambda t: t * 0.5 + 1.0,
        )(x)

    def pooled(self, x: Any) -> Any:
        kinds = [layers.UpSampling2D(2), layers.ZeroPadding2D(1)]
        if x.shape[1] >= 2:
            kinds += [layers.MaxPooling2D(2), layers.AveragePooling2D(2, padding="same")]
        if x.shape[1] >= 4:
            kinds += [layers.Cropping2D(1)]
        return self.one(*kinds)(x) if x.shape[1] <= 12 else layers.MaxPooling2D(4)(x)

    def beside(self, x: Any) -> Any:
        """Two branches of one width, merged value by value."""
        width = self.width()
        both = [
            layers.Conv2D(width, 1, activation=self.one(*ACTIVATIONS))(x),
            layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same")(x)),
        ]
        merge = self.one(
            layers.Add(), layers.Multiply(), layers.Average(), layers.Maximum(), layers.Subtract()
        )
        return both[0] + both[1] if self.coin() else merge(both)

    def residual(self, x: Any) -> Any:
        branch = layers.Conv2D(self.width(), 3, padding="same", activation="relu")(x)
        return layers.Add()([x, layers.Conv2D(x.shape[-1], 3, padding="same")(branch)])

    def joined(self, x: Any) -> Any:
        return layers.Concatenate(axis=-1)([x, self.same(x), self.same(x)])

    def same(self, x: Any) -> Any:
        return layers.Conv2D(self.width(), 3, padding="same", activation="relu")(x)

    def parted(self, x: Any) -> Any:
        if x.shape[-1] < 4:
            return x
        if self.coin():
            cut = self.one(*range(1, x.shape[-1]))
            some, others = x[..., :cut], x[..., cut:]
        else:
            cut = x.shape[-1] // 2
            some, others = ops.split(x, [cut], axis=-1)
        return ops.concatenate([self.same(others), some], axis=-1)

    def shuffled(self, x: Any) -> Any:
        height, width, channels = x.shape[1:]
        if channels % 2:
            return x
        x = layers.Reshape((height, width, 2, channels // 2))(x)
        x = layers.Permute((1, 2, 4, 3))(x)
        return ops.reshape(x, (-1, height, width, channels))

    def squeezed(self, x: Any) -> Any:
        channels = x.shape[-1]
        gate = layers.GlobalAveragePooling2D(keepdims=self.coin())(x)
        gate = layers.Reshape((1, 1, channels))(gate)
        gate = layers.Conv2D(2, 1, activation="relu")(gate)
        gate = layers.Conv2D(channels, 1, activation="sigmoid")(gate)
        return layers.Multiply()([x, gate])

    def spread(self, x: Any) -> Any:
        """One channel weighs all: a map of attention."""
        return layers.Multiply()([x, layers.Conv2D(1, 1, activation="sigmoid")(x)])

    def shared(self, x: Any) -> Any:
        layer = layers.Conv2D(x.shape[-1], 3, padding="same", activation=self.one(*ACTIVATIONS))
        return layer(layer(x))

    def nested(self, x: Any) -> Any:
        inner = keras.Input(x.shape[1:])
        y = layers.Conv2D(self.width(), 1, activation="relu")(inner)
        y = layers.Conv2D(x.shape[-1], 3, padding="same")(y)
        model = keras.Model(inner, layers.Add()([inner, y]) if self.coin() else y)
        return model(model(x)) if self.coin() else model(x)

    def attended(self, x: Any) -> Any:
        height, width, channels = x.shape[1:]
        if height * width > 64:
            return x
        y = layers.Reshape((height * width, channels))(x)
        y = layers.Add()([y, self.attention(y)])
        return layers.Reshape((height, width, channels))(y)

    def attention(self, y: Any) -> Any:
        return layers.MultiHeadAttention(self.one(1, 2, 3), 2, use_bias=self.coin())(y, y)

    IMAGES = (
        *("conv", "conv", "grouped", "depthwise", "norm", "norm", "alone", "pooled", "beside"),
        *("residual", "joined", "parted", "shuffled", "squeezed", "spread", "shared", "nested"),
        "attended",
    )

    # -- sequences, (steps, channels) --

    def conv1(self, x: Any) -> Any:
        kind = self.one(layers.Conv1D, layers.SeparableConv1D, layers.Conv1DTranspose)
        return kind(self.width(), 3, padding="same", activation=self.one(*ACTIVATIONS))(x)

    def recurrent(self, x: Any) -> Any:
        kind = self.one(layers.LSTM, layers.GRU, layers.SimpleRNN)
        layer = kind(self.width(), return_sequences=True)
        if self.coin():
            return layers.Bidirectional(layer, merge_mode=self.one("concat", "sum", "ave"))(x)
        return layer(x)

    def stateful(self, x: Any) -> Any:
        first = layers.LSTM(3, return_sequences=True, return_state=True)
        y, *states = first(x)
        return layers.LSTM(3, return_sequences=True)(y, initial_state=states)

    def timed(self, x: Any) -> Any:
        inner = self.one(layers.Dense(self.width()), layers.BatchNormalization())
        return layers.TimeDistributed(inner)(x)

    def transformer(self, x: Any) -> Any:
        x = layers.Add()([x, self.attention(x)])
        x = layers.LayerNormalization()(x) if self.coin() else x
        y = layers.Dense(self.width(), activation="gelu")(x)
        return x + layers.Dense(x.shape[-1])(y)

    def mixed(self, x: Any) -> Any:
        """Works along the other axis."""
        y = layers.Permute((2, 1))(x)
        return layers.Permute((2, 1))(layers.Dense(x.shape[1], activation="relu")(y))

    SEQUENCES = (
        *("conv1", "recurrent", "recurrent", "stateful", "timed", "transformer", "mixed"),
        *("norm", "alone"),
    )

    # -- the way out --

    def vector(self, x: Any) -> Any:
        if len(x.shape) == 4:
            pools = [layers.GlobalAveragePooling2D(), layers.GlobalMaxPooling2D(), layers.Flatten()]
            y = self.one(*pools, lambda t: ops.mean(t, axis=[1, 2]))(x)
        else:
            y = self.one(layers.Flatten(), layers.GlobalAveragePooling1D(), layers.GRU(3))(x)
        return layers.Dense(self.width(), activation=self.one(*ACTIVATIONS))(y)

    def decoded(self, y: Any) -> Any:
        y = layers.Dense(12, activation="relu")(y)
        return layers.Conv2DTranspose(3, 3, padding="same")(layers.Reshape((2, 2, 3))(y))


def model_of(numbers: Sequence[int]) -> keras.Model:
    """Return a model with one or two inputs and some outputs, as these numbers choose it."""
    keras.backend.clear_session()
    maker = Maker(numbers)
    kind = maker.one("image", "image", "sequence", "tokens", "volume")
    if kind == "image":
        given = keras.Input((6, 6, 3))
        x, parts = layers.Conv2D(maker.width(), 3)(given), Maker.IMAGES
    elif kind == "volume":
        given = keras.Input((4, 4, 4, 2))
        x = layers.Conv3D(maker.width(), 3, padding=maker.one("same", "valid"))(given)
        x = layers.MaxPooling3D(2)(layers.BatchNormalization()(x))
        x = layers.Conv3DTranspose(maker.width(), 2, activation=maker.one(*ACTIVATIONS))(x)
        x, parts = layers.Reshape((x.shape[1], -1, x.shape[-1]))(x), Maker.IMAGES
    elif kind == "sequence":
        given, parts = keras.Input((6, 4)), Maker.SEQUENCES
        x = layers.Dense(maker.width())(given)
    else:
        given, parts = keras.Input((6,), dtype="int32"), Maker.SEQUENCES
        x = layers.Embedding(7, maker.width())(given)
    inputs, outputs = [given], []
    for _ in range(maker.one(2, 3, 4, 5)):
        x = getattr(maker, maker.one(*parts))(x)
        if maker.one(*[False] * 7, True):
            outputs.append(x)
    y = maker.vector(x)
    if maker.coin():
        other = keras.Input((5,))
        inputs.append(other)
        y = layers.Concatenate()([y, layers.Dense(maker.width(), activation="relu")(other)])
    if maker.one(*[False] * 5, True):
        outputs.append(maker.decoded(y))
    outputs.append(layers.Dense(3, activation=maker.one(None, "softmax", "sigmoid"))(y))
    model = keras.Model(inputs, outputs)
    randomize(model, sum(numbers))
    return model


def randomize(model: keras.Model, seed: int) -> None:
    """Give every weight values of its own, moving statistics too."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        name = weight.path.rsplit("/", 1)[-1]
        if "seed" in name:
            continue
        values = rng.normal(size=weight.shape)
        if "variance" in name:
            values = rng.uniform(0.5, 2, weight.shape)
        elif len(weight.shape) > 1:
            values /= np.sqrt(np.prod(weight.shape[:-1]))
        weight.assign(values)


def inputs_for(model: keras.Model, samples: int, seed: int = 0) -> list[np.ndarray]:
    """Return random inputs, `(samples, ...)` each."""
    rng = np.random.default_rng(seed)
    return [
        rng.integers(0, 7, (samples, *t.shape[1:]))
        if "int" in t.dtype
        else rng.normal(size=(samples, *t.shape[1:])).astype("float32")
        for t in model.inputs
    ]
