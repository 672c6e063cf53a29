"""What Vela tells of a model: the totals of its summary, and why operators are not the NPU's."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass

from edgeshrink.api import CommandFailed
from edgeshrink_ethosu.failures import one_line

# No device has more bytes, and no inference takes more cycles.
LARGEST = 1e15
KIBI = 1024
_REASON = re.compile(
    r"^Warning \([^)\n]{1,60}\) operator: (\w{1,60}), ofm: [^\n]*\nReason: ([^\n]+)",
    re.MULTILINE,
)
# The tensor that a reason is about: in stripped files they have no names.
_TENSOR = re.compile(r" \([^()]*\)$")


@dataclass(frozen=True)
class Totals:
    """The figures of a summary that are reported; bytes, cycles, and seconds of one inference."""

    arithmetic_cycles: int
    cycles: int
    seconds: float
    encoded_weights: int
    sram: int
    dram: int


# By field: the column of the summary, and what its unit is multiplied by.
_COLUMNS = {
    "arithmetic_cycles": ("cycles_npu", 1),
    "cycles": ("cycles_total", 1),
    "seconds": ("inference_time", 1),
    "encoded_weights": ("total_npu_encoded_weights", 1),
    "sram": ("sram_memory_used", KIBI),
    "dram": ("dram_memory_used", KIBI),
}


def totals(summary: str) -> Totals:
    """Return the figures of the one row of Vela's summary.

    Args:
        summary: the file's text, CSV.

    Raises:
        CommandFailed: a column is missing, or holds no number that can be.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(summary)))
    except csv.Error as error:
        raise CommandFailed("the summary that Vela wrote is no CSV") from error
    if len(rows) != 1:
        raise CommandFailed(f"the summary that Vela wrote has {len(rows)} rows, not 1")
    found = {field: _number(rows[0], column) * unit for field, (column, unit) in _COLUMNS.items()}
    seconds = found.pop("seconds")
    return Totals(seconds=seconds, **{field: round(value) for field, value in found.items()})


def _number(row: dict[str, str], column: str) -> float:
    said = row.get(column)
    try:
        value = float(said if isinstance(said, str) else "")
    except ValueError:
        value = math.nan
    if not 0 <= value < LARGEST:
        shown = "nothing" if said is None else repr(one_line(str(said)))
        raise CommandFailed(f"the summary that Vela wrote has {shown} as {column}")
    return value


def reasons(printed: str) -> dict[str, str]:
    r"""Return why operators are left to the processor, by their names; the first of each.

    Args:
        printed: what Vela printed.

    Example:
        >>> reasons("Warning (supported operators) operator: DEQUANTIZE, ofm: 'x'\n"
        ...         "Reason: Unsupported opType\n")
        {'DEQUANTIZE': 'Unsupported opType'}
    """
    found: dict[str, str] = {}
    for operator, reason in _REASON.findall(printed):
        found.setdefault(operator, one_line(_TENSOR.sub("", reason)))
    return found
