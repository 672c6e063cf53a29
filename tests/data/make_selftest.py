"""Make the models of `edgeshrink devices selftest`: one in floats, one in 8-bit integers.

python tests/data/make_selftest.py src/edgeshrink/selftest

Their weights are random numbers: the selftest compares a device's outputs with those of this
machine, it does not ask whether they are right about anything.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf


class Net(tf.Module):
    """A convolution, a depthwise one, a mean, a dense layer: what small networks are made of."""

    def __init__(self) -> None:
        super().__init__()
        random = np.random.default_rng(0)

        def weights(*shape: int) -> tf.Variable:
            fan_in = np.prod(shape[:-1])
            values = random.normal(0, np.sqrt(2 / fan_in), shape)
            return tf.Variable(values.astype(np.float32))

        self.first, self.depth = weights(3, 3, 1, 8), weights(3, 3, 8, 1)
        self.point = weights(1, 1, 8, 16)
        # Large weights, so that samples differ in the class that wins.
        self.dense = tf.Variable(8 * weights(64, 10))

    @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 1], tf.float32, "image")])
    def scores(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        x = tf.nn.relu(tf.nn.conv2d(image, self.first, 1, "SAME"))
        x = tf.nn.relu6(tf.nn.depthwise_conv2d(x, self.depth, [1, 2, 2, 1], "SAME"))
        x = tf.nn.relu(tf.nn.conv2d(x, self.point, 1, "SAME"))
        x = tf.nn.max_pool2d(x, 2, 2, "VALID")
        return {"scores": tf.nn.softmax(tf.reshape(x, [1, 64]) @ self.dense)}


def main() -> None:
    folder, net = Path(sys.argv[1]), Net()
    random = np.random.default_rng(1)

    def converter() -> tf.lite.TFLiteConverter:
        return tf.lite.TFLiteConverter.from_concrete_functions(
            [net.scores.get_concrete_function()], net
        )

    (folder / "float.tflite").write_bytes(converter().convert())
    whole = converter()
    whole.optimizations = [tf.lite.Optimize.DEFAULT]
    whole.representative_dataset = lambda: (
        {"image": random.uniform(-1, 1, (1, 8, 8, 1)).astype(np.float32)} for _ in range(200)
    )
    whole.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    whole.inference_input_type = whole.inference_output_type = tf.int8
    (folder / "int8.tflite").write_bytes(whole.convert())


if __name__ == "__main__":
    main()
