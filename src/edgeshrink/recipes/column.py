"""What a table of a study may show: measures of a run, and the columns that hold them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgeshrink.errors import UsageError, near


@dataclass(frozen=True)
class Measure:
    """What a column holds.

    Attributes:
        head: in words.
        unit: behind the head, empty for none.
        places: decimals to show.
    """

    head: str
    unit: str = ""
    places: int = 2

    @property
    def in_points(self) -> bool:
        """Whether a change of it is told as a difference; else as a ratio."""
        return self.unit in ("%", "points", "% change")

    @property
    def bounds(self) -> tuple[float, float]:
        """What no value can be beyond: 0 and 100 for a share in %."""
        return (0.0, 100.0) if self.unit == "%" else (-math.inf, math.inf)


# What a column may show, by key.
# 1 KiB is 1,024 bytes; changes are from the base as a float .tflite.
MEASURES = {
    "accuracy": Measure("accuracy", "%"),
    "accuracy_gain": Measure("accuracy gain", "points"),
    "top5": Measure("top-5 accuracy", "%"),
    "score": Measure("score of record", places=4),
    "agreement": Measure("agreement with the base", "%"),
    "size_kib": Measure("file", "KiB", 1),
    "size_mib": Measure("file", "MiB", 3),
    "size_change": Measure("file", "% change", 1),
    "deflated_kib": Measure("deflated file", "KiB", 1),
    "deflated_mib": Measure("deflated file", "MiB", 3),
    "deflated_change": Measure("deflated file", "% change", 1),
    "smaller": Measure("float weights over deflated file", "×", 1),
    "on_disk": Measure("float weights over file", "×", 1),
    "download": Measure("deflated float file over deflated file", "×", 1),
    "efficacy": Measure("accuracy / deflated file", "%/MiB"),
    "efficacy_on_disk": Measure("accuracy / file", "%/MiB"),
    "quality_of_model": Measure("quality of model", places=3),
    "parameters": Measure("weights", places=0),
    "parameters_m": Measure("weights", "M", 3),
    "nonzeros": Measure("weights that are not zero", places=0),
    "sparsity": Measure("zeros", "%", 1),
    "macs": Measure("MACs", places=0),
    "macs_m": Measure("MACs", "M"),
    "ms": Measure("latency", "ms", 4),
}
OF_LAYERS = ("parameters", "parameters_m", "macs", "macs_m")


@dataclass(frozen=True)
class Column:
    """A column of a table, written `measure`, `ms@device` or `measure:name`.

    Attributes:
        measure: a key of `MEASURES`.
        device: that latencies are of: the one that is named, or else the study's first.
        key: what its published values are called: the name, or else what was written.
    """

    measure: str
    device: str
    key: str

    @classmethod
    def parse(cls, text: str, devices: tuple[str, ...]) -> Column:
        """Return the column that a text means.

        Args:
            text: `measure`, `ms@device` or `measure:name`.
            devices: names of the study's devices, at least one.

        Raises:
            UsageError: there is no such measure or device.
        """
        what, _, name = text.partition(":")
        measure, at, device = what.partition("@")
        if measure not in MEASURES:
            raise UsageError(f"no measure {measure!r}", hint=near(measure, MEASURES))
        if at and (measure != "ms" or device not in devices):
            raise UsageError(
                f"only ms is told @device, one of {', '.join(devices)}; received {text!r}"
            )
        return cls(measure, device or devices[0], name or what)

    @property
    def head(self) -> str:
        """What stands over the column."""
        measure = MEASURES[self.measure]
        named = "" if self.key.partition("@")[0] == self.measure else f" ({self.key})"
        return f"{measure.head}{f' [{measure.unit}]' if measure.unit else ''}{named}"
