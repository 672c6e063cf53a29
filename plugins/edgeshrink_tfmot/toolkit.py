"""TFMOT and tf_keras beside Keras 3 in one process, and their refusals in our words."""

from __future__ import annotations

import functools
import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edgeshrink.api import ModelError

SWITCH = "TF_USE_LEGACY_KERAS"
REFUSALS = (ValueError, TypeError, RuntimeError, NotImplementedError, AttributeError, KeyError)


@functools.cache
def load() -> tuple[Any, Any]:
    """Return the modules `tensorflow_model_optimization` and `tf_keras`.

    TFMOT sets an environment variable that turns `tf.keras`, wherever it is first touched later,
    and all child processes to Keras 2. So `tf.keras` is touched first, and the variable is put
    back.
    """
    import tensorflow as tf

    tf.keras.version()
    before = os.environ.get(SWITCH)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it compares versions by distutils
            import tensorflow_model_optimization as tfmot
            import tf_keras
    finally:
        if before is None:
            os.environ.pop(SWITCH, None)
        else:
            os.environ[SWITCH] = before
    return tfmot, tf_keras


class _Heard(logging.Handler):
    """Collects what TFMOT logs, which Python would else print."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.sentences: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.sentences.append(record.getMessage())


@contextmanager
def refusals(notes: list[str]) -> Iterator[None]:
    """Turn what TFMOT refuses in this block into a ModelError, and its warnings into notes."""
    heard = _Heard()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        logging.getLogger().addHandler(heard)
        try:
            yield
        except REFUSALS as error:
            said = first_sentence(str(error.__cause__ or error)) or type(error).__name__
            raise ModelError(
                f"TFMOT refuses the model: {said}",
                hint="edgeshrink's own methods take every Keras model",
            ) from error
        finally:
            logging.getLogger().removeHandler(heard)
    texts = [*(str(w.message) for w in told), *heard.sentences]
    notes += [f"TFMOT: {sentence}" for sentence in dict.fromkeys(map(first_sentence, texts))]


def first_sentence(text: str) -> str:
    """Return the first sentence of a message.

    Example:
        >>> first_sentence("Layer a:<class 'x.Y'> is not supported. You can pass ...")
        "Layer a:<class 'x.Y'> is not supported."
    """
    words = " ".join(text.split())
    return re.split(r"(?<=[.!?])\s", words, maxsplit=1)[0][:300]
