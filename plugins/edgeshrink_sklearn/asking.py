"""A Keras model that asks an estimator."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from edgeshrink_sklearn.estimator import Answers

INPUT, OUTPUT = "features", "answers"


class Asking(keras.layers.Layer):
    """A layer that hands samples to an estimator, outside of TensorFlow's graph.

    Args:
        answers: of the estimator.
    """

    def __init__(self, answers: Answers) -> None:
        super().__init__(name=OUTPUT, trainable=False)
        self.answers = answers
        self.activation = keras.activations.get(answers.activation)

    def call(self, samples: Any) -> Any:
        """Return what the estimator answers, `(samples, width)`."""
        found = tf.numpy_function(self.answers, [samples], tf.float32, stateful=False)
        return tf.ensure_shape(found, (samples.shape[0], self.answers.width))

    def get_config(self) -> dict[str, Any]:
        """Return what tells this estimator from others."""
        return {**super().get_config(), "estimator": self.answers.digest}


def asking(answers: Answers) -> keras.Model:
    """Return a model that takes `(samples, features)` and answers as the estimator does."""
    inputs = keras.Input((answers.features,), name=INPUT)
    return keras.Model(inputs, Asking(answers)(inputs), name=type(answers.estimator).__name__)
