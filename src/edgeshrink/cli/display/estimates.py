"""How a compiler's estimates look: columns of their own, never those of measured times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edgeshrink import words
from edgeshrink.cli.display.tables import Column

if TYPE_CHECKING:
    from edgeshrink.devices import Estimate

GROUP = 2  # below the measured columns, where the table is too wide for the screen


def estimated(found: Sequence[Estimate | None], beside: str = "", place: int = 0) -> list[Column]:
    """Return the columns of one device's estimates.

    Args:
        found: of each row; None where there is none.
        beside: what follows the first head: the device, where it is not the only one.
        place: of the device among several: each has a table of its own.
    """

    def told(read: Callable[[Estimate], str]) -> list[str]:
        return [read(one) if one else words.NONE for one in found]

    columns = {
        f"est. cycles{beside}": told(lambda e: f"{e.cycles:,}"),
        "est. time": told(lambda e: words.milliseconds(e.milliseconds)),
        "on the NPU": told(_operators),
        "encoded weights": told(lambda e: f"{e.weight_bytes:,}"),
        "compiled bytes": told(lambda e: f"{e.stored_bytes:,}"),
        "SRAM": told(lambda e: f"{e.sram_bytes:,}"),
        "DRAM": told(lambda e: f"{e.dram_bytes:,}" if e.dram_bytes else words.NONE),
    }
    return [Column(head, cells, GROUP + place) for head, cells in columns.items()]


def _operators(one: Estimate) -> str:
    whole = one.accelerator_operators + one.processor_operators
    return f"{one.accelerator_operators:,} of {whole:,}"
