"""What a compiler reckons of a model on an accelerator that nothing was run on."""

from __future__ import annotations

from dataclasses import dataclass

from edgeshrink import words


@dataclass(frozen=True)
class Estimate:
    """A compiler's own figures of one model, compiled for one accelerator.

    Bytes are counted in what it wrote and laid out. Cycles and milliseconds come from its model of
    the hardware: they are told as its estimate, and never stand where a measured time does.

    Attributes:
        by: the compiler, with its version: "Vela 5.2.0".
        accelerator_operators: operators of the file that run on the accelerator.
        processor_operators: those that are left to the processor, which no figure here counts.
        arithmetic_cycles: of the accelerator's arithmetic in one inference.
        cycles: of one inference on the accelerator, waiting for memory included.
        milliseconds: of one inference on the accelerator, at the clock of the profile.
        weight_bytes: of the weights on the accelerator as it encoded them, part of the next.
        stored_bytes: of the compiled file, which is what the device stores.
        sram_bytes: of on-chip memory that it laid out.
        dram_bytes: of off-chip memory that can be written, 0 where it uses none.
    """

    by: str
    accelerator_operators: int
    processor_operators: int
    arithmetic_cycles: int
    cycles: int
    milliseconds: float
    weight_bytes: int
    stored_bytes: int
    sram_bytes: int
    dram_bytes: int = 0

    def __str__(self) -> str:
        """Return the figures in words."""
        operators = self.accelerator_operators + self.processor_operators
        dram = f" and {self.dram_bytes:,} of DRAM" if self.dram_bytes else ""
        return (
            f"{self.by} estimates {words.milliseconds(self.milliseconds)} and {self.cycles:,} "
            f"cycles ({self.arithmetic_cycles:,} if memory kept nothing waiting); weights take "
            f"{self.weight_bytes:,} bytes encoded, the compiled file {self.stored_bytes:,}, its "
            f"work {self.sram_bytes:,} of SRAM{dram}; "
            f"{self.accelerator_operators:,} of {operators:,} operators run on the NPU"
        )
