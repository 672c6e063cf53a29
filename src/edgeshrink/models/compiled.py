"""What a model was compiled with, output by output: its loss, the loss's weight, its metrics."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgeshrink.errors import UsageError

# Keras's short names; what is spelled with underscores is the class name otherwise.
SHORT = {
    "bce": "BinaryCrossentropy",
    "kld": "KLDivergence",
    "kl_divergence": "KLDivergence",
    "logcosh": "LogCosh",
    "mae": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError",
    "mse": "MeanSquaredError",
    "msle": "MeanSquaredLogarithmicError",
}
# What says something of one output each; what one loss is made with stands in brackets.
BETWEEN = re.compile(r",(?![^()]*\))")
NAMED = re.compile(r"(?:([^=()]*)=)?(.*)")
MADE = re.compile(r"([^()]+)\((.*)\)")
# What Keras writes of every loss, and what says nothing of how it is computed.
COMMON = frozenset({"name", "reduction", "dtype"})


AS_IN = "as in mse, or huber(delta=0.5)"


@dataclass(frozen=True)
class LossFacts:
    """A loss, as a file or a user names it.

    Attributes:
        spelled: the name as it was given, such as `mse`.
        options: what its class was made with, such as `label_smoothing`; empty for a bare name.
        made_of: the class that the file tells; empty for a bare name.
    """

    spelled: str
    options: Mapping[str, Any] = field(default_factory=dict)
    made_of: str = ""

    @classmethod
    def parse(cls, text: str) -> LossFacts:
        """Return the loss that a text says: a name, or what it is made with in brackets behind it.

        Raises:
            UsageError: the text is spelled otherwise, or a value is none of Python's.

        Example:
            >>> LossFacts.parse("huber(delta=0.5)").options
            {'delta': 0.5}
        """
        made = MADE.fullmatch(text.strip())
        if made is None:
            if "(" in text or ")" in text:
                raise UsageError(f"a loss is written {AS_IN}; received {text!r}")
            return cls(text.strip())
        options = {}
        for part in filter(None, (part.strip() for part in made[2].split(","))):
            name, equals, value = part.partition("=")
            try:
                options[name.strip()] = ast.literal_eval(value.strip())
            except (ValueError, SyntaxError):
                equals = ""
            if not equals or not name.strip().isidentifier():
                raise UsageError(f"a loss is written {AS_IN}; received {text!r}")
        return cls(made[1].strip(), options)

    @property
    def class_name(self) -> str:
        """The name of the class: `MeanSquaredError` for `mse` and for `mean_squared_error`."""
        name = self.made_of or self.spelled
        words = name.split("_")
        return SHORT.get(name.lower(), "".join(word[:1].upper() + word[1:] for word in words))


@dataclass(frozen=True)
class Objective:
    """What one output was compiled with.

    Attributes:
        loss: None where the output has none.
        weight: of its loss in the sum of all.
        metrics: as Keras spells them, such as `accuracy`.
    """

    loss: LossFacts | None = None
    weight: float = 1.0
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True)
class Compiled:
    """Losses, weights and metrics as `model.compile` took them.

    Each is one for all outputs, a list in the order of the outputs, a dict by their names, or
    such things nested.
    """

    losses: Any = None
    weights: Any = None
    metrics: Any = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Compiled:
        """Return what a compile configuration says, of Keras 2 or 3."""
        return cls(config.get("loss"), config.get("loss_weights"), config.get("metrics"))

    def objective(self, place: int, count: int, names: Sequence[str]) -> Objective:
        """Return what one output was compiled with.

        Args:
            place: of the output, from 0.
            count: of all outputs.
            names: what the output may be called.
        """
        loss = _of_output(self.losses, place, count, names)
        weight = _of_output(self.weights, place, count, names)
        metrics = self.metrics
        if count == 1 and isinstance(metrics, list):
            metrics = [metrics]
        return Objective(
            loss_facts(loss),
            float(weight) if isinstance(weight, int | float) else 1.0,
            tuple(map(_metric_name, _leaves(_of_output(metrics, place, count, names)))),
        )

    @property
    def spelled(self) -> str | None:
        """The names of the losses, in words; None where there is none."""
        found = (loss_facts(leaf) for leaf in _leaves(self.losses))
        return ", ".join(loss.spelled for loss in found if loss) or None


def by_output(text: str) -> dict[str, str]:
    """Return what a text says for each output, under the output's name; of all others under ``.

    Example:
        >>> by_output("mse"), by_output("box=mse, cls=binary_crossentropy")
        ({'': 'mse'}, {'box': 'mse', 'cls': 'binary_crossentropy'})
        >>> by_output("box=huber(delta=0.5), cls=mse")
        {'box': 'huber(delta=0.5)', 'cls': 'mse'}
    """
    said = {}
    for part in filter(None, (part.strip() for part in BETWEEN.split(text))):
        found = NAMED.fullmatch(part)
        name, value = found.groups() if found else ("", part)
        said[(name or "").strip()] = value.strip()
    return said


def loss_facts(loss: Any) -> LossFacts | None:
    """Return a loss as a configuration has it: a name, a function, or a class with options."""
    if not isinstance(loss, Mapping):
        return LossFacts(str(loss)) if loss else None
    inner = loss.get("config")
    if isinstance(inner, str):  # a function
        return LossFacts(inner)
    inner = inner or {}
    options = {key: value for key, value in inner.items() if key not in COMMON}
    made_of = str(loss["class_name"])
    if made_of == "LossFunctionWrapper":  # of Keras 2: a function by its name
        return LossFacts(str(inner.get("fn") or inner.get("name")))
    return LossFacts(str(inner.get("name") or made_of), options, made_of.rpartition(">")[2])


def _metric_name(metric: Any) -> str:
    if not isinstance(metric, Mapping):
        return str(metric)
    inner = metric.get("config")
    if isinstance(inner, Mapping):
        return str(inner.get("name") or metric["class_name"])
    return str(inner or metric["class_name"])


def _is_leaf(value: Any) -> bool:
    return not isinstance(value, list | tuple | Mapping) or (
        isinstance(value, Mapping) and "class_name" in value
    )


def _leaves(value: Any) -> Iterator[Any]:
    """Yield what a structure holds, dicts in the order of their keys, as Keras flattens them."""
    if value is None:
        return
    if _is_leaf(value):
        yield value
    else:
        inner = (value[key] for key in sorted(value)) if isinstance(value, Mapping) else value
        for item in inner:
            yield from _leaves(item)


def _of_output(value: Any, place: int, count: int, names: Sequence[str]) -> Any:
    """Return what a structure holds for one output; None where it holds nothing for it."""
    if value is None or _is_leaf(value):
        return value
    if isinstance(value, Mapping):
        named = [value[name] for name in names if name in value]
        if named:
            return named[0]
    elif len(value) == count:
        return value[place]
    leaves = list(_leaves(value))
    nested = isinstance(value, list) or not all(map(_is_leaf, value.values()))
    return leaves[place] if nested and len(leaves) == count else None
