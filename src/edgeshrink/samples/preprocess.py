"""Preprocess: what is done to stored values before a model sees them."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError, UsageError, near
from edgeshrink.models import import_object, own_digest

if TYPE_CHECKING:
    import numpy as np

    from edgeshrink.models import ModelFacts

KEYS = ("scale", "offset", "mean", "std")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_FRACTION = re.compile(rf"({_NUMBER})(?:/({_NUMBER}))?")
_USAGE = (
    'write none, "scale=1/255", "scale=1/127.5 offset=-1", "mean=120,110,100 std=60" '
    "or module:function"
)


@dataclass(frozen=True)
class Preprocess:
    """A map of stored values to model inputs: `((x * scale + offset) - mean) / std`.

    Each part is one number, or one for each channel (the last dimension).

    Attributes:
        spec: as the user wrote it.
        scale: what values are multiplied by.
        offset: what is then added.
        mean: what is then subtracted.
        std: what the result is divided by.
        function: `module:function` to call on each batch instead; empty for the formula.

    Example:
        >>> Preprocess.from_spec("scale=1/255").describe()
        'scale=1/255'
    """

    spec: str = "none"
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    function: str = ""

    @classmethod
    def from_spec(cls, text: str) -> Preprocess:
        """Return the preprocessing that `text` spells.

        Args:
            text: `none`, the parts of the formula (`scale=1/127.5 offset=-1`), or
                `module:function`.

        Raises:
            UsageError: it cannot be read, repeats a key, or divides by zero.
        """
        text = " ".join(text.split())
        if text in ("", "none"):
            return cls()
        if ":" in text and "=" not in text:
            return cls(text, function=text)
        values: dict[str, tuple[float, ...]] = {}
        parts = re.split(r"[\s,]*\b([A-Za-z_]+)=", text)
        if parts[0].strip() or len(parts) < 3:
            raise UsageError(f"preprocessing {text!r} cannot be read", hint=_USAGE)
        for key, value in zip(parts[1::2], parts[2::2], strict=True):
            if key not in KEYS:
                raise UsageError(f"preprocessing has no {key!r}", hint=near(key, KEYS))
            if key in values:
                raise UsageError(f"preprocessing must say {key} once; received {text!r}")
            values[key] = tuple(_number(v, text) for v in value.split(","))
        lengths = {len(v) for v in values.values()} - {1}
        if len(lengths) > 1:
            raise UsageError(
                f"preprocessing lists must have one value for each channel; received {text!r}"
            )
        for key in ("scale", "std"):
            if 0.0 in values.get(key, ()):
                raise UsageError(f"preprocessing: {key} must not be zero; received {text!r}")
        named: dict[str, Any] = dict(values)
        return cls(text, **named)

    @property
    def channels(self) -> int:
        """The number of channels that lists are given for; 1 if there are only single numbers."""
        return max(len(v) for v in (self.scale, self.offset, self.mean, self.std))

    @property
    def affine(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Scale and offset that do the same in one step, per channel; None for a function."""
        if self.function:
            return None
        rows = zip(*(_spread(v, self.channels) for v in self._values), strict=True)
        pairs = [(s / d, (o - m) / d) for s, o, m, d in rows]
        return tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)

    @property
    def scales(self) -> bool:
        """Whether values change at all, as far as can be known."""
        return bool(self.function) or self.affine != (
            (1.0,) * self.channels,
            (0.0,) * self.channels,
        )

    def describe(self) -> str:
        """Return the spelling that `from_spec` reads."""
        return self.spec

    def python_snippet(self) -> str:
        """Return one line of Python that does the same to an array `x` in a user's own script."""
        if self.function:
            _, _, name = self.function.partition(":")
            taken = name.partition(".")[0]
            return f"from {self._module} import {taken}; x = {name}(x).astype('float32')"
        scale, offset = self.affine or ((1.0,), (0.0,))
        line = "x = x.astype('float32')"
        if any(v != 1.0 for v in scale):
            line += f" * {_literal(scale)}"
        if any(v != 0.0 for v in offset):
            line += f" + {_literal(offset)}"
        return line

    @property
    def beside(self) -> str:
        """What a user's own script needs beside it, in words; empty for the formula."""
        return f"the module {self._module} beside it" if self.function else ""

    @property
    def source(self) -> str:
        """The SHA-256 of the source of the function, in hex; empty for the formula.

        Of its module, and of all modules in the folder of that module which it uses.

        Raises:
            UsageError: the function cannot be imported.
        """
        return own_digest(self.function, what="preprocessing") if self.function else ""

    @property
    def _module(self) -> str:
        """The module of the function, as another program imports it."""
        name = self.function.partition(":")[0]
        file = getattr(sys.modules.get(name), "__file__", None)
        return Path(file).stem if name == "__main__" and file else name

    def __call__(self, array: Any) -> np.ndarray[Any, Any]:
        """Return the values that a model sees, as float32 of the same number of samples.

        Args:
            array: stored values, `(samples, ...)`; channels are the last dimension.

        Raises:
            DataError: the channels differ in number, the function returns what is no batch, or
                what is made is not finite.
            UsageError: the function cannot be imported, or is none.
        """
        import numpy as np

        with np.errstate(all="ignore"):  # `_finite` tells what comes of it
            return _finite(self._map(array), self.spec)

    def _map(self, array: Any) -> np.ndarray[Any, Any]:
        import numpy as np

        if self.function:
            made: np.ndarray[Any, Any] = np.asarray(self._callable(array))
            if made.dtype.kind not in "fiub" or made.shape[:1] != array.shape[:1]:
                raise DataError(
                    f"a preprocessing function must return as many samples as it gets; "
                    f"{self.function} made {made.shape} {made.dtype} of {array.shape}"
                )
            return made.astype(np.float32, copy=False)
        result: np.ndarray[Any, Any] = array.astype(np.float32)
        if not self.scales:
            return result
        if self.channels > 1 and array.shape[-1] != self.channels:
            raise DataError(
                f"preprocessing {self.spec!r} is for {self.channels} channels; "
                f"the data has {array.shape[-1]} in its last dimension"
            )
        scale, offset = self.affine or ((1.0,), (0.0,))
        result *= np.asarray(scale, np.float32)
        result += np.asarray(offset, np.float32)
        return result

    @property
    def _values(self) -> tuple[tuple[float, ...], ...]:
        return (self.scale, self.offset, self.mean, self.std)

    @cached_property
    def _callable(self) -> Any:
        found = import_object(self.function, what="preprocessing")
        if not callable(found):
            raise UsageError(f"preprocessing {self.function!r} must name a function")
        return found


def warn_double_scaling(facts: ModelFacts, preprocess: Preprocess) -> str | None:
    """Return a warning if values are scaled both before the model and inside it."""
    inside = sorted({"Rescaling", "Normalization"} & set(facts.preprocessing))
    if not inside or not preprocess.scales:
        return None
    return (
        f"values are scaled twice: by preprocessing ({preprocess.describe()}) and by "
        f"{' and '.join(inside)} inside the model"
    )


def _number(text: str, spec: str) -> float:
    """Return a decimal or a fraction such as 1/255."""
    match = _FRACTION.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"preprocessing must hold numbers or fractions; received {text.strip()!r} in {spec!r}",
            hint=_USAGE,
        )
    divisor = float(match[2]) if match[2] else 1.0
    value = float(match[1]) / divisor if divisor else math.nan
    if not math.isfinite(value):
        raise UsageError(f"preprocessing must hold finite numbers; received {text.strip()!r}")
    return value


def _finite(values: np.ndarray[Any, Any], spec: str) -> np.ndarray[Any, Any]:
    import numpy as np

    if not np.isfinite(values).all():
        raise DataError(
            f"preprocessing must make finite 32-bit numbers; {spec!r} made NaN or infinity"
        )
    return values


def _spread(values: tuple[float, ...], count: int) -> tuple[float, ...]:
    return values * count if len(values) == 1 else values


def _literal(values: tuple[float, ...]) -> str:
    return (
        repr(values[0])
        if len(set(values)) == 1
        else repr(list(values)).join(("np.array(", ", 'float32')"))
    )
