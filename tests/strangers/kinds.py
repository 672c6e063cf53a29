"""Tiny models of each kind that people have, each with made data that it learns in a moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

TRAIN, TEST = 128, 64
SOFT, BINARY = "sparse_categorical_crossentropy", "binary_crossentropy"
Pairs = tuple[Any, Any]  # inputs and labels, an array or one for each name


@dataclass(frozen=True)
class Kind:
    """A kind of model.

    Attributes:
        words: what the table calls it.
        model: builds one.
        data: makes so many samples of a generator of numbers.
        loss: one, or one for each output.
        epochs: after which it is well above chance.
    """

    words: str
    model: Callable[[], keras.Model]
    data: Callable[[int, np.random.Generator], Pairs]
    loss: Any
    epochs: int = 12


KINDS: dict[str, Kind] = {}


def kind(words: str, data: Callable[..., Pairs], loss: Any, epochs: int = 12) -> Callable[..., Any]:
    """Enter a function that builds a model under its name."""

    def enter(build: Callable[[], keras.Model]) -> Callable[[], keras.Model]:
        KINDS[build.__name__] = Kind(words, build, data, loss, epochs)
        return build

    return enter


def written(name: str, folder: Path) -> tuple[Path, Path]:
    """Return the trained model of a kind and its data, made in a folder where they are not."""
    model_file, data_file = folder / f"{name}.keras", folder / f"{name}.npz"
    if model_file.is_file() and data_file.is_file():
        return model_file, data_file
    folder.mkdir(parents=True, exist_ok=True)
    one = KINDS[name]
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    (x, y), (x_test, y_test) = one.data(TRAIN, rng), one.data(TEST, rng)
    model = one.model()
    model.compile(keras.optimizers.Adam(5e-3), one.loss)
    model.fit(x, y, batch_size=16, epochs=one.epochs, verbose=0)
    if adjust := ADJUSTED.get(name):
        adjust(model)
    parts = {"x_train": x, "y_train": y, "x_test": x_test, "y_test": y_test}
    arrays = {}
    for part, values in parts.items():
        named = values if isinstance(values, Mapping) else {"": values}
        arrays |= {f"{part}/{n}" if n else part: v for n, v in named.items()}
    np.savez(data_file, **arrays)
    model.save(model_file)
    return model_file, data_file


# --- data ---


def bands(count: int, rng: np.random.Generator, side: int = 8, channels: int = 1) -> Pairs:
    """Images with a bright band, whose place is the class."""
    classes = np.arange(count) % 3
    images = rng.normal(0.2, 0.1, (count, side, side, channels))
    third = side // 3
    for image, label in zip(images, classes, strict=True):
        image[label * third : (label + 1) * third] += 0.7
    return images.astype("float32"), classes


def colour(count: int, rng: np.random.Generator) -> Pairs:
    return bands(count, rng, 16, 3)


def channels_in_front(count: int, rng: np.random.Generator) -> Pairs:
    x, y = bands(count, rng, 8, 3)
    return x.transpose(0, 3, 1, 2), y


def photographs(count: int, rng: np.random.Generator) -> Pairs:
    """Bytes, as they are stored."""
    x, y = bands(count, rng, 8, 3)
    return np.clip(x * 200, 0, 255).astype("uint8"), y


def squares(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Images of one square each, and where it is: top, left, height and width, as shares."""
    images = rng.normal(0.1, 0.05, (count, 16, 16, 1))
    boxes = np.stack([*rng.integers(0, 8, (2, count)), *rng.integers(4, 8, (2, count))], 1)
    for image, (top, left, height, width) in zip(images, boxes, strict=True):
        image[top : top + height, left : left + width] += 0.8
    return images.astype("float32"), boxes


def masks(count: int, rng: np.random.Generator) -> Pairs:
    """Of each pixel whether it is background, a bright square, or its left column."""
    images, boxes = squares(count, rng)
    marked = np.zeros((count, 16, 16), "int64")
    for mask, (top, left, height, width) in zip(marked, boxes, strict=True):
        mask[top : top + height, left : left + width] = 1
        mask[top : top + height, left] = 2
    return images, marked


def one_hot_masks(count: int, rng: np.random.Generator) -> Pairs:
    images, marked = masks(count, rng)
    return images, np.eye(3, dtype="float32")[marked]


def boxes_and_classes(count: int, rng: np.random.Generator) -> Pairs:
    images, boxes = squares(count, rng)
    named = {"box": (boxes / 16).astype("float32"), "label": (boxes[:, 0] > 3).astype("int64")}
    return images, named


def themselves(count: int, rng: np.random.Generator) -> Pairs:
    images, _ = squares(count, rng)
    return images, images


def coarse(count: int, rng: np.random.Generator) -> Pairs:
    """Images of half the size, and those that they were made from."""
    fine = np.repeat(np.repeat(rng.random((count, 4, 4, 1)), 4, 1), 4, 2).astype("float32")
    return fine.reshape(count, 8, 2, 8, 2, 1).mean((2, 4)), fine


def drawn(count: int, rng: np.random.Generator) -> Pairs:
    """Four numbers, and the smooth image that they draw."""
    codes = rng.normal(size=(count, 4)).astype("float32")
    grid = np.linspace(-1, 1, 16)
    waves = np.stack([np.sin(3 * grid), np.cos(3 * grid)])
    images = np.einsum("na,ah,nb,bw->nhw", codes[:, :2], waves, codes[:, 2:], waves)
    return codes, (1 / (1 + np.exp(-images)))[..., None].astype("float32")


def signals(count: int, rng: np.random.Generator) -> Pairs:
    """Three channels of 24 steps: waves whose rate is the class."""
    classes = np.arange(count) % 3
    steps = np.arange(24)[None, :, None]
    rate = (classes + 1)[:, None, None] * 0.35
    shift = rng.random((count, 1, 3)) * 2
    waves = np.sin(rate * steps + shift) + rng.normal(0, 0.1, (count, 24, 3))
    return waves.astype("float32"), classes


def films(count: int, rng: np.random.Generator) -> Pairs:
    """Four frames of a band that moves down, up, or stays."""
    classes = np.arange(count) % 3
    frames = rng.normal(0.1, 0.05, (count, 4, 8, 8, 1))
    for film, label in zip(frames, classes, strict=True):
        for place, frame in enumerate(film):
            frame[2 + (label - 1) * place if label else 6 - 2 * place] += 0.9
    return frames.astype("float32"), classes


def sentences(count: int, rng: np.random.Generator) -> Pairs:
    """Twelve words of a vocabulary of 20; the class is which of two words is there more often."""
    words = rng.integers(2, 20, (count, 12))
    classes = np.arange(count) % 2
    for sentence, label in zip(words, classes, strict=True):
        sentence[rng.permutation(12)[:4]] = label
    return words.astype("int32"), classes


def pairs(count: int, rng: np.random.Generator) -> Pairs:
    """Two images, and whether their bands lie alike."""
    images, classes = bands(count, rng)
    other = rng.permutation(count)
    half = np.arange(count) % 2 == 0
    alike = (classes + 3 * np.arange(count)) % count
    second = np.where(half, alike, other)
    same = (classes == classes[second]).astype("float32")[:, None]
    return {"left": images, "right": images[second]}, same


def image_and_numbers(count: int, rng: np.random.Generator) -> Pairs:
    images, classes = bands(count, rng)
    numbers = rng.normal(size=(count, 3)).astype("float32")
    return {"image": images, "numbers": numbers}, classes * 2 + (numbers[:, 0] > 0)


def two_questions(count: int, rng: np.random.Generator) -> Pairs:
    images, classes = bands(count, rng)
    bright = np.arange(count) // 3 % 2
    images[..., :4, :] += bright[:, None, None, None] * np.float32(0.4)
    return images, {"place": classes, "bright": bright.astype("float32")[:, None]}


def numbers(count: int, rng: np.random.Generator) -> Pairs:
    values = rng.normal(size=(count, 6)).astype("float32")
    return values, (values[:, :1] * 2 - values[:, 1:2] + 0.5 * values[:, 2:3]).astype("float32")


# --- blocks ---


def conv(x: Any, filters: int, size: int = 3, **options: Any) -> Any:
    """A convolution with batch norm and ReLU."""
    x = layers.Conv2D(filters, size, padding="same", use_bias=False, **options)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))


def depthwise(x: Any, activation: str = "relu", **options: Any) -> Any:
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, **options)(x)
    return layers.Activation(activation)(layers.BatchNormalization(momentum=0.8)(x))


def squeezed(x: Any, gate: str, activation: str) -> Any:
    """Squeeze and excitation."""
    channels = x.shape[-1]
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    y = layers.Conv2D(max(2, channels // 4), 1, activation=activation)(y)
    return layers.Multiply()([x, layers.Conv2D(channels, 1, activation=gate)(y)])


def inverted(x: Any, filters: int, activation: str, gate: str) -> Any:
    """The inverted residual of MobileNetV3 and EfficientNet."""
    y = layers.Conv2D(2 * x.shape[-1], 1, use_bias=False)(x)
    y = layers.Activation(activation)(layers.BatchNormalization(momentum=0.8)(y))
    y = squeezed(depthwise(y, activation), gate, "relu")
    y = layers.BatchNormalization(momentum=0.8)(layers.Conv2D(filters, 1, use_bias=False)(y))
    return layers.Add()([x, y]) if x.shape[-1] == filters else y


def classes(x: Any, count: int = 3) -> Any:
    return layers.Dense(count, activation="softmax", name="classes")(x)


def pooled(x: Any, count: int = 3) -> Any:
    return classes(layers.GlobalAveragePooling2D()(x), count)


def quarters(x: Any, count: int = 3) -> Any:
    """Where things are is what tells the classes: pooling over all would not see it."""
    return classes(layers.Flatten()(layers.AveragePooling2D(x.shape[1] // 4)(x)), count)


# --- kinds ---


def unet(last: str = "softmax") -> keras.Model:
    image = keras.Input((16, 16, 1), name="image")
    first = conv(image, 6)
    second = conv(layers.MaxPooling2D()(first), 8)
    x = conv(layers.MaxPooling2D()(second), 12)
    x = conv(layers.Concatenate()([layers.UpSampling2D()(x), second]), 8)
    x = layers.Conv2DTranspose(6, 2, strides=2, activation="relu")(x)
    x = conv(layers.Concatenate()([x, first]), 6)
    return keras.Model(image, layers.Conv2D(3, 1, activation=last, name="mask")(x))


@kind("U-Net, class numbers as masks", masks, SOFT)
def unet_numbers() -> keras.Model:
    return unet()


@kind("U-Net, one-hot masks", one_hot_masks, "categorical_crossentropy")
def unet_one_hot() -> keras.Model:
    return unet()


@kind("detector, boxes and labels", boxes_and_classes, {"box": "mse", "label": SOFT}, 60)
def detector() -> keras.Model:
    image = keras.Input((16, 16, 1), name="image")
    x = conv(conv(conv(image, 6), 8, strides=2), 12, strides=2)
    flat = layers.Flatten()(x)
    box = layers.Dense(4, name="box")(layers.Dense(16, activation="relu")(flat))
    label = layers.Dense(2, activation="softmax", name="label")(flat)
    return keras.Model(image, {"box": box, "label": label})


@kind("autoencoder", themselves, "mse", 40)
def autoencoder() -> keras.Model:
    image = keras.Input((16, 16, 1), name="image")
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")(image)
    x = layers.Dense(24, activation="relu", name="code")(layers.Flatten()(x))
    x = layers.Reshape((8, 8, 6))(layers.Dense(384, activation="relu")(x))
    x = layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(image, layers.Conv2D(1, 3, padding="same", name="again")(x))


@kind("super-resolution, depth to space", coarse, "mse")
def finer_by_depth() -> keras.Model:
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    x = layers.Conv2D(4, 3, padding="same")(x)
    return keras.Model(image, ops.depth_to_space(x, 2))


@kind("super-resolution, Conv2DTranspose", coarse, "mse")
def finer_by_transpose() -> keras.Model:
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    return keras.Model(image, layers.Conv2DTranspose(1, 4, strides=2, padding="same")(x))


@kind("super-resolution, UpSampling2D", coarse, "mse", 30)
def finer_by_upsampling() -> keras.Model:
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    return keras.Model(image, layers.Conv2D(1, 3, padding="same")(x))


@kind("keyword spotter, DS-CNN", lambda n, r: bands(n, r, 12), SOFT)
def keyword_spotter() -> keras.Model:
    sound = keras.Input((12, 12, 1), name="mel")
    x = conv(sound, 8, (10, 4), strides=2)
    for _ in range(2):
        x = conv(depthwise(x), 8, 1)
    return keras.Model(sound, classes(layers.Flatten()(layers.AveragePooling2D(2)(x))))


@kind("activity from sensors, Conv1D", signals, SOFT)
def sensors() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((24, 3), name="steps"),
            layers.Conv1D(8, 3, activation="relu"),
            layers.BatchNormalization(momentum=0.8),
            layers.Conv1D(8, 3, activation="relu"),
            layers.MaxPooling1D(2),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", name="classes"),
        ]
    )


def recurrent(*inner: Any) -> keras.Model:
    head = layers.Dense(3, activation="softmax", name="classes")
    return keras.Sequential([keras.Input((24, 3), name="steps"), *inner, head])


@kind("LSTM", signals, SOFT, 20)
def lstm() -> keras.Model:
    return recurrent(layers.LSTM(12))


@kind("GRU", signals, SOFT, 20)
def gru() -> keras.Model:
    return recurrent(layers.GRU(12))


@kind("bidirectional LSTM", signals, SOFT, 20)
def bilstm() -> keras.Model:
    return recurrent(layers.Bidirectional(layers.LSTM(8, return_sequences=True)), layers.LSTM(8))


@kind("ConvLSTM2D", films, SOFT)
def conv_lstm() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((4, 8, 8, 1), name="film"),
            layers.ConvLSTM2D(4, 3, padding="same"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", name="classes"),
        ]
    )


def encoder(x: Any) -> Any:
    """A layer of a transformer's encoder."""
    x = layers.LayerNormalization()(
        layers.Add()([x, layers.MultiHeadAttention(2, 8, name="attention")(x, x)])
    )
    y = layers.Dense(16, activation="gelu")(layers.Dense(32, activation="gelu")(x))
    return layers.LayerNormalization()(layers.Add()([x, y]))


@kind("transformer encoder", signals, SOFT, 20)
def transformer() -> keras.Model:
    steps = keras.Input((24, 3), name="steps")
    x = encoder(layers.Dense(16)(layers.Conv1D(16, 3, padding="same")(steps)))
    return keras.Model(steps, classes(layers.GlobalAveragePooling1D()(x)))


@kind("transformer encoder on tokens", sentences, SOFT)
def transformer_tokens() -> keras.Model:
    tokens = keras.Input((12,), dtype="int32", name="tokens")
    x = encoder(layers.Embedding(20, 16)(tokens))
    return keras.Model(tokens, classes(layers.GlobalAveragePooling1D()(x), 2))


@kind("decoder of a VAE", drawn, BINARY, 40)
def vae_decoder() -> keras.Model:
    code = keras.Input((4,), name="code")
    x = layers.Reshape((4, 4, 8))(layers.Dense(128, activation="relu")(code))
    for filters in (8, 6):
        x = layers.Conv2DTranspose(filters, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(code, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))


@kind("Siamese, one tower for both", pairs, BINARY, 30)
def siamese() -> keras.Model:
    image = keras.Input((8, 8, 1))
    x = layers.Conv2D(6, 3, activation="relu")(image)
    tower = keras.Model(image, layers.Dense(8)(layers.Flatten()(x)), name="tower")
    left, right = (keras.Input((8, 8, 1), name=name) for name in ("left", "right"))
    apart = layers.Subtract()([tower(left), tower(right)])
    apart = layers.Multiply()([apart, apart])
    return keras.Model([left, right], layers.Dense(1, activation="sigmoid", name="same")(apart))


@kind("VGG", colour, SOFT)
def vgg() -> keras.Model:
    model = keras.Sequential([keras.Input((16, 16, 3), name="image")])
    for filters in (6, 8):
        for _ in range(2):
            model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dropout(0.3))
    model.add(layers.Dense(3, activation="softmax", name="classes"))
    return model


@kind("Xception", colour, SOFT)
def xception() -> keras.Model:
    image = keras.Input((16, 16, 3), name="image")
    x = conv(image, 6, strides=2)
    beside = layers.BatchNormalization()(layers.Conv2D(8, 1, strides=2, use_bias=False)(x))
    for _ in range(2):
        x = layers.SeparableConv2D(8, 3, padding="same", use_bias=False)(layers.ReLU()(x))
        x = layers.BatchNormalization(momentum=0.8)(x)
    x = layers.Add()([layers.MaxPooling2D(3, strides=2, padding="same")(x), beside])
    return keras.Model(image, quarters(layers.ReLU()(x)))


@kind("Inception", colour, SOFT)
def inception() -> keras.Model:
    image = keras.Input((16, 16, 3), name="image")
    x = conv(image, 6, strides=2)
    branches = [
        conv(x, 4, 1),
        conv(conv(x, 4, 1), 4),
        conv(conv(x, 3, (1, 3)), 3, (3, 1)),
        conv(layers.AveragePooling2D(3, strides=1, padding="same")(x), 4, 1),
    ]
    return keras.Model(image, quarters(layers.Concatenate()(branches)))


@kind("MobileNetV3", colour, SOFT)
def mobilenet_v3() -> keras.Model:
    image = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.Activation("hard_swish")(layers.BatchNormalization(momentum=0.8)(x))
    x = inverted(inverted(x, 6, "hard_swish", "hard_sigmoid"), 8, "relu", "hard_sigmoid")
    return keras.Model(image, quarters(x))


@kind("EfficientNet", colour, SOFT)
def efficientnet() -> keras.Model:
    image = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.Activation("silu")(layers.BatchNormalization(momentum=0.8)(x))
    x = inverted(inverted(x, 6, "silu", "sigmoid"), 8, "silu", "sigmoid")
    return keras.Model(image, quarters(layers.Dropout(0.2)(x)))


@kind("mixed precision (mixed_float16)", bands, SOFT)
def mixed_float16() -> keras.Model:
    image = keras.Input((8, 8, 1), name="image")
    policy = {"dtype": "mixed_float16"}
    x = layers.Conv2D(8, 3, activation="relu", **policy)(image)
    x = layers.Dense(16, activation="relu", **policy)(layers.Flatten(**policy)(x))
    return keras.Model(image, classes(x))


@kind("channels first", channels_in_front, SOFT)
def channels_first() -> keras.Model:
    image = keras.Input((3, 8, 8), name="image")
    x = layers.Permute((2, 3, 1))(image)  # TensorFlow trains no convolution of channels first
    x = layers.Conv2D(8, 3, activation="relu")(x)
    x = layers.Permute((3, 1, 2))(x)
    x = layers.BatchNormalization(axis=1, momentum=0.8)(x)
    x = layers.MaxPooling2D(2, data_format="channels_first")(x)
    return keras.Model(image, classes(layers.Flatten()(x)))


@kind("preprocessing inside", photographs, SOFT)
def preprocessing_inside() -> keras.Model:
    image = keras.Input((8, 8, 3), name="image")
    norm = layers.Normalization(mean=[0.4, 0.4, 0.4], variance=[0.04, 0.05, 0.06])
    x = norm(layers.Rescaling(1 / 255)(image))
    x = layers.Conv2D(8, 3, activation="relu")(x)
    return keras.Model(image, classes(layers.Flatten()(layers.MaxPooling2D()(x))))


@kind("several inputs", image_and_numbers, SOFT, 20)
def several_inputs() -> keras.Model:
    image, values = keras.Input((8, 8, 1), name="image"), keras.Input((3,), name="numbers")
    x = layers.Flatten()(layers.Conv2D(6, 3, activation="relu")(image))
    x = layers.Concatenate()([layers.Dense(8)(x), layers.Dense(8)(values)])
    return keras.Model([image, values], classes(layers.Dense(16, activation="relu")(x), 6))


@kind("several outputs", two_questions, {"place": SOFT, "bright": BINARY}, 20)
def several_outputs() -> keras.Model:
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(6, 3, activation="relu")(image)
    x = layers.Dense(16, activation="relu")(layers.Flatten()(x))
    place = layers.Dense(3, activation="softmax", name="place")(x)
    bright = layers.Dense(1, activation="sigmoid", name="bright")(x)
    return keras.Model(image, {"place": place, "bright": bright})


@kind("regression on numbers", numbers, "mse", 40)
def regression() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((6,), name="numbers"),
            layers.Dense(24, activation="relu"),
            layers.Dense(12, activation="tanh"),
            layers.Dense(1, name="value"),
        ]
    )


@kind("zeros, constants, extremes, one channel", bands, SOFT)
def odd_weights() -> keras.Model:
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(image)
    none = layers.Conv2D(2, 3, activation="relu", name="zeros")(image)
    same = layers.Conv2D(1, 3, name="constant")(image)
    x = layers.Concatenate()([x, none, same])
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu", name="after")(x))
    one = layers.Dense(1, name="one_unit")(x)
    return keras.Model(image, classes(layers.Concatenate()([x, one])))


def _odd(model: keras.Model) -> None:
    """Make one layer all zeros, one constant, and let one weight be vast and one denormal."""
    for variable in model.get_layer("zeros").weights:
        variable.assign(np.zeros(variable.shape))
    model.get_layer("constant").kernel.assign(np.full((3, 3, 1, 1), 0.25))
    kernel = np.asarray(model.get_layer("after").kernel)
    kernel[0, 0, 6] = 1e30  # it only meets zeros
    kernel[0, 0, 7] = 1e-42
    model.get_layer("after").kernel.assign(kernel)


ADJUSTED: dict[str, Callable[[keras.Model], None]] = {"odd_weights": _odd}
