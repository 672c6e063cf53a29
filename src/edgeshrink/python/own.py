"""Losses, metrics and weights of classes that Python gives as objects, as texts say them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from edgeshrink.errors import UsageError
from edgeshrink.models import COMMON, own_name, reference
from edgeshrink.recipes import own_losses


def loss_of(loss: Any) -> tuple[str | None, tuple[str, ...]]:
    """Return what `loss=` means as a text, and `module:object` of each that is the user's own.

    Args:
        loss: a text as `--loss` takes it; a function of labels and outputs, a class or an instance
            of `keras.losses.Loss`; a dict of such by the names of outputs; or None.

    Raises:
        UsageError: it is something else, or an instance does not tell what it was made with.
    """
    if isinstance(loss, Mapping):
        found = [(output, *loss_of(one)) for output, one in loss.items()]
        specs = [spec for _, _, named in found for spec in named]
        return ",".join(f"{output}={text}" for output, text, _ in found), tuple(specs)
    if loss is None or isinstance(loss, str):
        return own_losses(loss)
    if inspect.isfunction(loss) or isinstance(loss, type):
        return _named(loss, "")
    import keras

    if not isinstance(loss, keras.losses.Loss):
        raise UsageError(
            f"loss= takes a name, a function, or a keras.losses.Loss; received a "
            f"{type(loss).__name__}",
            hint='as in loss="mse", or loss=keras.losses.Huber(delta=0.5)',
        )
    kind = type(loss)
    usual = {
        name: given.default
        for name, given in inspect.signature(kind).parameters.items()
        if name not in COMMON and given.kind is not given.VAR_KEYWORD
    }
    # Keras leaves the delta of Huber and the axis of CosineSimilarity out of their configuration
    said = {**getattr(loss, "_fn_kwargs", {}), **loss.get_config()}
    told = {name: value for name, value in said.items() if name in usual}
    if untold := set(usual) - set(told):
        raise UsageError(
            f"the loss {kind.__name__} does not tell its {', '.join(sorted(untold))}",
            hint="return them from its get_config(), or give a function of labels and outputs",
        )
    made = [f"{name}={value!r}" for name, value in told.items() if value != usual[name]]
    return _named(kind, f"({', '.join(made)})" if made else "")


def _named(thing: Any, made: str) -> tuple[str, tuple[str, ...]]:
    if thing.__module__.partition(".")[0] == "keras":
        return thing.__name__ + made, ()
    spec = reference(thing)
    return own_name(spec) + made, (spec,)


def metric_of(metric: Any) -> str:
    """Return what `metric=` means as a text.

    Args:
        metric: a name, `module:object`, a function of labels and outputs that returns one value a
            sample, or a subclass of `edgeshrink.api.Metric`.

    Raises:
        UsageError: it has no name by which it can be found again.
    """
    return metric if isinstance(metric, str) else reference(metric)


def decode_of(decode: Any) -> str:
    """Return what `decode=` means as a text.

    Args:
        decode: `module:function`, or a function of a model's outputs.

    Raises:
        UsageError: it has no name by which it can be found again.
    """
    return decode if isinstance(decode, str) else reference(decode)


def class_weight_of(weights: Any) -> str | None:
    """Return what `class_weight=` means as a text.

    Args:
        weights: a text as `--class-weight` takes it, a dict by number or name, or None.
    """
    if isinstance(weights, Mapping):
        return ",".join(f"{name}={weight}" for name, weight in weights.items())
    return None if weights is None else str(weights)


def checked_callbacks(callbacks: Any) -> Sequence[Any]:
    """Return callbacks of Keras, of which one may be given alone.

    Raises:
        UsageError: one is something else.
    """
    if isinstance(callbacks, tuple) and not callbacks:
        return ()
    import keras

    given = callbacks if isinstance(callbacks, list | tuple) else [callbacks]
    for one in given:
        if not isinstance(one, keras.callbacks.Callback):
            raise UsageError(
                f"callbacks= takes keras.callbacks.Callback; received a {type(one).__name__}",
                hint="as in callbacks=[keras.callbacks.CSVLogger('curve.csv')]",
            )
    return list(given)
