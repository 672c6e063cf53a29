"""The networks of the five papers, with random weights; the studies beside this file build them.

Weights are counted with biases, and are those that the papers give, where they give any.
"""

from __future__ import annotations

import keras
from keras import layers

MNIST, CIFAR = (28, 28, 1), (32, 32, 3)


def lenet300_cifar() -> keras.Model:
    """LeNet-300-100 on 32 x 32 colours (Lalwani): 953,010 weights."""
    return _dense(CIFAR, (300, 100))


def shallow_mnist() -> keras.Model:
    """Lalwani's student, one hidden layer of 50: 39,760 weights."""
    return _dense(MNIST, (50,))


def shallow_cifar() -> keras.Model:
    """Lalwani's student on 32 x 32 colours: 154,160 weights."""
    return _dense(CIFAR, (50,))


def lenet5_mnist() -> keras.Model:
    """LeNet-5 without padding on 28 x 28 (Lalwani, table 6; Shah): 44,426 weights."""
    return _lenet5(MNIST)


def lenet5_cifar() -> keras.Model:
    """LeNet-5 on 32 x 32 colours (Lalwani, table 10): 62,006 weights."""
    return _lenet5(CIFAR)


def student_shah() -> keras.Model:
    """Shah's student (figure 9): 11,042 weights."""
    given = keras.Input(MNIST, name="image")
    x = layers.Conv2D(4, 3, activation="relu", name="conv1")(given)
    x = layers.MaxPooling2D(name="pool1")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(16, activation="relu", name="dense1")(x)
    return _classes(given, x)


def student_mnist() -> keras.Model:
    """Khan's student on MNIST: 20,490 weights."""
    return _convolutions(MNIST, (16, 32), ())


def assistant_mnist() -> keras.Model:
    """An assistant on MNIST of about Khan's 176 K weights: 176,176."""
    return _convolutions(MNIST, (32, 64), (50,))


def teacher_cifar() -> keras.Model:
    """Khan's base on CIFAR-10: 1,367,178 weights."""
    return _convolutions(CIFAR, (128, 128, 256, 256), (256, 256))


def assistant_cifar() -> keras.Model:
    """An assistant on CIFAR-10 of about Khan's 1.11 M weights: 1,106,826."""
    return _convolutions(CIFAR, (128, 128, 256, 256), (64, 64))


def student_cifar() -> keras.Model:
    """Khan's student on CIFAR-10: 343,626 weights."""
    return _convolutions(CIFAR, (64, 64, 128, 128), (128, 128))


def alexnet_cifar() -> keras.Model:
    """AlexNet on CIFAR-10 with two dense layers of 512 (Choudhary, table 5): 2,869,066 weights."""
    return _alexnet(CIFAR, dense=(512, 512), normed=False)


def alexnet_cifar_margins() -> keras.Model:
    """The same without a softmax, for hinge losses."""
    return _alexnet(CIFAR, dense=(512, 512), normed=False, ends="linear")


def alexnet_cifar_bnd() -> keras.Model:
    """The same with batch norms and dropout."""
    return _alexnet(CIFAR, dense=(512, 512), normed=True)


def alexnet_cifar_slim() -> keras.Model:
    """AlexNet with batch norms and one dense layer, which is slimmed: 2.47 M weights."""
    return _alexnet(CIFAR, dense=(), normed=True)


def alexnet_mnist() -> keras.Model:
    """AlexNet on MNIST (Choudhary, table 5): 2,853,578 weights."""
    return _alexnet(MNIST, dense=(512, 512), normed=False)


def alexnet_mnist_bnd() -> keras.Model:
    """The same with batch norms and dropout."""
    return _alexnet(MNIST, dense=(512, 512), normed=True)


def alexnet_mnist_slim() -> keras.Model:
    """AlexNet on MNIST with batch norms and one dense layer, which is slimmed: 2.46 M weights."""
    return _alexnet(MNIST, dense=(), normed=True)


def vgg16_cifar() -> keras.Model:
    """Lagrange's VGG-16 (table III): 14,728,266 trainable weights, 313,201,664 MACs."""
    given = keras.Input(CIFAR, name="image")
    x = given
    for block, widths in enumerate(((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3), 1):
        for place, width in enumerate(widths, 1):
            name = f"block{block}_conv{place}"
            x = layers.Conv2D(width, 3, padding="same", name=name)(x)
            x = layers.BatchNormalization(name=f"{name}_bn")(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
        x = layers.MaxPooling2D(name=f"block{block}_pool")(x)
    return _classes(given, layers.Flatten(name="flatten")(x))


def _dense(shape: tuple[int, ...], widths: tuple[int, ...]) -> keras.Model:
    given = keras.Input(shape, name="image")
    x = layers.Flatten(name="flatten")(given)
    for place, width in enumerate(widths, 1):
        x = layers.Dense(width, activation="relu", name=f"dense{place}")(x)
    return _classes(given, x)


def _lenet5(shape: tuple[int, ...]) -> keras.Model:
    given = keras.Input(shape, name="image")
    x = given
    for place, width in enumerate((6, 16), 1):
        x = layers.Conv2D(width, 5, activation="relu", name=f"conv{place}")(x)
        x = layers.MaxPooling2D(name=f"pool{place}")(x)
    x = layers.Flatten(name="flatten")(x)
    for place, width in enumerate((120, 84), 1):
        x = layers.Dense(width, activation="relu", name=f"dense{place}")(x)
    return _classes(given, x)


def _convolutions(
    shape: tuple[int, ...], widths: tuple[int, ...], dense: tuple[int, ...]
) -> keras.Model:
    given = keras.Input(shape, name="image")
    x = given
    for place, width in enumerate(widths, 1):
        x = layers.Conv2D(width, 3, padding="same", activation="relu", name=f"conv{place}")(x)
        x = layers.MaxPooling2D(name=f"pool{place}")(x)
    x = layers.Flatten(name="flatten")(x)
    for place, width in enumerate(dense, 1):
        x = layers.Dense(width, activation="relu", name=f"dense{place}")(x)
    return _classes(given, x)


def _alexnet(
    shape: tuple[int, ...], dense: tuple[int, ...], normed: bool, ends: str = "softmax"
) -> keras.Model:
    given = keras.Input(shape, name="image")
    x = given
    stages = ((64, 11, 4, True), (192, 5, 1, True), (384, 3, 1, False), (256, 3, 1, False))
    for place, (width, size, stride, pooled) in enumerate((*stages, (256, 3, 1, True)), 1):
        name = f"conv{place}"
        x = layers.Conv2D(width, size, stride, padding="same", name=name)(x)
        if normed:
            x = layers.BatchNormalization(name=f"{name}_bn")(x)
        x = layers.ReLU(name=f"{name}_relu")(x)
        if pooled:
            x = layers.MaxPooling2D(padding="same", name=f"pool{place}")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)  # 1 x 1 here: what is flat without a reshape
    for place, width in enumerate(dense, 1):
        if normed:
            x = layers.Dropout(0.5, name=f"drop{place}")(x)
        x = layers.Dense(width, activation="relu", name=f"dense{place}")(x)
    return _classes(given, x, ends)


def _classes(given: keras.KerasTensor, x: keras.KerasTensor, ends: str = "softmax") -> keras.Model:
    return keras.Model(given, layers.Dense(10, activation=ends, name="classes")(x))
